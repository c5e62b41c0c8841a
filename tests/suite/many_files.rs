//! `bundle run` on many and on large files: what is written, what is passed over, and what is left when it is stopped.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use model_bundle::image::Reader;

use crate::session::{Run, Session};
use crate::tiny::{series, tiny};

/// `bundle run` of the one model, with these arguments in words.
fn run(session: &Session, arguments: &str) -> Run {
    let words = ["run", "bundle.toml", "bf_focus"].into_iter();
    let words: Vec<&str> = words.chain(arguments.split_whitespace()).collect();
    session.bundle(&words)
}

/// Outcomes of a run whose report is JSON.
fn outcomes(run: &Run) -> Vec<String> {
    let files = run.json()["files"].as_array().unwrap().clone();
    let outcome = |file: &serde_json::Value| file["outcome"].as_str().unwrap().to_owned();
    files.iter().map(outcome).collect()
}

fn image(session: &Session, name: &str) {
    series(&session.path(name), 2, 16);
}

/// Sets the time of a file that is there.
fn set_time(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn temporaries(session: &Session, folder: &str) -> Vec<String> {
    let mut names = match session.exists(folder) {
        true => session.names(folder),
        false => Vec::new(),
    };
    names.retain(|name| name.ends_with(".tmp"));
    names
}

#[test]
fn axes_numbers_and_calibration_of_every_stack_survive() {
    let session = tiny(16);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let mut stacks = Vec::new();
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (_, extension) = name.rsplit_once('.').unwrap();
        let copy = format!("{}.{extension}", stacks.len());
        session.write(&format!("in/{copy}"), fs::read(&path).unwrap());
        stacks.push((path.clone(), format!("out/{}_bf_focus.tif", stacks.len())));
    }
    run(&session, "-i in/* -o out -q").ends(0);
    assert!(stacks.len() > 150);
    for (input, output) in stacks {
        let name = input.display();
        let mut input = Reader::open(&input).unwrap();
        let mut output = Reader::open(&session.path(&output)).unwrap();
        let (given, found) = (*input.info(), *output.info());
        assert_eq!(found.axes, given.axes, "{name}");
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a / b - 1.0).abs() < 1e-6,
            (a, b) => a == b,
        };
        let (a, b) = (given.calibration, found.calibration);
        let side = |pixel: Option<[f64; 2]>, axis: usize| pixel.map(|pixel| pixel[axis]);
        assert!(
            (0..2).all(|axis| close(side(a.pixel, axis), side(b.pixel, axis))),
            "{name}"
        );
        assert!(
            close(a.spacing, b.spacing) && close(a.interval, b.interval),
            "{name}: {a:?} {b:?}"
        );
        let axes = given.axes;
        for frame in 0..axes.frames {
            for slice in 0..axes.slices {
                for channel in 0..axes.channels {
                    let given = input.plane(frame, slice, channel).unwrap().to_f32();
                    let found = output.plane(frame, slice, channel).unwrap().to_f32();
                    // The weights of the window are multiplied in and divided out.
                    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs();
                    assert!(
                        found.len() == given.len() && found.iter().zip(&given).all(near),
                        "{name}: {frame} {slice} {channel}"
                    );
                }
            }
        }
    }
}

#[test]
fn worklists_are_read_as_hitmictools_reads_them() {
    let session = tiny(16);
    for name in ["in/a.npy", "in/b b.npy", "in/#c.npy"] {
        image(&session, name);
    }
    // Relative to the working directory, not to the list; there are no comments.
    session.write(
        "lists/one.txt",
        "\u{FEFF}in/a.npy\r\n\r\n \t in/b b.npy \r\nin/#c.npy\r\nin/a.npy",
    );
    let listed = run(&session, "--worklist lists/one.txt -o out").ends(0);
    assert_eq!(
        listed.stdout,
        "out/a_bf_focus.tif\nout/b b_bf_focus.tif\nout/#c_bf_focus.tif\n"
    );
    session.write("lists/bad.txt", "in/a.npy\n# a comment\nin/no.npy\n");
    let gone = run(&session, "--worklist lists/bad.txt -o new").ends(2);
    assert!(
        gone.stderr.contains("# a comment, in/no.npy are not there"),
        "{}",
        gone.stderr
    );
    session.write("lists/empty.txt", "\n  \r\n");
    let empty = run(&session, "--worklist lists/empty.txt -o new").ends(2);
    assert!(empty.stderr.contains("names no file"), "{}", empty.stderr);
    assert!(!session.exists("new"));
}

