//! What a user does not expect of `bundle run` and `bundle test`: numbers that overflow, tables as wide as they are
//! long, names as long as they may be, files without end.

use std::fs::File;
use std::process::Command;

use crate::session::{Run, Session};

/// The header of a NPY of float32.
fn head(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// A NPY of float32, `[height, width]`.
fn npy(height: usize, width: usize, value: impl Fn(usize) -> f32) -> Vec<u8> {
    let mut bytes = head(&format!("{height}, {width}"));
    bytes.extend((0..height * width).flat_map(|at| value(at).to_le_bytes()));
    bytes
}

/// Runs a model of the example on one input; the run ends with this code, and says so.
#[track_caller]
fn fails(session: &Session, model: &str, more: &[&str], text: &str) {
    let run = session.bundle(&[&["run", "bundle.toml", model], more].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    let flat: String = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let flat = flat.replace("│ ", "");
    assert!(flat.contains(text), "{}", run.stderr);
}

/// A result that is no number is no result: it is named, and nothing is written.
#[test]
fn finite_numbers_that_overflow_in_the_network_are_said_to_do_so() {
    let session = Session::rods();
    // Alternating, so that no norm takes them back.
    let large = |at: usize| if at.is_multiple_of(3) { 3e38 } else { -3e38 };
    session.write("large.npy", npy(70, 66, large));
    session.write("labels.npy", npy(70, 66, |at| (at / 1000) as f32));
    let arguments = ["-i", "large.npy", "-o", "out.npy"];
    fails(
        &session,
        "fl_focus",
        &arguments,
        "frame 0, channel 0 of the result, row 0, column 0, all counted from 0: expected a finite number, found NaN",
    );
    let arguments = ["-i", "large.npy", "--labels", "labels.npy", "-o", "out.csv"];
    fails(
        &session,
        "cell_classifier",
        &arguments,
        "large.npy, frame 0, counted from 0: label 1: expected a finite probability of each class",
    );
    assert!(!session.exists("out.npy") && !session.exists("out.csv"));
    // What is expected to be no number is not met either.
    session.write("expected/fl_focus.npy", npy(70, 66, |_| f32::NAN));
    session.edit("bundle.toml", "\"frames/fl.tif\"", "\"large.npy\"");
    let run = session.bundle(&["test", "bundle.toml", "--model", "fl_focus", "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.json()["models"][0]["result"], "broken");
}

/// Extremes that a network can compute with come out as numbers.
#[test]
fn extremes_are_numbers_after_scaling() {
    let session = Session::rods();
    let fills: [fn(usize) -> f32; 4] = [
        |_| 65535.0,
        |at| f32::from_bits(at as u32 + 1),
        |at| if at.is_multiple_of(2) { 1e30 } else { -1e30 },
        |_| f32::MIN_POSITIVE,
    ];
    for (height, width) in [(1, 1), (1, 70), (65, 64)] {
        for fill in fills {
            session.write("a.npy", npy(height, width, fill));
            for model in ["bf_focus", "segmentation"] {
                let run = ["run", "bundle.toml", model, "-i", "a.npy", "-o", "out.npy"];
                session.bundle(&run).ends(0);
            }
        }
    }
}

#[test]
fn an_output_may_have_any_name_that_a_file_can_have() {
    let session = Session::rods();
    let name = format!("{}.csv", "a".repeat(251));
    let input = ["-i", "frames/pi_features.csv", "-o", name.as_str()];
    let run = [&["run", "bundle.toml", "pi_classification"], &input[..]].concat();
    session.bundle(&run).ends(0);
    assert!(session.exists(&name));
}

/// A run with 4 GB of memory.
#[cfg(target_os = "linux")]
fn limited(session: &Session, arguments: &[&str]) -> Run {
    let command = session.command(arguments);
    let environment = command.get_envs();
    let environment = environment.filter_map(|(name, value)| Some((name, value?)));
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v 4000000 && exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(environment)
        .current_dir(session.path("."));
    Run::of(&mut limited)
}

/// Holes take no room on the disk, and are not taken into memory that is not there.
#[cfg(target_os = "linux")]
#[test]
fn files_that_memory_cannot_hold_are_said_to_be_so() {
    let session = Session::rods();
    let grow = |name: &str, size: u64| {
        let file = File::options().append(true).open(session.path(name));
        file.unwrap().set_len(size).unwrap();
    };
    let start = head("131072, 32768");
    session.write("holes.npy", &start);
    grow("holes.npy", (1 << 34) + start.len() as u64);
    let focus = ["run", "bundle.toml", "bf_focus", "-o", "out.npy", "-i"];
    let run = limited(&session, &[&focus[..], &["holes.npy"]].concat());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("memory"), "{run:?}");
    let pi = [
        "run",
        "bundle.toml",
        "pi_classification",
        "-o",
        "o.csv",
        "-i",
    ];
    grow("models/pi_model_20251218.pkl", 1 << 34);
    let run = limited(&session, &[&pi[..], &["frames/pi_features.csv"]].concat());
    assert!(matches!(run.code, Some(1 | 2)), "{run:?}");
    assert!(run.stderr.contains("memory"), "{run:?}");
    let names = session.names(".");
    let half = |name: &String| name.ends_with(".tmp") || name.starts_with("o");
    assert!(!names.iter().any(half), "{names:?}");
}

#[test]
fn wide_tables_are_told_apart_soon() {
    let session = Session::rods();
    let header: Vec<String> = (0..60_000).map(|at| format!("area_{at}")).collect();
    session.write("wide.csv", format!("{}\n", header.join(",")));
    let arguments = ["-i", "wide.csv", "-o", "out.csv"];
    fails(
        &session,
        "pi_classification",
        &arguments,
        "no `mean_intensity`",
    );
}

#[test]
fn threads_are_as_many_as_a_machine_can_have() {
    let session = Session::new();
    for threads in ["0", "1025", "1000000", "-1", "many"] {
        let run = session.bundle(&[
            "run",
            "a.zip",
            "m",
            "-i",
            "a",
            "-o",
            "b",
            &format!("--threads={threads}"),
        ]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(
            run.stderr.contains("expected a number from 1 to 1024"),
            "{run:?}"
        );
    }
}
