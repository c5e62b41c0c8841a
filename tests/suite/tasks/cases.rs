//! Whole tasks with tiny networks, and with the trained ones of `examples/rods`.

use std::path::Path;
use std::sync::Arc;

use model_bundle::blob::Blob;
use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::{ExecError, Executor, Session};
use model_bundle::image::{Blending, Pixels};
use model_bundle::nn::{Kind, Network, Program};
use model_bundle::progress::{Progress, Silent};
use model_bundle::tasks::{
    CellClassifier, ClassifyArgs, FrameArgs, FrameError, FrameInput, FrameOutput, Frames, Object,
    Task, network,
};
use model_bundle::value::{self, Map};
use model_bundle::weights::tensor::{DType, Tensor};
use model_bundle::weights::{self, npy};
use serde_json::{Value, json};

use super::plain_session::PlainSession;
use crate::numbers;

const FOLDER: &str = "tests/fixtures/tasks";

/// An array in a file, with its shape.
struct Array {
    shape: Vec<usize>,
    pixels: Pixels<'static>,
}

fn tensor(path: &str) -> Tensor {
    let blob = Blob::open(Path::new(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    match npy::read(&blob).unwrap() {
        npy::Npy::Tensor(tensor) => tensor,
        npy::Npy::Objects(_) => panic!("{path} holds objects"),
    }
}

fn array(path: &str) -> Array {
    let tensor = tensor(path);
    let numbers = tensor.numbers(|number| number).unwrap();
    let pixels = match tensor.dtype {
        DType::U8 => Pixels::U8(numbers.iter().map(|v| *v as u8).collect()),
        DType::U16 => Pixels::U16(numbers.iter().map(|v| *v as u16).collect()),
        DType::I16 => Pixels::I16(numbers.iter().map(|v| *v as i16).collect()),
        _ => Pixels::F32(numbers.iter().map(|v| *v as f32).collect()),
    };
    Array {
        shape: tensor.shape.iter().map(|side| *side as usize).collect(),
        pixels,
    }
}

fn part<'a>(pixels: &'a Pixels, range: std::ops::Range<usize>) -> Pixels<'a> {
    match pixels {
        Pixels::U8(list) => Pixels::U8((&list[range]).into()),
        Pixels::U16(list) => Pixels::U16((&list[range]).into()),
        Pixels::I16(list) => Pixels::I16((&list[range]).into()),
        Pixels::F32(list) => Pixels::F32((&list[range]).into()),
        other => panic!("no case is {}", other.kind()),
    }
}

/// The frames of an array `[T, C, H, W]`.
fn frames(array: &Array) -> Vec<FrameInput<'_>> {
    let [frames, channels, height, width] = array.shape[..] else {
        panic!("{:?}", array.shape);
    };
    let area = height * width;
    let plane = |index: usize| part(&array.pixels, index * area..(index + 1) * area);
    let of = |frame: usize| FrameInput {
        frame,
        planes: (0..channels).map(|c| plane(frame * channels + c)).collect(),
        size: [height, width],
    };
    (0..frames).map(of).collect()
}

/// A table as a bundle's config has it.
fn map(json: &Value) -> Map {
    match value::Value::from_json(json) {
        value::Value::Map(map) => value::with_toml_keys(&map),
        other => panic!("{other:?}"),
    }
}

fn declared(kind: &str, args: &Value) -> Network {
    let kind = match kind {
        "NAFNet" => Kind::NafNet,
        "MonaiUnet" => Kind::MonaiUnet,
        _ => Kind::FlexResNet,
    };
    Network::from_model_args(kind, args.as_object().unwrap()).unwrap()
}

fn program(weights: &str, declared: &Network, side: usize) -> Program {
    let path = Path::new(weights);
    let read = weights::read(&Blob::open(path).unwrap(), path, &Silent).unwrap();
    network::load(&read, Some(declared), side).unwrap()
}

/// All that the session makes of the frames.
fn run(runner: &mut Frames, inputs: Vec<FrameInput>) -> Result<Vec<FrameOutput>, FrameError> {
    let mut inputs = inputs.into_iter();
    let mut outputs = Vec::new();
    runner.run::<FrameError>(
        &mut || Ok(inputs.next()),
        &mut |output| {
            outputs.push(output);
            Ok(())
        },
        &Silent,
    )?;
    Ok(outputs)
}

