//! Weights that are not the declared network's: what is said of them, and which cause is guessed at.

use model_bundle::nn::{Differences, Expected, Found, Guess, Kind, Network, compare, rfdetr};
use serde_json::{Value, json};

fn made(kind: Kind, args: Value) -> Network {
    let Value::Object(args) = args else { panic!() };
    Network::from_model_args(kind, &args).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn nafnet(change: Value) -> Network {
    let plain =
        json!({"img_channel": 1, "width": 8, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]});
    made(Kind::NafNet, merged(plain, change))
}

fn unet(change: Value) -> Network {
    let plain = json!({
        "spatial_dims": 2, "in_channels": 1, "out_channels": 1,
        "channels": [8, 16, 32], "strides": [2, 2], "num_res_units": 2,
    });
    made(Kind::MonaiUnet, merged(plain, change))
}

fn classifier(change: Value) -> Network {
    let plain = json!({"num_classes": 5, "initial_filters": 8});
    made(Kind::FlexResNet, merged(plain, change))
}

fn merged(mut plain: Value, change: Value) -> Value {
    let Value::Object(change) = change else {
        panic!()
    };
    plain.as_object_mut().unwrap().extend(change);
    plain
}

type Tensors = Vec<(String, Vec<u64>)>;

fn tensors(network: &Network) -> Tensors {
    let named = |x: Expected| (x.name, x.shape);
    network.tensors().into_iter().map(named).collect()
}

fn renamed(network: &Network, rename: impl Fn(&str) -> String) -> Tensors {
    let tensors = tensors(network).into_iter();
    tensors
        .map(|(name, shape)| (rename(&name), shape))
        .collect()
}

fn differences(network: &Network, tensors: &[(String, Vec<u64>)]) -> Differences {
    let found: Vec<Found<'_>> = tensors
        .iter()
        .map(|(name, shape)| Found { name, shape })
        .collect();
    compare(network, &found)
}

/// The sentence and the help.
fn guess(network: &Network, tensors: &[(String, Vec<u64>)]) -> (String, String) {
    let differences = differences(network, tensors);
    assert!(!differences.is_empty());
    let text = differences.to_string();
    assert!(text.lines().count() <= 10, "{text}");
    let guess = differences
        .guess
        .unwrap_or_else(|| panic!("no guess:\n{text}"));
    (guess.to_string(), guess.help())
}

fn sentence(network: &Network, tensors: &[(String, Vec<u64>)]) -> String {
    guess(network, tensors).0
}

#[test]
fn another_width() {
    let (declared, found) = (nafnet(json!({})), tensors(&nafnet(json!({"width": 16}))));
    let (text, help) = guess(&declared, &found);
    assert_eq!(
        text,
        "the weights are those of a NAFNet with `width` = 16 (declared: 8)"
    );
    assert_eq!(
        help,
        "if these are the weights you mean, correct `width` in the metadata's `model_args`; else take the file that belongs to it"
    );
    insta::assert_snapshot!(differences(&declared, &found));
}

#[test]
fn other_blocks_levels_and_channels() {
    let declared = nafnet(json!({}));
    let says = |change| sentence(&declared, &tensors(&nafnet(change)));
    let about = "the weights are those of a NAFNet with ";
    assert_eq!(
        says(json!({"enc_blk_nums": [1, 1, 3], "dec_blk_nums": [1, 1, 1], "img_channel": 3})),
        format!(
            "{about}`img_channel` = 3 (declared: 1), `enc_blk_nums` = [1,1,3] (declared: [1,1]), `dec_blk_nums` = [1,1,1] (declared: [1,1])"
        )
    );
    assert_eq!(
        says(json!({"middle_blk_num": 12})),
        format!("{about}`middle_blk_num` = 12 (declared: 1)")
    );
    assert_eq!(
        says(json!({"enc_blk_nums": [0, 1]})),
        format!("{about}`enc_blk_nums` = [0,1] (declared: [1,1])")
    );
    let more = tensors(&nafnet(json!({"enc_blk_nums": [1, 2]})));
    insta::assert_snapshot!(differences(&declared, &more));
}

