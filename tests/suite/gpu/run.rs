//! `bundle run` on GPUs: precisions, frames that are too large, and machines without a driver.

use model_bundle::exec::gpu::AdapterKind;

use super::adapter;
use crate::session::{Run, Session};

/// A driver that is not there.
const NONE: &str = "/no/such/driver.json";

const HALF: &str =
    "patch_size = 64, overlap_ratio = 0.25, half_precision = true, scaler_args = { pmin";
const SINGLE: &str =
    "patch_size = 64, overlap_ratio = 0.25, half_precision = false, scaler_args = { pmin";

/// A session with the example, the name of the adapter, and whether it computes with float16.
fn on_adapter() -> Option<(Session, String, bool)> {
    let facts = &adapter()?.facts;
    Some((Session::rods(), facts.name.clone(), facts.half))
}

/// Runs the restorer of focus on a device, and says how.
fn run(session: &Session, device: &str, output: &str, more: &[&str]) -> Run {
    let arguments = [
        "run",
        "-v",
        "bundle.toml",
        "bf_focus",
        "-i",
        "frames/bf.tif",
    ];
    let device = ["--frames", "0..1", "--device", device, "-o", output];
    session.bundle(&[&arguments, &device[..], more].concat())
}

#[test]
fn half_precision_is_the_configs_wish_and_the_arguments_choice() {
    let Some((session, device, half)) = on_adapter() else {
        return;
    };
    let single = run(&session, &device, "single.npy", &[]).ends(0);
    assert!(!single.stderr.contains("float16"), "{}", single.stderr);
    session.edit("bundle.toml", SINGLE, HALF);
    let wished = run(&session, &device, "wished.npy", &[]).ends(0);
    let chosen = run(&session, &device, "chosen.npy", &["--precision", "f32"]).ends(0);
    assert!(
        chosen
            .stderr
            .contains("float32, though the config asks for half precision"),
        "{}",
        chosen.stderr
    );
    assert_eq!(session.read("chosen.npy"), session.read("single.npy"));
    let asked = run(&session, &device, "asked.npy", &["--precision", "f16"]);
    if half {
        assert!(wished.stderr.contains(", float16"), "{}", wished.stderr);
        assert_ne!(session.read("wished.npy"), session.read("single.npy"));
        asked.ends(0);
        assert_eq!(session.read("wished.npy"), session.read("asked.npy"));
    } else {
        assert!(wished.stderr.contains("does not compute with float16"));
        assert_eq!(session.read("wished.npy"), session.read("single.npy"));
        assert!(
            asked
                .ends(2)
                .stderr
                .contains("does not compute with float16")
        );
    }
}

#[test]
fn on_the_cpu_half_precision_is_a_wish_and_no_choice() {
    let session = Session::rods();
    session.edit("bundle.toml", SINGLE, HALF);
    let wished = run(&session, "cpu", "wished.npy", &[]).ends(0);
    assert!(
        wished
            .stderr
            .contains("float32, though the config asks for half precision"),
        "{}",
        wished.stderr
    );
    let asked = run(&session, "cpu", "asked.npy", &["--precision", "f16"]).ends(2);
    assert!(
        asked
            .stderr
            .contains("the CPU does not compute with float16"),
        "{}",
        asked.stderr
    );
    assert!(!session.exists("asked.npy"));
}

/// What a command says, without the breaks of long lines.
fn said(run: &Run) -> String {
    let words = run.stderr.split_whitespace().filter(|word| *word != "│");
    words.collect::<Vec<&str>>().join(" ")
}

