//! Every op on its own, with random shapes.

use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::nn::{Binary, Function, Op, Shape, fuse};

use super::{TOLERANCE, check, with_devices};
use crate::cpu::ops::functions;
use crate::cpu::{Random, network, single};
use crate::plain;

#[test]
fn convolutions() {
    with_devices(|devices| {
        for seed in 0..30 {
            let mut random = Random(seed);
            let kernel = [random.within(1, 5), random.within(1, 5)];
            let groups = random.within(1, 3);
            let inputs = groups * random.within(1, 12);
            let outputs = groups * random.within(1, 24);
            let mut conv = random.conv(inputs, outputs, kernel, groups);
            conv.stride = [random.within(1, 3), random.within(1, 3)];
            conv.padding = [0, 1].map(|_| [0, 1].map(|_| random.within(0, 4) as isize - 1));
            // A row and a column more than what padding may cut away.
            let sides = kernel.map(|kernel| kernel + random.within(2, 20));
            let input = Shape::new(inputs, sides[0], sides[1]);
            let graph = single(input, Op::Conv(conv));
            check(devices, &graph, &mut random, &format!("convolution {seed}"));
        }
    });
}

#[test]
fn pointwise_and_linear_convolutions() {
    with_devices(|devices| {
        for seed in 0..20 {
            let mut random = Random(seed);
            let groups = [1, 1, 2, 5][random.within(0, 3)];
            let input = random.shape(40, 12);
            let input = input.with_channels(input.channels * groups);
            let outputs = groups * random.within(1, 70);
            let conv = random.conv(input.channels, outputs, [1, 1], groups);
            let graph = single(input, Op::Conv(conv));
            check(devices, &graph, &mut random, &format!("1x1 {seed}"));
            let conv = random.conv(input.channels, 3, [input.height, input.width], 1);
            let graph = single(input, Op::Conv(conv));
            check(devices, &graph, &mut random, &format!("linear {seed}"));
        }
    });
}

#[test]
fn depthwise_convolutions() {
    with_devices(|devices| {
        for seed in 0..15 {
            let mut random = Random(seed);
            let kernel = [random.within(1, 5), random.within(1, 5)];
            let channels = random.within(2, 40);
            let mut conv = random.conv(channels, channels, kernel, channels);
            conv.stride = [random.within(1, 2), random.within(1, 3)];
            conv.padding = kernel.map(|kernel| [(kernel / 2) as isize, (kernel / 2) as isize]);
            let input = Shape::new(channels, random.within(1, 20), random.within(1, 30));
            let graph = single(input, Op::Conv(conv));
            check(devices, &graph, &mut random, &format!("depthwise {seed}"));
        }
    });
}

#[test]
fn transposed_convolutions() {
    with_devices(|devices| {
        for seed in 0..30 {
            let mut random = Random(seed);
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
            let graph = single(input, Op::Conv(conv));
            check(devices, &graph, &mut random, &format!("transposed {seed}"));
        }
    });
}

/// Of numbers from -8 to 8, to so many parts of the larger of the result and one.
#[test]
fn functions_of_one_number() {
    with_devices(|devices| {
        let mut numbers: Vec<f32> = (-510..510).map(|v| v as f32 / 64.0 + 1e-3).collect();
        numbers.extend([90.0, -90.0, 1e-9, -1e-9, 0.0]);
        numbers.resize(numbers.len().next_multiple_of(3), 0.25);
        let input = Shape::new(3, 1, numbers.len() / 3);
        for function in functions() {
            let what = format!("{function:?}");
            let mut images = numbers.clone();
            match function {
                Function::Sqrt => images.iter_mut().for_each(|v| *v = v.abs()),
                // Results near the end of float32 are not compared.
                Function::Exp => images.iter_mut().for_each(|v| *v = v.min(8.0)),
                Function::Reciprocal => {
                    images
                        .iter_mut()
                        .filter(|v| v.abs() < 1e-3)
                        .for_each(|v| *v = 0.5);
                }
                _ => {}
            }
            let graph = single(input, Op::Apply(function));
            let mut session = devices.whole.load(Arc::new(fuse(graph.clone()))).unwrap();
            let found = session.run(&images, 1).unwrap();
            for ((number, wanted), found) in
                images.iter().zip(plain::run(&graph, &images)).zip(found)
            {
                let apart = (f64::from(found) - wanted).abs() / wanted.abs().max(1.0);
                assert!(
                    apart < 2e-6,
                    "{what} of {number}: {found}, expected {wanted}"
                );
            }
        }
    });
}

