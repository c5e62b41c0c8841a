//! Checking, comparing and showing what weights are.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use insta::assert_snapshot;

use crate::session::{RODS, Run, Session};

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/foreign");

/// A pickle that runs `os.system("true")` when it is loaded: GLOBAL, a string, TUPLE1, REDUCE, STOP.
const SYSTEM: &[u8] = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";

/// A pickle of an instance of a lab's own class: GLOBAL, EMPTY_TUPLE, NEWOBJ, STOP.
const OWN: &[u8] = b"\x80\x02cmylab.models\nGate\n)\x81.";

/// A project of one classifier whose weights are `bytes`.
fn classifier(bytes: &[u8]) -> Session {
    let session = Session::new();
    session.write("pi.pkl", bytes);
    session.write(
        "bundle.toml",
        "[bundle]\nauto_date = false\n\n[pi_classification]\nmodel_path = \"pi.pkl\"\n",
    );
    session
}

/// What a command says, with nothing of the folder that it ran in.
fn said(session: &Session, run: &Run) -> String {
    let folder = session.path("").display().to_string();
    run.transcript()
        .replace(folder.trim_end_matches('/'), "FOLDER")
}

#[test]
fn the_example_is_sound_as_config_and_as_bundle() {
    let session = Session::rods();
    let config = session.bundle(&["check"]).ends(0);
    assert_snapshot!("config", said(&session, &config));
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let bundle = session.bundle(&["check", "a.zip"]).ends(0);
    assert_eq!(bundle.stdout, config.stdout);
    // HiTMicTools' own bundle of the same models is as sound.
    let theirs = format!("{FOREIGN}/hitmictools_rods.zip");
    let theirs = session.bundle(&["check", &theirs]).ends(0);
    assert_eq!(theirs.stdout, config.stdout);
}

#[test]
fn weights_that_do_not_fit_are_compared_with_what_is_declared() {
    let session = Session::rods();
    session.edit("metadata/bf_focus_v3.json", "\"width\": 8", "\"width\": 16");
    fs::copy(
        session.path("models/bf_focus_v3.pth"),
        session.path("models/unet_segm.pth"),
    )
    .unwrap();
    session.edit("bundle.toml", ", 4 = \"joint-cell\" }\n\n[pi", " }\n\n[pi");
    session.edit(
        "bundle.toml",
        "class_dict = { oof = 0 }",
        "class_dict = { oof = 0, sharp = 1 }",
    );
    let check = session.bundle(&["check"]).ends(1);
    assert_snapshot!("misfits", said(&session, &check));
    let build = session.bundle(&["build", "-o", "a.zip"]).ends(1);
    assert!(build.stderr.contains("the models have"), "{}", build.stderr);
    session.bundle(&["lock"]).ends(1);
    assert!(!session.exists("bundle.lock"), "nothing is locked");
    // What does not fit can be packed all the same, and is warned of.
    let forced = session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date", "--no-check"])
        .ends(0);
    assert!(forced.stderr.contains("do not fit"), "{}", forced.stderr);
    session.bundle(&["check", "a.zip"]).ends(1);
}

