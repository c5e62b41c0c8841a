//! Makes a graph ready to be run: folds constants into convolutions, then cuts it into chains.

use std::sync::Arc;

use super::chains::chains;
use super::graph::{Graph, GraphBuilder, Node, ValueId};
use super::op::{Conv, Op, Shape};
use super::places::places;
use super::program::Program;

/// Cuts a graph into chains, and decides where their results are kept.
pub fn fuse(graph: Graph) -> Program {
    let mut graph = fold(&graph);
    let chains = chains(&mut graph);
    let (places, size) = places(&graph, &chains, Shape::elements);
    Program {
        graph,
        chains,
        places,
        size,
    }
}

/// How many times as many numbers may be made in folding as the graph holds: a network folds each of its convolutions once
/// or twice, and a hostile one may follow a large one by thousands of sums.
const TIMES: usize = 4;

/// Multiplies what follows a convolution, or another [`Op::Affine`], into its constants.
fn fold(graph: &Graph) -> Graph {
    let uses = graph.uses();
    let held = graph.nodes().iter().map(|node| constants(&node.op));
    let mut left = TIMES * held.sum::<usize>();
    let (mut builder, input) = GraphBuilder::of(graph.node(graph.input_value()));
    let mut moved: Vec<ValueId> = Vec::with_capacity(graph.nodes().len());
    for (value, node) in graph.values() {
        if node.op == Op::Input {
            moved.push(input);
            continue;
        }
        let inputs: Vec<ValueId> = node.inputs.iter().map(|x| moved[x.index()]).collect();
        let folded = match (&node.op, node.inputs.as_slice()) {
            (Op::Affine { scale, shift }, [before])
                if uses[before.index()] == 1 && *before != graph.output() =>
            {
                let before = builder.node(inputs[0]);
                let rest = left.checked_sub(constants(&before.op));
                let folded = rest.and_then(|_| folded(&before.op, scale, shift));
                left = rest.unwrap_or(left);
                folded.map(|op| (op, before.inputs.clone()))
            }
            _ => None,
        };
        let (op, inputs) = folded.unwrap_or_else(|| (node.op.clone(), inputs));
        let shape = graph.shape(value);
        moved.push(builder.push_checked(Node { op, inputs, shape }));
    }
    builder.finish(moved[graph.output().index()])
}

/// How many numbers an op that may be folded holds.
fn constants(op: &Op) -> usize {
    match op {
        Op::Conv(conv) => conv.weight.len() + conv.outputs,
        Op::Affine { scale, shift } => scale.len() + shift.len(),
        _ => 0,
    }
}

/// The op that does what `op` and then an affine does.
fn folded(op: &Op, scale: &[f32], shift: &[f32]) -> Option<Op> {
    let times = |list: &[f32]| -> Arc<[f32]> {
        let each = list.iter().zip(scale.iter().cycle());
        // Rounded once: the product of two float32 is exact in float64.
        each.map(|(v, scale)| (f64::from(*v) * f64::from(*scale)) as f32)
            .collect()
    };
    let moved = |list: &[f32]| -> Arc<[f32]> {
        let each = list.iter().zip(scale).zip(shift);
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
                None => Some(shift.into()),
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
