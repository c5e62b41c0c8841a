//! The two halves of NAFNet's block, each in one kernel: `shaders/spread.wgsl` and `shaders/mix.wgsl`.

use super::dense::workgroup_constants;
use super::lower::{Lowering, conv_of};
use super::pack::{Norm, Outputs, pack};
use super::place::{Place, Source};
use super::record::{Dispatch, LANES, folded};
use super::shader::{Constant, Kernel, Shader};
use super::tuning::{MixForm, Tuning};
use crate::nn::{Binary, Conv, Graph, Op, Shape, ValueId};

/// The sides of the tiles of the first half.
const TILE: [usize; 2] = [12, 16];

/// The pixels of a tile and its border.
const HALO: usize = (TILE[0] + 2) * (TILE[1] + 2);

/// A vector of float32 in a workgroup's memory, in bytes.
const VECTOR_BYTES: usize = 16;

/// Layer norm, matrix product, depthwise convolution, gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    norm: ValueId,
    product: ValueId,
    depthwise: ValueId,
    gate: ValueId,
}

/// Scale, matrix product, residual, layer norm, matrix product, gate, matrix product, residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    scale: Option<ValueId>,
    products: [ValueId; 3],
    residuals: [ValueId; 2],
    norm: ValueId,
    gate: ValueId,
}

fn product(graph: &Graph, value: ValueId) -> Option<&Conv> {
    conv_of(graph, value).filter(|conv| conv.is_pointwise() && !conv.transposed)
}

fn vectors(channels: usize) -> usize {
    channels.div_ceil(LANES)
}

/// Whether a value is read by none of these steps but one.
fn is_read_once(graph: &Graph, steps: &[ValueId], value: ValueId) -> bool {
    let inputs = steps.iter().flat_map(|step| &graph.node(*step).inputs);
    inputs.filter(|input| **input == value).count() == 1
}

impl Spread {
    /// The first half of a block, if the next steps are one.
    pub(super) fn of(
        graph: &Graph,
        steps: &[ValueId],
        source: Shape,
        tuning: &Tuning,
    ) -> Option<Self> {
        let [norm, product_of, depthwise, gate, ..] = *steps else {
            return None;
        };
        product(graph, product_of)?;
        let conv = conv_of(graph, depthwise)?;
        let is_three = conv.is_depthwise()
            && graph.shape(product_of).channels == conv.groups
            && conv.kernel == [3, 3]
            && conv.stride == [1, 1]
            && conv.padding == [[1, 1], [1, 1]];
        let fits = is_three
            && matches!(graph.node(norm).op, Op::LayerNorm { .. })
            && graph.node(gate).op == Op::Gate
            && vectors(source.channels) <= tuning.spread_vectors;
        let alone = [norm, product_of, depthwise]
            .iter()
            .all(|value| is_read_once(graph, steps, *value));
        (fits && alone).then_some(Self {
            norm,
            product: product_of,
            depthwise,
            gate,
        })
    }

    /// The steps that it has.
    pub(super) const STEPS: usize = 4;

    pub(super) fn result(&self) -> ValueId {
        self.gate
    }
}

impl Mix {
    /// The second half of a block, if the next steps are one that fits a workgroup's memory.
    pub(super) fn of(
        graph: &Graph,
        steps: &[ValueId],
        source: Shape,
        tuning: &Tuning,
    ) -> Option<Self> {
        let is_scale = |value: &ValueId| {
            let node = graph.node(*value);
            let by = node.inputs.get(1).map(|by| graph.shape(*by));
            node.op == Op::Binary(Binary::Multiply)
                && by == Some(Shape::vector(source.channels))
                && source.pixels() > 1
        };
        let scale = steps.first().copied().filter(|first| is_scale(first));
        let rest = &steps[usize::from(scale.is_some())..];
        let [first, residual, norm, second, gate, third, last, ..] = *rest else {
            return None;
        };
        let products = [first, second, third];
        for value in products {
            product(graph, value)?;
        }
        let adds = |value: ValueId| {
            let node = graph.node(value);
            let same = graph.shape(*node.inputs.get(1)?) == node.shape;
            (node.op == Op::Binary(Binary::Add) && same).then(|| node.inputs[1])
        };
        let skip = adds(residual)?;
        let fits = adds(last) == Some(residual)
            && !steps.contains(&skip)
            && matches!(graph.node(norm).op, Op::LayerNorm { .. })
            && graph.node(gate).op == Op::Gate;
        let mut alone = scale.into_iter().chain([first, norm, second, gate, third]);
        let mix = Self {
            scale,
            products,
            residuals: [residual, last],
            norm,
            gate,
        };
        let fits = fits
            && alone.all(|value| is_read_once(graph, steps, value))
            && mix.shape(graph, source, tuning).is_some();
        fits.then_some(mix)
    }

