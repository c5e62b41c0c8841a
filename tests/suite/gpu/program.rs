//! Commands that run on a GPU.

use super::{adapter, with_devices};
use crate::session::Session;

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
    });
}
