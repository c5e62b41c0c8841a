//! Every op on its own, with random shapes.

use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cpu::Cpu;
use model_bundle::nn::{Binary, Function, Op, Shape, fuse};

use super::{Random, check, cpus, network, run_everywhere, single};
use crate::plain;

#[test]
fn convolutions() {
    let cpus = cpus();
    for seed in 0..60 {
        let mut random = Random(seed);
        let kernel = [random.within(1, 7), random.within(1, 7)];
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
        check(
            &cpus,
            &graph,
            &mut random,
            1e-6,
            &format!("convolution {seed}"),
        );
    }
}

#[test]
fn pointwise_convolutions() {
    let cpus = cpus();
    for seed in 0..30 {
        let mut random = Random(seed);
        let groups = [1, 1, 2, 5][random.within(0, 3)];
        let input = random.shape(40, 12);
        let input = input.with_channels(input.channels * groups);
        let outputs = groups * random.within(1, 70);
        let conv = random.conv(input.channels, outputs, [1, 1], groups);
        let graph = single(input, Op::Conv(conv));
        check(&cpus, &graph, &mut random, 1e-6, &format!("1x1 {seed}"));
    }
}

#[test]
fn depthwise_convolutions() {
    let cpus = cpus();
    for seed in 0..30 {
        let mut random = Random(seed);
        let kernel = [random.within(1, 5), random.within(1, 5)];
        let channels = random.within(2, 40);
        let mut conv = random.conv(channels, channels, kernel, channels);
        conv.stride = [random.within(1, 2), random.within(1, 3)];
        conv.padding = kernel.map(|kernel| [(kernel / 2) as isize, (kernel / 2) as isize]);
        let input = Shape::new(channels, random.within(1, 20), random.within(1, 30));
        let graph = single(input, Op::Conv(conv));
        check(
            &cpus,
            &graph,
            &mut random,
            1e-6,
            &format!("depthwise {seed}"),
        );
    }
}

#[test]
fn transposed_convolutions() {
    let cpus = cpus();
    for seed in 0..60 {
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
        check(
            &cpus,
            &graph,
            &mut random,
            1e-6,
            &format!("transposed {seed}"),
        );
    }
}

/// A gate behind a convolution, of all kinds, and with something before it and behind it.
#[test]
fn gated_convolutions() {
    let cpus = cpus();
    for seed in 0..40 {
        let mut random = Random(seed);
        let input = random.shape(40, 60);
        let input = input.with_channels(input.channels * 2);
        let outputs = 2 * random.within(1, 70);
        let kernel = [1, 3][random.within(0, 1)];
        let (outputs, groups) = match random.within(0, 2) {
            0 => (input.channels, input.channels),
            1 => (outputs, 2),
            _ => (outputs, 1),
        };
        let mut conv = random.conv(input.channels, outputs, [kernel; 2], groups);
        conv.padding = [[(kernel / 2) as isize; 2]; 2];
        let first = random.conv(input.channels, input.channels, [1, 1], 1);
        let last = random.within(1, 20);
        let second = random.conv(outputs / 2, last, [1, 1], 1);
        let graph = network(input, |builder, mut value| {
            if random.chance() {
                value = builder.push(Op::Conv(first), &[value]).unwrap();
            }
            value = builder.push(Op::Conv(conv), &[value]).unwrap();
            value = builder.push(Op::Gate, &[value]).unwrap();
            match random.chance() {
                true => builder.push(Op::Conv(second), &[value]).unwrap(),
                false => value,
            }
        });
        check(&cpus, &graph, &mut random, 3e-6, &format!("gated {seed}"));
    }
}

#[test]
fn convolutions_whose_kernel_is_the_image() {
    let cpus = cpus();
    for seed in 0..5 {
        let mut random = Random(seed);
        let input = random.shape(20, 9);
        let conv = random.conv(input.channels, 3, [input.height, input.width], 1);
        let graph = single(input, Op::Conv(conv));
        check(&cpus, &graph, &mut random, 1e-6, &format!("linear {seed}"));
    }
}