#[test]
fn frames_that_are_too_large_are_refused_before_anything_is_written() {
    let Some((session, device, _)) = on_adapter() else {
        return;
    };
    // float32, `[3000, 3000]`: with what is made of it more than the memory that is allowed.
    let mut npy =
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3000, 3000), }"
            .to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.resize(128 + 4 * 3000 * 3000, 0);
    session.write("large.npy", npy);
    let arguments = [
        "run",
        "bundle.toml",
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "-i",
        "large.npy",
        "-o",
        "new/",
        "--device",
        &device,
    ];
    let mut command = session.command(&arguments);
    let refused = Run::of(command.env("BUNDLE_GPU_MEMORY", "64")).ends(2);
    let text = said(&refused);
    assert!(
        text.contains("large.npy: a frame with its network is too large for"),
        "{text}"
    );
    assert!(
        text.contains("expected at most 67108864 bytes, found"),
        "{text}"
    );
    assert!(
        text.contains("raise or unset the variable BUNDLE_GPU_MEMORY"),
        "{text}"
    );
    assert!(text.contains("--device cpu"), "{text}");
    assert!(!session.exists("new"));
    let mut command = session.command(&arguments);
    let refused = Run::of(command.env("BUNDLE_GPU_MEMORY", "64 MB")).ends(2);
    let text = said(&refused);
    assert!(
        text.contains("expected a number of MiB, such as 2048, found `64 MB`"),
        "{text}"
    );
}

#[test]
fn with_little_memory_results_are_the_same() {
    let Some((session, device, _)) = on_adapter() else {
        return;
    };
    run(&session, &device, "much.npy", &[]).ends(0);
    let arguments = [
        "run",
        "bundle.toml",
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "--frames",
        "0..1",
        "--device",
        &device,
        "-o",
        "little.npy",
    ];
    let mut command = session.command(&arguments);
    Run::of(command.env("BUNDLE_GPU_MEMORY", "6")).ends(0);
    assert_eq!(session.read("little.npy"), session.read("much.npy"));
    // Empty, it says nothing.
    Run::of(command.env("BUNDLE_GPU_MEMORY", "")).ends(0);
    let mut devices = session.command(&["devices"]);
    let shown = Run::of(devices.env("BUNDLE_GPU_MEMORY", "6")).ends(0);
    assert!(
        said(&shown).contains("BUNDLE_GPU_MEMORY is set: 6.3 MB"),
        "{shown:?}"
    );
    let shown = Run::of(devices.env("BUNDLE_GPU_MEMORY", "6 MB")).ends(0);
    assert!(
        said(&shown).contains("expected a number of MiB"),
        "{shown:?}"
    );
}

#[test]
fn without_a_driver_everything_runs_on_the_cpu() {
    let session = Session::rods();
    let without = |arguments: &[&str]| {
        let mut command = session.command(arguments);
        // Metal and DirectX have no drivers that could be hidden.
        command
            .env("VK_DRIVER_FILES", NONE)
            .env("VK_ICD_FILENAMES", NONE);
        Run::of(&mut command)
    };
    let arguments = [
        "run",
        "bundle.toml",
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "--frames",
        "0..1",
    ];
    if cfg!(target_os = "linux") {
        let ran = without(&[&arguments[..], &["-v", "-o", "auto.npy"]].concat()).ends(0);
        let devices: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|line| line.contains("Device"))
            .collect();
        assert_eq!(devices.len(), 1, "{}", ran.stderr);
        assert!(devices[0].contains("CPU, "), "{}", ran.stderr);
        let quiet = without(&[&arguments[..], &["-o", "quiet.npy"]].concat()).ends(0);
        assert!(!quiet.stderr.contains("Device"), "{}", quiet.stderr);
        let refused =
            without(&[&arguments[..], &["--device", "gpu", "-o", "gpu.npy"]].concat()).ends(2);
        let text = said(&refused);
        assert!(
            text.contains("there is no GPU: found no driver of a GPU"),
            "{text}"
        );
        assert!(!session.exists("gpu.npy"));
    }
    run(&session, "cpu", "cpu.npy", &[]).ends(0);
}

/// A GPU that is part of no machine is never replaced by a program or the CPU.
#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let Some((session, _, _)) = on_adapter() else {
        return;
    };
    if adapter().unwrap().facts.kind == AdapterKind::Software {
        let refused = run(&session, "gpu", "out.npy", &[]).ends(2);
        assert!(
            said(&refused).contains("there is no GPU: found"),
            "{}",
            refused.stderr
        );
    }
    assert!(!session.exists("out.npy"));
}
