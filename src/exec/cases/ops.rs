//! Networks of one op, or of the few that go together.

use std::sync::Arc;

use super::{CaseError, Random, network, single};
use crate::nn::{Binary, Function, Graph, GraphError, Op, Shape};

/// How many ops [`other`] has.
pub(super) const OTHERS: u64 = 11;

/// Every fifth has one pixel alone.
pub(super) fn convolution(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let kernel = [random.within(1, 7), random.within(1, 7)];
    let groups = random.within(1, 3);
    let inputs = groups * random.within(1, 12);
    let outputs = groups * random.within(1, 24);
    let mut conv = random.conv(inputs, outputs, kernel, groups);
    conv.stride = [random.within(1, 4), random.within(1, 4)];
    let mut sides = [1, 1];
    if seed % 5 == 4 {
        conv.padding = kernel.map(|kernel| [(kernel / 2) as isize; 2]);
    } else {
        conv.padding = [0, 1].map(|_| [0, 1].map(|_| random.within(0, 5) as isize - 1));
        // A row and a column more than what padding may cut away.
        sides = kernel.map(|kernel| kernel + random.within(2, 20));
    }
    Ok(single(
        Shape::new(inputs, sides[0], sides[1]),
        Op::Conv(conv),
    )?)
}

pub(super) fn pointwise(random: &mut Random) -> Result<Graph, CaseError> {
    let groups = random.one_of(&[1, 1, 2, 5]);
    let input = random.shape(40, 12);
    let input = input.with_channels(input.channels * groups);
    let outputs = groups * random.within(1, 70);
    let conv = random.conv(input.channels, outputs, [1, 1], groups);
    Ok(single(input, Op::Conv(conv))?)
}

pub(super) fn depthwise(random: &mut Random) -> Result<Graph, CaseError> {
    let kernel = [random.within(1, 5), random.within(1, 5)];
    let channels = random.within(2, 40);
    let mut conv = random.conv(channels, channels, kernel, channels);
    conv.stride = [random.within(1, 2), random.within(1, 3)];
    conv.padding = kernel.map(|kernel| [(kernel / 2) as isize; 2]);
    let input = Shape::new(channels, random.within(1, 20), random.within(1, 30));
    Ok(single(input, Op::Conv(conv))?)
}

pub(super) fn transposed(random: &mut Random) -> Result<Graph, CaseError> {
    let kernel = [random.within(1, 5), random.within(1, 5)];
    let input = random.shape(9, 12);
    let outputs = random.within(1, 20);
    let mut conv = random.conv(input.channels, outputs, kernel, 1);
    conv.transposed = true;
    conv.stride = [random.within(1, 3), random.within(1, 3)];
    // Cut away before; after, cut away or added.
    conv.padding = kernel.map(|kernel| {
        let before = random.within(0, (kernel - 1) / 2) as isize;
        [before, before - random.within(0, 2) as isize]
    });
    Ok(single(input, Op::Conv(conv))?)
}

pub(super) fn linear(random: &mut Random) -> Result<Graph, CaseError> {
    let input = random.shape(20, 9);
    let conv = random.conv(input.channels, 3, [input.height, input.width], 1);
    Ok(single(input, Op::Conv(conv))?)
}

pub(super) fn gated(random: &mut Random) -> Result<Graph, CaseError> {
    let input = random.shape(40, 60);
    let input = input.with_channels(input.channels * 2);
    let outputs = 2 * random.within(1, 70);
    let kernel = random.one_of(&[1, 3]);
    let (outputs, groups) = match random.within(0, 2) {
        0 => (input.channels, input.channels),
        1 => (outputs, 2),
        _ => (outputs, 1),
    };
    let mut conv = random.conv(input.channels, outputs, [kernel; 2], groups);
    conv.padding = [[(kernel / 2) as isize; 2]; 2];
    let before = random.conv(input.channels, input.channels, [1, 1], 1);
    let last = random.within(1, 20);
    let behind = random.conv(outputs / 2, last, [1, 1], 1);
    let [has_before, has_behind] = [random.chance(), random.chance()];
    Ok(network(input, |builder, mut value| {
        if has_before {
            value = builder.push(Op::Conv(before), &[value])?;
        }
        value = builder.push(Op::Conv(conv), &[value])?;
        value = builder.push(Op::Gate, &[value])?;
        match has_behind {
            true => builder.push(Op::Conv(behind), &[value]),
            false => Ok(value),
        }
    })?)
}

