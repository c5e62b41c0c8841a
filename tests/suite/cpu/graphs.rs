//! Networks of many ops, cut into chains.

use model_bundle::exec::cases::Family;

use super::check;

#[test]
fn random_networks() {
    check(Family::Network, 100, 1e-5);
}

/// Small ones of every kind, with random weights.
#[test]
fn networks_as_bundles_hold_them() {
    for family in [
        Family::Block,
        Family::NafNet,
        Family::Unet,
        Family::FlexResNet,
    ] {
        check(family, 8, 1e-5);
    }
}
