//! `bundle run` on the example, against HiTMicTools' and scikit-learn's own results.

use super::{MOST, array, distance, same_table, singles};
use crate::session::Session;

const FIXTURES: &str = "tests/fixtures/numbers";

/// The example, built as `a.zip`.
fn built() -> Session {
    let session = Session::rods();
    let build = ["build", "-q", "-o", "a.zip", "--no-auto-date"];
    session.bundle(&build).ends(0);
    session
}

#[test]
fn images_are_hitmictools() {
    let session = built();
    for (model, input, expected) in [
        ("bf_focus", "bf", "bf_focus"),
        ("fl_focus", "fl", "fl_focus"),
        ("segmentation", "bf", "segmentation"),
    ] {
        let input = format!("frames/{input}.tif");
        let run = ["run", "a.zip", model, "-i", &input, "-o", "out.npy"];
        session.bundle(&run).ends(0);
        let wanted = array(&session.path(&format!("expected/{expected}.npy")));
        let apart = distance(&singles(&session.path("out.npy")), &wanted);
        assert!(apart <= MOST, "{model}: {apart:e}");
        println!("{model}: {apart:e}");
    }
}

#[test]
fn cells_are_hitmictools_the_large_ones_too() {
    let session = built();
    let run = |input: &str, labels: &str| {
        let run = ["run", "a.zip", "cell_classifier", "-i", input];
        let run = [&run[..], &["--labels", labels, "-o", "out.csv"]].concat();
        session.bundle(&run).ends(0);
        session.text("out.csv")
    };
    let found = run("frames/classifier_input.npy", "frames/labels.tif");
    same_table(&found, &session.text("expected/cell_classifier.csv"), 1e-5);
    // The first frame of the same input.
    let mut first = session.read("frames/classifier_input.npy");
    let at = first.windows(2).position(|pair| pair == b"(3").unwrap();
    first[at + 1] = b'1';
    first.truncate(128 + 4 * 200 * 232);
    session.write("first.npy", first);
    let fixture = |name: &str| std::fs::read(format!("{FIXTURES}/{name}")).unwrap();
    session.write("large.tif", fixture("large_labels.tif"));
    let wanted = String::from_utf8(fixture("cell_classifier_large.csv")).unwrap();
    same_table(&run("first.npy", "large.tif"), &wanted, 1e-5);
}

#[test]
fn rows_are_scikit_learns() {
    let session = built();
    let input = "frames/pi_features.csv";
    let run = [
        "run",
        "a.zip",
        "pi_classification",
        "-i",
        input,
        "-o",
        "out.csv",
    ];
    session.bundle(&run).ends(0);
    let wanted = session.text("expected/pi_classification_logreg.csv");
    same_table(&session.text("out.csv"), &wanted, 1e-6);
}
