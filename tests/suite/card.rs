//! `bundle card`: the page about a bundle.

use crate::session::Session;

/// The example with its lock, built.
fn built() -> Session {
    let session = Session::rods();
    let run = session
        .command(&["build", "-q", "-o", "rods.zip", "--no-auto-date"])
        .env("SOURCE_DATE_EPOCH", "1766071842")
        .output()
        .unwrap();
    assert!(run.status.success());
    session
}

#[test]
fn the_page_says_what_a_reader_needs() {
    let session = built();
    let run = session.bundle(&["card", "rods.zip"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn a_page_has_pictures_beside_it_and_is_made_anew() {
    let session = built();
    let run = session.bundle(&["card", "rods.zip", "-o", "page/CARD.md"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let pictures = [
        "CARD.bf_focus.png",
        "CARD.cell_classifier.png",
        "CARD.fl_focus.png",
        "CARD.md",
        "CARD.segmentation.png",
    ];
    assert_eq!(session.names("page"), pictures);
    let page = session.text("page/CARD.md");
    for name in pictures.iter().filter(|name| name.ends_with(".png")) {
        assert!(page.contains(&format!("]({name})")), "{name}");
        assert!(
            session
                .read(&format!("page/{name}"))
                .starts_with(b"\x89PNG")
        );
    }
    let run = session.bundle(&["card", "rods.zip", "-o", "page/CARD.md"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(session.text("page/CARD.md"), page);
}

#[test]
fn a_file_that_is_no_page_is_not_written_over() {
    let session = built();
    session.write("README.md", "# Mine\n");
    let run = session.bundle(&["card", "rods.zip", "-o", "README.md"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("no page that `bundle card` wrote"),
        "{}",
        run.stderr
    );
    assert_eq!(session.text("README.md"), "# Mine\n");
    assert!(!session.exists("README.bf_focus.png"));
}

#[test]
fn a_picture_of_another_program_is_not_written_over() {
    let session = built();
    session.write("CARD.bf_focus.png", "mine");
    let run = session.bundle(&["card", "rods.zip", "-o", "CARD.md"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert_eq!(session.text("CARD.bf_focus.png"), "mine");
    assert!(!session.exists("CARD.md"));
}

#[test]
fn results_of_tests_are_shown_if_they_are_of_this_bundle() {
    let session = built();
    let tested = session.bundle(&["test", "rods.zip", "--json", "--device", "cpu"]);
    session.write("tested.json", &tested.stdout);
    let run = session.bundle(&["card", "rods.zip", "--tested", "tested.json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.contains("| segmentation | passed |"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("| sc\\_segmenter | not run | - |"),
        "{}",
        run.stdout
    );

    let digest = session.text("rods.zip.sha256")[..64].to_owned();
    let other = tested.stdout.replace(&digest, &"0".repeat(64));
    assert_ne!(other, tested.stdout);
    let strange = tested.stdout.replace("\"sc_segmenter\"", "\"nope\"");
    let twice = tested.stdout.replace("\"sc_segmenter\"", "\"bf_focus\"");
    for (report, said) in [
        (other, "of another bundle than rods.zip"),
        (strange, "the bundle has no model `nope`"),
        (twice, "it has `bf_focus` twice"),
    ] {
        session.write("other.json", report);
        let run = session.bundle(&["card", "rods.zip", "--tested", "other.json"]);
        assert_eq!(run.code, Some(2));
        let words: Vec<&str> = run.stderr.split_whitespace().collect();
        let text = words.join(" ").replace("│ ", "");
        assert!(text.contains(said), "{text}");
    }
    let several = tested.stdout.replace("\"device\":", "\"devices\":");
    session.write("several.json", several);
    let run = session.bundle(&["card", "rods.zip", "--tested", "several.json"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("is a report of all devices"),
        "{}",
        run.stderr
    );
    let run = session.bundle(&["card", "rods.zip", "--tested", "rods.zip"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("is no report of tests"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_lock_is_no_bundle_and_a_damaged_bundle_has_no_page() {
    let session = built();
    let run = session.bundle(&["card", "bundle.lock"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("is a lockfile, expected a ZIP"),
        "{}",
        run.stderr
    );
    let mut bytes = session.read("rods.zip");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    session.write("damaged.zip", bytes);
    let run = session.bundle(&["card", "damaged.zip"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
}

/// No lock says what is in a bundle that others made.
#[test]
fn a_foreign_bundle_has_what_show_says_of_it() {
    let session = Session::new();
    let theirs = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/foreign/hitmictools_rods.zip"
    );
    let models = |command: &str| {
        let json = session.bundle(&[command, theirs, "--json"]).ends(0).json();
        let models = json["models"].as_array().unwrap().clone();
        let facts = |model: &serde_json::Value| {
            [
                "key",
                "architecture",
                "architecture_args",
                "parameters",
                "dtype",
            ]
            .map(|name| model[name].clone())
        };
        models.iter().map(facts).collect::<Vec<_>>()
    };
    let shown = models("show");
    assert_eq!(models("card"), shown);
    assert_eq!(shown[0][3], 19609);
}

#[test]
fn json_has_the_same() {
    let session = built();
    let run = session.bundle(&["card", "rods.zip", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["command"], "card");
    assert_eq!(json["bundle"], "rods.zip");
    let model = &json["models"][0];
    assert_eq!(model["key"], "bf_focus");
    assert_eq!(model["parameters"], 19609);
    assert_eq!(
        model["training"]["training_dataset"],
        "synthetic rods (seed 7)"
    );
    assert_eq!(model["has_test"], true);
    assert_eq!(json["pipelines"].as_array().unwrap().len(), 6);
}
