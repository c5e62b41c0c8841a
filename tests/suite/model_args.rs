//! Complaints of `model_args`: all at once, each with its place and a next step.

use std::fmt::Write as _;

use model_bundle::nn::{ArgError, Found, Kind, Network, PathPart, compare};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn args(value: Value) -> Map<String, Value> {
    let Value::Object(args) = value else {
        panic!("{value}")
    };
    args
}

fn complaints(kind: Kind, value: Value) -> String {
    let errors = Network::from_model_args(kind, &args(value)).unwrap_err();
    let mut text = String::new();
    for ArgError { at, message, help } in errors {
        let at: Vec<String> = at
            .iter()
            .map(|part| match part {
                PathPart::Key(key) => key.clone(),
                PathPart::Index(index) => index.to_string(),
            })
            .collect();
        writeln!(text, "{message}\n    at: {}", at.join(" / ")).unwrap();
        if let Some(help) = help {
            writeln!(text, "    help: {help}").unwrap();
        }
    }
    text
}

#[test]
fn everything_that_is_wrong_with_a_nafnet() {
    insta::assert_snapshot!(complaints(
        Kind::NafNet,
        json!({
            "img_channel": true, "widht": 16, "middle_blk_num": 1.0, "enc_blk_nums": [1, "1", -1, 1e3],
            "dec_blk_nums": 2, "in_channels": 1, "line\nbreak": 0,
        })
    ));
    insta::assert_snapshot!(complaints(
        Kind::NafNet,
        json!({"width": 2097152, "enc_blk_nums": [1, 1], "dec_blk_nums": [1]})
    ));
    insta::assert_snapshot!(complaints(
        Kind::NafNet,
        json!({"enc_blk_nums": [1, 1], "dec_blk_nums": [1]})
    ));
    insta::assert_snapshot!(complaints(Kind::NafNet, json!({"enc_blk_nums": [1]})));
    insta::assert_snapshot!(complaints(
        Kind::NafNet,
        json!({"width": 524288, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]})
    ));
}

#[test]
fn everything_that_is_wrong_with_a_unet() {
    insta::assert_snapshot!(complaints(
        Kind::MonaiUnet,
        json!({
            "dimensions": 2, "in_channel": 1, "out_channels": "1", "channels": [8, 16.0], "strides": [[2, 2, 2], [2, 0]],
            "kernel_size": 4, "up_kernel_size": [3], "num_res_units": 65,
            "act": "PRELLU", "norm": ["BATCH", {"eps": 0, "affin": false}], "dropout": 1.5, "adn_ordering": "NDX", "bias": 1,
        })
    ));
    let plain = json!({"spatial_dims": 3, "in_channels": 1, "out_channels": 1, "channels": [8], "strides": []});
    insta::assert_snapshot!(complaints(Kind::MonaiUnet, plain));
}

#[test]
fn layers_of_monai_that_are_not_supported_are_named() {
    let with = |change: Value| {
        let mut plain = args(json!({
            "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 16], "strides": [2],
        }));
        plain.extend(args(change));
        complaints(Kind::MonaiUnet, Value::Object(plain))
    };
    insta::assert_snapshot!(with(json!({"act": "selu", "norm": ["LAYER", {}]})));
    insta::assert_snapshot!(with(json!({"norm": ["GROUP", {"num_groups": 3}]})));
    insta::assert_snapshot!(with(
        json!({"norm": "GROUP", "act": ["ELU", {"alpha": "x", "inplace": true}]})
    ));
    insta::assert_snapshot!(with(
        json!({"act": "none", "norm": ["BATCH", {"num_features": 8}], "dropout": [0.1]})
    ));
}

#[test]
fn everything_that_is_wrong_with_a_flexresnet() {
    insta::assert_snapshot!(complaints(
        Kind::FlexResNet,
        json!({"num_class": 5, "min_size": 0, "num_blocks": 0, "use_global_pool": "true", "kernel_size": 3, "dilation": 2})
    ));
}

/// Values that arguments have, nearly have, and never have.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        Just(0u64),
        1..9u64,
        Just(255),
        Just(256),
        Just(1 << 12),
        Just(1 << 16),
        Just(1 << 20),
        Just(1 << 21),
        Just(u64::MAX)
    ];
    let leaf = prop_oneof![
        8 => number.prop_map(|x| json!(x)),
        1 => prop_oneof![Just(json!(-1)), Just(json!(1.5)), Just(json!(1e300)), Just(json!(null)), Just(json!({}))],
        1 => any::<bool>().prop_map(|x| json!(x)),
        1 => prop_oneof![Just("NDA"), Just("A"), Just("BATCH"), Just("relu"), Just("x")].prop_map(|x| json!(x)),
        1 => (1..9u64).prop_map(|x| json!(["GROUP", {"num_groups": x}])),
        1 => (1..9u64).prop_map(|x| json!(["PRELU", {"num_parameters": x}])),
    ];
    let list = proptest::collection::vec(leaf.clone(), 0..5).prop_map(Value::Array);
    let even = (1..40usize, 1..5u64).prop_map(|(count, x)| json!(vec![x; count]));
    prop_oneof![4 => leaf, 2 => list, 2 => even]
}