/// `||found - expected|| / ||expected||`
fn distance(found: impl Iterator<Item = f32>, expected: &Pixels) -> f64 {
    let expected = expected.to_f32();
    let found: Vec<f32> = found.collect();
    let expected: Vec<f64> = expected.iter().map(|v| f64::from(*v)).collect();
    numbers::distance(&found, &expected)
}

/// What runs the networks.
#[derive(Clone, Copy)]
enum Device {
    /// Plain loops in float64, with so many frames under way.
    Plain(usize),
    /// The CPU's executor.
    Cpu,
}

fn cases() -> Value {
    serde_json::from_str(include_str!("../../fixtures/tasks/cases.json")).unwrap()
}

/// A network of the fixtures, ready to run.
fn session(networks: &Value, name: &str, side: usize, device: Device) -> Box<dyn Session> {
    let network = &networks[name];
    let declared = declared(network["kind"].as_str().unwrap(), &network["args"]);
    let weights = format!("{FOLDER}/{name}.safetensors");
    let program = program(&weights, &declared, side);
    match device {
        Device::Plain(depth) => Box::new(PlainSession::new(program, depth)),
        Device::Cpu => Cpu::new(2).unwrap().load(Arc::new(program)).unwrap(),
    }
}

/// What runs a case of focus restoration or segmentation.
fn runner(all: &Value, case: &Value, device: Device) -> Frames {
    let mut args = map(&case["args"]);
    let rescale = args.shift_remove(&value::Key::from("rescale")).is_none();
    let task = match case["task"].as_str().unwrap() {
        "focus" => Task::Focus,
        _ => Task::Segment,
    };
    let args = FrameArgs::read(task, Some(&args)).unwrap();
    let name = case["network"].as_str().unwrap();
    let session = session(&all["networks"], name, args.patch_size, device);
    match task {
        Task::Focus => Frames::focus(session, args, rescale).unwrap(),
        _ => Frames::segment(session, args).unwrap(),
    }
}

fn named(case: &Value, what: &str) -> Array {
    array(&format!(
        "{FOLDER}/{}-{what}.npy",
        case["name"].as_str().unwrap()
    ))
}

fn of_frames(all: &Value) -> Vec<&Value> {
    let cases = all["cases"].as_array().unwrap().iter();
    cases.filter(|case| case["task"] != "classify").collect()
}

/// Fails the test unless a case gives what HiTMicTools does.
fn gives_what_hitmictools_does(all: &Value, case: &Value, device: Device) {
    let mut runner = runner(all, case, device);
    let (input, expected) = (named(case, "in"), named(case, "out"));
    let channels = runner.output_channels(input.shape[1]).unwrap();
    assert_eq!(channels, expected.shape[1], "{case}");
    let outputs = run(&mut runner, frames(&input)).unwrap();
    let order = outputs.iter().map(|output| output.frame);
    assert!(order.eq(0..input.shape[0]));
    assert!(outputs.iter().all(|output| output.size == input.shape[2..]));
    let found = outputs
        .into_iter()
        .flat_map(|output| output.planes)
        .flatten();
    let distance = distance(found, &expected.pixels);
    assert!(distance <= 2e-6, "{case}: {distance:e}");
}

#[test]
fn focus_and_segmentation_give_what_hitmictools_does() {
    let all = cases();
    for (index, case) in of_frames(&all).into_iter().enumerate() {
        // Any number of frames under way gives the same.
        gives_what_hitmictools_does(&all, case, Device::Plain(index % 4));
    }
}

#[test]
fn focus_and_segmentation_on_the_cpu_give_what_hitmictools_does() {
    let all = cases();
    for case in of_frames(&all) {
        gives_what_hitmictools_does(&all, case, Device::Cpu);
    }
}

#[test]
fn one_runner_takes_files_of_any_sizes_one_after_another() {
    let all = cases();
    let of_size = |case: &&Value| {
        case["args"] == json!({"patch_size": 16, "overlap_ratio": 0.25})
            && case["network"] == "restore"
    };
    let same: Vec<&Value> = of_frames(&all).into_iter().filter(of_size).collect();
    assert!(same.len() > 4);
    let mut runner = runner(&all, same[0], Device::Plain(2));
    for case in same.iter().chain(&same) {
        let outputs = run(&mut runner, frames(&named(case, "in"))).unwrap();
        let found = outputs
            .into_iter()
            .flat_map(|output| output.planes)
            .flatten();
        assert!(
            distance(found, &named(case, "out").pixels) <= 2e-6,
            "{case}"
        );
    }
}