/// Without metadata nothing is compared, and nothing can run the weights: no network is shown, as config and as bundle.
#[test]
fn a_network_that_nothing_declares_is_not_shown_and_what_is_missing_is_said() {
    let session = Session::rods();
    let line = "model_metadata = \"metadata/bf_focus_v3.json\"\n";
    session.edit("bundle.toml", line, "");
    let row = |run: &Run| {
        let line = run.stdout.lines().find(|line| line.starts_with("bf_focus"));
        let words: Vec<&str> = line.unwrap().split_whitespace().collect();
        words.join(" ")
    };
    let config = session.bundle(&["check"]).ends(0);
    assert_eq!(
        row(&config),
        "bf_focus - 100 19,609 not compared, 1 warning"
    );
    assert!(
        config
            .stderr
            .contains("`bundle run` and HiTMicTools build the NAFNet")
    );
    session
        .bundle(&["build", "-q", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let bundle = session.bundle(&["check", "a.zip"]).ends(0);
    assert_eq!(row(&bundle), row(&config));
    assert!(
        bundle
            .stderr
            .contains("the metadata of `bf_focus` says nothing of its network")
    );
    for command in [["show", "a.zip"], ["card", "a.zip"]] {
        let shown = session.bundle(&command).ends(0).stdout;
        assert_eq!(shown.matches("NAFNet ").count(), 1, "{shown}");
    }
}

#[test]
fn metadata_of_another_network_is_one_error() {
    let session = Session::rods();
    session.edit(
        "bundle.toml",
        "metadata/bf_focus_v3.json",
        "metadata/unet_segm.json",
    );
    let json = session.bundle(&["check", "--json"]).ends(1).json();
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        problems[0]["message"],
        "the metadata of `bf_focus` is of another network"
    );
    let said = session.bundle(&["check"]).ends(1).stderr;
    assert!(
        said.contains("expected a NAFNet, found a MONAI UNet"),
        "{said}"
    );
}

#[test]
fn arguments_of_a_network_are_checked_in_the_words_of_the_metadata() {
    let session = Session::rods();
    session.edit("metadata/fl_focus_v3.json", "\"width\": 8", "\"widht\": 8");
    session.edit(
        "metadata/unet_segm.json",
        "\"num_res_units\": 2",
        "\"num_res_units\": \"two\"",
    );
    session.edit(
        "metadata/resnet_classifier.json",
        "\"min_size\": 32",
        "\"min_size\": 64",
    );
    let check = session.bundle(&["check"]).ends(1);
    assert_snapshot!("arguments", said(&session, &check));
    let json = session.bundle(&["check", "--json"]).ends(1).json();
    let problems = json["problems"].as_array().unwrap();
    let typo = problems
        .iter()
        .find(|problem| problem["message"].as_str().unwrap().contains("widht"));
    let typo = typo.unwrap();
    assert_eq!(typo["severity"], "error");
    assert!(
        typo["file"]
            .as_str()
            .unwrap()
            .ends_with("metadata/fl_focus_v3.json")
    );
    assert_eq!(typo["line"], 7);
}

#[test]
fn a_dangerous_pickle_is_refused_whatever_anyone_allows() {
    let session = classifier(SYSTEM);
    let check = session.bundle(&["check"]).ends(1);
    assert_snapshot!("dangerous", said(&session, &check));
    session
        .bundle(&["check", "--allow-global", "os.system"])
        .ends(1);
    session.edit(
        "bundle.toml",
        "\"pi.pkl\"\n",
        "\"pi.pkl\"\nallow_globals = [\"os.system\"]\n",
    );
    for command in [
        &["build"][..],
        &["build", "--no-check"],
        &["lock"],
        &["lock", "--no-check"],
    ] {
        let run = session.bundle(command).ends(1);
        assert!(run.stderr.contains("os.system"), "{}", run.stderr);
    }
    assert_eq!(session.names("."), ["bundle.toml", "pi.pkl"]);
}

#[test]
fn a_labs_own_global_is_allowed_by_its_config_and_anew_by_whoever_receives_it() {
    let session = classifier(OWN);
    let refused = session.bundle(&["build", "-o", "a.zip"]).ends(1);
    assert_snapshot!("own_global", said(&session, &refused));
    session.edit(
        "bundle.toml",
        "\"pi.pkl\"\n",
        "\"pi.pkl\"\nallow_globals = [\"mylab.models.Gate\"]\n",
    );
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let lock = session.text("bundle.lock");
    assert!(
        lock.contains("globals = [\n  \"mylab.models.Gate\",\n]\n"),
        "{lock}"
    );
    assert!(
        lock.contains("allow_globals = [\n  \"mylab.models.Gate\",\n]\n"),
        "{lock}"
    );
    // The producer's word does not count for the receiver.
    let received = session.bundle(&["check", "a.zip"]).ends(1);
    assert_snapshot!("received", said(&session, &received));
    session
        .bundle(&["check", "a.zip", "--allow-global", "mylab.models.Gate"])
        .ends(0);
    session
        .bundle(&["check", "a.zip", "--allow-global", "mylab.models"])
        .ends(1);
    session
        .bundle(&["check", "a.zip", "--allow-global", "mylab.models.Gat"])
        .ends(1);
}

#[test]
fn a_new_global_is_a_line_to_review() {
    let session = classifier(OWN);
    session.edit(
        "bundle.toml",
        "\"pi.pkl\"\n",
        "\"pi.pkl\"\nallow_globals = [\"mylab.models.Gate\", \"mylab.models.Door\"]\n",
    );
    session.bundle(&["lock"]).ends(0);
    session.write("pi.pkl", b"\x80\x02cmylab.models\nDoor\n)\x81.");
    let stale = session.bundle(&["lock", "--check"]).ends(1);
    for global in [
        "names `mylab.models.Door`, which it did not",
        "no longer names `mylab.models.Gate`",
    ] {
        assert!(stale.stderr.contains(global), "{}", stale.stderr);
    }
}

#[test]
fn what_cannot_be_read_to_its_end_is_not_packed() {
    let session = Session::rods();
    let whole = session.read("models/unet_segm.pth");
    session.write("models/unet_segm.pth", &whole[..whole.len() / 2]);
    for command in [&["check"][..], &["build"], &["build", "--no-check"]] {
        let run = session.bundle(command).ends(1);
        assert!(
            run.stderr.contains("models/unet_segm.pth"),
            "{}",
            run.stderr
        );
    }
    // What no loader would begin to unpickle is another matter.
    session.write("models/unet_segm.pth", "a note");
    let refused = session.bundle(&["build"]).ends(1);
    assert!(
        refused.stderr.contains("holds no weights"),
        "{}",
        refused.stderr
    );
    let packed = session.bundle(&["build", "--no-check"]).ends(0);
    assert!(
        packed.stderr.contains("holds no weights"),
        "{}",
        packed.stderr
    );
}

#[test]
fn a_pipeline_is_served_or_it_is_said_what_is_missing() {
    let session = Session::rods();
    let served = session
        .bundle(&["check", "--pipeline", "ASCT_scsegm"])
        .ends(0);
    assert!(
        served
            .stdout
            .contains("not used by ASCT_scsegm: segmentation, cell_classifier, oof_detector"),
        "{}",
        served.stdout
    );
    let unknown = session
        .bundle(&["check", "--pipeline", "ASCT_scsegment"])
        .ends(1);
    assert!(
        unknown.stderr.contains("did you mean `ASCT_scsegm`?"),
        "{}",
        unknown.stderr
    );
    let config = session.text("bundle.toml");
    let without = config.split("[sc_segmenter]").next().unwrap().to_owned();
    session.write("bundle.toml", without);
    let missing = session
        .bundle(&["check", "--pipeline", "ASCT_scsegm"])
        .ends(1);
    assert!(
        missing.stderr.contains("loads `sc_segmenter`"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_run_config_is_served_or_it_is_said_what_is_missing() {
    let session = Session::rods();
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let run = |tracking: &str, name: &str, collection: &str| {
        session.write(
            "run.yml",
            format!(
                "input_data:\n  input_folder: data\npipeline_setup:\n  name: {name}\n  tracking: {tracking}\n\
                 models:\n  model_collection: {collection}\ntracking:\n  parameters_override: null\n"
            ),
        );
        session.bundle(&["check", "a.zip", "--for", "run.yml"])
    };
    let good = run("true", "ASCT_focusrestore", "a.zip").ends(0);
    assert!(
        good.stdout.contains("not used by ASCT_focusrestore"),
        "{}",
        good.stdout
    );
    assert!(!good.stderr.contains('⚠'), "{}", good.stderr);
    let other = run("true", "ASCT_focusrestore", "b.zip").ends(0);
    assert!(
        other.stderr.contains("a bundle that is not there"),
        "{}",
        other.stderr
    );
    run("true", "ASCT_focusrestored", "a.zip").ends(1);
    run("true", "ASCT_focusrestore", "a.tar").ends(1);

    let config = session.text("bundle.toml");
    let (before, after) = config.split_once("[pi_classification]").unwrap();
    let rest = after.split_once("[oof_detector]").unwrap().1;
    let without = format!("{before}[oof_detector]{rest}")
        .replace("[tracker]\nconfig_path = \"tracking_config.yml\"\n", "");
    session.write("bundle.toml", without);
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let lacking = run("true", "ASCT_focusrestore", "a.zip").ends(1);
    assert_snapshot!("lacking", said(&session, &lacking));
    run("false", "ASCT_focusrestore", "a.zip").ends(1);
    run("false", "ASCT_scsegm", "a.zip").ends(1);
}

#[test]
fn a_network_has_one_digest_in_every_container() {
    let rods = Path::new(RODS).join("models");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
    let session = Session::rods();
    let digest = |session: &Session| {
        let lock = session.text("bundle.lock");
        let model = lock.split("[model.bf_focus]").nth(1).unwrap().to_owned();
        model
            .lines()
            .find(|line| line.starts_with("tensors = "))
            .unwrap()
            .to_owned()
    };
    session.bundle(&["lock"]).ends(0);
    let first = digest(&session);
    for name in ["bf_focus_v3_legacy.pth", "bf_focus_v3.safetensors"] {
        let file = [rods.join(name), fixtures.join(name)]
            .into_iter()
            .find(|file| file.exists());
        let file = file.unwrap_or_else(|| panic!("{name} is not among the fixtures"));
        fs::copy(file, session.path(&format!("models/{name}"))).unwrap();
        let old = session.text("bundle.toml");
        let line = old
            .lines()
            .find(|line| line.contains("models/bf_focus_v3"))
            .unwrap();
        let new = old.replacen(line, &format!("model_path = \"models/{name}\""), 1);
        session.write("bundle.toml", new);
        session.bundle(&["lock"]).ends(0);
        assert_eq!(digest(&session), first, "{name}");
    }
}

/// Two bundles: the weights saved again in another container, other weights, and another argument.
#[test]
fn diff_says_what_a_change_of_bytes_means() {
    let session = Session::rods();
    let legacy =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/bf_focus_v3_legacy.pth");
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    fs::copy(session.path("bundle.lock"), session.path("a.lock")).unwrap();
    fs::copy(legacy, session.path("models/bf_focus_v3.pth")).unwrap();
    // The two focus networks are of one shape.
    fs::copy(
        Path::new(RODS).join("models/bf_focus_v3.pth"),
        session.path("models/fl_focus_v3.pth"),
    )
    .unwrap();
    session.edit(
        "bundle.toml",
        "score_threshold = 0.3\n",
        "score_threshold = 0.4\n",
    );
    session
        .bundle(&["build", "-o", "b.zip", "--no-auto-date"])
        .ends(0);
    let created = |text: String| {
        let lines = text.lines().filter(|line| !line.contains("bundle.created"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let zips = session.bundle(&["diff", "a.zip", "b.zip"]).ends(1);
    assert_snapshot!("zips", created(zips.stdout));
    let locks = session.bundle(&["diff", "a.lock", "bundle.lock"]).ends(1);
    assert!(
        locks.stdout.contains("bf_focus: re-saved, same weights"),
        "{}",
        locks.stdout
    );
    assert!(
        locks.stdout.contains("fl_focus: other tensors"),
        "{}",
        locks.stdout
    );
    let json = session
        .bundle(&["diff", "a.zip", "b.zip", "--json"])
        .ends(1)
        .json();
    assert_eq!(json["weights"][0]["verdict"], "same_tensors");
    assert_eq!(json["weights"][1]["verdict"], "tensors");
    let same = session.bundle(&["diff", "a.lock", "a.zip"]).ends(0);
    assert_eq!(same.stdout, "");
    let theirs = format!("{FOREIGN}/hitmictools_rods.zip");
    let foreign = session.bundle(&["diff", "a.zip", &theirs]).ends(1);
    assert!(!foreign.stdout.contains("tensor"), "{}", foreign.stdout);
    session.bundle(&["diff", "a.zip", "none.zip"]).ends(2);
}

#[test]
fn one_model_is_shown_in_depth() {
    let session = Session::rods();
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let shown = session
        .bundle(&["show", "a.zip", "--model", "cell_classifier", "--tensors"])
        .ends(0);
    assert_snapshot!("in_depth", shown.stdout);
    session
        .bundle(&["show", "bundle.lock", "--tensors"])
        .ends(2);
    let wrong = session
        .bundle(&["show", "a.zip", "--model", "cell"])
        .ends(2);
    assert!(
        wrong.stderr.contains("it has bf_focus, fl_focus"),
        "{}",
        wrong.stderr
    );
}

/// The facts of a file are kept under its content: a model that is unchanged is not read again, whatever became of its times.
#[test]
fn facts_are_kept_by_content_and_may_be_lost() {
    let session = Session::rods();
    session.bundle(&["lock"]).ends(0);
    session.settle();
    session.bundle(&["lock"]).ends(0);
    let facts = || fs::read_dir(session.cache().join("facts")).unwrap();
    assert_eq!(facts().count(), 7);
    for file in facts() {
        fs::write(file.unwrap().path(), "damaged").unwrap();
    }
    session.bundle(&["lock", "--check"]).ends(0);
    for file in facts() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    session.bundle(&["lock", "--check"]).ends(0);
}

/// A graph that was exported for windows of one size takes no others.
#[test]
fn an_onnx_graph_is_compared_with_the_windows_it_is_given() {
    let session = Session::rods();
    let onnx = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/weights/rods/bf_focus_v3.onnx"
    );
    fs::copy(onnx, session.path("models/bf_focus_v3.onnx")).unwrap();
    session.edit(
        "bundle.toml",
        "models/bf_focus_v3.pth",
        "models/bf_focus_v3.onnx",
    );
    let good = session.bundle(&["check"]).ends(0);
    assert!(
        good.stderr.contains("HiTMicTools cannot load `.onnx`"),
        "{}",
        good.stderr
    );
    let config = session.text("bundle.toml");
    session.write(
        "bundle.toml",
        config.replacen("patch_size = 64", "patch_size = 128", 1),
    );
    let other = session.bundle(&["check"]).ends(1);
    assert!(
        other.stderr.contains("takes windows of a side of 64"),
        "{}",
        other.stderr
    );
    session.write("bundle.toml", config);
    session.edit(
        "metadata/bf_focus_v3.json",
        "\"img_channel\": 1",
        "\"img_channel\": 3",
    );
    let other = session.bundle(&["check"]).ends(1);
    assert!(
        other.stderr.contains("images of 1 channels"),
        "{}",
        other.stderr
    );
}

/// A config that cannot be read, and one that is wrong, are told apart: the first is no answer.
#[test]
fn a_wrong_config_is_an_answer() {
    let session = Session::rods();
    session.bundle(&["check", "--for", "none.yml"]).ends(2);
    session.edit(
        "bundle.toml",
        "nms_iou = 0.5\nclass_dict = { 0",
        "nms_io = 0.5\nclass_dict = { 0",
    );
    let wrong = session.bundle(&["check"]).ends(1);
    assert!(
        wrong.stderr.contains("did you mean `nms_iou`?"),
        "{}",
        wrong.stderr
    );
    session.bundle(&["check", "none.toml"]).ends(2);
}

/// TorchScript and whole modules are recognised and named; they are packed if the audit allows, and never run.
#[test]
fn programs_are_packed_if_the_audit_allows() {
    let session = Session::rods();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/weights/script.pt"
    );
    fs::copy(script, session.path("models/unet_segm.pth")).unwrap();
    let refused = session.bundle(&["check", "--json"]).ends(1).json();
    let problems = refused["problems"].as_array().unwrap();
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert_eq!(problem["model"], "segmentation");
    let help = problem["help"].as_str().unwrap();
    assert!(help.contains("it holds a TorchScript program"), "{help}");
    let line = help
        .lines()
        .find(|line| line.starts_with("allow_globals = "));
    let line = line.unwrap_or_else(|| panic!("{help}"));
    let names = line.split('"').skip(1).step_by(2).collect::<Vec<_>>();
    assert!(names.len() > 1, "{line}");
    assert!(
        names.iter().all(|name| name.starts_with("__torch__.")),
        "{line}"
    );
    session.edit(
        "bundle.toml",
        "model_path = \"models/unet_segm.pth\"\n",
        &format!("model_path = \"models/unet_segm.pth\"\n{line}\n"),
    );
    let packed = session.bundle(&["build"]).ends(0);
    assert!(
        packed.stderr.contains("holds a TorchScript program"),
        "{}",
        packed.stderr
    );
}

/// A ZIP is compared by what it holds, whatever the lock inside it says.
#[test]
fn diff_does_not_believe_the_lock_inside() {
    let session = Session::rods();
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    let mut zip = session.read("a.zip");
    let at = zip
        .windows(6)
        .position(|window| window == b"intro.")
        .unwrap();
    zip[at] ^= 1;
    session.write("bad.zip", &zip);
    let refused = session.bundle(&["diff", "bad.zip", "a.zip"]).ends(1);
    assert!(refused.stderr.contains("CRC-32"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");

    // Other weights with right checksums, under the old lock.
    let mut old = zip::ZipArchive::new(fs::File::open(session.path("a.zip")).unwrap()).unwrap();
    let mut new = zip::ZipWriter::new(fs::File::create(session.path("other.zip")).unwrap());
    for index in 0..old.len() {
        let mut entry = old.by_index(index).unwrap();
        let name = entry.name().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if name.starts_with("models/NAFNet-bf_focus") {
            bytes = session.read("models/fl_focus_v3.pth");
        }
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        new.start_file(name, options).unwrap();
        new.write_all(&bytes).unwrap();
    }
    new.finish().unwrap();
    let changed = session.bundle(&["diff", "a.zip", "other.zip"]).ends(1);
    assert!(
        changed
            .stdout
            .contains("bf_focus: 100 of 100 tensors changed"),
        "{}",
        changed.stdout
    );
    let shown = session.bundle(&["show", "other.zip"]).ends(0);
    assert!(
        shown.stdout.contains("is not what the lock inside says"),
        "{}",
        shown.stdout
    );
    session.bundle(&["check", "other.zip"]).ends(1);
}

/// A classifier's outputs are numbered, and each is named.
#[test]
fn class_numbers_are_those_of_the_outputs() {
    let session = Session::rods();
    session.edit(
        "bundle.toml",
        "3 = \"off-focus\", 4",
        "4 = \"off-focus\", 7",
    );
    let check = session.bundle(&["check"]).ends(1);
    for line in ["without a name: 3", "no output of the network: 7"] {
        assert!(check.stderr.contains(line), "{}", check.stderr);
    }
}

/// Loaders go by content or by name; a file that is not what its name says is told to be so.
#[test]
fn a_file_under_a_wrong_name_is_said_to_be_one() {
    let session = Session::rods();
    let fixture = |name: &str| {
        format!(
            "{}/tests/fixtures/weights/{name}",
            env!("CARGO_MANIFEST_DIR")
        )
    };
    for (name, format) in [
        ("rods/bf_focus_v3.onnx", "ONNX model"),
        ("bf_focus_v3.safetensors", "safetensors"),
    ] {
        fs::copy(fixture(name), session.path("models/bf_focus_v3.pth")).unwrap();
        let check = session.bundle(&["check"]).ends(0);
        let said = format!("it is {format} under the name of `.pth`");
        assert!(check.stderr.contains(&said), "{}", check.stderr);
        // An analysis that loads it cannot.
        session
            .bundle(&["check", "--pipeline", "ASCT_scsegm"])
            .ends(1);
    }
    fs::copy(
        fixture("onnx/pi_model.onnx"),
        session.path("models/pi_model_20251218.pkl"),
    )
    .unwrap();
    let check = session
        .bundle(&["check", "--pipeline", "oof_detection"])
        .ends(1);
    assert!(
        check
            .stderr
            .contains("it is a ONNX model under the name of `.pkl`"),
        "{}",
        check.stderr
    );
}

/// An exported graph keeps its tensors' names, so a graph of another network shows.
#[test]
fn a_graph_of_another_network_is_refused() {
    let session = Session::rods();
    let onnx = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/weights/rods/bf_focus_v3.onnx"
    );
    fs::copy(onnx, session.path("models/unet_segm.onnx")).unwrap();
    session.edit(
        "bundle.toml",
        "models/unet_segm.pth",
        "models/unet_segm.onnx",
    );
    let check = session.bundle(&["check"]).ends(1);
    assert!(
        check
            .stderr
            .contains("does not fit the declared MONAI UNet"),
        "{}",
        check.stderr
    );
    assert!(check.stderr.contains("NAFNet"), "{}", check.stderr);
    session.edit(
        "bundle.toml",
        "models/unet_segm.onnx",
        "models/unet_segm.pth",
    );
    fs::copy(onnx, session.path("models/bf_focus_v3.onnx")).unwrap();
    session.edit(
        "bundle.toml",
        "models/bf_focus_v3.pth",
        "models/bf_focus_v3.onnx",
    );
    session.edit("metadata/bf_focus_v3.json", "\"width\": 8", "\"width\": 16");
    let check = session.bundle(&["check"]).ends(1);
    assert!(
        check
            .stderr
            .contains("intro.weight: expected [16, 1, 3, 3], found [8, 1, 3, 3]"),
        "{}",
        check.stderr
    );
}
