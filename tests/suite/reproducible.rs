//! The same bytes, wherever, whenever and however a bundle is built.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::session::{RODS, Run, Session, copy_sources};

/// The example, built from its committed lock, is the archive that the lock pins.
fn build_example(folder: &Path, prepare: impl FnOnce(&mut Command)) -> Vec<u8> {
    let cache = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let zip = out.path().join("rods.zip");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bundle"));
    command
        .args(["build", "--locked", "--no-auto-date", "-c"])
        .arg(folder.join("bundle.toml"))
        .arg("-o")
        .arg(&zip)
        .env("BUNDLE_CACHE_DIR", cache.path());
    prepare(&mut command);
    Run::of(&mut command).ends(0);
    fs::read(zip).unwrap()
}

fn example() -> Session {
    let session = Session::rods();
    session.write(
        "bundle.lock",
        fs::read(format!("{RODS}/bundle.lock")).unwrap(),
    );
    session
}

#[test]
fn the_bytes_depend_on_the_lock_alone() {
    let reference = build_example(Path::new(RODS), |_| {});

    let elsewhere = example();
    assert!(
        build_example(&elsewhere.path(""), |_| {}) == reference,
        "another folder, another checkout time"
    );

    for (name, value) in [
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "C"),
        ("RAYON_NUM_THREADS", "1"),
        ("RAYON_NUM_THREADS", "8"),
        ("SOURCE_DATE_EPOCH", "86400"),
    ] {
        let built = build_example(Path::new(RODS), |command| {
            command.env(name, value);
        });
        assert!(built == reference, "{name}={value}");
    }

    let old = elsewhere.path("models/unet_segm.pth");
    let epoch = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    fs::File::options()
        .write(true)
        .open(old)
        .unwrap()
        .set_modified(epoch)
        .unwrap();
    assert!(
        build_example(&elsewhere.path(""), |_| {}) == reference,
        "other times"
    );
}

#[cfg(unix)]
#[test]
fn the_bytes_do_not_depend_on_modes_links_or_umask() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let reference = build_example(Path::new(RODS), |_| {});
    let session = example();
    let folder = session.path("");
    let weights = folder.join("models/unet_segm.pth");
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o700)).unwrap();
    let real = folder.join("elsewhere.bin");
    fs::rename(folder.join("models/sc_segmenter.pth"), &real).unwrap();
    symlink("../elsewhere.bin", folder.join("models/sc_segmenter.pth")).unwrap();
    assert!(
        build_example(&folder, |_| {}) == reference,
        "modes and symlinks"
    );

    let linked = Session::new();
    for name in [
        "bundle.toml",
        "bundle.lock",
        "models",
        "metadata",
        "frames",
        "expected",
        "tracking_config.yml",
    ] {
        symlink(folder.join(name), linked.path(name)).unwrap();
    }
    assert!(
        build_example(&linked.path(""), |_| {}) == reference,
        "everything symlinked"
    );

    for entry in ["models", "metadata"] {
        for file in fs::read_dir(folder.join(entry)).unwrap() {
            fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o444)).unwrap();
        }
        fs::set_permissions(folder.join(entry), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let read_only = build_example(&folder, |_| {});
    for entry in ["models", "metadata"] {
        fs::set_permissions(folder.join(entry), fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(read_only == reference, "read-only sources");

    let mut shell = Command::new("sh");
    let out = session.path("umask.zip");
    shell
        .args([
            "-c",
            "umask 077; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_bundle"),
        ])
        .args(["build", "--locked", "--no-auto-date", "-c"])
        .arg(folder.join("bundle.toml"))
        .arg("-o")
        .arg(&out)
        .env("BUNDLE_CACHE_DIR", session.cache());
    Run::of(&mut shell).ends(0);
    assert!(fs::read(&out).unwrap() == reference, "umask 077");
    assert_eq!(
        fs::metadata(&out).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn toml_and_yaml_of_the_example_differ_only_by_name_about_and_test() {
    let session = Session::rods();
    for config in ["bundle.toml", "config_model_bundle.yml"] {
        let mut command = session.command(&[
            "build",
            "-c",
            config,
            "-o",
            &format!("{config}.zip"),
            "--no-auto-date",
        ]);
        command.env("SOURCE_DATE_EPOCH", "1766071842");
        Run::of(&mut command).ends(0);
    }
    let other = Session::new();
    copy_sources(&session.path("models"), &other.path("models"));
    let from = |name: &str, dir: &str| {
        session.bundle(&["unpack", name, "-d", dir]).ends(0);
    };
    from("bundle.toml.zip", "toml");
    from("config_model_bundle.yml.zip", "yaml");
    for name in session.names("yaml/models") {
        let name = format!("models/{name}");
        assert_eq!(
            session.read(&format!("toml/{name}")),
            session.read(&format!("yaml/{name}")),
            "{name}"
        );
    }
    let strip = |text: String| {
        let models = text.find("bf_focus:").unwrap();
        text[models..].to_owned()
    };
    assert_eq!(
        strip(session.text("toml/config.yml")),
        strip(session.text("yaml/config.yml"))
    );
    assert_eq!(
        session.read("toml/config_tracker.yml"),
        session.read("yaml/config_tracker.yml")
    );
}
