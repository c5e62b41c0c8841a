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
        assert!(
            shown.stderr.contains("1 case, all within 2e-5 of the CPU"),
            "{shown:?}"
        );
        // Random networks are not run in float16.
        let check = [
            "devices",
            "--check",
            "--device",
            name,
            "--case",
            "network:2",
        ];
        let said = session.bundle(&check).ends(0).stderr;
        assert_eq!(
            said.contains("nothing was checked"),
            adapter.facts.half,
            "{said}"
        );
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

/// In float16 the vectors' own tolerances are too strict: 5e-3 of the largest number is allowed.
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
        let models = ["bf_focus", "fl_focus", "segmentation", "cell_classifier"];
        let models = models.iter().flat_map(|key| ["--model", *key]);
        let test: Vec<&str> = test.into_iter().chain(models).collect();
        let run = session.bundle(&test).ends(0);
        assert!(run.stderr.contains("float16"), "{run:?}");
    });
}

/// What a network makes of other images than those of the vectors: focus restored before, and turned by half a turn.
#[test]
fn segmentation_in_half_precision_is_near_that_of_the_cpu_on_other_images() {
    with_devices(|devices| {
        let (Some(adapter), Some(_)) = (adapter(), &devices.half) else {
            return;
        };
        let session = Session::rods();
        let restored = session.read("expected/bf_focus.npy");
        let (head, numbers) = restored.split_at(128);
        let turned: Vec<u8> = numbers.rchunks(4).flatten().copied().collect();
        session.write("turned.npy", [head, &turned].concat());
        let run = |input: &str, more: &[&str]| {
            let model = ["run", "bundle.toml", "segmentation", "-i", input];
            let run = session.bundle(&[&model[..], &["-o", "out.npy"], more].concat());
            run.ends(0);
            let found = session.read("out.npy");
            let found = found[128..].chunks_exact(4);
            let numbers = found.map(|v| f32::from_le_bytes(v.try_into().unwrap()));
            numbers.collect::<Vec<f32>>()
        };
        for input in ["expected/bf_focus.npy", "turned.npy"] {
            let wanted = run(input, &["--device", "cpu"]);
            let half = ["--device", &adapter.facts.name, "--precision", "f16"];
            let found = run(input, &half);
            assert_eq!(found.len(), 3 * 200 * 232);
            let most = wanted.iter().fold(0.0, |most: f32, v| most.max(*v));
            let pairs = found.iter().zip(&wanted);
            let apart = pairs.fold(0.0, |apart: f32, (a, b)| apart.max((a - b).abs()));
            assert!(most > 0.9 && apart < 5e-3 * most, "{input}: {apart:e}");
        }
    });
}

/// A number that is beyond the range of float16 is not blamed on the weights.
#[test]
fn numbers_beyond_float16_are_told_of_with_its_range() {
    with_devices(|devices| {
        let (Some(adapter), Some(_)) = (adapter(), &devices.half) else {
            return;
        };
        let session = Session::rods();
        let head = &session.read("expected/bf_focus.npy")[..128];
        let large = (0..3 * 200 * 232).map(|at: u32| (at % 7 * 100_000) as f32);
        let large: Vec<u8> = large.flat_map(f32::to_le_bytes).collect();
        session.write("large.npy", [head, &large].concat());
        session.edit(
            "bundle.toml",
            "[segmentation]\nmodel_path = \"models/unet_segm.pth\"\nmodel_metadata = \"metadata/unet_segm.json\"\ninferer_args = { scale_method = \"range01\"",
            "[segmentation]\nmodel_path = \"models/unet_segm.pth\"\nmodel_metadata = \"metadata/unet_segm.json\"\ninferer_args = { scale_method = \"none\"",
        );
        let run = |precision: &str| {
            let run = [
                "run",
                "bundle.toml",
                "segmentation",
                "-i",
                "large.npy",
                "-o",
                "out.npy",
            ];
            let device = ["--device", &adapter.facts.name, "--precision", precision];
            session.bundle(&[&run[..], &device].concat())
        };
        let half = run("f16").ends(1);
        let said: Vec<&str> = half.stderr.split_whitespace().collect();
        let said = said.join(" ").replace("│ ", "");
        assert!(
            said.contains("float16 has no number above 65504"),
            "{half:?}"
        );
        assert!(!session.exists("out.npy"));
        run("f32").ends(0);
    });
}