/// Every function; those with slopes for three channels.
pub fn functions() -> Vec<Function> {
    let slopes = |list: &[f32]| list.into();
    vec![
        Function::Relu,
        Function::LeakyRelu { slope: 0.01 },
        Function::Prelu {
            slopes: slopes(&[0.25, -0.5, 0.1]),
        },
        Function::Prelu {
            slopes: slopes(&[0.25]),
        },
        Function::Elu { alpha: 0.7 },
        Function::Gelu,
        Function::GeluTanh,
        Function::Swish { alpha: 1.5 },
        Function::Mish,
        Function::Tanh,
        Function::Sigmoid,
        Function::Softplus,
        Function::Erf,
        Function::Exp,
        Function::Sqrt,
        Function::Square,
        Function::Reciprocal,
    ]
}

/// For 1026 numbers.
pub(super) fn function(seed: u64) -> Result<Graph, CaseError> {
    let functions = functions();
    let function = functions[seed as usize % functions.len()].clone();
    Ok(single(Shape::new(3, 1, 342), Op::Apply(function))?)
}

/// Numbers from -8 to 8, and a few that are far larger or smaller, as far as the function's results are of float16's
/// range.
pub(super) fn numbers_of_function(graph: &Graph, count: usize) -> Vec<f32> {
    let mut numbers: Vec<f32> = (-510..510).map(|v| v as f32 / 64.0 + 1e-3).collect();
    numbers.extend([90.0, -90.0, 1e-9, -1e-9, 0.0]);
    numbers.resize(count, 0.25);
    let each = numbers.iter_mut();
    match &graph.node(graph.output()).op {
        Op::Apply(Function::Sqrt) => each.for_each(|v| *v = v.abs()),
        Op::Apply(Function::Exp) => each.for_each(|v| *v = v.min(8.0)),
        Op::Apply(Function::Reciprocal) => {
            each.filter(|v| v.abs() < 1e-3).for_each(|v| *v = 0.5);
        }
        _ => {}
    }
    numbers
}

/// Norms over channels, gates, means, and what moves numbers: one op after another for as many seeds.
pub(super) fn other(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let factor = random.within(1, 4);
    let input = random.shape(40, 9);
    let input = match seed % OTHERS {
        10 => input.with_channels(factor * factor * random.within(1, 20)),
        _ => input.with_channels(input.channels * 2),
    };
    let count = input.channels;
    let start = random.within(0, count - 1);
    let [a, b] = [0, 1].map(|_| -> Arc<[f32]> { random.numbers(count).into() });
    let op = match seed % OTHERS {
        0 => Op::LayerNorm {
            weight: a,
            bias: b,
            eps: 1e-6,
        },
        1 => Op::Affine { scale: a, shift: b },
        2 => Op::Gate,
        3 => Op::ChannelMean,
        4 => Op::Channels {
            start,
            channels: random.within(1, count - start),
        },
        5 => Op::Softmax,
        6 => Op::Pad {
            bottom: random.within(0, 5),
            right: random.within(0, 5),
        },
        7 => Op::Crop {
            height: random.within(1, input.height),
            width: random.within(1, input.width),
        },
        8 => Op::Mean,
        9 => Op::Moments {
            groups: random.one_of(&[1, 2, count]),
            eps: 0.01,
        },
        _ => Op::PixelShuffle { factor },
    };
    Ok(single(input, op)?)
}

/// Instance norm and group norm, with and without what they have learnt.
pub(super) fn norm(random: &mut Random) -> Result<Graph, CaseError> {
    let groups = random.within(1, 9);
    let input = random.shape(5, 40);
    let input = input.with_channels(input.channels * groups);
    let count = input.channels;
    let weight = random.chance().then(|| random.numbers(count).into());
    let bias = random.chance().then(|| random.numbers(count).into());
    Ok(network(input, |builder, value| {
        let moments = builder.push(Op::Moments { groups, eps: 0.01 }, &[value])?;
        builder.push(Op::Normalise { weight, bias }, &[value, moments])
    })?)
}

/// Squares that cancel would lose the deviation.
pub(super) fn large_mean(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let groups = [1, 2, 6][seed as usize % 3];
    let input = Shape::new(6, random.within(1, 40), random.within(5, 40));
    Ok(single(input, Op::Moments { groups, eps: 1e-5 })?)
}

/// With an image, a vector, and a plane.
pub(super) fn arithmetic(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let operations = [
        Binary::Add,
        Binary::Subtract,
        Binary::Multiply,
        Binary::Divide,
    ];
    let spreads = [Op::Apply(Function::Square), Op::Mean, Op::ChannelMean];
    let operation = operations[seed as usize % 4];
    let spread = spreads[seed as usize / 4 % 3].clone();
    let input = random.shape(30, 9);
    // Far enough from zero to be divided by.
    let far = Op::Affine {
        scale: vec![0.1; input.channels].into(),
        shift: vec![1.5; input.channels].into(),
    };
    let combined = network(input, |builder, value| -> Result<_, GraphError> {
        let other = builder.push(far, &[value])?;
        let other = builder.push(spread, &[other])?;
        builder.push(Op::Binary(operation), &[value, other])
    });
    Ok(combined?)
}
