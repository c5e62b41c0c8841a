//! The program as such: help, streams, exit statuses, JSON.

use std::io::Read;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::session::{Run, Session};

const COMMANDS: [&[&str]; 21] = [
    &[],
    &["init"],
    &["lock"],
    &["build"],
    &["create"],
    &["create-mbundle"],
    &["verify"],
    &["check"],
    &["show"],
    &["diff"],
    &["unpack"],
    &["run"],
    &["test"],
    &["devices"],
    &["cache"],
    &["cache", "dir"],
    &["card"],
    &["cache", "prune"],
    &["cache", "clear"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_has_help_with_an_example() {
    let session = Session::new();
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let run = session.bundle(&arguments).ends(0);
        assert!(
            run.stdout.contains("Example"),
            "{command:?}\n{}",
            run.stdout
        );
        assert!(run.stderr.is_empty());
    }
    session.bundle(&["frobnicate"]).ends(2);
    assert!(
        session
            .bundle(&["--version"])
            .ends(0)
            .stdout
            .starts_with("bundle ")
    );
}

#[test]
fn completions_name_the_commands() {
    let session = Session::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = session.bundle(&["completions", shell]).ends(0).stdout;
        assert!(script.contains("create-mbundle"), "{shell}");
    }
}

#[test]
fn the_second_name_is_the_same_program() {
    let session = Session::small(10);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_model-bundle"));
    command
        .args(["lock", "--check"])
        .current_dir(session.path(""))
        .env("BUNDLE_CACHE_DIR", session.cache());
    Run::of(&mut command).ends(1);
}

#[test]
fn only_data_goes_to_standard_output() {
    let session = Session::small(10);
    let run = session.bundle(&["build", "-o", "a.zip"]).ends(0);
    assert_eq!(run.stdout, "a.zip\n");
    assert!(run.stderr.contains("Built"));
    let run = session.bundle(&["-q", "build", "-o", "a.zip"]).ends(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("a.zip\n", ""));
    assert_eq!(session.bundle(&["lock", "-q"]).ends(0).stdout, "");
    let run = session.bundle(&["lock", "-q", "-v"]).ends(2);
    assert!(run.stderr.contains("cannot be used with"));
}

#[test]
fn colours_come_when_asked_for_and_go_with_no_color() {
    let session = Session::small(10);
    let escape = '\u{1b}';
    let colored = session
        .bundle(&["lock", "--color", "always"])
        .ends(0)
        .stderr;
    assert!(colored.contains(escape));
    for arguments in [&["lock"][..], &["lock", "--color", "never"]] {
        assert!(!session.bundle(arguments).ends(0).stderr.contains(escape));
    }
    let mut command = session.command(&["lock", "-c", "none.toml"]);
    command.env("NO_COLOR", "1");
    assert!(!Run::of(&mut command).ends(2).stderr.contains(escape));
}

