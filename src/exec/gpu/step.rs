//! Pointwise ops as steps of a kernel's prologue or epilogue.

use super::constants::Constants;
use super::place::Place;
use crate::nn::{Binary, Function, Graph, Op, Shape, ValueId};

/// A step: an expression of `shaders/shared/steps.wgsl`, and its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) call: &'static str,
    pub(super) numbers: [u32; 4],
}

/// Whether an op can be a step: it works on four channels at a time, each pixel alone.
pub(super) fn is_step(op: &Op) -> bool {
    matches!(
        op,
        Op::Normalise { .. } | Op::Affine { .. } | Op::Apply(_) | Op::Binary(_)
    )
}

/// Whether a step is so cheap that a convolution may make it again and again as it loads, and turns zeros, with which
/// channels are filled up, into finite numbers.
pub(super) fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Normalise { .. } | Op::Affine { .. } => true,
        Op::Binary(binary) => *binary != Binary::Divide,
        Op::Apply(function) => matches!(
            function,
            Function::Relu | Function::LeakyRelu { .. } | Function::Prelu { .. }
        ),
        _ => false,
    }
}

/// The step of a node. `place` says where a kept value lies.
pub(super) fn step(
    graph: &Graph,
    value: ValueId,
    constants: &mut Constants,
    place: impl Fn(ValueId) -> Place,
) -> Step {
    let node = graph.node(value);
    let channels = node.shape.channels;
    match &node.op {
        Op::Affine { scale, shift } => Step {
            call: "affine(v, at, op)",
            numbers: [constants.push(scale), constants.push(shift), 0, 0],
        },
        Op::Normalise { weight, bias } => {
            let weight = weight.clone().unwrap_or_else(|| vec![1.0; channels].into());
            let bias = bias.clone().unwrap_or_else(|| vec![0.0; channels].into());
            let moments = place(node.inputs[1]);
            normalise(channels, &weight, &bias, moments, constants)
        }
        Op::Binary(binary) => {
            let operand = node.inputs[1];
            let shape = graph.shape(operand);
            let place = place(operand);
            Step {
                call: combined(*binary, [shape, node.shape], place.split),
                numbers: [place.offset, place.width(), 0, 0],
            }
        }
        Op::Apply(function) => apply(function, constants),
        // `is_step` is asked before.
        op => unreachable!("{} is no step", op.name()),
    }
}

fn normalise(
    channels: usize,
    weight: &[f32],
    bias: &[f32],
    moments: Place,
    constants: &mut Constants,
) -> Step {
    let groups = moments.shape.channels / 2;
    if groups == channels && groups.is_multiple_of(4) {
        let inverses = moments.offset + (moments.stored_as() * groups / 4) as u32;
        let learnt = [constants.push(weight), constants.push(bias)];
        return Step {
            call: "normalise(v, at, op)",
            numbers: [moments.offset, inverses, learnt[0], learnt[1]],
        };
    }
    let mut learnt = Vec::with_capacity(2 * channels + 8);
    for first in (0..channels).step_by(4) {
        for list in [weight, bias] {
            learnt.extend((first..first + 4).map(|c| list.get(c).copied().unwrap_or(0.0)));
        }
    }
    let size = (channels / groups) as u32;
    Step {
        call: "normalise_groups(v, at, op)",
        numbers: [moments.offset, size, groups as u32, constants.push(&learnt)],
    }
}

fn combined(binary: Binary, [operand, shape]: [Shape; 2], split: bool) -> &'static str {
    macro_rules! calls {
        ($sign:literal) => {
            match (
                operand == shape,
                operand == Shape::vector(shape.channels),
                split,
            ) {
                (true, _, false) => concat!("v ", $sign, " image(at, op)"),
                (true, _, true) => concat!("v ", $sign, " split_image(at, op)"),
                (_, true, _) => concat!("v ", $sign, " channels(at, op)"),
                (_, _, false) => concat!("v ", $sign, " plane(at, op)"),
                (_, _, true) => concat!("v ", $sign, " split_plane(at, op)"),
            }
        };
    }
    match binary {
        Binary::Add => calls!("+"),
        Binary::Subtract => calls!("-"),
        Binary::Multiply => calls!("*"),
        Binary::Divide => calls!("/"),
    }
}

fn apply(function: &Function, constants: &mut Constants) -> Step {
    let number = |call, number: f32| Step {
        call,
        numbers: [number.to_bits(), 0, 0, 0],
    };
    let plain = |call| Step {
        call,
        numbers: [0; 4],
    };
    match function {
        Function::Relu => plain("relu(v)"),
        Function::LeakyRelu { slope } => number("leaky_relu(v, op)", *slope),
        Function::Prelu { slopes } if slopes.len() == 1 => number("leaky_relu(v, op)", slopes[0]),
        Function::Prelu { slopes } => Step {
            call: "prelu(v, at, op)",
            numbers: [constants.push(slopes), 0, 0, 0],
        },
        Function::Elu { alpha } => number("elu(v, op)", *alpha),
        Function::Gelu => plain("gelu(v)"),
        Function::GeluTanh => plain("gelu_tanh(v)"),
        Function::Swish { alpha } => number("swish(v, op)", *alpha),
        Function::Mish => plain("mish(v)"),
        Function::Tanh => plain("hyperbolic_tangent(v)"),
        Function::Sigmoid => plain("sigmoid(v)"),
        Function::Softplus => plain("softplus(v)"),
        Function::Erf => plain("error_function(v)"),
        Function::Exp => plain("exp(v)"),
        Function::Sqrt => plain("sqrt(v)"),
        Function::Square => plain("v * v"),
        Function::Reciprocal => plain("1.0 / v"),
    }
}
