//! Every op on its own, with random shapes.

use model_bundle::exec::cases::Family;

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
