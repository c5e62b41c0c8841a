//! Blocks, networks as bundles hold them, and random networks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CaseError, Random, network};
use crate::nn::{
    Binary, Expected, Function, Graph, GraphBuilder, GraphError, Kind, Network, Op, Shape,
    StateDict, ValueId,
};
use crate::weights::tensor::{DType, Tensor, contiguous_strides};

/// Channels, height and width of NAFNet's blocks: narrow ones that are fused and wide ones that are not, on images that
/// tiles do not fit.
pub(super) const BLOCKS: [[usize; 3]; 5] = [
    [3, 13, 17],
    [8, 12, 16],
    [16, 25, 9],
    [70, 14, 5],
    [6, 1, 1],
];

pub(super) fn of_block(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let [channels, height, width] = BLOCKS[seed as usize % BLOCKS.len()];
    let input = Shape::new(channels, height, width);
    Ok(network(input, |builder, value| {
        block(random, builder, value)
    })?)
}

/// NAFNet's block, with random weights.
///
/// # Errors
/// Fails if a network has too many nodes with it.
pub fn block(
    random: &mut Random,
    builder: &mut GraphBuilder,
    input: ValueId,
) -> Result<ValueId, GraphError> {
    let channels = builder.shape(input).channels;
    let norm = |random: &mut Random| Op::LayerNorm {
        weight: random.numbers(channels).into(),
        bias: random.numbers(channels).into(),
        eps: 1e-3,
    };
    let mix = |random: &mut Random, outputs| Op::Conv(random.conv(channels, outputs, [1, 1], 1));
    let v = builder.push(norm(random), &[input])?;
    let v = builder.push(mix(random, 2 * channels), &[v])?;
    let mut depthwise = random.conv(2 * channels, 2 * channels, [3, 3], 2 * channels);
    depthwise.padding = [[1, 1], [1, 1]];
    let v = builder.push(Op::Conv(depthwise), &[v])?;
    let v = builder.push(Op::Gate, &[v])?;
    let mean = builder.push(Op::Mean, &[v])?;
    let mean = builder.push(mix(random, channels), &[mean])?;
    let v = builder.push(Op::Binary(Binary::Multiply), &[v, mean])?;
    let v = builder.push(mix(random, channels), &[v])?;
    let y = builder.push(Op::Binary(Binary::Add), &[input, v])?;
    let v = builder.push(norm(random), &[y])?;
    let v = builder.push(mix(random, 2 * channels), &[v])?;
    let v = builder.push(Op::Gate, &[v])?;
    let v = builder.push(mix(random, channels), &[v])?;
    builder.push(Op::Binary(Binary::Add), &[y, v])
}

/// A NAFNet of two levels.
pub(super) fn nafnet(random: &mut Random) -> Result<Graph, CaseError> {
    let args = json!({
        "img_channel": random.within(1, 2),
        "width": random.one_of(&[3, 8]),
        "middle_blk_num": 1,
        "enc_blk_nums": [1],
        "dec_blk_nums": [1],
    });
    let size = [random.within(1, 21), random.within(1, 21)];
    declared(random, Kind::NafNet, &args, size)
}

/// A UNet of units with each of MONAI's norms, and without one.
pub(super) fn unet(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let norms = [
        json!("INSTANCE"),
        json!("BATCH"),
        json!(["GROUP", {"num_groups": 2}]),
        json!(["INSTANCE", {"affine": true}]),
    ];
    let norm = &norms[seed as usize % norms.len()];
    // Two groups need an even number of channels.
    let outputs = if norm.is_array() {
        2
    } else {
        random.within(1, 3)
    };
    let args = json!({
        "spatial_dims": 2,
        "in_channels": random.within(1, 3),
        "out_channels": outputs,
        "channels": [4, 8, 10],
        "strides": [2, 2],
        "num_res_units": random.within(0, 2),
        "norm": norm,
        "act": random.one_of(&["PRELU", "RELU", "MISH"]),
    });
    let size = [4 * random.within(3, 6), 4 * random.within(3, 6)];
    declared(random, Kind::MonaiUnet, &args, size)
}

/// A FlexResNet that pools and one that does not, in turn.
pub(super) fn flexresnet(random: &mut Random, seed: u64) -> Result<Graph, CaseError> {
    let args = json!({
        "num_classes": random.within(1, 4),
        "min_size": 8,
        "initial_filters": random.within(2, 5),
        "num_blocks": random.within(1, 3),
        "use_global_pool": seed.is_multiple_of(2),
        "in_channels": random.within(1, 2),
    });
    declared(random, Kind::FlexResNet, &args, [8, 8])
}

/// The network of these arguments, with random weights that leave numbers about as large as they are.
fn declared(
    random: &mut Random,
    kind: Kind,
    args: &Value,
    size: [usize; 2],
) -> Result<Graph, CaseError> {
    let none = serde_json::Map::new();
    let network = Network::from_model_args(kind, args.as_object().unwrap_or(&none));
    let network = network.map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        CaseError::Arguments(errors.join("; "))
    })?;
    let expected = network.tensors().into_iter();
    let tensors: Vec<Tensor> = expected.map(|expected| tensor(random, expected)).collect();
    Ok(network.graph(&StateDict::new(&tensors), size)?)
}

