//! Which values are kept in nearly single precision where values are stored in half precision: `shaders/shared/arena.wgsl`.
//!
//! Half precision has 11 digits, so a number loses 2e-4 of itself at the most, which is little, unless a norm takes most of
//! the number away: what is left of an image that is nearly even is what was lost of it many times over. That is so of an
//! image as it comes, and of what is computed straight from it; behind the first norm, deviations are what is stored. Values
//! of one pixel, such as the moments of a norm, take next to no memory.

use super::shader::Precision;
use crate::nn::{Chain, Op, Program, ValueId};

/// For each value of a program, whether it is stored as two numbers for one: numbers rounded, and what that left of them.
pub(super) fn split(program: &Program, precision: Precision) -> Vec<bool> {
    let graph = &program.graph;
    let nodes = graph.nodes();
    if precision == Precision::Single {
        return vec![false; nodes.len()];
    }
    let mut split: Vec<bool> = nodes.iter().map(|node| node.shape.pixels() == 1).collect();
    let input = graph.input_value();
    split[input.index()] = true;
    for chain in program.chains.iter().filter(|chain| chain.kept) {
        if let Some(last) = chain.steps.last()
            && chain.source == [input]
            && is_normalised(program, *last)
        {
            split[last.index()] = true;
        }
    }
    split
}

/// Whether a kept value is read by nothing but chains with instance or group norm.
fn is_normalised(program: &Program, value: ValueId) -> bool {
    let graph = &program.graph;
    let has_norm = |chain: &Chain| {
        let mut ops = chain.steps.iter().map(|step| &graph.node(*step).op);
        ops.any(|op| matches!(op, Op::Normalise { .. }))
    };
    let reads = |chain: &&Chain| chain.reads(graph).any(|read| read == value);
    let mut readers = program.chains.iter().filter(reads).peekable();
    readers.peek().is_some() && readers.all(has_norm)
}