#[test]
fn other_arguments_of_a_unet() {
    let declared = unet(json!({}));
    let says = |change| sentence(&declared, &tensors(&unet(change)));
    let wanted = |rest: &str| format!("the weights are those of a MONAI UNet with {rest}");
    for (change, rest) in [
        (
            json!({"channels": [16, 32, 64]}),
            "`channels` = [16,32,64] (declared: [8,16,32])",
        ),
        (
            json!({"channels": [8, 16, 32, 64], "strides": [2, 1, 2]}),
            "`channels` = [8,16,32,64] (declared: [8,16,32]), `strides` = [2,1,2] (declared: [2,2])",
        ),
        (
            json!({"strides": [1, 2]}),
            "`strides` = [1,2] (declared: [2,2])",
        ),
        (
            json!({"out_channels": 3}),
            "`out_channels` = 3 (declared: 1)",
        ),
        (json!({"in_channels": 2}), "`in_channels` = 2 (declared: 1)"),
        (
            json!({"num_res_units": 0}),
            "`num_res_units` = 0 (declared: 2)",
        ),
        (
            json!({"num_res_units": 3}),
            "`num_res_units` = 3 (declared: 2)",
        ),
        (json!({"kernel_size": 5}), "`kernel_size` = 5 (declared: 3)"),
        (
            json!({"up_kernel_size": [3, 5]}),
            "`up_kernel_size` = [3,5] (declared: 3)",
        ),
        (json!({"bias": false}), "`bias` = false (declared: true)"),
        (
            json!({"norm": "BATCH"}),
            "`norm` = \"BATCH\" (declared: \"INSTANCE\")",
        ),
        (
            json!({"norm": ["INSTANCE", {"affine": true}]}),
            "`norm` = one without running statistics, like [\"INSTANCE\",{\"affine\":true}] or GROUP (declared: \"INSTANCE\")",
        ),
        (
            json!({"act": "MISH"}),
            "`act` = one without weights, like \"RELU\" (declared: \"PRELU\")",
        ),
    ] {
        assert_eq!(says(change), wanted(rest));
    }
    let batch = unet(json!({"norm": "BATCH", "act": "MISH"}));
    assert_eq!(
        sentence(&batch, &tensors(&unet(json!({"act": "MISH"})))),
        wanted("`norm` = one without weights, like \"INSTANCE\", or null (declared: \"BATCH\")")
    );
    insta::assert_snapshot!(differences(&batch, &tensors(&unet(json!({"act": "MISH"})))));
}

#[test]
fn other_arguments_of_a_classifier() {
    let declared = classifier(json!({}));
    let says = |change| sentence(&declared, &tensors(&classifier(change)));
    let wanted = |rest: &str| format!("the weights are those of a FlexResNet with {rest}");
    for (change, rest) in [
        (json!({"num_classes": 4}), "`num_classes` = 4 (declared: 5)"),
        (
            json!({"initial_filters": 64, "num_blocks": 3}),
            "`initial_filters` = 64 (declared: 8), `num_blocks` = 3 (declared: 2)",
        ),
        (
            json!({"use_global_pool": false}),
            "`use_global_pool` = false (declared: true)",
        ),
        (
            json!({"last_conv_only": true}),
            "`last_conv_only` = true (declared: false)",
        ),
    ] {
        assert_eq!(says(change), wanted(rest));
    }
    let flat = classifier(json!({"use_global_pool": false}));
    let large = classifier(json!({"use_global_pool": false, "min_size": 48}));
    assert_eq!(
        sentence(&flat, &tensors(&large)),
        wanted("`min_size` = 48 (declared: 32)")
    );
    let Network::FlexResNet(args) = flat else {
        panic!()
    };
    let flat = Network::FlexResNet(args.with_min_size(48));
    assert!(differences(&flat, &tensors(&large)).is_empty());
}

#[test]
fn prefixes() {
    let network = nafnet(json!({}));
    let says = |prefix: &str| sentence(&network, &renamed(&network, |x| format!("{prefix}{x}")));
    assert_eq!(
        says("module."),
        "the network stands behind `module.`, as torch.nn.DataParallel saves it"
    );
    assert_eq!(
        says("_orig_mod."),
        "the network stands behind `_orig_mod.`, as torch.compile saves it"
    );
    assert_eq!(
        says("module._orig_mod."),
        "the network stands behind `module._orig_mod.`, as torch.compile saves it"
    );
    assert_eq!(
        says("net_g."),
        "the network stands behind `net_g.`, as a part of a larger module"
    );
    assert_eq!(
        says("ema_model."),
        "the network stands behind `ema_model.`, as keepers of averaged weights (EMA) save it"
    );
    let unet = unet(json!({}));
    let found = renamed(&unet, |x| format!("model.{x}"));
    let (text, help) = guess(&unet, &found);
    assert_eq!(
        text,
        "the network stands behind `model.`, as a part of a larger module"
    );
    assert_eq!(
        help,
        "save the network alone: `torch.save({k[6:]: v for k, v in state.items() if k.startswith(\"model.\")}, path)`"
    );
    insta::assert_snapshot!(differences(&unet, &found));
}

