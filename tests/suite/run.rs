//! Models of the example are run on its frames, and answer what HiTMicTools answers.

use crate::session::Session;

/// The example, built as `a.zip`.
fn built() -> Session {
    let session = Session::rods();
    session
        .bundle(&["build", "-q", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    session
}

/// Fails the test unless the command ends with `code` and says `text`, and nothing was written.
#[track_caller]
fn refuses(session: &Session, arguments: &[&str], code: i32, text: &str) {
    let run = session.bundle(&[&["run"], arguments].concat()).ends(code);
    // Long lines are broken.
    let said: Vec<&str> = run
        .stderr
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect();
    let said = said.join(" ");
    assert!(said.contains(text), "{said}");
    assert!(
        !session.exists("out.tif") && !session.exists("out.csv"),
        "{said}"
    );
}

#[test]
fn every_kind_of_model_writes_its_kind_of_result() {
    let session = built();
    let run = |arguments: &[&str]| {
        session
            .bundle(&[&["run", "a.zip"], arguments].concat())
            .ends(0)
    };
    let focus = run(&[
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "-o",
        "new/bf.tif",
        "--preview",
        "new/bf.png",
    ]);
    assert_eq!(focus.stdout, "new/bf.tif\n");
    assert_eq!(
        focus.stderr,
        "       Ran bf_focus on frames/bf.tif (3 frames)\n"
    );
    assert_eq!(session.names("new"), ["bf.png", "bf.tif"]);
    assert!(session.read("new/bf.png").starts_with(b"\x89PNG"));
    run(&[
        "segmentation",
        "-i",
        "frames/bf.tif",
        "-o",
        "m.png",
        "--frames",
        "1..2",
        "--threshold",
        "0.5",
    ]);
    run(&[
        "segmentation",
        "-i",
        "frames/bf.tif",
        "-o",
        "l.tif",
        "--output-type",
        "labels",
    ]);
    let cells = [
        "cell_classifier",
        "-i",
        "frames/classifier_input.npy",
        "--labels",
        "l.tif",
        "-o",
        "c.csv",
    ];
    let cells = run(&cells);
    assert_eq!(cells.stdout, "c.csv\n");
    assert!(
        session
            .text("c.csv")
            .starts_with("frame,label,class,p0,p1,p2,p3,p4\n0,1,")
    );
    run(&[
        "pi_classification",
        "-i",
        "frames/pi_features.csv",
        "-o",
        "p.csv",
    ]);
    assert!(session.text("p.csv").starts_with("predicted,p_piPOS\n"));
    // A project's own models give the same bytes, with any number of threads.
    let config = [
        "run",
        "bundle.toml",
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "-o",
        "again.tif",
        "--threads",
        "1",
    ];
    session.bundle(&config).ends(0);
    assert_eq!(session.read("again.tif"), session.read("new/bf.tif"));
}

#[test]
fn many_files_go_into_a_folder_and_are_not_run_twice() {
    let session = built();
    for name in ["one.tif", "two.ome.tif"] {
        session.write(&format!("in/{name}"), session.read("frames/bf.tif"));
    }
    session.write("in/broken.tif", &session.read("frames/bf.tif")[..200]);
    let arguments = [
        "run", "a.zip", "bf_focus", "-i", "in/*.tif", "-o", "out", "--resume", "--json",
    ];
    let outcomes = || {
        let json = session.bundle(&arguments).ends(1).json();
        let files = json["files"].as_array().unwrap().clone();
        let outcomes = files
            .iter()
            .map(|file| file["outcome"].as_str().unwrap().to_owned());
        outcomes.collect::<Vec<_>>()
    };
    assert_eq!(outcomes(), ["failed", "done", "done"]);
    assert_eq!(
        session.names("out"),
        [".bundle-run", "one_bf_focus.tif", "two_bf_focus.tif"]
    );
    assert_eq!(outcomes(), ["failed", "skipped", "skipped"]);
    // Another argument, another output, another input: each is run again.
    session.write("out/one_bf_focus.tif", b"cut");
    assert_eq!(outcomes(), ["failed", "done", "skipped"]);
    session.write("list.txt", "in/one.tif\n\n  in/two.ome.tif \n");
    let listed = [
        "run",
        "a.zip",
        "bf_focus",
        "--worklist",
        "list.txt",
        "-o",
        "out",
        "--resume",
        "--no-rescale",
    ];
    let listed = session.bundle(&listed).ends(0);
    assert_eq!(listed.stderr, "       Ran bf_focus on 2 files\n");
    assert_eq!(
        listed.stdout,
        "out/one_bf_focus.tif\nout/two_bf_focus.tif\n"
    );
}

#[test]
fn what_makes_no_sense_is_said_before_any_work() {
    let session = built();
    let (bf, out) = ("frames/bf.tif", "out.tif");
    let refuses = |arguments: &[&str], code, text| refuses(&session, arguments, code, text);
    let image = |more: &[&'static str]| [&["a.zip", "bf_focus", "-i", bf][..], more].concat();
    refuses(
        &image(&["-o", "out.png", "--frames", "0..1"]),
        2,
        "a PNG holds uint8 or uint16, and this result is float32: add `--output-type uint16`",
    );
    refuses(
        &image(&["-o", "out.ome.tif"]),
        2,
        "and no OME-TIFF: name the output `.tif`",
    );
    refuses(
        &image(&["-o", out, "--no-rescale", "--output-type", "uint16"]),
        2,
        "whole numbers would lose it",
    );
    refuses(
        &["a.zip", "bf_fokus", "-i", bf, "-o", out],
        2,
        "did you mean `bf_focus`?",
    );
    refuses(
        &["a.zip", "oof_detector", "-i", bf, "-o", out],
        1,
        "packaged and checked, but not run yet",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", "frames/no.tif", "-o", out],
        2,
        "frames/no.tif is not there",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", "no/*.tif", "-o", "o/"],
        2,
        "no file matches `no/*.tif`",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", "frames", "-o", out],
        2,
        "frames is a folder",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "-o", bf],
        2,
        "the output frames/bf.tif is the input",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "-o", "out.csv"],
        2,
        "`.tif` or `.tiff` or `.npy` or `.png`",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "frames/fl.tif", "-o", out],
        2,
        "a list of inputs (2 here) goes into a folder, and out.tif is named as a file",
    );
    refuses(
        &[
            "a.zip",
            "bf_focus",
            "-i",
            bf,
            "-o",
            out,
            "--threshold",
            "0.5",
        ],
        2,
        "this model makes an image",
    );
    refuses(
        &[
            "a.zip",
            "segmentation",
            "-i",
            bf,
            "-o",
            out,
            "--output-type",
            "uint8",
        ],
        2,
        "whole numbers would lose them",
    );
    refuses(
        &["a.zip", "segmentation", "-i", bf, "-o", out, "--no-rescale"],
        2,
        "--no-rescale is not for `segmentation`",
    );
    refuses(
        &["a.zip", "cell_classifier", "-i", bf, "-o", "out.csv"],
        2,
        "--labels labels.tif",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "-o", out, "--device", "cuda"],
        2,
        "there is no device named `cuda`",
    );
}

#[test]
fn what_a_file_does_not_have_is_said_of_the_file() {
    let session = built();
    let (bf, out) = ("frames/bf.tif", "out.tif");
    let refuses = |arguments: &[&str], text| refuses(&session, arguments, 1, text);
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "-o", out, "--channel", "1"],
        "expected a channel from 0 to 0, found --channel 1",
    );
    refuses(
        &["a.zip", "bf_focus", "-i", bf, "-o", out, "--frames", "1..4"],
        "it has 3 frames: expected at most --frames 0..3, found --frames 1..4",
    );
    refuses(
        &[
            "a.zip",
            "bf_focus",
            "-i",
            "frames/pi_features.csv",
            "-o",
            out,
        ],
        "expected TIFF, NPY or PNG",
    );
    refuses(
        &[
            "a.zip",
            "cell_classifier",
            "-i",
            bf,
            "--labels",
            "frames/pi_features.csv",
            "-o",
            "out.csv",
        ],
        "expected TIFF, NPY or PNG",
    );
    // One number of the last frame is none.
    let mut input = session.read("frames/classifier_input.npy");
    let end = input.len();
    input[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    session.write("nan.npy", input);
    refuses(
        &["a.zip", "bf_focus", "-i", "nan.npy", "-o", out],
        "row 199, column 231 is NaN",
    );
}

/// The slices of a stack are told apart in its table.
#[test]
fn objects_of_slices_are_told_apart() {
    use model_bundle::image::{Axes, Info, Reader, Writer};

    let session = Session::rods();
    for (from, to) in [
        ("frames/classifier_input.npy", "z.tif"),
        ("frames/labels.tif", "z_labels.tif"),
    ] {
        let mut reader = Reader::open(&session.path(from)).unwrap();
        let info = *reader.info();
        let Axes {
            frames,
            height,
            width,
            ..
        } = info.axes;
        let axes = Axes::new(1, frames, 1, height, width);
        let mut writer = Writer::create(&session.path(to), &Info { axes, ..info }).unwrap();
        for slice in 0..frames {
            writer.write(&reader.plane(slice, 0, 0).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    }
    let arguments = ["run", "bundle.toml", "cell_classifier", "-i"];
    let as_slices = ["z.tif", "--labels", "z_labels.tif", "-o", "z.csv"];
    let as_frames = [
        "frames/classifier_input.npy",
        "--labels",
        "frames/labels.tif",
        "-o",
        "t.csv",
    ];
    for more in [as_slices, as_frames] {
        session.bundle(&[&arguments[..], &more].concat()).ends(0);
    }
    let with_slices = session.text("z.csv");
    assert!(with_slices.starts_with("frame,slice,label,class,p0,"));
    let frames_alone: Vec<String> = session
        .text("t.csv")
        .lines()
        .skip(1)
        .map(|row| format!("0,{row}"))
        .collect();
    assert_eq!(
        with_slices.lines().skip(1).collect::<Vec<_>>(),
        frames_alone
    );
}

/// What may not be what was meant is said, and done.
#[test]
fn odd_wishes_are_warned_of() {
    let session = Session::rods();
    let said = |arguments: &[&str]| {
        let run = session.bundle(&[&["run", "bundle.toml"], arguments].concat());
        let words: Vec<&str> = run.stderr.split_whitespace().collect();
        (run.code, words.join(" ").replace("│ ", ""))
    };
    let eight_bits = ["bf_focus", "-i", "frames/bf.tif", "-o", "r.tif"];
    let (code, text) = said(&[&eight_bits[..], &["--output-type", "uint8"]].concat());
    assert_eq!(code, Some(0));
    assert!(
        text.contains("100.00 % of its pixels are beyond uint8"),
        "{text}"
    );
    // So the picture of what was written has one grey where the result is, whatever the network gave.
    let with_picture = ["--output-type", "uint8", "--preview", "r.png"];
    said(&[&eight_bits[..], &with_picture].concat());
    let mut picture = png::Decoder::new(std::io::Cursor::new(session.read("r.png")))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; picture.output_buffer_size().unwrap()];
    let frame = picture.next_frame(&mut pixels).unwrap();
    let row = &pixels[frame.height as usize / 2 * frame.line_size..][..frame.line_size];
    let pixel = row.len() / frame.width as usize;
    let shades = |from: usize, to: usize| {
        let part =
            &row[row.len() / pixel * from / 100 * pixel..row.len() / pixel * to / 100 * pixel];
        part.chunks_exact(pixel)
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    assert!(
        shades(15, 45) > 10 && shades(65, 90) == 1,
        "{}",
        shades(15, 45)
    );
    let (_, text) = said(&[&eight_bits[..], &["--output-type", "uint16"]].concat());
    assert!(!text.contains("beyond"), "{text}");
    let mask = ["segmentation", "-i", "frames/bf.tif", "-o", "m.tif"];
    said(&[&mask[..], &["--threshold", "0.5"]].concat());
    let cells = ["cell_classifier", "-i", "frames/bf.tif", "-o", "c.csv"];
    let (code, text) = said(&[&cells[..], &["--labels", "m.tif"]].concat());
    assert_eq!(code, Some(0));
    assert!(text.contains("its numbers are uint16"), "{text}");
    assert!(
        text.contains("m.tif has one label for many objects in 3 frame(s)"),
        "{text}"
    );
    let as_trained = [
        "cell_classifier",
        "-i",
        "frames/classifier_input.npy",
        "--labels",
        "frames/labels.tif",
        "-o",
        "c.csv",
    ];
    let (_, text) = said(&as_trained);
    assert!(!text.contains("⚠"), "{text}");
}

#[test]
fn a_profile_follows_the_results() {
    let session = built();
    let run = [
        "run",
        "a.zip",
        "bf_focus",
        "-i",
        "frames/bf.tif",
        "-o",
        "out.tif",
    ];
    session
        .bundle(&[&run[..], &["--device", "cpu"]].concat())
        .ends(0);
    let before = session.read("out.tif");
    let profiled = [&run[..], &["--device", "cpu", "--profile"]].concat();
    let found = session.bundle(&profiled).ends(0);
    assert_eq!(session.read("out.tif"), before);
    assert_eq!(found.stdout, "out.tif\n");
    let lines: Vec<&str> = found.stderr.lines().collect();
    assert!(lines[0].contains("Ran bf_focus"), "{}", lines[0]);
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["KERNEL", "SHAPE", "CALLS", "MS", "SHARE", "GFLOP/S", "GB/S"]
    );
    let last = lines[lines.len() - 1];
    assert!(
        last.starts_with("device ") && last.ends_with(" of the time"),
        "{last}"
    );
    let rows = &lines[2..lines.len() - 1];
    let milliseconds = rows.iter().map(|row| {
        let share = row.split(" %").next().unwrap();
        let number = share.split_whitespace().rev().nth(1).unwrap();
        number.parse::<f64>().unwrap()
    });
    assert!(milliseconds.is_sorted_by(|a, b| a >= b), "{}", found.stdout);
    let count = |name: &str| rows.iter().filter(|row| row.starts_with(name)).count();
    assert_eq!(
        [count("gather "), count("blend "), count("finish ")],
        [1; 3]
    );
    assert!(rows.iter().all(|row| row.chars().count() <= 80));
    // All that was noted apart is there in JSON, and it adds up.
    let json = session
        .bundle(&[&profiled[..], &["--json"]].concat())
        .ends(0)
        .json();
    let kernels = json["profile"]["kernels"].as_array().unwrap();
    assert!(kernels.len() >= rows.len());
    let sum = |name: &str| {
        kernels
            .iter()
            .map(|row| row[name].as_f64().unwrap())
            .sum::<f64>()
    };
    assert!((sum("share") - 1.0).abs() < 1e-9);
    let device = json["profile"]["device_seconds"].as_f64().unwrap();
    assert!((sum("seconds") - device).abs() < 1e-6 && device > 0.0);
    let words = session.bundle(&[&profiled[..], &["-v"]].concat()).ends(0);
    assert!(
        words
            .stderr
            .contains("layer norm, 1x1 convolution, 3x3 convolution"),
        "{}",
        words.stderr
    );
    std::fs::remove_file(session.path("out.tif")).unwrap();
    refuses(
        &session,
        &[
            "a.zip",
            "pi_classification",
            "-i",
            "frames/pi_features.csv",
            "-o",
            "out.csv",
            "--profile",
        ],
        2,
        "--profile is not for `pi_classification`",
    );
}
