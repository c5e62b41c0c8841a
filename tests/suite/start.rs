//! `bundle` alone: what it sees, and what is next.

use crate::session::Session;

#[test]
fn a_folder_without_a_config_gets_the_help() {
    let session = Session::new();
    let run = session.bundle(&[]);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("Usage: bundle"), "{}", run.stdout);
}

#[test]
fn a_project_is_led_from_config_to_verified_bundle() {
    let session = Session::small(1000);
    let next = |expected: &[&str]| {
        let run = session.bundle(&[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(run.stdout, "");
        for text in expected {
            assert!(run.stderr.contains(text), "{text}\n{}", run.stderr);
        }
    };
    next(&[
        "Config bundle.toml (1 model)",
        "Lock there is none yet",
        "Next bundle build",
    ]);
    assert!(!session.exists("bundle.lock"));
    session.bundle(&["build"]);
    next(&[
        "Lock bundle.lock is up to date",
        "Bundle model_collection.zip is up to date",
        "Next bundle verify model_collection.zip --lock bundle.lock, or bundle test model_collection.zip",
    ]);
    session.write("weights.pth", "other weights");
    next(&[
        "Lock bundle.lock is not up to date (1 change)",
        "Next bundle lock --check",
    ]);
    session.write("bundle.toml", "[custom]\n");
    let run = session.bundle(&[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("`bundle.toml` has"), "{}", run.stderr);
}
