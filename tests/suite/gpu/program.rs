//! Commands that run on a GPU.

use super::{TOLERANCE, adapter, with_devices};
use crate::session::Session;
use crate::test_vectors::every_field_is_told_of;

/// The example's models give HiTMicTools' answers on the device, within the tolerances that its config has.
#[test]
fn the_example_computes_what_hitmictools_computed() {
    with_devices(|_| {
        let Some(adapter) = adapter() else { return };
        let session = Session::rods();
        let name = &adapter.facts.name;
        let run = session
            .bundle(&["test", "bundle.toml", "--json", "--device", name])
            .ends(0)
            .json();
        assert!(run["device"].as_str().unwrap().starts_with(name.as_str()));
        let models = run["models"].as_array().unwrap();
        let results: Vec<&str> = models
            .iter()
            .map(|model| model["result"].as_str().unwrap())
            .collect();
        let passed = ["passed"; 5].into_iter().chain(["not_run"; 2]);
        assert_eq!(results, passed.collect::<Vec<_>>());
    });
}

#[test]
fn devices_compute_what_the_cpu_does() {
    with_devices(|_| {
        let session = Session::new();
        let run = session.bundle(&["devices", "--json"]).ends(0).json();
        let devices = run["devices"].as_array().unwrap();
        assert_eq!(devices[0]["kind"], "CPU");
        assert!(
            devices.iter().all(|device| device["trial"] == "good"),
            "{run}"
        );
        let chosen = devices.iter().filter(|device| device["auto"] == true);
        assert_eq!(chosen.count(), 1);
        assert!(devices.len() > 1);
        every_field_is_told_of("devices", &run);
        let shown = session.bundle(&["devices"]).ends(0).stdout;
        assert!(shown.contains("--device auto takes"), "{shown}");
        assert!(
            shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
    });
}

#[test]
fn kernels_are_checked_and_a_case_can_be_chosen() {
    with_devices(|_| {
        let Some(adapter) = adapter() else { return };
        let session = Session::new();
        let name = &adapter.facts.name;
        let check = ["devices", "--check", "--device", name, "--case", "linear:3"];
        let more = ["--case", "frame:0", "--case", "network:2", "--json"];
        let run = session.bundle(&[&check[..], &more].concat()).ends(0).json();
        every_field_is_told_of("devices", &run);
        let checks = run["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 1 + usize::from(adapter.facts.half));
        let families = checks[0]["families"].as_array().unwrap();
        let names: Vec<&str> = families
            .iter()
            .map(|x| x["family"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["linear", "network", "frame"]);
        for family in families {
            assert_eq!(family["cases"], 1);
            assert!(family["apart"].as_f64().unwrap() < TOLERANCE, "{family}");
            assert!(family["kernels"].as_array().unwrap().len() > 2, "{family}");
        }
        let shown = session.bundle(&check).ends(0);
        assert!(shown.stdout.contains("linear       1  ok "), "{shown:?}");
        assert!(shown.stderr.contains("within 2e-5 of the CPU"), "{shown:?}");
    });
}

#[test]
fn models_are_tested_on_all_devices_and_compared_between_them() {
    with_devices(|_| {
        let Some(adapter) = adapter() else { return };
        let session = Session::rods();
        let test = ["test", "bundle.toml", "--all-devices"];
        let run = session
            .bundle(&[&test[..], &["--json"]].concat())
            .ends(0)
            .json();
        every_field_is_told_of("test", &run);
        let devices = run["devices"].as_array().unwrap();
        assert!(devices.len() > 1);
        assert_eq!(devices[0]["kind"], "CPU");
        let name = devices[1]["device"].as_str().unwrap();
        assert!(name.contains(&adapter.facts.driver), "{name}");
        let between = run["between"].as_array().unwrap();
        assert_eq!(between.len(), 5);
        for model in between {
            assert!(model["apart"].as_f64().unwrap() <= 1e-4, "{model}");
            assert_eq!(model["unequal"], 0);
        }
        // An answer that is expected to be another is off on every device, and kept for each.
        let expected = session.text("expected/cell_classifier.csv");
        let other = expected.replacen("single-cell", "clump", 1);
        session.write("expected/cell_classifier.csv", other);
        let one = [&test[..], &["--model", "cell_classifier"]].concat();
        let run = session.bundle(&one).ends(1);
        assert!(
            run.stderr.contains("cell_classifier on device 1: 1 of"),
            "{run:?}"
        );
        assert_eq!(
            session.names("bundle-test/device-1"),
            ["cell_classifier.csv"]
        );
    });
}

/// In float16 the vectors' own tolerances are too strict. Probabilities of the segmentation are off by 6e-3 in a few
/// pixels: a sigmoid is steep.
#[test]
fn models_are_tested_in_half_precision() {
    with_devices(|devices| {
        let (Some(adapter), Some(_)) = (adapter(), &devices.half) else {
            return;
        };
        let session = Session::rods();
        let name = adapter.facts.name.as_str();
        let test = [
            "test",
            "bundle.toml",
            "--device",
            name,
            "--precision",
            "f16",
        ];
        let models = ["bf_focus", "fl_focus", "cell_classifier"];
        let models = models.iter().flat_map(|key| ["--model", *key]);
        let test: Vec<&str> = test.into_iter().chain(models).collect();
        let run = session.bundle(&test).ends(0);
        assert!(run.stderr.contains("float16"), "{run:?}");
    });
}
