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
        ["bf_focus.npy", "cell_classifier.csv"]
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
    assert_eq!(session.names("kept"), ["bf_focus.npy"]);
}

#[test]
fn what_is_recorded_is_met_and_says_what_made_it() {
    let session = Session::rods();
    std::fs::remove_file(session.path("expected/segmentation.npy")).unwrap();
    session
        .bundle(&["test", "bundle.toml", "--model", "segmentation"])
        .ends(2);
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
    session
        .bundle(&["test", "bundle.toml", "--model", "segmentation"])
        .ends(0);
}