pub fn functions() -> Vec<Function> {
    let slopes = vec![0.25, -0.5, 0.1].into();
    vec![
        Function::Relu,
        Function::LeakyRelu { slope: 0.01 },
        Function::Prelu { slopes },
        Function::Prelu {
            slopes: vec![0.25].into(),
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

/// Relative to each number: two units in the last place, and numbers too small for float32 are about zero.
#[test]
fn functions_are_exact_for_numbers_of_every_size() {
    let cpus = cpus();
    let mut numbers = vec![0.5, 1e4, -1e4, 88.0, -88.0, 1e-20, -1e-20];
    let powers = (-60..80).map(|power| (f64::from(power) / 8.0).exp2() as f32);
    numbers.extend(powers.flat_map(|v| [v, -v]));
    numbers.resize(numbers.len().next_multiple_of(3), 0.25);
    let input = Shape::new(3, 1, numbers.len() / 3);
    for function in functions() {
        let what = format!("{function:?}");
        let mut images = numbers.clone();
        if function == Function::Sqrt {
            images.iter_mut().for_each(|v| *v = v.abs());
        }
        let graph = single(input, Op::Apply(function));
        let found = run_everywhere(&cpus, &Arc::new(fuse(graph.clone())), &images, &what);
        let expected = plain::run(&graph, &images);
        for ((number, expected), found) in images.iter().zip(&expected).zip(&found) {
            let rounded = *expected as f32;
            // Both are a number times a difference from one, of which the plain loops keep f64's digits.
            let lost = match graph.node(graph.output()).op {
                Op::Apply(Function::Gelu | Function::GeluTanh) => 1e-15 * f64::from(number.abs()),
                _ => 0.0,
            };
            let near = if rounded.is_finite() {
                let apart = (f64::from(*found) - expected).abs();
                apart <= 2.4e-7 * expected.abs() + 1e-38 + lost
            } else {
                rounded.to_bits() == found.to_bits()
            };
            assert!(
                near,
                "{what} of {number:e}: {found:e}, expected {expected:e}"
            );
        }
    }
}

#[test]
fn norms_and_other_pointwise_ops() {
    let cpus = cpus();
    for seed in 0..20 {
        let mut random = Random(seed);
        let input = random.shape(40, 9);
        let input = input.with_channels(input.channels * 2);
        let count = input.channels;
        let start = random.within(0, count - 1);
        let constants = [0, 1].map(|_| -> Arc<[f32]> { random.numbers(count).into() });
        let [a, b] = constants;
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
        ];
        for op in ops {
            let what = format!("{} {seed}", op.name());
            check(&cpus, &single(input, op), &mut random, 1e-6, &what);
        }
        let factor = random.within(1, 4);
        let input = input.with_channels(factor * factor * random.within(1, 20));
        let what = format!("pixel shuffle {factor} {seed}");
        let graph = single(input, Op::PixelShuffle { factor });
        check(&cpus, &graph, &mut random, 0.0, &what);
    }
}

#[test]
fn arithmetic_with_images_vectors_and_planes() {
    let cpus = cpus();
    let operations = [
        Binary::Add,
        Binary::Subtract,
        Binary::Multiply,
        Binary::Divide,
    ];
    for seed in 0..10 {
        let mut random = Random(seed);
        let input = random.shape(30, 9);
        // Far enough from zero to be divided by.
        let far = Op::Affine {
            scale: vec![0.1; input.channels].into(),
            shift: vec![1.5; input.channels].into(),
        };
        let spreads = [Op::Apply(Function::Square), Op::Mean, Op::ChannelMean];
        for (operation, spread) in operations
            .iter()
            .flat_map(|o| spreads.iter().map(move |s| (o, s)))
        {
            let graph = network(input, |builder, value| {
                let other = builder.push(far.clone(), &[value]).unwrap();
                let other = builder.push(spread.clone(), &[other]).unwrap();
                builder
                    .push(Op::Binary(*operation), &[value, other])
                    .unwrap()
            });
            let what = format!("{operation:?} {} {seed}", spread.name());
            check(&cpus, &graph, &mut random, 1e-6, &what);
        }
    }
}

/// A mean of a hundred thousand and a deviation of about one: nothing cancels.
#[test]
fn moments_of_numbers_with_a_large_mean() {
    let cpus = cpus();
    for (seed, groups) in [1, 2, 3, 6].into_iter().enumerate() {
        let mut random = Random(seed as u64);
        let input = Shape::new(6, random.within(1, 40), random.within(5, 40));
        let graph = single(input, Op::Moments { groups, eps: 1e-5 });
        let mut images = random.numbers(input.elements() * 2);
        images.iter_mut().for_each(|v| *v = *v * 2.0 + 1e5);
        let program = Arc::new(fuse(graph.clone()));
        let found = run_everywhere(&cpus, &program, &images, "moments");
        let images = images.chunks(input.elements());
        for (image, found) in images.zip(found.chunks(2 * groups)) {
            for (expected, found) in plain::run(&graph, image).iter().zip(found) {
                let apart = (f64::from(*found) - expected).abs() / expected.abs();
                assert!(apart < 1e-7, "{found} {expected}");
            }
        }
    }
    let input = Shape::new(33, 5, 7);
    let norm = Op::LayerNorm {
        weight: vec![1.0; 33].into(),
        bias: vec![0.0; 33].into(),
        eps: 1e-6,
    };
    let graph = single(input, norm);
    let mut images = Random(9).numbers(input.elements());
    images.iter_mut().for_each(|v| *v += 1e5);
    let found = run_everywhere(&cpus, &Arc::new(fuse(graph.clone())), &images, "layer norm");
    let distance = super::distance(&graph, &images, &found);
    assert!(distance < 1e-6, "{distance:e}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let cpu = Cpu::new(2).unwrap();
    let graph = single(Shape::new(2, 3, 4), Op::Mean);
    let mut program = fuse(graph);
    let mut session = cpu.load(Arc::new(program.clone())).unwrap();
    let error = session.run(&[0.0; 25], 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "the network's input: expected 1 images [2, 3, 4], found 25 numbers"
    );
    assert_eq!(session.run(&[], 0).unwrap(), [0.0f32; 0]);
    program.places = vec![None; program.places.len()];
    let error = cpu.load(Arc::new(program)).err().unwrap().to_string();
    assert_eq!(
        error,
        "value 0 of the network, a input: expected a value that is kept, found none"
    );
}