#[test]
fn windows_are_blended_as_is_asked_for_from_the_next_frame_on() {
    let all = cases();
    let case = of_frames(&all)[0];
    let (input, expected) = (named(case, "in"), named(case, "out"));
    let made = |device| {
        let mut runner = runner(&all, case, device);
        [None, Some(Blending::Constant), Some(Blending::Gaussian)].map(|blending| {
            runner.blend(blending);
            let outputs = run(&mut runner, frames(&input)).unwrap().into_iter();
            let found = outputs.flat_map(|output| output.planes).flatten();
            found.collect::<Vec<f32>>()
        })
    };
    let [own, flat, bells] = made(Device::Cpu);
    assert_eq!(own, bells);
    let gap = distance(flat.iter().copied(), &expected.pixels);
    assert!(gap > 1e-4, "{gap:e}");
    let [_, plain, _] = made(Device::Plain(2));
    let gap = distance(flat.into_iter(), &Pixels::F32(plain.into()));
    assert!(gap <= 2e-6, "{gap:e}");
}

/// What a run says and leaves when `take`, or the frames, fail.
#[test]
fn a_run_that_fails_leaves_nothing_to_the_next() {
    let all = cases();
    let case = of_frames(&all)[0];
    let mut runner = runner(&all, case, Device::Plain(2));
    let input = named(case, "in");
    let inputs = frames(&input);
    let mut next = inputs.clone().into_iter();
    let failed = runner.run(
        &mut || Ok(next.next()),
        &mut |_| {
            Err(FrameError::Exec(ExecError::Device {
                device: "disk".to_owned(),
                message: "full".to_owned(),
            }))
        },
        &Silent,
    );
    assert_eq!(failed.unwrap_err().to_string(), "disk: full");
    let outputs = run(&mut runner, inputs).unwrap();
    let found = outputs
        .into_iter()
        .flat_map(|output| output.planes)
        .flatten();
    assert!(distance(found, &named(case, "out").pixels) <= 2e-6);
}

#[test]
fn frames_that_a_network_does_not_take_are_refused_in_words() {
    let all = cases();
    let by_name = |name: &str| {
        let found = of_frames(&all)
            .into_iter()
            .find(|case| case["name"] == name);
        runner(&all, found.unwrap(), Device::Plain(1))
    };
    let frame = |planes: Vec<Pixels<'static>>, size| FrameInput {
        frame: 3,
        planes,
        size,
    };
    let plane = |value: f32| Pixels::F32(vec![0.5, 1.0, value, 0.25, 0.0, 7.0].into());
    let mut messages = Vec::new();
    let mut refused = |name: &str, input: FrameInput| {
        let mut runner = by_name(name);
        messages.push(run(&mut runner, vec![input]).unwrap_err().to_string());
    };
    refused("focus-together", frame(vec![plane(1.0); 3], [2, 3]));
    refused("segment-series", frame(vec![plane(1.0); 2], [2, 3]));
    refused(
        "focus-series",
        frame(vec![plane(1.0), plane(f32::NAN)], [2, 3]),
    );
    refused("segment-none", frame(vec![plane(f32::INFINITY)], [2, 3]));
    refused("focus-series", frame(vec![plane(1.0)], [2, 4]));
    refused(
        "focus-series",
        frame(vec![Pixels::U8(Vec::new().into())], [0, 4]),
    );
    refused("focus-series", frame(Vec::new(), [2, 3]));
    let args = FrameArgs {
        patch_size: 32,
        ..FrameArgs::read(
            Task::Focus,
            Some(&map(&json!({"patch_size": 16, "overlap_ratio": 0}))),
        )
        .unwrap()
    };
    let session = |name, side| session(&all["networks"], name, side, Device::Plain(1));
    let mut unfit = |made: Result<Frames, FrameError>| {
        messages.push(made.err().unwrap().to_string());
    };
    unfit(Frames::focus(session("restore", 16), args.clone(), true));
    unfit(Frames::focus(
        session("segment_two", 32),
        args.clone(),
        true,
    ));
    unfit(Frames::segment(session("classify", 32), args));
    insta::assert_snapshot!(messages.join("\n"));
}

