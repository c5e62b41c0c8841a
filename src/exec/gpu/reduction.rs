//! Dispatches of reductions: partial moments, what they are merged to, and the product that is all that is done with a mean.

use super::dense::{workgroup, workgroup_constants};
use super::lower::Lowering;
use super::pack::{Outputs, pack};
use super::place::{Source, width};
use super::record::{Dispatch, LANES, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::nn::{Chain, Op, Shape, ValueId};

/// A tile has so many pixels.
const TILE_PIXELS: usize = 1024;

/// The most vectors that are merged at a time.
const MOST_MERGED: usize = 16;

/// The threads that merge what there is of a value's partial moments.
fn merging(shape: Shape) -> Vec<(&'static str, Constant)> {
    let (slots, rows) = workgroup(width(shape) as usize, MOST_MERGED);
    workgroup_constants(slots, rows)
}

impl Lowering<'_> {
    /// Partial moments of a value; gives the number of tiles.
    pub(super) fn reduce(&mut self, source: Source) -> usize {
        let shape = source.shape;
        let tiles = shape.pixels().div_ceil(TILE_PIXELS);
        let (slots, rows) = workgroup(source.width() as usize, self.tuning.most_rows);
        let blocks = (source.width() as usize).div_ceil(rows);
        self.reserve_partials(tiles, shape);
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(source.numbers());
        numbers.extend([
            ("pixels", shape.pixels() as u32),
            ("tile_pixels", TILE_PIXELS as u32),
            ("tiles", tiles as u32),
            ("blocks", blocks as u32),
            ("scratch_pitch", 0),
        ]);
        let mut constants = workgroup_constants(slots, rows);
        constants.extend(source.constants());
        self.push(Dispatch {
            what: "partial moments".to_owned(),
            shader: Shader {
                constants,
                ..Shader::plain(Kernel::Reduce)
            },
            numbers,
            steps: Vec::new(),
            workgroups: folded(tiles * blocks),
            flops: 4 * shape.elements() as u64,
        });
        tiles
    }

    /// A reduction's value from the partial moments of so many tiles.
    pub(super) fn merge(&mut self, reduction: ValueId, shape: Shape, tiles: usize) {
        let (mode, groups, eps) = match self.graph.node(reduction).op {
            Op::Moments { groups, eps } => (1, groups, eps),
            _ => (0, 1, 0.0),
        };
        let result = self.place(reduction);
        let mut constants = merging(shape);
        constants.push(("MODE", Constant::Count(mode)));
        self.push(Dispatch {
            what: self.words([reduction]),
            shader: Shader {
                constants,
                ..Shader::plain(Kernel::Merge)
            },
            numbers: vec![
                ("pitch", 0),
                ("tiles", tiles as u32),
                ("vectors", width(shape)),
                ("channels", shape.channels as u32),
                ("groups", groups as u32),
                ("eps", eps.to_bits()),
                ("result", result.offset),
                ("result_vectors", result.width()),
                ("result_channels", result.shape.channels as u32),
                ("scratch_pitch", 0),
            ],
            steps: Vec::new(),
            workgroups: [1, 1],
            flops: (8 * LANES * tiles * width(shape) as usize) as u64,
        });
    }

    /// The product that is all the following chain does with the mean that is all this one is reduced to.
    pub(super) fn squeezed(&self, chain: &Chain, following: Option<&Chain>) -> Option<ValueId> {
        let ([mean], following) = (chain.reductions.as_slice(), following?) else {
            return None;
        };
        let readers = self
            .graph
            .nodes()
            .iter()
            .flat_map(|node| &node.inputs)
            .filter(|input| *input == mean);
        let [conv] = following.steps.as_slice() else {
            return None;
        };
        let is_mean = self.graph.node(*mean).op == Op::Mean && self.graph.output() != *mean;
        let is_product = match &self.graph.node(*conv).op {
            Op::Conv(conv) => conv.is_pointwise() && !conv.transposed,
            _ => false,
        };
        let is_all = following.source == [*mean] && following.reductions.is_empty();
        let fits = is_mean && is_product && is_all && readers.count() == 1;
        fits.then_some(*conv)
    }

    /// A mean, and the product that is all that is done with it.
    pub(super) fn squeeze(&mut self, value: ValueId, shape: Shape, tiles: usize) {
        let graph = self.graph;
        let Op::Conv(conv) = &graph.node(value).op else {
            return;
        };
        let packed = pack(
            &mut self.constants,
            conv,
            shape.channels,
            [&[0], &[0]],
            Outputs::Plain,
            1,
            None,
        );
        let result = self.place(value);
        self.push(Dispatch {
            what: format!("mean, {}", self.words([value])),
            shader: Shader {
                constants: merging(shape),
                ..Shader::plain(Kernel::Squeeze)
            },
            numbers: vec![
                ("pitch", 0),
                ("tiles", tiles as u32),
                ("vectors", width(shape)),
                ("weights", packed.weights),
                ("bias", packed.bias),
                ("result", result.offset),
                ("result_vectors", result.width()),
                ("scratch_pitch", 0),
            ],
            steps: Vec::new(),
            workgroups: [1, 1],
            flops: (8 * LANES * tiles * width(shape) as usize + 2 * conv.weight.len()) as u64,
        });
    }
}
