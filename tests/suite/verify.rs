//! Verifying, showing and unpacking bundles: ours, damaged ones, and other people's.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::session::Session;

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/foreign");

/// A built project of fixed content.
fn built() -> Session {
    let session = Session::small(5000);
    session.write("meta.json", "{\"model_type\": \"custom\"}\n");
    session.write(
        "bundle.toml",
        "[bundle]\ncreated = \"2025-12-18 15:30:42\"\n\n[custom]\nbundle_name = \"Custom\"\nmodel_path = \"weights.pth\"\n\
         model_metadata = \"meta.json\"\ninferer_args = { patch_size = 64 }\n\n[other]\nbundle_name = \"Other\"\nmodel_path = \"other.pth\"\n",
    );
    session.write("other.pth", "other weights");
    session
        .bundle(&["build", "-o", "a.zip", "--no-auto-date"])
        .ends(0);
    session
}

#[test]
fn what_verify_says_depends_on_the_anchor() {
    let session = built();
    let sha256 = session.text("a.zip.sha256")[..64].to_owned();
    let mut text = String::new();
    for arguments in [
        &["verify", "a.zip"][..],
        &["verify", "a.zip", "--lock", "bundle.lock"],
        &["verify", "a.zip", "--sha256", &sha256],
        &["verify", "a.zip", "--sha256", &sha256.to_uppercase()],
        &["verify", "-q", "a.zip"],
    ] {
        text += &session.bundle(arguments).ends(0).stderr;
        text += "---\n";
    }
    text += &session
        .bundle(&["verify", "a.zip", "--sha256", &"0".repeat(64)])
        .ends(1)
        .stderr;
    text += &session
        .bundle(&["verify", "a.zip", "--lock", "none.lock"])
        .ends(2)
        .stderr;
    text += &session.bundle(&["verify", "none.zip"]).ends(2).stderr;
    assert_snapshot!(text.replace(&sha256, "SHA256"));
}

/// Every difference at once, as text and as JSON.
#[test]
fn verify_lists_every_difference() {
    let session = built();
    let mut zip = session.read("a.zip");
    let find = |zip: &[u8], what: &[u8]| {
        zip.windows(what.len())
            .position(|window| window == what)
            .unwrap()
    };
    let weights = find(&zip, b"models/Custom.pth") + 1000;
    zip[weights] ^= 1;
    let other = find(&zip, b"other weights");
    zip[other] = b'O';
    let argument = find(&zip, b"patch_size: 64");
    zip[argument + 12] = b'9';
    zip.extend(b"appended");
    session.write("b.zip", &zip);
    let run = session
        .bundle(&["verify", "b.zip", "--lock", "bundle.lock"])
        .ends(1);
    assert_snapshot!("differences", run.stderr);
    let run = session
        .bundle(&["verify", "b.zip", "--lock", "bundle.lock", "--json"])
        .ends(1);
    assert_snapshot!("differences_json", run.stdout);
    let run = session.bundle(&["verify", "b.zip"]).ends(1);
    assert_snapshot!("differences_without_anchor", run.stderr);
    for command in [&["show", "b.zip"][..], &["unpack", "b.zip", "-d", "out"]] {
        session.bundle(command).ends(1);
    }
    assert!(!session.exists("out"));
}

/// Another project's bundle does not pass for this one's.
#[test]
fn a_bundle_of_another_lock_is_refused() {
    let session = built();
    session.write("other.pth", "another");
    session
        .bundle(&["build", "-o", "b.zip", "--no-auto-date"])
        .ends(0);
    session
        .bundle(&["verify", "b.zip", "--lock", "bundle.lock"])
        .ends(0);
    session.bundle(&["verify", "a.zip"]).ends(0);
    let run = session
        .bundle(&["verify", "a.zip", "--lock", "bundle.lock"])
        .ends(1);
    assert!(
        run.stderr.contains("models/Other.pth") && run.stderr.contains("bundle.lock"),
        "{}",
        run.stderr
    );
}

