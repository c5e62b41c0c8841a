//! Every op on its own, with random shapes.

use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cases::{Family, functions, single};
use model_bundle::nn::{Conv, Function, GraphBuilder, Op, Shape, fuse};

use super::{check, with_devices};

fn all_of(family: Family) {
    with_devices(|devices| check(devices, family, family.seeds()));
}

#[test]
fn convolutions() {
    all_of(Family::Convolution);
}

#[test]
fn pointwise_and_linear_convolutions() {
    all_of(Family::Pointwise);
    all_of(Family::Linear);
}

#[test]
fn depthwise_convolutions() {
    all_of(Family::Depthwise);
}

#[test]
fn transposed_convolutions() {
    all_of(Family::Transposed);
}

#[test]
fn gated_convolutions() {
    all_of(Family::Gated);
}

#[test]
fn functions_of_one_number() {
    all_of(Family::Function);
}

#[test]
fn norms_and_other_ops() {
    all_of(Family::Other);
}

#[test]
fn norms_of_images_and_groups() {
    all_of(Family::Norm);
}

#[test]
fn arithmetic_with_images_vectors_and_planes() {
    all_of(Family::Arithmetic);
}

#[test]
fn moments_of_numbers_with_a_large_mean() {
    all_of(Family::LargeMean);
}

/// NAFNet's block of every width, fused and not, on images that tiles do not fit.
#[test]
fn blocks_of_nafnet() {
    all_of(Family::Block);
}

/// `min` and `max` of WGSL may drop what is no number; a network that overflowed must not look sound.
#[test]
fn what_is_no_number_stays_none() {
    with_devices(|devices| {
        for function in functions() {
            let what = format!("{function:?}");
            let graph = single(Shape::new(3, 1, 2), Op::Apply(function)).unwrap();
            let mut session = devices.whole.load(Arc::new(fuse(graph))).unwrap();
            let mut image = [0.5; 6];
            image[1] = f32::NAN;
            let found = session.run(&image, 1).unwrap();
            let wanted = [false, true, false, false, false, false];
            assert_eq!(
                found.iter().map(|v| v.is_nan()).collect::<Vec<_>>(),
                wanted,
                "{what}"
            );
        }
    });
}

/// Half precision has no number above 65504: what went beyond must not come back as a number, as a sigmoid of infinity does.
#[test]
fn what_half_precision_cannot_hold_is_no_number() {
    let scaled = |factor: f32| {
        Op::Conv(Conv {
            outputs: 1,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups: 1,
            transposed: false,
            weight: [factor].into(),
            bias: None,
        })
    };
    with_devices(|devices| {
        let Some(half) = &devices.half else { return };
        let (mut builder, mut value) = GraphBuilder::new(Shape::new(1, 1, 6)).unwrap();
        for op in [scaled(1e6), scaled(1e-6), Op::Apply(Function::Sigmoid)] {
            value = builder.push(op, &[value]).unwrap();
        }
        let program = Arc::new(fuse(builder.finish(value)));
        let image = [0.0, 0.5, -0.5, 0.06, 0.07, -0.06];
        for (device, wanted) in [
            (half, [false, true, true, false, true, false]),
            (&devices.whole, [false; 6]),
        ] {
            let found = device.load(program.clone()).unwrap().run(&image, 1);
            let lost: Vec<bool> = found.unwrap().iter().map(|v| v.is_nan()).collect();
            assert_eq!(lost, wanted, "{}", device.name());
        }
    });
}
