//! Models are tested against their vectors, in a bundle and in a project; vectors are recorded.

use crate::session::{Run, Session};

/// Keys and results.
fn results(run: &Run) -> Vec<(String, String)> {
    let json = run.json();
    let models = json["models"].as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    models
        .iter()
        .map(|model| (text(&model["key"]), text(&model["result"])))
        .collect()
}

fn result(run: &Run, key: &str) -> String {
    let found = results(run).into_iter().find(|(found, _)| found == key);
    found.unwrap_or_else(|| panic!("{key}")).1
}

#[test]
fn the_example_computes_what_hitmictools_computed() {
    let session = Session::rods();
    session
        .bundle(&["build", "-q", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    for target in ["a.zip", "bundle.toml"] {
        let run = session.bundle(&["test", target, "--json"]).ends(0);
        let results: Vec<String> = results(&run)
            .into_iter()
            .map(|(_, result)| result)
            .collect();
        let passed = ["passed"; 5].into_iter().chain(["not_run"; 2]);
        assert_eq!(results, passed.collect::<Vec<_>>(), "{target}");
    }
    // HiTMicTools' own config has no vectors.
    let smoke = session
        .bundle(&["test", "config_model_bundle.yml", "--json"])
        .ends(0);
    assert_eq!(result(&smoke, "segmentation"), "smoke");
    assert_eq!(result(&smoke, "sc_segmenter"), "not_run");
    assert!(!session.exists("bundle-test"));
}

#[test]
fn an_answer_that_is_off_fails_says_where_and_is_kept() {
    let session = Session::rods();
    // One number of the second frame, row 3, column 5.
    let mut expected = session.read("expected/bf_focus.npy");
    let at = expected.len() - 4 * (2 * 200 * 232) + 4 * (3 * 232 + 5);
    expected[at..at + 4].copy_from_slice(&0f32.to_le_bytes());
    session.write("expected/bf_focus.npy", expected);
    let table = session.text("expected/cell_classifier.csv");
    session.write(
        "expected/cell_classifier.csv",
        table.replacen("single-cell", "clump", 1),
    );
    let run = session.bundle(&["test", "bundle.toml", "--json"]).ends(1);
    assert_eq!(result(&run, "bf_focus"), "failed");
    assert_eq!(result(&run, "cell_classifier"), "failed");
    assert_eq!(result(&run, "fl_focus"), "passed");
    let json = run.json();
    assert_eq!(
        json["models"][0]["largest"]["where"],
        "frame 1, row 3, column 5"
    );
    assert_eq!(json["models"][0]["mismatches"], 1);
    assert_eq!(json["models"][3]["largest"]["where"], "line 2, class");
    assert_eq!(
        session.names("bundle-test"),
        [".gitignore", "bf_focus.npy", "cell_classifier.csv"]
    );
    // One of 139,200 may be off, if the config says so.
    session.edit(
        "bundle.toml",
        "expected = \"expected/bf_focus.npy\",",
        "expected = \"expected/bf_focus.npy\", mismatch_ppm = 8,",
    );
    let allowed = [
        "test",
        "bundle.toml",
        "--model",
        "bf_focus",
        "--save",
        "kept",
        "--json",
    ];
    session.bundle(&allowed).ends(0);
    assert_eq!(session.names("kept"), [".gitignore", "bf_focus.npy"]);
}

#[test]
fn what_is_recorded_is_met_and_says_what_made_it() {
    let session = Session::rods();
    std::fs::remove_file(session.path("expected/segmentation.npy")).unwrap();
    let missing = session.bundle(&["test", "bundle.toml"]).ends(2).stderr;
    let words: Vec<&str> = missing.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains("`bundle test bundle.toml --record --model segmentation`"),
        "{missing}"
    );
    assert!(!missing.contains("did you mean"), "{missing}");
    let record = ["test", "bundle.toml", "--model", "segmentation", "--record"];
    session.bundle(&record).ends(0);
    let note = session.text("expected/segmentation.npy.recorded.toml");
    assert!(
        note.contains("model = \"segmentation\"\nnetwork = \"MONAI UNet\""),
        "{note}"
    );
    let first = session.read("expected/segmentation.npy");
    session.bundle(&record).ends(0);
    assert_eq!(session.read("expected/segmentation.npy"), first);
    // The same bytes on a machine with more CPUs.
    let more = session.bundle(&[&record[..], &["--threads", "3", "--json"]].concat());
    assert!(more.ends(0).stdout.contains("CPU, 3 threads, "));
    assert_eq!(session.read("expected/segmentation.npy"), first);
    assert_eq!(
        session.text("expected/segmentation.npy.recorded.toml"),
        note
    );
    session
        .bundle(&["test", "bundle.toml", "--model", "segmentation"])
        .ends(0);
}

#[test]
fn what_another_program_made_is_not_recorded_over() {
    let session = Session::rods();
    let reference = session.read("expected/segmentation.npy");
    let record = ["test", "bundle.toml", "--model", "segmentation", "--record"];
    let refused = session.bundle(&record).ends(1);
    assert!(refused.stderr.contains("move it away first"), "{refused:?}");
    assert!(refused.stdout.contains("not recorded"), "{refused:?}");
    let json = session.bundle(&[&record[..], &["--json"]].concat()).ends(1);
    assert_eq!(result(&json, "segmentation"), "not_recorded");
    assert_eq!(session.read("expected/segmentation.npy"), reference);
    // A note beside it does not make it this program's.
    std::fs::remove_file(session.path("expected/segmentation.npy")).unwrap();
    session.bundle(&record).ends(0);
    session.write("expected/segmentation.npy", &reference);
    session.bundle(&record).ends(1);
    assert_eq!(session.read("expected/segmentation.npy"), reference);
}

#[test]
fn a_vector_that_makes_no_sense_is_broken_and_says_why() {
    let session = Session::rods();
    let frame = session.read("frames/bf.tif");
    session.write("frames/bf_cut.tif", &frame[..300]);
    // The shape of one frame, in a header of the same length.
    let frames = session.read("expected/segmentation.npy");
    let one = frames.len() - 2 * (4 * 200 * 232);
    let header = String::from_utf8_lossy(&frames[10..128]).replacen("(3, ", "(1, ", 1);
    let one = [&frames[..10], header.as_bytes(), &frames[128..one]].concat();
    session.write("expected/one.npy", one);
    let cells = session.text("expected/cell_classifier.csv");
    let fewer = cells.lines().map(|line| line.rsplit_once(',').unwrap().0);
    session.write("expected/few.csv", fewer.collect::<Vec<_>>().join("\n"));
    for (old, new) in [
        (
            "input = \"frames/bf.tif\", expected = \"expected/bf_focus",
            "input = \"frames/bf_cut.tif\", expected = \"expected/bf_focus",
        ),
        ("expected/segmentation.npy", "expected/one.npy"),
        ("expected/cell_classifier.csv", "expected/few.csv"),
    ] {
        session.edit("bundle.toml", old, new);
    }
    let run = session.bundle(&["test", "bundle.toml", "--json"]).ends(1);
    let json = run.json();
    let message = |model: usize| {
        json["models"][model]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (model, text) in [
        (0, "found a file of 300 bytes"),
        (2, "the shape of the result: expected [1, 200, 232]"),
        (
            3,
            "the columns of the result: expected frame,label,class,p0,p1,p2,p3, as",
        ),
    ] {
        assert_eq!(json["models"][model]["result"], "broken");
        assert!(message(model).contains(text), "{}", message(model));
    }
    assert_eq!(result(&run, "fl_focus"), "passed");
    assert!(!session.exists("bundle-test"));
}

#[test]
fn what_models_gave_is_written_over_nothing() {
    let session = Session::rods();
    let expected = session.read("expected/cell_classifier.csv");
    let test = [
        "test",
        "bundle.toml",
        "--model",
        "cell_classifier",
        "--save",
    ];
    let into = |folder| session.bundle(&[&test[..], &[folder]].concat());
    let run = into("expected").ends(2);
    assert!(
        run.stderr.contains("expected has files in it that"),
        "{run:?}"
    );
    assert_eq!(session.read("expected/cell_classifier.csv"), expected);
    assert!(!session.exists("expected/.gitignore"));
    // A new folder, the same again, and an empty one.
    into("kept").ends(0);
    into("kept").ends(0);
    std::fs::create_dir(session.path("empty")).unwrap();
    into("empty").ends(0);
    assert_eq!(
        session.names("empty"),
        [".gitignore", "cell_classifier.csv"]
    );
}

#[test]
fn a_bundle_that_hitmictools_made_is_run_on_made_up_numbers() {
    let session = Session::new();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign");
    session.write(
        "old.zip",
        std::fs::read(fixtures.join("hitmictools_rods.zip")).unwrap(),
    );
    let run = session.bundle(&["test", "old.zip", "--json"]).ends(0);
    let results: Vec<String> = results(&run)
        .into_iter()
        .map(|(_, result)| result)
        .collect();
    assert_eq!(results, [vec!["smoke"; 5], vec!["not_run"; 2]].concat());
}

/// Every name in a report.
fn names(json: &serde_json::Value, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name.clone());
                names(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

#[test]
fn the_page_on_json_tells_of_every_field_of_run_and_test() {
    let session = Session::rods();
    session.write("cut.tif", &session.read("frames/bf.tif")[..300]);
    session.edit(
        "bundle.toml",
        "segmentation.npy\", rtol = 0, atol = 1e-5",
        "segmentation.npy\", rtol = 0, atol = 0",
    );
    let run = [
        "run",
        "bundle.toml",
        "segmentation",
        "-i",
        "frames/bf.tif",
        "cut.tif",
    ];
    let rest = [
        "-o",
        "out",
        "--preview",
        "pictures",
        "--device",
        "cpu",
        "--profile",
        "--json",
    ];
    let run = [&run[..], &rest].concat();
    for (command, arguments) in [
        ("run", run),
        ("test", vec!["test", "bundle.toml", "--json"]),
    ] {
        let json = session.bundle(&arguments).ends(1).json();
        every_field_is_told_of(command, &json);
    }
}

/// The section of `docs/json.md` on a command has every field of a report.
pub fn every_field_is_told_of(command: &str, json: &serde_json::Value) {
    let page = include_str!("../../docs/json.md");
    let mut sections = page.split("\n## ");
    let section = sections.find(|text| text.starts_with(&format!("`{command}`")));
    let section = section.unwrap();
    let mut found = Vec::new();
    names(json, &mut found);
    for name in found {
        let is_told = section.contains(&format!("`{name}`"));
        assert!(
            is_told || ["version", "command"].contains(&name.as_str()),
            "docs/json.md does not tell of `{name}` of {command}"
        );
    }
}