#[test]
fn show_of_a_bundle_and_of_its_lock_agree() {
    let session = built();
    let bundle = session.bundle(&["show", "a.zip"]).ends(0).stdout;
    assert_snapshot!("show_bundle", bundle);
    let of_zip = session.bundle(&["show", "a.zip", "--json"]).ends(0).json();
    let mut of_lock = session
        .bundle(&["show", "bundle.lock", "--json"])
        .ends(0)
        .json();
    // Only the project's own lock knows where the files come from.
    for model in of_lock["models"].as_array_mut().unwrap() {
        assert!(model["weights"]["source"].is_string());
        model["weights"]["source"] = serde_json::Value::Null;
    }
    assert_eq!(of_zip["models"], of_lock["models"]);
    assert_eq!(of_zip["size"], of_lock["size"]);
    session.bundle(&["show", "weights.pth"]).ends(2);
    session.bundle(&["show", "none.zip"]).ends(2);
}

#[test]
fn unpack_gives_back_the_sources() {
    let session = built();
    session.bundle(&["unpack", "a.zip", "-d", "out"]).ends(0);
    assert_eq!(
        session.read("out/models/Custom.pth"),
        session.read("weights.pth")
    );
    assert_eq!(
        session.names("out"),
        ["bundle.lock", "config.yml", "metadata", "models"]
    );
    // A second time everything is in the way, and nothing is touched.
    session.write("out/models/Custom.pth", "mine");
    session.bundle(&["unpack", "a.zip", "-d", "out"]).ends(2);
    assert_eq!(session.text("out/models/Custom.pth"), "mine");

    session
        .bundle(&["unpack", "a.zip", "-d", "one", "--model", "other"])
        .ends(0);
    assert_eq!(session.names("one/models"), ["Other.pth"]);
    assert_eq!(session.names("one"), ["metadata", "models"]);
    let run = session
        .bundle(&["unpack", "a.zip", "-d", "none", "--model", "bf_focus"])
        .ends(1);
    assert_snapshot!("no_such_model", run.stderr);
    assert!(!session.exists("none"));
}

/// HiTMicTools' own bundles: shown, unpacked, adopted, pinned and verified.
#[test]
fn hitmictools_bundles_are_adopted() {
    let session = Session::new();
    for entry in fs::read_dir(FOREIGN).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zip") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let stem = Path::new(&name)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        fs::copy(&path, session.path(&name)).unwrap();

        let shown = session.bundle(&["show", &name]).ends(0).stdout;
        assert!(shown.contains("not made by this program"), "{shown}");
        session
            .bundle(&["unpack", &name, "-d", &format!("{stem}-unpacked")])
            .ends(0);
        session.bundle(&["lock", "--from", &name]).ends(0);
        let lock = format!("{stem}.lock");
        let text = session.text(&lock);
        assert!(text.contains("layout = \"foreign\""));
        session.bundle(&["lock", "--from", &name]).ends(0);
        assert_eq!(session.text(&lock), text);
        session.bundle(&["verify", &name, "--lock", &lock]).ends(0);
        session.bundle(&["verify", &name]).ends(1);

        let mut zip = session.read(&name);
        let middle = zip.len() / 2;
        zip[middle] ^= 1;
        session.write(&name, zip);
        session.bundle(&["verify", &name, "--lock", &lock]).ends(1);
    }
}

/// Names that a config could not write give way to the ZIP's own.
#[test]
fn an_original_name_that_no_config_can_write_is_passed_over() {
    for name in ["${HOME}", "", ".pth", "../up.pth", "/root/x.pth"] {
        let session = Session::new();
        let mut zip = zip::ZipWriter::new(fs::File::create(session.path("old.zip")).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        let metadata = format!("{{\"original_name\": \"{name}\"}}");
        let config = "m:\n  model_path: models/M.pth\n  model_metadata: metadata/M.json\n";
        for (path, text) in [
            ("config.yml", config),
            ("models/M.pth", "w"),
            ("metadata/M.json", &metadata),
        ] {
            zip.start_file(path, options).unwrap();
            std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        session
            .bundle(&["init", "--from", "old.zip", "-d", "new"])
            .ends(0);
        assert_eq!(session.names("new/models"), ["M.pth"], "{name}");
        session.bundle(&["lock", "-c", "new/bundle.toml"]).ends(0);
    }
}