#[test]
fn norms_and_other_pointwise_ops() {
    with_devices(|devices| {
        for seed in 0..8 {
            let mut random = Random(seed);
            let input = random.shape(40, 9);
            let input = input.with_channels(input.channels * 2);
            let count = input.channels;
            let start = random.within(0, count - 1);
            let constants = [0, 1].map(|_| -> Arc<[f32]> { random.numbers(count).into() });
            let [a, b] = constants;
            let groups = [1, 2, count][random.within(0, 2)];
            let ops = [
                Op::LayerNorm {
                    weight: a.clone(),
                    bias: b.clone(),
                    eps: 1e-6,
                },
                Op::Affine { scale: a, shift: b },
                Op::Gate,
                Op::ChannelMean,
                Op::Channels {
                    start,
                    channels: random.within(1, count - start),
                },
                Op::Softmax,
                Op::Pad {
                    bottom: random.within(0, 5),
                    right: random.within(0, 5),
                },
                Op::Crop {
                    height: random.within(1, input.height),
                    width: random.within(1, input.width),
                },
                Op::Mean,
                Op::Moments { groups, eps: 0.01 },
            ];
            for op in ops {
                let what = format!("{} {seed}", op.name());
                check(devices, &single(input, op), &mut random, &what);
            }
            let factor = random.within(1, 4);
            let input = input.with_channels(factor * factor * random.within(1, 20));
            let what = format!("pixel shuffle {factor} {seed}");
            let graph = single(input, Op::PixelShuffle { factor });
            check(devices, &graph, &mut random, &what);
        }
    });
}

#[test]
fn norms_of_images_and_groups() {
    with_devices(|devices| {
        for seed in 0..8 {
            let mut random = Random(seed);
            let groups = random.within(1, 9);
            let input = random.shape(5, 40);
            let input = input.with_channels(input.channels * groups);
            let count = input.channels;
            let graph = network(input, |builder, value| {
                let op = Op::Moments { groups, eps: 0.01 };
                let moments = builder.push(op, &[value]).unwrap();
                let weight = random.chance().then(|| random.numbers(count).into());
                let bias = random.chance().then(|| random.numbers(count).into());
                let norm = Op::Normalise { weight, bias };
                builder.push(norm, &[value, moments]).unwrap()
            });
            check(devices, &graph, &mut random, &format!("norm {seed}"));
        }
    });
}

#[test]
fn arithmetic_with_images_vectors_and_planes() {
    with_devices(|devices| {
        let operations = [
            Binary::Add,
            Binary::Subtract,
            Binary::Multiply,
            Binary::Divide,
        ];
        let mut random = Random(5);
        let input = random.shape(30, 9);
        // Far enough from zero to be divided by.
        let far = Op::Affine {
            scale: vec![0.1; input.channels].into(),
            shift: vec![1.5; input.channels].into(),
        };
        for operation in operations {
            for spread in [Op::Apply(Function::Square), Op::Mean, Op::ChannelMean] {
                let graph = network(input, |builder, value| {
                    let other = builder.push(far.clone(), &[value]).unwrap();
                    let other = builder.push(spread.clone(), &[other]).unwrap();
                    let op = Op::Binary(operation);
                    builder.push(op, &[value, other]).unwrap()
                });
                let what = format!("{operation:?} {}", spread.name());
                check(devices, &graph, &mut random, &what);
            }
        }
    });
}

/// A mean that is large beside the deviation: squares that cancel would lose it.
#[test]
fn moments_of_numbers_with_a_large_mean() {
    with_devices(|devices| {
        let input = Shape::new(6, 33, 40);
        for groups in [1, 2, 6] {
            let graph = single(input, Op::Moments { groups, eps: 1e-5 });
            let mut images = Random(groups as u64).numbers(input.elements());
            images.iter_mut().for_each(|v| *v = *v * 2.0 + 1e3);
            let mut session = devices.whole.load(Arc::new(fuse(graph.clone()))).unwrap();
            let found = session.run(&images, 1).unwrap();
            for (wanted, found) in plain::run(&graph, &images).iter().zip(&found) {
                let apart = (f64::from(*found) - wanted).abs() / wanted.abs();
                assert!(apart < TOLERANCE, "{found} {wanted}");
            }
        }
    });
}

/// NAFNet's block of every width, fused and not, on images that tiles do not fit.
#[test]
fn blocks_of_nafnet() {
    with_devices(|devices| {
        for (channels, height, width) in [
            (3, 13, 17),
            (8, 12, 16),
            (16, 25, 9),
            (70, 14, 5),
            (6, 1, 1),
        ] {
            let mut random = Random(channels as u64);
            let input = Shape::new(channels, height, width);
            let graph = network(input, |builder, value| {
                super::block(&mut random, builder, value)
            });
            check(
                devices,
                &graph,
                &mut random,
                &format!("a block of {channels} channels"),
            );
        }
    });
}