    /// How many steps it has.
    pub(super) fn steps(&self) -> usize {
        7 + usize::from(self.scale.is_some())
    }

    pub(super) fn result(&self) -> ValueId {
        self.residuals[1]
    }

    /// Its workgroups, and the vectors of what is multiplied and of all that is shared for each pixel.
    fn shape(
        &self,
        graph: &Graph,
        source: Shape,
        tuning: &Tuning,
    ) -> Option<(MixForm, [usize; 2])> {
        let inner = vectors(graph.shape(self.gate).channels);
        if inner > tuning.mix_vectors {
            return None;
        }
        let room = vectors(source.channels).max(inner);
        let all = room + vectors(graph.shape(self.result()).channels);
        let fits = |form: &&MixForm| {
            form.threads[0] * form.pixels * all * VECTOR_BYTES <= tuning.workgroup_bytes
        };
        let fitting = tuning.mix.iter().find(fits)?;
        Some((*fitting, [room, all]))
    }
}

impl Lowering<'_> {
    /// Gives the number of tiles, if partial moments are made.
    pub(super) fn spread(
        &mut self,
        spread: &Spread,
        source: Source,
        result: Place,
        reduced: bool,
    ) -> Option<usize> {
        let graph = self.graph;
        let source = self.together(source);
        let shape = source.shape;
        let conv = conv_of(graph, spread.product)?;
        let norm = Norm::of(&graph.node(spread.norm).op)?;
        let taps: [&[usize]; 2] = [&[0], &[0]];
        let packed = pack(
            &mut self.constants,
            conv,
            shape.channels,
            taps,
            Outputs::Gated,
            1,
            Some(norm),
        );
        let depthwise = conv_of(graph, spread.depthwise)?;
        let [weights, bias] = self.halves(depthwise);
        let across = shape.width.div_ceil(TILE[1]);
        let tiles = across * shape.height.div_ceil(TILE[0]);
        if reduced {
            self.reserve_partials(tiles, result.shape);
        }
        let pixels = self.tuning.spread_pixels;
        let threads = HALO.div_ceil(pixels).next_power_of_two();
        let mut constants = workgroup_constants(threads, 1);
        constants.extend([
            ("PIXELS", Constant::Count(pixels as u32)),
            ("EXCHANGES", Constant::Bool(self.tuning.exchange.is_some())),
            ("REDUCED", Constant::Bool(reduced)),
            ("SPLIT_SOURCE", Constant::Bool(source.split)),
            ("SPLIT_RESULT", Constant::Bool(result.split)),
        ]);
        self.push(Dispatch {
            what: self.words([spread.norm, spread.product, spread.depthwise, spread.gate]),
            shader: Shader {
                constants,
                ..Shader::plain(Kernel::Spread)
            },
            numbers: vec![
                ("pitch", 0),
                ("source", source.offset),
                ("vectors", source.width()),
                ("channels", shape.channels as u32),
                ("eps", norm.eps.to_bits()),
                ("height", shape.height as u32),
                ("width", shape.width as u32),
                ("product_weights", packed.weights),
                ("product_bias", packed.bias),
                ("weights", weights),
                ("bias", bias),
                ("result", result.offset),
                ("result_vectors", result.width()),
                ("result_channels", result.shape.channels as u32),
                ("across", across as u32),
                ("tiles", tiles as u32),
                ("scratch_pitch", 0),
            ],
            steps: Vec::new(),
            workgroups: folded(tiles),
            flops: (2 * shape.pixels() * conv.outputs * (shape.channels + 9)) as u64,
        });
        reduced.then_some(tiles)
    }

    /// A depthwise convolution's weights and bias, those of a vector of the first half and the same of the second
    /// together.
    fn halves(&mut self, conv: &Conv) -> [u32; 2] {
        let half = conv.outputs / 2;
        let zeros = vec![0.0; conv.outputs];
        let bias = conv.bias.as_deref().unwrap_or(&zeros);
        let constants = &mut self.constants;
        let mut put = |list: &[f32]| {
            let at = constants.position();
            for row in list.chunks(conv.outputs) {
                let (first, second) = row.split_at(half);
                for (a, b) in first.chunks(LANES).zip(second.chunks(LANES)) {
                    constants.push(a);
                    constants.push(b);
                }
            }
            at
        };
        [put(&conv.weight), put(bias)]
    }

    pub(super) fn mix(
        &mut self,
        mix: &Mix,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
    ) {
        let graph = self.graph;
        let source = self.together(source);
        let found = mix.shape(graph, source.shape, &self.tuning);
        let norm = Norm::of(&graph.node(mix.norm).op);
        let (Some((form, [room, all])), Some(norm)) = (found, norm) else {
            return;
        };
        let ([slots, rows], pixels) = (form.threads, form.pixels);
        let inner = graph.shape(mix.gate).channels;
        let channels = [source.shape.channels, result.shape.channels, inner];
        let kinds = [
            (Outputs::Plain, 2),
            (Outputs::Gated, 1),
            (Outputs::Plain, 2),
        ];
        let norms = [None, Some(norm), None];
        let mut numbers = vec![
            ("pitch", 0),
            ("pixels", source.shape.pixels() as u32),
            (
                "tiles",
                source.shape.pixels().div_ceil(pixels * slots) as u32,
            ),
            ("source", source.offset),
            ("vectors", source.width()),
        ];
        let scale = mix.scale.map(|scale| graph.node(scale).inputs[1]);
        let skip = graph.node(mix.residuals[0]).inputs[1];
        let scale_place = scale.map_or(0, |scale| self.operand(scale, own).offset);
        let skip_place = self.operand(skip, own);
        numbers.extend([
            ("scale", scale_place),
            ("skip", skip_place.offset),
            ("result", result.offset),
            ("result_vectors", result.width()),
            ("result_channels", result.shape.channels as u32),
            ("inner_vectors", vectors(inner) as u32),
            ("eps", norm.eps.to_bits()),
        ]);
        let names = [
            ("weights1", "bias1"),
            ("weights2", "bias2"),
            ("weights3", "bias3"),
        ];
        let mut weights = 0;
        for at in 0..3 {
            let Some(conv) = conv_of(graph, mix.products[at]) else {
                return;
            };
            weights += conv.weight.len();
            let taps: [&[usize]; 2] = [&[0], &[0]];
            let constants = &mut self.constants;
            let (outputs, together) = kinds[at];
            let packed = pack(
                constants,
                conv,
                channels[at],
                taps,
                outputs,
                together,
                norms[at],
            );
            numbers.extend([(names[at].0, packed.weights), (names[at].1, packed.bias)]);
        }
        let mut constants = workgroup_constants(slots, rows);
        constants.extend([
            ("SCALES", Constant::Bool(scale.is_some())),
            ("ROOM", Constant::Count(room as u32)),
            ("SHARED", Constant::Count(all as u32)),
            ("PIXELS", Constant::Count(pixels as u32)),
            ("EXCHANGES", Constant::Bool(self.tuning.exchange.is_some())),
            ("SPLIT_SOURCE", Constant::Bool(source.split)),
            ("SPLIT_SKIP", Constant::Bool(skip_place.split)),
            ("SPLIT_RESULT", Constant::Bool(result.split)),
        ]);
        let [first, second, third] = mix.products;
        let named = [
            first,
            mix.residuals[0],
            mix.norm,
            second,
            mix.gate,
            third,
            mix.residuals[1],
        ];
        self.push(Dispatch {
            what: self.words(mix.scale.into_iter().chain(named)),
            shader: Shader {
                constants,
                ..Shader::plain(Kernel::Mix)
            },
            workgroups: folded(source.shape.pixels().div_ceil(pixels * slots)),
            flops: (2 * weights * source.shape.pixels()) as u64,
            numbers,
            steps: Vec::new(),
        });
    }
}
