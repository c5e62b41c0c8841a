//! Makes a graph ready to be run: folds constants into convolutions, then cuts it into chains.

use std::sync::Arc;

use super::chains::chains;
use super::graph::{Graph, GraphBuilder, Node, ValueId};
use super::op::{Conv, Op};
use super::places::places;
use super::program::Program;

/// Cuts a graph into chains, and decides where their results are kept.
pub fn fuse(graph: Graph) -> Program {
    let mut graph = fold(&graph);
    let chains = chains(&mut graph);
    let (places, size) = places(&graph, &chains, |value| graph.shape(value).elements());
    Program {
        graph,
        chains,
        places,
        size,
    }
}

/// Multiplies every run of [`Op::Affine`] into the convolution before it, or into one, once, however long it is.
fn fold(graph: &Graph) -> Graph {
    let taken_up = taken_up(graph);
    let (mut builder, input) = GraphBuilder::of(graph.node(graph.input_value()));
    let mut moved: Vec<ValueId> = Vec::with_capacity(graph.nodes().len());
    for (value, node) in graph.values() {
        if node.op == Op::Input {
            moved.push(input);
            continue;
        }
        let is_affine = matches!(node.op, Op::Affine { .. });
        let (op, inputs) = match is_affine && !taken_up[value.index()] {
            true => folded_run(graph, value, &taken_up),
            // What is taken up is left out in the end.
            false => (node.op.clone(), node.inputs.clone()),
        };
        let inputs = inputs.iter().map(|x| moved[x.index()]).collect();
        let shape = graph.shape(value);
        moved.push(builder.push_checked(Node { op, inputs, shape }));
    }
    builder.finish(moved[graph.output().index()])
}

/// Which values only an affine reads, that may be multiplied into what they come from.
fn taken_up(graph: &Graph) -> Vec<bool> {
    let uses = graph.uses();
    let mut taken_up = vec![false; graph.nodes().len()];
    for (_, node) in graph.values() {
        if let (Op::Affine { .. }, [before]) = (&node.op, node.inputs.as_slice()) {
            taken_up[before.index()] = uses[before.index()] == 1 && *before != graph.output();
        }
    }
    taken_up
}

/// One op for a run of affines that ends with `last`, with the convolution before it where there is one; and its inputs.
fn folded_run(graph: &Graph, last: ValueId, taken_up: &[bool]) -> (Op, Vec<ValueId>) {
    let mut run = vec![last];
    let mut before = graph.node(last).inputs[0];
    while taken_up[before.index()] && matches!(graph.node(before).op, Op::Affine { .. }) {
        run.push(before);
        before = graph.node(before).inputs[0];
    }
    let first = run.pop().unwrap_or(last);
    let mut op = graph.node(first).op.clone();
    for value in run.into_iter().rev() {
        op = folded(&op, &graph.node(value).op).unwrap_or(op);
    }
    let node = graph.node(before);
    match folded(&node.op, &op).filter(|_| taken_up[before.index()]) {
        Some(whole) => (whole, node.inputs.clone()),
        None => (op, vec![before]),
    }
}

/// The op that does what `op` and then an affine does.
fn folded(op: &Op, affine: &Op) -> Option<Op> {
    let Op::Affine { scale, shift } = affine else {
        return None;
    };
    let times = |list: &[f32]| -> Arc<[f32]> {
        let each = list.iter().zip(scale.iter().cycle());
        // Rounded once: the product of two float32 is exact in float64.
        each.map(|(v, scale)| (f64::from(*v) * f64::from(*scale)) as f32)
            .collect()
    };
    let moved = |list: &[f32]| -> Arc<[f32]> {
        let each = list.iter().zip(scale.iter()).zip(shift.iter());
        each.map(|((v, scale), shift)| {
            (f64::from(*v) * f64::from(*scale) + f64::from(*shift)) as f32
        })
        .collect()
    };
    match op {
        // The output channel is the weight's last dimension.
        Op::Conv(conv) => Some(Op::Conv(Conv {
            weight: times(&conv.weight),
            bias: match &conv.bias {
                Some(bias) => Some(moved(bias)),
                None if shift.iter().all(|shift| *shift == 0.0) => None,
                None => Some(shift.clone()),
            },
            ..conv.clone()
        })),
        Op::Affine {
            scale: first,
            shift: offset,
        } => Some(Op::Affine {
            scale: times(first),
            shift: moved(offset),
        }),
        _ => None,
    }
}