const NAMES: [(Kind, &[&str]); 3] = [
    (
        Kind::NafNet,
        &[
            "img_channel",
            "width",
            "middle_blk_num",
            "enc_blk_nums",
            "dec_blk_nums",
        ],
    ),
    (
        Kind::MonaiUnet,
        &[
            "in_channels",
            "out_channels",
            "channels",
            "strides",
            "kernel_size",
            "up_kernel_size",
            "num_res_units",
            "act",
            "norm",
        ],
    ),
    (
        Kind::FlexResNet,
        &[
            "num_classes",
            "in_channels",
            "min_size",
            "initial_filters",
            "num_blocks",
            "use_global_pool",
            "norm",
            "act",
        ],
    ),
];

proptest! {
    #[test]
    fn any_arguments_are_answered(index in 0..3usize, values in proptest::collection::vec((any::<prop::sample::Index>(), value()), 0..6)) {
        let (kind, names) = NAMES[index];
        let mut all = match kind {
            Kind::NafNet => args(json!({"enc_blk_nums": [1, 1], "dec_blk_nums": [1, 2]})),
            Kind::MonaiUnet => args(json!({
                "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8, 8], "strides": [2, 1, 2], "num_res_units": 1,
            })),
            _ => args(json!({"num_classes": 2})),
        };
        for (name, value) in values {
            all.insert(name.get(names).to_string(), value);
        }
        match Network::from_model_args(kind, &all) {
            Err(errors) => prop_assert!(!errors.is_empty()),
            Ok(network) => {
                let tensors = network.tensors();
                let found: Vec<Found<'_>> = tensors.iter().map(|x| Found { name: &x.name, shape: &x.shape }).collect();
                prop_assert!(compare(&network, &found).is_empty());
                prop_assert!(network.parameters().is_some_and(|count| count > 0));
                prop_assert!(network.stride() > 0);
                let written: Map<String, Value> = network.arguments().into_iter().collect();
                let again = Network::from_model_args(kind, &written);
prop_assert_eq!(again.as_ref(), Ok(&network));
                if let Network::MonaiUnet(unet) = &network {
                    unet.output([u64::MAX, 1 << 20]);
                }
                let other = Network::from_model_args(Kind::NafNet, &Map::new()).unwrap();
                let text = compare(&other, &found).to_string();
                prop_assert!(text.lines().count() <= 10);
            }
        }
    }

    #[test]
    fn any_shapes_are_answered(sides in proptest::collection::vec(prop_oneof![Just(0u64), 1..20u64, Just(u64::MAX), Just(1 << 40)], 40), index in 0..3usize, count in 0..5usize) {
        // Shapes of real names, but with sides that no network has: what arguments are read off them must be bounded.
        let names = [
            "intro.weight", "downs.0.weight", "ups.0.0.weight", "encoders.0.0.beta", "model.0.conv.weight", "model.1.submodule.conv.weight",
            "model.2.conv.weight", "model.0.adn.A.weight", "features.0.conv.unit0.conv.weight", "classifier.0.weight",
        ];
        let shape = |i: usize| match names[i] {
            "classifier.0.weight" => &sides[4 * i..4 * i + 2],
            "model.0.adn.A.weight" => &sides[4 * i..=4 * i],
            _ => &sides[4 * i..4 * i + 4 - count / 4],
        };
        let found: Vec<Found<'_>> = (0..10).map(|i| Found { name: names[i], shape: shape(i) }).collect();
        let declared = [
            Network::from_model_args(Kind::NafNet, &Map::new()),
            Network::from_model_args(Kind::MonaiUnet, &args(json!({
                "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2],
            }))),
            Network::from_model_args(Kind::FlexResNet, &args(json!({"num_classes": 2}))),
        ];
        let declared = declared[index].clone().unwrap();
        let differences = compare(&declared, &found);
        prop_assert!(!differences.is_empty());
        prop_assert!(differences.to_string().lines().count() <= 10);
        if let Some(guess) = differences.guess {
            guess.to_string();
            guess.help();
        }
    }
}
