//! The files that a build writes.

use std::fs;

use model_bundle::packed;

use super::{fixture, rods};

#[test]
fn the_files_of_a_real_bundle() {
    let folder = rods();
    let config = folder.load("config_model_bundle.yml").unwrap();
    let created = "2025-12-18 15:30:42".parse().unwrap();
    let text = String::from_utf8(packed::config_yml(&config, created)).unwrap();
    insta::assert_snapshot!("config_yml", text);

    let focus = config.model("bf_focus").unwrap();
    let metadata = String::from_utf8(packed::model_metadata_json(focus)).unwrap();
    insta::assert_snapshot!("metadata_json", metadata);

    let pi = config.model("pi_classification").unwrap();
    assert_eq!(packed::weights_name(pi), "models/PIClassifier.pkl");
    assert_eq!(
        packed::model_metadata_json(pi),
        b"{\n  \"original_name\": \"pi_model_20251218.pkl\"\n}"
    );

    let tracker = packed::tracker_yml(config.tracker.as_ref().unwrap());
    let source = fs::read(fixture("rods/tracking_config.yml")).unwrap();
    assert_eq!(tracker, source);
}