#[test]
fn an_earlier_result_among_the_inputs_is_named() {
    let session = tiny(16);
    image(&session, "in/a.npy");
    // A folder that is there needs no slash, and nor does that of the pictures beside it.
    run(&session, "-i in/a.npy -o in --preview pictures").ends(0);
    assert_eq!(session.names("pictures"), ["a_bf_focus.png"]);
    let again = run(&session, "-i in/*.* -o in --resume").ends(2).stderr;
    let said: Vec<&str> = again
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect();
    let said = said.join(" ");
    assert!(
        said.contains("in/a_bf_focus.tif, one of the inputs, is where the result of in/a.npy goes"),
        "{said}"
    );
    assert!(said.contains("a folder of their own"), "{said}");
}

#[test]
fn what_clashes_is_said_before_any_work() {
    let session = tiny(16);
    for name in ["in/a.npy", "in/A.npy", "other/a.npy"] {
        image(&session, name);
    }
    for (arguments, text) in [
        (
            "-i in/a.npy other/a.npy -o out",
            "in/a.npy and other/a.npy would both be written to out/a_bf_focus.tif",
        ),
        (
            "-i in/*.npy -o out",
            "in/A.npy and in/a.npy would both be written",
        ),
        (
            "-i - -o out.tif",
            "--input `-`: only files are read and written, and no pipes",
        ),
        (
            "-i in/a.npy -o -",
            "--output `-`: only files are read and written, and no pipes",
        ),
        (
            "-i in/a.npy -o in/a.npy",
            "the output in/a.npy is the input",
        ),
        ("-i in/a.npy other/b.npy -o out", "other/b.npy is not there"),
        (
            "-i in/a.npy other/a.npy -o out --preview p.png",
            "--preview",
        ),
    ] {
        let refused = run(&session, arguments).ends(2);
        let said = refused
            .stderr
            .split_whitespace()
            .filter(|word| *word != "│");
        let said: Vec<&str> = said.collect();
        assert!(
            said.join(" ").contains(text),
            "{arguments}: {}",
            refused.stderr
        );
    }
    assert!(!session.exists("out") && !session.exists("out.tif"));
}

