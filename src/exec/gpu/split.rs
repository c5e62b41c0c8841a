//! Which values keep nearly all their digits where values are stored in half precision: `shaders/shared/arena.wgsl`.
//!
//! Half precision has 11 binary digits: a number loses 1 part in 4096 at the most. That is little, unless a norm takes most
//! of the number away: of an image that is nearly even, deviations of some hundredths are left, and what was lost counts
//! many times over. So it is with an image as it comes, and with what is computed straight from it for a norm; behind that,
//! deviations are what is stored. Values of one pixel, such as the moments of a norm, take next to no memory.

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exec::gpu::tests::network;
    use crate::nn::{Kind, fuse};

    /// The ops whose results are split, but for those of one pixel.
    fn images(program: &Program) -> Vec<String> {
        let split = split(program, Precision::Half);
        let values = program.graph.values();
        let images = values.filter(|(value, node)| {
            let is_split = split[value.index()];
            assert!(is_split || node.shape.pixels() > 1);
            is_split && node.shape.pixels() > 1
        });
        images.map(|(_, node)| node.op.name()).collect()
    }

    #[test]
    fn what_comes_straight_from_the_image_is_split_if_a_norm_follows() {
        let args = json!({"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 16],
            "strides": [2], "num_res_units": 2});
        let unet = fuse(network(Kind::MonaiUnet, args, [32, 32]));
        // The first convolution of the first unit, and that of its residual.
        let first = ["input", "3x3 convolution", "3x3 convolution"];
        assert_eq!(images(&unet), first);
        assert!(!split(&unet, Precision::Single).contains(&true));
        let args = json!({"img_channel": 1, "width": 8, "middle_blk_num": 1,
            "enc_blk_nums": [1], "dec_blk_nums": [1]});
        let nafnet = fuse(network(Kind::NafNet, args, [32, 32]));
        assert_eq!(images(&nafnet), ["input"]);
    }
}