#[test]
fn prefixes_with_more_behind_or_beside_them() {
    let network = nafnet(json!({}));
    let mut two = renamed(&network, |x| format!("online_model.{x}"));
    two.extend(renamed(&network, |x| format!("ema_model.{x}")));
    two.push(("initted".to_owned(), vec![]));
    two.push(("step".to_owned(), vec![]));
    assert_eq!(
        sentence(&network, &two),
        "the network stands behind `ema_model.` and `online_model.`, as keepers of averaged weights (EMA) save it; beside it are 2 other tensors"
    );
    let mut copy = tensors(&network);
    copy.extend(renamed(&network, |x| format!("ema.{x}")));
    assert_eq!(
        sentence(&network, &copy),
        "the network stands behind `ema.`, as keepers of averaged weights (EMA) save it"
    );
    let mut averaged = renamed(&network, |x| format!("module.{x}"));
    averaged.push(("n_averaged".to_owned(), vec![]));
    let Some(Guess::Prefix { cause, .. }) = differences(&network, &averaged).guess else {
        panic!();
    };
    assert_eq!(cause, model_bundle::nn::Cause::Average);
    let wide = renamed(&nafnet(json!({"width": 16})), |x| format!("module.{x}"));
    let (text, help) = guess(&network, &wide);
    assert_eq!(
        text,
        "the network stands behind `module.`, as torch.nn.DataParallel saves it; and the weights are those of a NAFNet with `width` = 16 (declared: 8)"
    );
    assert!(
        help.contains("k[7:]") && help.contains("correct `width`"),
        "{help}"
    );
    let other = renamed(&unet(json!({})), |x| format!("module.{x}"));
    assert!(
        sentence(&network, &other)
            .contains("; and these are the weights of another network: MONAI UNet(")
    );
}

#[test]
fn a_lacking_prefix() {
    let network = unet(json!({}));
    let found = renamed(&network, |x| x.strip_prefix("model.").unwrap().to_owned());
    assert_eq!(
        sentence(&network, &found),
        "every name lacks `model.`: a part of the network was saved, not the network"
    );
}

#[test]
fn another_network() {
    let (nafnet, unet, classifier) = (nafnet(json!({})), unet(json!({})), classifier(json!({})));
    assert_eq!(
        sentence(&nafnet, &tensors(&unet)),
        "these are the weights of another network: MONAI UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=[8,16,32], strides=[2,2], num_res_units=2)"
    );
    assert_eq!(
        sentence(&unet, &tensors(&nafnet)),
        "these are the weights of another network: NAFNet(img_channel=1, width=8, enc_blk_nums=[1,1], dec_blk_nums=[1,1])"
    );
    let mut nearly = tensors(&classifier);
    nearly.push(("loss.weight".to_owned(), vec![5]));
    let (text, help) = guess(&unet, &nearly);
    assert_eq!(
        text,
        "these are the weights of another network: FlexResNet(num_classes=5, initial_filters=8), but for 1 tensor"
    );
    assert_eq!(
        help,
        "was a file of another model meant? This one belongs to a FlexResNet"
    );
    insta::assert_snapshot!(differences(&nafnet, &tensors(&unet)));
}

fn detector(classes: u64) -> Tensors {
    let names = [
        (
            "backbone.0.encoder.encoder.embeddings.cls_token",
            vec![1, 1, 16],
        ),
        (
            "transformer.decoder.layers.0.self_attn.in_proj_weight",
            vec![48, 16],
        ),
        ("class_embed.weight", vec![classes + 1, 16]),
        ("class_embed.bias", vec![classes + 1]),
    ];
    names.map(|(name, shape)| (name.to_owned(), shape)).into()
}

fn declared_detector(classes: Option<u64>) -> Network {
    let variant = rfdetr::Variant::Segmentation;
    Network::RfDetr(rfdetr::Args { variant, classes })
}