#[test]
fn a_broken_file_is_named_at_the_end_and_the_others_are_done() {
    let session = tiny(16);
    for name in ["in/a.npy", "in/c.npy"] {
        image(&session, name);
    }
    session.write("in/b.npy", &session.read("in/a.npy")[..200]);
    let broken = run(&session, "-i in/*.npy -o out --preview pictures").ends(1);
    assert_eq!(broken.stdout, "out/a_bf_focus.tif\nout/c_bf_focus.tif\n");
    let lines: Vec<&str> = broken.stderr.lines().collect();
    assert_eq!(
        lines[..2],
        ["       Ran bf_focus on 2 files", "    Failed 1 of 3 files"]
    );
    assert!(
        lines[2].starts_with("           - in/b.npy, after the header: "),
        "{}",
        lines[2]
    );
    assert_eq!(
        session.names("out"),
        [".bundle-run", "a_bf_focus.tif", "c_bf_focus.tif"]
    );
    assert_eq!(
        session.names("pictures"),
        ["a_bf_focus.png", "c_bf_focus.png"]
    );
    // Nobody reads the names: the file has failed all the same.
    let mut command = session.command(&["run", "bundle.toml", "bf_focus", "-i"]);
    command.args(["in/a.npy", "in/b.npy", "-o", "out"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn only_what_is_as_it_was_is_passed_over() {
    let session = tiny(16);
    for name in ["in/a.npy", "in/b.npy"] {
        image(&session, name);
    }
    let resumed = |arguments: &str| {
        let arguments = format!("-i in/*.npy -o out --resume --json {arguments}");
        outcomes(&run(&session, &arguments).ends(0)).join(" ")
    };
    assert_eq!(resumed(""), "done done");
    assert_eq!(resumed(""), "skipped skipped");
    assert_eq!(resumed("--threads 1"), "skipped skipped");
    assert_eq!(resumed("--output-type uint8"), "done done");
    assert_eq!(resumed(""), "done done");
    // The input: its size, its time.
    series(&session.path("in/a.npy"), 3, 16);
    assert_eq!(resumed(""), "done skipped");
    let past = SystemTime::now() - Duration::from_secs(3600);
    set_time(&session.path("in/b.npy"), past);
    assert_eq!(resumed(""), "skipped done");
    // The output: gone, cut, altered.
    fs::remove_file(session.path("out/a_bf_focus.tif")).unwrap();
    assert_eq!(resumed(""), "done skipped");
    let whole = session.read("out/a_bf_focus.tif");
    session.write("out/a_bf_focus.tif", &whole[..whole.len() - 1]);
    assert_eq!(resumed(""), "done skipped");
    assert_eq!(session.read("out/a_bf_focus.tif"), whole);
    set_time(&session.path("out/b_bf_focus.tif"), past);
    assert_eq!(resumed(""), "skipped done");
    // The record: damaged, gone.
    session.write("out/.bundle-run/a_bf_focus.tif.json", b"{\"made_from\": 7}");
    assert_eq!(resumed(""), "done skipped");
    fs::remove_dir_all(session.path("out/.bundle-run")).unwrap();
    assert_eq!(resumed(""), "done done");
    // A picture that is to be drawn as well.
    assert_eq!(resumed("--preview pictures"), "done done");
    assert_eq!(resumed("--preview pictures"), "skipped skipped");
    // The arguments in the config, and the weights.
    session.edit("bundle.toml", "patch_size = 16", "patch_size = 8");
    assert_eq!(resumed(""), "done done");
    let mut weights = session.read("tiny.safetensors");
    *weights.last_mut().unwrap() = 1;
    session.write("tiny.safetensors", weights);
    assert_eq!(resumed(""), "done done");
    assert_eq!(resumed(""), "skipped skipped");
}

#[test]
fn labels_are_found_by_the_names_that_segmentation_gives() {
    let session = Session::rods();
    session.write("in/one.tif", session.read("frames/bf.tif"));
    let of = |model: &str, arguments: &str| {
        let words = ["run", "bundle.toml", model, "-i", "in/*.tif"].into_iter();
        let words: Vec<&str> = words.chain(arguments.split_whitespace()).collect();
        session.bundle(&words)
    };
    let none = of("cell_classifier", "-o cells --labels frames").ends(2);
    assert!(
        none.stderr.contains("one_segmentation.tif"),
        "{}",
        none.stderr
    );
    of("segmentation", "-o labels --output-type labels").ends(0);
    let cells = of("cell_classifier", "-o cells --labels labels").ends(0);
    assert_eq!(cells.stdout, "cells/one_cell_classifier.csv\n");
}

#[test]
fn runs_side_by_side_share_a_folder() {
    let session = tiny(16);
    let names: Vec<String> = (0..12).map(|number| format!("in/{number}.npy")).collect();
    for name in &names {
        image(&session, name);
    }
    let shards = names.chunks(3).enumerate();
    let children = shards.map(|(number, shard)| {
        let list = format!("list_{number}.txt");
        session.write(&list, shard.join("\n"));
        let mut command = session.command(&["run", "bundle.toml", "bf_focus", "--worklist", &list]);
        command.args(["-o", "out", "--resume"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    });
    let children: Vec<_> = children.collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(session.names("out").len(), 13);
    assert_eq!(session.names("out/.bundle-run").len(), 12);
    let again = run(&session, "-i in/*.npy -o out --resume --json").ends(0);
    assert_eq!(outcomes(&again), ["skipped"; 12]);
}

#[test]
fn threads_are_those_that_the_process_may_use() {
    let session = tiny(16);
    image(&session, "a.npy");
    let arguments = [
        "run",
        "bundle.toml",
        "bf_focus",
        "-i",
        "a.npy",
        "-o",
        "o.tif",
        "--json",
    ];
    let device = |more: &[&str], slurm: Option<&str>| {
        let mut command = session.command(&[&arguments[..], more].concat());
        command.env_remove("SLURM_CPUS_PER_TASK");
        if let Some(slurm) = slurm {
            command.env("SLURM_CPUS_PER_TASK", slurm);
        }
        let json = Run::of(&mut command).ends(0).json();
        json["device"].as_str().unwrap().to_owned()
    };
    let all = std::thread::available_parallelism().unwrap().get();
    let usual = device(&[], None);
    let threads =
        |count: usize| format!("CPU, {count} thread{}, ", if count == 1 { "" } else { "s" });
    assert!(usual.starts_with(&threads(all)), "{usual}");
    assert!(device(&["--threads", "3"], None).starts_with("CPU, 3 threads, "));
    assert!(device(&[], Some("1")).starts_with("CPU, 1 thread, "));
    assert!(device(&["--threads", "3"], Some("1")).starts_with("CPU, 3 threads, "));
    // More than there are, and what is no number, change nothing.
    for slurm in ["100000", "0", "many"] {
        assert_eq!(device(&[], Some(slurm)), usual);
    }
}

/// The largest memory that a run had, in bytes, as the kernel counts it.
#[cfg(target_os = "linux")]
fn peak(session: &Session, input: &str, output: &str) -> u64 {
    let mut command =
        session.command(&["run", "bundle.toml", "bf_focus", "-i", input, "-o", output]);
    command.args(["--output-type", "uint8", "--threads", "2", "-q"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_length_of_a_series() {
    let session = tiny(512);
    // Frames of 2 MiB: 8 MiB and 120 MiB.
    series(&session.path("short.npy"), 4, 1024);
    series(&session.path("long.npy"), 60, 1024);
    let short = peak(&session, "short.npy", "short.tif");
    for output in ["long.tif", "long_.npy"] {
        let long = peak(&session, "long.npy", output);
        assert!(
            long < short + (16 << 20),
            "{output}: {short} and {long} bytes"
        );
    }
}

/// Interrupts in the middle of a file: nothing of it is left, and the next run does the rest. The signal comes twice, as
/// `timeout` sends it to the program and to its group.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_what_is_finished_and_is_resumed() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM] {
        let session = tiny(64);
        image(&session, "in/a.npy");
        series(&session.path("in/b.npy"), 4000, 256);
        let mut command = session.command(&["run", "bundle.toml", "bf_focus", "-i", "in/*.npy"]);
        command.args(["-o", "out", "--resume", "--output-type", "uint8"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let begun = || {
            !session.exists("out/b_bf_focus.tif")
                && session.exists("out/.bundle-run/a_bf_focus.tif.json")
                && !temporaries(&session, "out").is_empty()
        };
        let mut waits = 0;
        while !begun() {
            std::thread::sleep(Duration::from_millis(5));
            waits += 1;
            assert!(waits < 6000, "the second file was never begun");
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        kill_process(pid, signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        assert_eq!(ended.stdout, b"");
        assert_eq!(
            String::from_utf8(ended.stderr).unwrap(),
            "   Stopped nothing half-written was left\n"
        );
        assert_eq!(session.names("out"), [".bundle-run", "a_bf_focus.tif"]);
        series(&session.path("in/b.npy"), 2, 16);
        let resumed = run(
            &session,
            "-i in/*.npy -o out --resume --output-type uint8 --json",
        );
        assert_eq!(outcomes(&resumed.ends(0)), ["skipped", "done"]);
    }
}

/// SIGKILL at random moments: every output is whole, and what was left is removed when its file is run again.
#[cfg(unix)]
#[test]
fn a_killed_run_leaves_whole_files_and_the_next_removes_the_rest() {
    let session = tiny(64);
    let names: Vec<String> = (0..4)
        .map(|number| format!("{number}_bf_focus.tif"))
        .collect();
    for number in 0..4 {
        series(&session.path(&format!("in/{number}.npy")), 20, 128);
    }
    let arguments = "-i in/*.npy -o out --resume --output-type uint8";
    let started = std::time::Instant::now();
    run(&session, arguments).ends(0);
    let duration = started.elapsed();
    let whole = session.read("out/0_bf_focus.tif");
    let (mut killed, mut left) = (0, 0);
    for round in 0..10_u32 {
        fs::remove_dir_all(session.path("out")).unwrap();
        let mut command = session.command(&["run", "bundle.toml", "bf_focus"]);
        command.args(arguments.split_whitespace());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over the whole run, by a sequence that repeats nothing.
        std::thread::sleep(duration.mul_f64(f64::from(round) * 0.618_034 % 1.0));
        let _ = child.kill();
        killed += u32::from(!child.wait().unwrap().success());
        for name in &names {
            let path = format!("out/{name}");
            assert!(
                !session.exists(&path) || session.read(&path) == whole,
                "{name}"
            );
        }
        // What was left must be some seconds old before it is taken for a leftover.
        let past = SystemTime::now() - Duration::from_secs(60);
        for name in temporaries(&session, "out") {
            left += 1;
            set_time(&session.path(&format!("out/{name}")), past);
        }
        run(&session, arguments).ends(0);
        assert_eq!(temporaries(&session, "out"), [""; 0]);
        assert!(
            names
                .iter()
                .all(|name| session.read(&format!("out/{name}")) == whole)
        );
    }
    assert!(
        killed > 2 && left > 0,
        "{killed} were killed, {left} left something"
    );
}