/// The objects that a case finds, with so many at a time.
fn objects(all: &Value, min_size: &Value, batch_size: usize, device: Device) -> Vec<Object> {
    let labels = tensor(&format!("{FOLDER}/classify-labels.npy"));
    let labels = labels.numbers(|number| number as u32).unwrap();
    let image = array(&format!("{FOLDER}/classify-in.npy"));
    let args = json!({"min_size": min_size, "batch_size": batch_size, "classes": {"0": "cell", "2": "clump"}});
    let args = ClassifyArgs::read(Some(&map(&args)), None).unwrap();
    let session = session(&all["networks"], "classify", args.min_size, device);
    let mut classifier = CellClassifier::new(session, args).unwrap();
    let names = [0, 1, 2, 9].map(|class| classifier.class_name(class).into_owned());
    assert_eq!(
        names,
        ["cell", "Unknown_Class_1", "clump", "Unknown_Class_9"]
    );
    let width = image.shape[1];
    let objects = classifier.frame(&labels, &image.pixels, width, &Silent);
    objects.unwrap()
}

#[test]
fn cells_are_classified_as_hitmictools_does() {
    let all = cases();
    let list = all["cases"].as_array().unwrap().iter();
    let mut seen = 0;
    for case in list.filter(|case| case["task"] == "classify") {
        let expected: Vec<Vec<f32>> =
            serde_json::from_value(case["probabilities"].clone()).unwrap();
        let labels: Vec<u32> = serde_json::from_value(case["labels"].clone()).unwrap();
        for (batch_size, device) in [1, 3, 512]
            .into_iter()
            .flat_map(|size| [(size, Device::Plain(1)), (size, Device::Cpu)])
        {
            let objects = objects(&all, &case["min_size"], batch_size, device);
            let found = objects.iter().map(|object| object.label);
            assert!(found.eq(labels.iter().copied()));
            for (object, expected) in objects.iter().zip(&expected) {
                for (found, expected) in object.probabilities.iter().zip(expected) {
                    assert!((found - expected).abs() <= 1e-5, "{object:?} {expected:?}");
                }
                let most = (0..4)
                    .max_by(|a, b| expected[*a].total_cmp(&expected[*b]))
                    .unwrap();
                assert_eq!(object.class, most);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6 * 3 * 8);
}

/// Shrunk so far, the parts of object 9 lie between the pixels that are looked at. Of an image of zeros the network's
/// norms divide by next to nothing: PyTorch's own float32 is 5e-5 from float64.
#[test]
fn an_object_that_vanishes_when_it_is_shrunk_is_classified_as_well_as_float32_can() {
    let all = cases();
    let of = |device| objects(&all, &json!(12), 512, device);
    for (found, exact) in of(Device::Cpu).iter().zip(of(Device::Plain(1))) {
        let most = if found.label == 9 { 1e-4 } else { 1e-6 };
        for (found, exact) in found.probabilities.iter().zip(&exact.probabilities) {
            assert!((found - exact).abs() <= most, "{found} {exact}");
        }
        assert_eq!((found.label, found.class), (exact.label, exact.class));
    }
}

#[test]
fn no_objects_are_no_error_and_a_user_may_stop() {
    struct Stopped;
    impl Progress for Stopped {
        fn interrupted(&self) -> bool {
            true
        }
    }
    let all = cases();
    let args = ClassifyArgs::read(Some(&map(&json!({"min_size": 16}))), None).unwrap();
    let session = session(&all["networks"], "classify", 16, Device::Plain(1));
    let mut classifier = CellClassifier::new(session, args).unwrap();
    let image = Pixels::U8(vec![1; 6].into());
    let mut of = |labels: [u32; 6], progress: &dyn Progress| {
        let made = classifier.frame(&labels, &image, 3, progress);
        made.map_err(|error| error.to_string())
    };
    assert_eq!(of([0; 6], &Silent), Ok(Vec::new()));
    assert_eq!(of([1, 1, 0, 2, 0, 0], &Silent).unwrap().len(), 2);
    assert_eq!(of([1; 6], &Stopped), Err("interrupted".to_owned()));
    let short = classifier.frame(&[1, 1], &image, 3, &Silent).unwrap_err();
    assert_eq!(
        short.to_string(),
        "the label image: expected as many pixels as the image, 6, found 2"
    );
}
