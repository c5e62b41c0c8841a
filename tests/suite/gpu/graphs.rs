//! Random networks, cut into chains; and networks as bundles have them.

use std::path::Path;
use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cases::Family;
use model_bundle::nn::{Network, StateDict, fuse};
use model_bundle::weights::tensor::Tensor;
use serde_json::Value;

use super::{HALF_TOLERANCE, TOLERANCE, check, with_devices};
use crate::forward::{FOLDER, array, distance, network, of_case, rods, taken, tensors};

#[test]
fn random_networks() {
    with_devices(|devices| check(devices, Family::Network, Family::Network.seeds()));
}

/// Small ones of every kind, with random weights.
#[test]
fn networks_as_bundles_hold_them() {
    with_devices(|devices| {
        for family in [Family::NafNet, Family::Unet, Family::FlexResNet] {
            check(devices, family, family.seeds());
        }
    });
}

/// The networks whose results PyTorch and MONAI have computed.
#[test]
fn networks_compute_what_pytorch_computes() {
    with_devices(|devices| {
        let text = std::fs::read_to_string(format!("{FOLDER}/forward.json")).unwrap();
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
        let all = tensors(Path::new(&format!("{FOLDER}/forward.safetensors")));
        for (number, case) in cases.iter().enumerate() {
            let mut tensors = of_case(&all, number);
            let input = taken(&mut tensors, "input");
            let wanted = taken(&mut tensors, "output");
            let size = [0, 1].map(|side| case["size"][side].as_u64().unwrap() as usize);
            let graph = network(case)
                .graph(&StateDict::new(&tensors), size)
                .unwrap();
            let input: Vec<f32> = input.iter().map(|v| *v as f32).collect();
            let mut session = devices.whole.load(Arc::new(fuse(graph))).unwrap();
            let found = session.run(&input, 1).unwrap();
            let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
            let apart = distance(&found, &wanted);
            assert!(apart < TOLERANCE, "{case}: {apart:e}");
        }
    });
}

fn trained(network: &Network, tensors: &[Tensor], name: &str, size: [usize; 2]) {
    with_devices(|devices| {
        let graph = network.graph(&StateDict::new(tensors), size).unwrap();
        let program = Arc::new(fuse(graph));
        let inputs: Vec<f32> = array(&format!("{name}_in"))
            .iter()
            .map(|v| *v as f32)
            .collect();
        let wanted = array(&format!("{name}_out"));
        let devices = [
            (Some(&devices.whole), TOLERANCE),
            (Some(&devices.least), TOLERANCE),
            (devices.half.as_ref(), HALF_TOLERANCE),
        ];
        for (device, most) in devices {
            let Some(device) = device else { continue };
            let mut session = device.load(program.clone()).unwrap();
            let found = session.run(&inputs, 2).unwrap();
            let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
            let apart = distance(&found, &wanted);
            assert!(apart < most, "{name}, {}: {apart:e}", device.name());
        }
    });
}

#[test]
fn trained_networks_compute_what_pytorch_computes() {
    let (network, tensors) = rods("bf_focus_v3");
    trained(&network, &tensors, "forward_bf_focus", [61, 83]);
    let (network, tensors) = rods("unet_segm");
    trained(&network, &tensors, "forward_segmentation", [64, 96]);
}
