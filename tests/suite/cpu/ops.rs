//! Every op on its own, with random shapes.

use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cases::{Family, Random, functions, single};
use model_bundle::exec::cpu::Cpu;
use model_bundle::nn::{Function, Op, Shape, fuse};

use super::{case_of, check, cpus, run_everywhere, wanted};
use crate::plain;

#[test]
fn convolutions() {
    check(Family::Convolution, 60, 1e-6);
}

#[test]
fn pointwise_convolutions() {
    check(Family::Pointwise, 30, 1e-6);
}

#[test]
fn depthwise_convolutions() {
    check(Family::Depthwise, 30, 1e-6);
}

#[test]
fn transposed_convolutions() {
    check(Family::Transposed, 60, 1e-6);
}

#[test]
fn gated_convolutions() {
    check(Family::Gated, 40, 3e-6);
}

#[test]
fn convolutions_whose_kernel_is_the_image() {
    check(Family::Linear, 5, 1e-6);
}

#[test]
fn norms_and_other_ops() {
    check(Family::Other, 20 * 11, 1e-6);
    check(Family::Norm, 20, 1e-5);
}

#[test]
fn arithmetic_with_images_vectors_and_planes() {
    check(Family::Arithmetic, 120, 1e-6);
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
        let graph = single(input, Op::Apply(function)).unwrap();
        let case = case_of(Family::Function, graph.clone(), images.clone());
        let found = run_everywhere(&cpus, &case);
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

/// A mean of a hundred thousand and a deviation of about one: nothing cancels.
#[test]
fn moments_of_numbers_with_a_large_mean() {
    let cpus = cpus();
    for (seed, groups) in [1, 2, 3, 6].into_iter().enumerate() {
        let mut random = Random(seed as u64);
        let input = Shape::new(6, random.within(1, 40), random.within(5, 40));
        let graph = single(input, Op::Moments { groups, eps: 1e-5 }).unwrap();
        let mut images = random.numbers(input.elements() * 2);
        images.iter_mut().for_each(|v| *v = *v * 2.0 + 1e5);
        let case = case_of(Family::LargeMean, graph.clone(), images.clone());
        let found = run_everywhere(&cpus, &case);
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
    let graph = single(input, norm).unwrap();
    let mut images = Random(9).numbers(input.elements());
    images.iter_mut().for_each(|v| *v += 1e5);
    let case = case_of(Family::Other, graph, images);
    let distance = case.distance(&run_everywhere(&cpus, &case), &wanted(&case));
    assert!(distance < 1e-6, "{distance:e}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let cpu = Cpu::new(2).unwrap();
    let graph = single(Shape::new(2, 3, 4), Op::Mean).unwrap();
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
