//! Models, frames and label images in memory, and bundles that are opened by their digest.

use std::borrow::Cow;
use std::path::Path;

use model_bundle::digest::Sha256;
use model_bundle::exec::DeviceChoice;
use model_bundle::exec::gpu::Precision;
use model_bundle::image::{Pixels, Reader};
use model_bundle::progress::Silent;
use model_bundle::runner::{Images, Kind, Runner, Selection, Setup, TaskError};
use model_bundle::subject::{Given, Subject};
use model_bundle::tasks::FrameInput;
use model_bundle::value::{Map, Value};

use crate::session::{RODS, Session};

fn rods(name: &str) -> std::path::PathBuf {
    Path::new(RODS).join(name)
}

fn setup(rescale: bool) -> Setup {
    Setup {
        device: DeviceChoice::Cpu,
        precision: Some(Precision::Single),
        threads: None,
        rescale,
        profile: false,
    }
}

/// The example's `bf_focus`, given without a config.
fn given(patch_size: Value) -> Given {
    let percentiles = [("pmin", 1.0), ("pmax", 99.8)];
    let percentiles = percentiles.map(|(name, x)| (name.into(), Value::Float(x)));
    Given {
        key: "bf_focus".to_owned(),
        name: "bf_focus_v3.pth".to_owned(),
        weights: std::fs::read(rods("models/bf_focus_v3.pth"))
            .unwrap()
            .into(),
        metadata: Some(std::fs::read_to_string(rods("metadata/bf_focus_v3.json")).unwrap()),
        inferer_args: Some(Map::from_iter([
            ("patch_size".into(), patch_size),
            ("overlap_ratio".into(), Value::Float(0.25)),
            (
                "scaler_args".into(),
                Value::Map(Map::from_iter(percentiles)),
            ),
        ])),
        model_args: None,
    }
}

fn images(runner: &mut Runner) -> &mut Images {
    match &mut runner.kind {
        Kind::Images(images) => images,
        _ => panic!("the model is for something else"),
    }
}

/// What comes out for the example's frames, which are lent.
fn lent(images: &mut Images) -> Vec<Vec<f32>> {
    let mut reader = Reader::open(&rods("frames/bf.tif")).unwrap();
    let axes = reader.info().axes;
    let stack: Vec<Pixels> = (0..axes.frames)
        .map(|frame| reader.plane(frame, 0, 0).unwrap())
        .collect();
    let mut frames = stack.iter().enumerate();
    let mut next = || {
        Ok(frames.next().map(|(frame, plane)| {
            let Pixels::U16(numbers) = plane else {
                panic!("the example is uint16");
            };
            FrameInput {
                frame,
                planes: vec![Pixels::U16(Cow::Borrowed(numbers))],
                size: [axes.height, axes.width],
            }
        }))
    };
    let mut results = Vec::new();
    let mut take = |mut output: model_bundle::tasks::FrameOutput| {
        results.push(output.planes.remove(0));
        Ok(())
    };
    images.run_frames(&mut next, &mut take, &Silent).unwrap();
    results
}

/// What comes out for the same frames of the file.
fn of_file(images: &mut Images) -> Vec<Vec<f32>> {
    let path = rods("frames/bf.tif");
    let mut reader = Reader::open(&path).unwrap();
    let selection = Selection::of(&path, reader.info(), None, None).unwrap();
    let mut results = Vec::new();
    let mut take = |mut output: model_bundle::tasks::FrameOutput| {
        results.push(output.planes.remove(0));
        Ok(())
    };
    images
        .run(&mut reader, &selection, &mut take, &Silent)
        .unwrap();
    results
}

#[test]
fn a_model_and_frames_in_memory_give_what_those_of_files_give() {
    let project = Subject::open(&rods("bundle.toml")).unwrap();
    let mut theirs = Runner::load(&project, "bf_focus", setup(true), &Silent).unwrap();
    let memory = Subject::of_model(given(Value::Int(64))).unwrap();
    assert!(!memory.is_bundle());
    let mut ours = Runner::load(&memory, "bf_focus", setup(true), &Silent).unwrap();
    assert_eq!(ours.digest, theirs.digest);
    let wanted = of_file(images(&mut theirs));
    assert_eq!(lent(images(&mut ours)), wanted);
    assert_eq!(lent(images(&mut theirs)), wanted);

    // The network's own range, for as long as it is asked for.
    let mut raw = Runner::load(&project, "bf_focus", setup(false), &Silent).unwrap();
    let images = images(&mut ours);
    images.keep_raw(true);
    assert_eq!(lent(images), of_file(self::images(&mut raw)));
    images.keep_raw(false);
    assert_eq!(lent(images), wanted);
}

#[test]
fn a_model_in_memory_is_checked_as_one_of_a_config() {
    let refused = Subject::of_model(given(Value::String("64".to_owned()))).unwrap_err();
    assert_eq!(refused.to_string(), "`bf_focus.yml` has an error");
    let mut other = given(Value::Int(64));
    other.metadata = Some(r#"{"model_args": {"img_channel": 1, "width": 9}}"#.to_owned());
    let subject = Subject::of_model(other).unwrap();
    let error = Runner::check(&subject, "bf_focus", &Silent).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    let mut dangerous = given(Value::Int(64));
    dangerous.weights = b"cos\nsystem\n(S'true'\ntR.".to_vec().into();
    let subject = Subject::of_model(dangerous).unwrap();
    let error = Runner::check(&subject, "bf_focus", &Silent).unwrap_err();
    assert!(error.in_one_line().contains("system"), "{error:?}");
}

#[test]
fn a_frame_of_no_size_is_refused() {
    let subject = Subject::of_model(given(Value::Int(64))).unwrap();
    let mut runner = Runner::load(&subject, "bf_focus", setup(true), &Silent).unwrap();
    let mut input = Some(FrameInput {
        frame: 0,
        planes: vec![Pixels::U8(Cow::Borrowed(&[]))],
        size: [0, 4],
    });
    let ran = images(&mut runner).run_frames(&mut || Ok(input.take()), &mut |_| Ok(()), &Silent);
    assert!(matches!(ran, Err(TaskError::Frame(_))), "{ran:?}");
}

#[test]
fn a_bundle_is_opened_if_it_has_the_digest() {
    let session = Session::small(1000);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let path = session.path("a.zip");
    let digest: Sha256 = model_bundle::archive::sha256_file(&path, &Silent).unwrap();
    let opened = Subject::open_anchored(&path, digest, &Silent).unwrap();
    assert!(opened.is_bundle());
    let mut bytes = session.read("a.zip");
    bytes.push(0);
    session.write("a.zip", bytes);
    let refused = Subject::open_anchored(&path, digest, &Silent).unwrap_err();
    assert!(refused.is_refusal());
    let message = refused.to_string();
    assert!(message.contains(&format!("expected {digest}")), "{message}");
}
