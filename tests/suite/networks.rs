//! Networks' arguments, tensors and sizes against what PyTorch and MONAI made of them (`tests/networks/make_fixtures.py`).

use model_bundle::nn::{Expected, Found, Kind, Network, Role, compare};
use serde_json::{Map, Value};

const NAFNET: &str = include_str!("../fixtures/networks/nafnet.json");
const MONAI_UNET: &str = include_str!("../fixtures/networks/monai_unet.json");
const FLEXRESNET: &str = include_str!("../fixtures/networks/flexresnet.json");

fn fixtures() -> [(Kind, Value); 3] {
    let read = |text| serde_json::from_str(text).unwrap();
    [
        (Kind::NafNet, read(NAFNET)),
        (Kind::MonaiUnet, read(MONAI_UNET)),
        (Kind::FlexResNet, read(FLEXRESNET)),
    ]
}

/// The cases of one list of a fixture: the arguments and the case.
fn cases<'a>(fixture: &'a Value, list: &str) -> Vec<(&'a Map<String, Value>, &'a Value)> {
    let cases = fixture[list].as_array().unwrap().iter();
    cases
        .map(|case| (case["args"].as_object().unwrap(), case))
        .collect()
}

fn network(kind: Kind, args: &Map<String, Value>) -> Network {
    let made = Network::from_model_args(kind, args);
    made.unwrap_or_else(|errors| panic!("{kind} {args:?}: {errors:#?}"))
}

/// The tensors of a case: each line is `K SUFFIX D,D`, the first K characters being those of the name before.
fn tensors(case: &Value) -> Vec<Expected> {
    let mut before = String::new();
    let lines = case["tensors"].as_array().unwrap().iter();
    let tensor = |line: &Value| {
        let line = line.as_str().unwrap();
        let (role, line) = match line.strip_prefix('*') {
            Some(rest) => (Role::Buffer, rest),
            None => (Role::Parameter, line),
        };
        let mut parts = line.split(' ');
        let same: usize = parts.next().unwrap().parse().unwrap();
        let name = format!("{}{}", &before[..same], parts.next().unwrap());
        let sides = parts.next().unwrap_or_default().split(',');
        let shape = sides.filter(|side| !side.is_empty());
        before.clone_from(&name);
        Expected {
            name,
            shape: shape.map(|side| side.parse().unwrap()).collect(),
            role,
        }
    };
    lines.map(tensor).collect()
}

#[test]
fn tensors_are_those_of_pytorch_in_its_order() {
    let mut seen = [0; 3];
    for (index, (kind, fixture)) in fixtures().iter().enumerate() {
        for list in ["made", "published"] {
            for (args, case) in cases(fixture, list) {
                let network = network(*kind, args);
                let wanted = tensors(case);
                assert_eq!(network.tensors(), wanted, "{kind} {args:?}");
                assert_eq!(
                    network.parameters(),
                    case["parameters"].as_u64(),
                    "{args:?}"
                );
                let found: Vec<Found<'_>> = wanted
                    .iter()
                    .map(|x| Found {
                        name: &x.name,
                        shape: &x.shape,
                    })
                    .collect();
                let differences = compare(&network, &found);
                assert!(differences.is_empty(), "{kind} {args:?}: {differences}");
                seen[index] += 1;
            }
        }
    }
    assert!(seen[0] >= 8 && seen[1] >= 100 && seen[2] >= 11, "{seen:?}");
}

#[test]
fn what_pytorch_refuses_is_refused() {
    let mut seen = 0;
    for (kind, fixture) in fixtures() {
        for (args, case) in cases(&fixture, "refused") {
            let made = Network::from_model_args(kind, args);
            let errors = made.expect_err(&format!("{kind} {args:?}: {}", case["error"]));
            assert!(!errors.is_empty());
            seen += 1;
        }
    }
    assert!(seen >= 80, "{seen}");
}

#[test]
fn windows_fit_exactly_where_monai_runs() {
    let (_, fixture) = &fixtures()[1];
    let mut failing = 0;
    for (args, case) in cases(fixture, "made") {
        let Network::MonaiUnet(unet) = network(Kind::MonaiUnet, args) else {
            panic!("{args:?}");
        };
        let stride = network(Kind::MonaiUnet, args).stride();
        for pair in case["sizes"].as_array().unwrap() {
            let size = |value: &Value| {
                let sides = value.as_array()?;
                Some([sides[0].as_u64()?, sides[1].as_u64()?])
            };
            let (input, wanted) = (size(&pair[0]).unwrap(), size(&pair[1]));
            assert_eq!(unet.output(input), wanted, "{args:?} {input:?}");
            failing += usize::from(wanted.is_none());
            let multiples = unet.multiples();
            let whole = input
                .iter()
                .zip(multiples)
                .all(|(side, multiple)| side % multiple == 0);
            // Multiples come out as they went in; nothing else does, but norms may want more than one value.
            assert_eq!(
                wanted == Some(input),
                whole && wanted.is_some(),
                "{args:?} {input:?}"
            );
            if input[0] == input[1] && wanted == Some(input) {
                assert_eq!(input[0] % stride, 0, "{args:?} {input:?}");
            }
        }
        let square = [4 * stride, 4 * stride];
        assert_eq!(unet.output(square), Some(square), "{args:?}");
    }
    assert!(failing > 300, "{failing}");
}

#[test]
fn arguments_written_out_make_the_same_network() {
    for (kind, fixture) in fixtures() {
        for (args, _) in cases(&fixture, "made") {
            let network = network(kind, args);
            let written: Map<String, Value> = network.arguments().into_iter().collect();
            for name in args.keys() {
                let same = ["dilation", "padding", "dropout_dim"];
                assert!(
                    written.contains_key(name) || same.contains(&name.as_str()),
                    "{name}"
                );
            }
            let again = Network::from_model_args(kind, &written);
            assert_eq!(again.as_ref(), Ok(&network), "{written:?}");
        }
    }
}

#[test]
fn channels_and_classes_are_told() {
    let published = |index: usize, case: usize| {
        let (kind, fixture) = &fixtures()[index];
        network(*kind, cases(fixture, "published")[case].0)
    };
    let nafnet = published(0, 1);
    assert_eq!(
        nafnet.to_string(),
        "NAFNet(img_channel=1, width=32, enc_blk_nums=[1,1,1], dec_blk_nums=[1,1,1])"
    );
    assert_eq!((nafnet.stride(), nafnet.parameters()), (8, Some(1_128_161)));
    assert_eq!(
        (nafnet.input_channels(), nafnet.output_channels()),
        (Some(1), Some(1))
    );
    let unet = published(1, 1);
    assert_eq!((unet.stride(), unet.parameters()), (16, Some(1_624_844)));
    let classifier = published(2, 0);
    assert_eq!(
        (classifier.classes(), classifier.min_size()),
        (Some(5), Some(32))
    );
    assert_eq!(
        (classifier.stride(), classifier.output_channels()),
        (1, None)
    );
}
