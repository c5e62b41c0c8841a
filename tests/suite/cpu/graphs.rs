//! Random networks, cut into chains.

use std::sync::Arc;

use model_bundle::nn::{Binary, Function, Graph, GraphBuilder, Op, Shape, ValueId};

use super::{Random, check, cpus};

/// A network of so many random ops.
pub fn random_graph(random: &mut Random, steps: usize) -> Graph {
    let input = random.shape(6, 14);
    let (mut builder, value) = GraphBuilder::new(input).unwrap();
    let mut values = vec![value];
    for _ in 0..steps {
        let last = values[values.len() - 1];
        let base = match random.within(0, 3) {
            0 => values[random.within(0, values.len() - 1)],
            _ => last,
        };
        values.push(step(random, &mut builder, &values, base));
    }
    builder.finish(values[values.len() - 1])
}

fn step(
    random: &mut Random,
    builder: &mut GraphBuilder,
    values: &[ValueId],
    base: ValueId,
) -> ValueId {
    let shape = builder.shape(base);
    let count = shape.channels;
    let mut push = |op: Op, inputs: &[ValueId]| builder.push(op, inputs).unwrap();
    match random.within(0, 12) {
        0 => {
            let outputs = random.within(1, 20);
            push(Op::Conv(random.conv(count, outputs, [1, 1], 1)), &[base])
        }
        1 => {
            let outputs = random.within(1, 20);
            let mut conv = random.conv(count, outputs, [3, 3], 1);
            conv.padding = [[1, 1], [1, 1]];
            conv.stride = if random.chance() { [1, 1] } else { [2, 2] };
            push(Op::Conv(conv), &[base])
        }
        2 if count > 1 => {
            let mut conv = random.conv(count, count, [3, 3], count);
            conv.padding = [[1, 1], [1, 1]];
            push(Op::Conv(conv), &[base])
        }
        3 => push(
            Op::LayerNorm {
                weight: random.numbers(count).into(),
                bias: random.numbers(count).into(),
                eps: 0.01,
            },
            &[base],
        ),
        4 => {
            let moments = push(
                Op::Moments {
                    groups: count,
                    eps: 0.01,
                },
                &[base],
            );
            let weight = random.chance().then(|| random.numbers(count).into());
            push(Op::Normalise { weight, bias: None }, &[base, moments])
        }
        5 if count.is_multiple_of(2) => push(Op::Gate, &[base]),
        6 if count.is_multiple_of(4) => push(Op::PixelShuffle { factor: 2 }, &[base]),
        7 => {
            let scale: Arc<[f32]> = random.numbers(count).into();
            let shift: Arc<[f32]> = random.numbers(count).into();
            push(Op::Affine { scale, shift }, &[base])
        }
        8 => push(Op::Apply(Function::Gelu), &[base]),
        9 => {
            let mean = push(Op::Mean, &[base]);
            let conv = random.conv(count, count, [1, 1], 1);
            let mean = push(Op::Conv(conv), &[mean]);
            push(Op::Binary(Binary::Multiply), &[base, mean])
        }
        10 => {
            let plane = push(Op::ChannelMean, &[base]);
            push(Op::Binary(Binary::Subtract), &[base, plane])
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
) -> ValueId {
    let size = |shape: Shape| (shape.height, shape.width);
    let shape = builder.shape(base);
    let mut fitting = values.iter().copied();
    if concat {
        let other = fitting.find(|v| size(builder.shape(*v)) == size(shape));
        return builder
            .push(Op::Concat, &[base, other.unwrap_or(base)])
            .unwrap();
    }
    match fitting.find(|v| builder.shape(*v) == shape && *v != base) {
        Some(other) => {
            let operation = if random.chance() {
                Binary::Add
            } else {
                Binary::Subtract
            };
            builder.push(Op::Binary(operation), &[other, base]).unwrap()
        }
        None => {
            let changed = builder.push(Op::Apply(Function::Tanh), &[base]).unwrap();
            builder
                .push(Op::Binary(Binary::Add), &[base, changed])
                .unwrap()
        }
    }
}

#[test]
fn random_networks() {
    let cpus = cpus();
    for seed in 0..100 {
        let mut random = Random(seed);
        let steps = random.within(1, 14);
        let graph = random_graph(&mut random, steps);
        check(&cpus, &graph, &mut random, 1e-5, &format!("network {seed}"));
    }
}