/// A tensor of random numbers: large where they scale, small where many are summed.
fn tensor(random: &mut Random, expected: Expected) -> Tensor {
    let count = expected.elements() as usize;
    let outputs = expected.shape.first().copied().unwrap_or(1).max(1) as usize;
    let size = match expected.shape.len() {
        0 | 1 => 0.5,
        _ => (3.0 / (count / outputs).max(1) as f32).sqrt(),
    };
    // A variance, or a scale: what is divided by or multiplied with is not next to nothing.
    let is_scale = expected.shape.len() == 1 && !expected.name.ends_with("bias");
    let shift = if is_scale { 1.0 } else { 0.0 };
    let numbers = (0..count).map(|_| shift + size * random.number());
    let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    Tensor {
        storage: bytes.into(),
        strides: contiguous_strides(&expected.shape),
        name: expected.name,
        dtype: DType::F32,
        shape: expected.shape,
        offset: 0,
        big_endian: false,
    }
}

/// A network of so many random ops.
///
/// # Errors
/// Fails for more ops than a network has.
pub fn random_graph(random: &mut Random, steps: usize) -> Result<Graph, GraphError> {
    let input = random.shape(6, 14);
    let (mut builder, value) = GraphBuilder::new(input)?;
    let mut values = vec![value];
    let mut last = value;
    for _ in 0..steps {
        let base = match random.within(0, 3) {
            0 => random.one_of(&values),
            _ => last,
        };
        last = step(random, &mut builder, &values, base)?;
        values.push(last);
    }
    Ok(builder.finish(last))
}

fn step(
    random: &mut Random,
    builder: &mut GraphBuilder,
    values: &[ValueId],
    base: ValueId,
) -> Result<ValueId, GraphError> {
    let count = builder.shape(base).channels;
    match random.within(0, 12) {
        0 => {
            let outputs = random.within(1, 20);
            let conv = random.conv(count, outputs, [1, 1], 1);
            builder.push(Op::Conv(conv), &[base])
        }
        1 => {
            let outputs = random.within(1, 20);
            let mut conv = random.conv(count, outputs, [3, 3], 1);
            conv.padding = [[1, 1], [1, 1]];
            conv.stride = if random.chance() { [1, 1] } else { [2, 2] };
            builder.push(Op::Conv(conv), &[base])
        }
        2 if count > 1 => {
            let mut conv = random.conv(count, count, [3, 3], count);
            conv.padding = [[1, 1], [1, 1]];
            builder.push(Op::Conv(conv), &[base])
        }
        3 => {
            let norm = Op::LayerNorm {
                weight: random.numbers(count).into(),
                bias: random.numbers(count).into(),
                eps: 0.01,
            };
            builder.push(norm, &[base])
        }
        4 => {
            let moments = Op::Moments {
                groups: count,
                eps: 0.01,
            };
            let moments = builder.push(moments, &[base])?;
            let weight = random.chance().then(|| random.numbers(count).into());
            builder.push(Op::Normalise { weight, bias: None }, &[base, moments])
        }
        5 if count.is_multiple_of(2) => builder.push(Op::Gate, &[base]),
        6 if count.is_multiple_of(4) => builder.push(Op::PixelShuffle { factor: 2 }, &[base]),
        7 => {
            let scale: Arc<[f32]> = random.numbers(count).into();
            let shift: Arc<[f32]> = random.numbers(count).into();
            builder.push(Op::Affine { scale, shift }, &[base])
        }
        8 => builder.push(Op::Apply(Function::Gelu), &[base]),
        9 => {
            let mean = builder.push(Op::Mean, &[base])?;
            let conv = random.conv(count, count, [1, 1], 1);
            let mean = builder.push(Op::Conv(conv), &[mean])?;
            builder.push(Op::Binary(Binary::Multiply), &[base, mean])
        }
        10 => {
            let plane = builder.push(Op::ChannelMean, &[base])?;
            builder.push(Op::Binary(Binary::Subtract), &[base, plane])
        }
        kind => combination(random, builder, values, base, kind == 11),
    }
}

/// Two values of the same size put together, or a value with itself changed.
fn combination(
    random: &mut Random,
    builder: &mut GraphBuilder,
    values: &[ValueId],
    base: ValueId,
    concat: bool,
) -> Result<ValueId, GraphError> {
    let size = |shape: Shape| (shape.height, shape.width);
    let shape = builder.shape(base);
    let mut fitting = values.iter().copied();
    if concat {
        let other = fitting.find(|v| size(builder.shape(*v)) == size(shape));
        return builder.push(Op::Concat, &[base, other.unwrap_or(base)]);
    }
    match fitting.find(|v| builder.shape(*v) == shape && *v != base) {
        Some(other) => {
            let operation = match random.chance() {
                true => Binary::Add,
                false => Binary::Subtract,
            };
            builder.push(Op::Binary(operation), &[other, base])
        }
        None => {
            let changed = builder.push(Op::Apply(Function::Tanh), &[base])?;
            builder.push(Op::Binary(Binary::Add), &[base, changed])
        }
    }
}