#[test]
fn detectors() {
    for found in [
        detector(4),
        detector(4)
            .into_iter()
            .map(|(name, shape)| (format!("model.{name}"), shape))
            .collect(),
    ] {
        for classes in [None, Some(4)] {
            assert!(differences(&declared_detector(classes), &found).is_empty());
        }
        let differences = differences(&declared_detector(Some(2)), &found);
        assert_eq!(differences.misshapen[0].expected, [3]);
        let guess = differences.guess.unwrap();
        assert_eq!(
            guess.to_string(),
            "the detector was trained on 4 classes, and the config names 2"
        );
        assert_eq!(guess.help(), "name 4 classes in `class_dict`");
    }
    let network = nafnet(json!({}));
    assert_eq!(
        sentence(&network, &detector(1)),
        "these are the weights of a detector like RF-DETR with 1 class"
    );
    for classes in [None, Some(4)] {
        let differences = differences(&declared_detector(classes), &tensors(&network));
        assert_eq!(
            differences.to_string(),
            "1 tensor is missing:\n  class_embed.bias"
        );
        assert!(matches!(
            differences.guess,
            Some(Guess::OtherNetwork { .. })
        ));
    }
    let prefixed: Tensors = detector(4)
        .into_iter()
        .map(|(name, shape)| (format!("module.{name}"), shape))
        .collect();
    assert!(
        sentence(&declared_detector(Some(4)), &prefixed)
            .starts_with("the network stands behind `module.`")
    );
    assert!(
        sentence(&declared_detector(None), &prefixed)
            .starts_with("the network stands behind `module.`")
    );
    let odd = vec![("class_embed.bias".to_owned(), vec![0])];
    assert_eq!(
        differences(&declared_detector(None), &odd).misshapen.len(),
        1
    );
}

#[test]
fn what_is_no_state_dict_of_a_plain_network() {
    let network = unet(json!({}));
    assert_eq!(sentence(&network, &[]), "the file holds no tensors");
    let with = |more: &[&str]| {
        let mut found = tensors(&network);
        let gone = found.remove(0).1;
        found.extend(more.iter().map(|name| ((*name).to_owned(), gone.clone())));
        sentence(&network, &found)
    };
    let unit = "model.0.conv.unit0.conv";
    assert_eq!(
        with(&[&format!("{unit}.weight_g"), &format!("{unit}.weight_v")]),
        "the network was saved with weight norm on its weights"
    );
    assert_eq!(
        with(&[&format!("{unit}.parametrizations.weight.original")]),
        "the network was saved with a parametrisation on its weights"
    );
    assert_eq!(
        with(&[
            &format!("{unit}.weight_orig"),
            &format!("{unit}.weight_mask")
        ]),
        "the network was saved with pruning on its weights"
    );
    assert_eq!(
        with(&[&format!("{unit}.scale"), &format!("{unit}.zero_point")]),
        "the network is quantised"
    );
    assert_eq!(
        with(&["state.0.exp_avg"]),
        "this is an optimizer's state, not a network's"
    );
    let flat = renamed(&network, |x| format!("model_ema.{}", x.replace('.', "")));
    assert!(sentence(&network, &flat).contains("LitEma"));
    let strangers = vec![
        ("fc.weight".to_owned(), vec![2, 2]),
        ("a\u{1b}[2J".to_owned(), vec![]),
    ];
    let differences = differences(&network, &strangers);
    assert_eq!(differences.guess, None);
    assert!(!differences.to_string().contains('\u{1b}'));
}

#[test]
fn what_pytorch_takes_is_no_difference() {
    let network = unet(json!({"norm": "BATCH"}));
    let mut found = tensors(&network);
    for (name, shape) in &mut found {
        if name.ends_with("num_batches_tracked") {
            *shape = vec![1];
        }
    }
    assert!(differences(&network, &found).is_empty());
    found.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
    assert!(differences(&network, &found).is_empty());
    found.retain(|(name, _)| !name.ends_with("running_mean"));
    assert!(!differences(&network, &found).is_empty());
}

#[test]
fn a_hostile_list_of_names_is_answered_quickly() {
    let network = unet(json!({}));
    let many = (0..200_000u64).map(|i| (format!("model.{i}.conv.unit{i}.weight"), vec![i]));
    let mut found: Tensors = many.collect();
    found.push((".".repeat(1 << 20), vec![]));
    found.push((
        "model.1.submodule".to_owned() + &".1.submodule".repeat(10_000),
        vec![],
    ));
    let start = std::time::Instant::now();
    let text = differences(&network, &found).to_string();
    assert!(text.lines().count() <= 10 && text.len() < 2000, "{text}");
    assert!(start.elapsed().as_secs() < 20);
}