/// A pipe that is closed early ends the program, not with a panic.
#[test]
fn a_closed_pipe_is_no_panic() {
    let session = Session::small(10);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    for arguments in [
        &["show", "a.zip"][..],
        &["show", "a.zip", "--json"],
        &["completions", "zsh"],
        &["build", "-o", "a.zip"],
    ] {
        let mut child = session
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert!(
            child.wait().unwrap().code().is_some_and(|code| code == 0),
            "{arguments:?}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// SIGINT in the middle of a build: exit status 130, and only what was there before.
#[cfg(unix)]
#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    let session = Session::small(96 << 20);
    let before = session.names(".");
    let child = session
        .command(&["build", "-o", "a.zip"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until the ZIP is being written, however busy the machine is.
    for _ in 0..10_000 {
        if session.names(".") != before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert_eq!(session.names("."), before);
    assert!(stderr.contains("nothing half-written"), "{stderr}");
}

#[test]
fn json_has_the_documented_fields() {
    let session = Session::small(10);
    let fields = |arguments: &[&str]| {
        let json = session.bundle(arguments).json();
        assert_eq!(json["version"], 1, "{arguments:?}");
        let object = json.as_object().unwrap();
        let names: Vec<_> = object.keys().map(String::as_str).collect();
        names.join(" ")
    };
    let mut table = String::new();
    for arguments in [
        &["lock", "--check", "--json"][..],
        &["lock", "--json"],
        &["build", "-o", "a.zip", "--json"],
        &["verify", "a.zip", "--json"],
        &["show", "a.zip", "--json"],
        &["unpack", "a.zip", "-d", "out", "--json"],
        &["cache", "prune", "--max-size", "0", "--json"],
        &["init", "-d", "new", "--json"],
    ] {
        table += &format!("{}: {}\n", arguments.join(" "), fields(arguments));
    }
    assert_snapshot!(table);
    // The page lists every field that the program prints.
    let page = include_str!("../../docs/json.md");
    for name in table
        .split([' ', '\n', ':'])
        .filter(|name| name.contains('_') || name.len() > 8)
    {
        if !name.starts_with('-') && !name.contains('.') {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/json.md does not tell of `{name}`"
            );
        }
    }
}

#[test]
fn the_config_is_found_in_a_folder_above() {
    let session = Session::small(10);
    std::fs::create_dir_all(session.path("a/b")).unwrap();
    let mut command = session.command(&["lock"]);
    command.current_dir(session.path("a/b"));
    Run::of(&mut command).ends(0);
    assert!(session.exists("bundle.lock"));
    let empty = Session::new();
    let run = empty.bundle(&["build"]).ends(2);
    assert!(run.stderr.contains("bundle init"), "{}", run.stderr);
}

#[test]
fn the_cache_is_shown_pruned_and_cleared() {
    let session = Session::small(10);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let dir = session.bundle(&["cache", "dir"]).ends(0).stdout;
    assert_eq!(dir.trim_end(), session.cache().to_str().unwrap());
    session
        .bundle(&["cache", "prune", "--max-size", "1MB"])
        .ends(0);
    assert_ne!(
        std::fs::read_dir(session.cache().join("records"))
            .unwrap()
            .count(),
        0
    );
    session.bundle(&["cache", "clear"]).ends(0);
    assert_eq!(
        std::fs::read_dir(session.cache().join("records"))
            .unwrap()
            .count(),
        0
    );
    session
        .bundle(&["cache", "prune", "--max-size", "many"])
        .ends(2);
}

#[test]
fn a_check_of_devices_needs_one_that_is_not_the_reference() {
    let session = Session::new();
    let refused = |arguments: &[&str]| session.bundle(arguments).ends(2).stderr;
    let said = refused(&["devices", "--check", "--device", "cpu"]);
    assert!(said.contains("the CPU is not checked"), "{said}");
    let said = refused(&["devices", "--check", "--case", "attention"]);
    assert!(said.contains("expected one of convolution"), "{said}");
    let said = refused(&["devices", "--case", "transposed:7"]);
    assert!(said.contains("--check"), "{said}");
    let said = refused(&["test", "bundle.toml", "--all-devices", "--device", "gpu"]);
    assert!(said.contains("cannot be used with"), "{said}");
}

/// A config is named by its place or with an option, and not both; where none is named, the one that is found is taken.
#[test]
fn a_config_is_named_by_its_place_too() {
    let session = Session::small(2000);
    session.bundle(&["lock", "bundle.toml"]).ends(0);
    let built = session.bundle(&["build", "bundle.toml"]).ends(0);
    assert_eq!(built.stdout, "model_collection.zip\n");
    session.bundle(&["build", "-c", "bundle.toml"]).ends(0);
    session
        .bundle(&["build", "bundle.toml", "-c", "bundle.toml"])
        .ends(2);
    let zip = session.bundle(&["build", "model_collection.zip"]).ends(2);
    assert!(
        zip.stderr.contains("is no config by its name"),
        "{}",
        zip.stderr
    );
    let named = session.bundle(&["test", "bundle.toml", "--device", "cpu"]);
    let found = session.bundle(&["test", "--device", "cpu"]);
    assert_eq!((found.stdout, found.code), (named.stdout, named.code));
}

/// `-q` means the same everywhere: standard output stays as it is, and standard error has errors alone.
#[test]
fn quiet_commands_print_what_was_asked_for() {
    let session = Session::rods();
    for command in [
        &["check"][..],
        &["build", "--no-auto-date"],
        &["test", "--model", "pi_classification", "--device", "cpu"],
        &["show", "rods.zip"],
        &[
            "run",
            "rods.zip",
            "pi_classification",
            "-i",
            "frames/pi_features.csv",
            "-o",
            "p.csv",
        ],
    ] {
        let said = session.bundle(command).ends(0);
        let quiet = session.bundle(&[command, &["-q"]].concat()).ends(0);
        assert_eq!(
            (quiet.stdout, quiet.stderr),
            (said.stdout, String::new()),
            "{command:?}"
        );
    }
}

/// What is no lockfile may be anything, and nobody is told to delete it.
#[test]
fn only_a_lockfile_may_be_deleted() {
    let session = Session::small(2000);
    session.bundle(&["build"]).ends(0);
    let zip = "model_collection.zip";
    let swapped = session
        .bundle(&["verify", zip, "--lock", zip])
        .ends(2)
        .stderr;
    assert!(!swapped.contains("delete"), "{swapped}");
    assert!(swapped.contains("name the `.lock`"), "{swapped}");
    session.write("bundle.lock", "garbage\n");
    let build = session.bundle(&["build"]).ends(2).stderr;
    assert!(build.contains("delete it and run `bundle lock`"), "{build}");
}

#[test]
fn a_project_without_models_is_told_to_name_them() {
    let session = Session::new();
    session.bundle(&["init"]).ends(0);
    let said = session.bundle(&[]).ends(0).stderr;
    assert!(
        said.contains("Next name the models in bundle.toml"),
        "{said}"
    );
    let tested = session.bundle(&["test", "--device", "cpu"]).ends(0).stderr;
    assert!(tested.contains("(0 models)"), "{tested}");
}
