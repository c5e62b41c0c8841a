//! What a user does not expect: pipes and devices where files should be, files without end, links, a full disk,
//! texts that a terminal obeys, folders of other users, and sources that change in the middle.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use model_bundle::cache::{Cache, Record, Records, Stamp};
use model_bundle::digest::Contents;
use model_bundle::ops::build::{Options, build};
use model_bundle::progress::Progress;

use crate::session::{Run, Session, pattern};

/// A command that must end soon: one that waits for a pipe, or reads a file without end, fails the test.
#[track_caller]
fn promptly(command: &mut Command) -> Run {
    let what = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let (to_us, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || to_us.send(child.wait_with_output().unwrap()));
    let Ok(output) = ended.recv_timeout(Duration::from_secs(20)) else {
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
        panic!("it hangs: {what}");
    };
    Run {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// A project with metadata, built as `a.zip`.
fn built() -> Session {
    let session = Session::small(5000);
    session.write("meta.json", "{\"model_type\": \"custom\"}\n");
    session.edit(
        "bundle.toml",
        "model_path",
        "model_metadata = \"meta.json\"\nmodel_path",
    );
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    session
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A file of so many bytes that takes no room.
fn make_sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// Nobody ever writes into this pipe, and the device never ends.
#[test]
fn pipes_and_devices_are_no_files_and_nobody_waits_for_them() {
    let device = |path: &Path| symlink("/dev/zero", path).unwrap();
    for make in [make_pipe as fn(&Path), device] {
        let cases: [(&str, &[&[&str]]); 6] = [
            ("weights.pth", &[&["lock"], &["build", "-o", "a.zip"]]),
            ("meta.json", &[&["lock"], &["build", "-o", "a.zip"]]),
            (
                "bundle.toml",
                &[
                    &["lock", "-c", "bundle.toml"],
                    &["build", "-c", "bundle.toml"],
                ],
            ),
            (
                "bundle.lock",
                &[
                    &["lock"],
                    &["build", "-o", "a.zip"],
                    &["show", "bundle.lock"],
                    &["verify", "a.zip", "--lock", "bundle.lock"],
                ],
            ),
            ("a.zip.sha256", &[&["build", "-o", "a.zip"]]),
            (
                "a.zip",
                &[
                    &["build", "-o", "a.zip"],
                    &["verify", "a.zip"],
                    &["verify", "a.zip", "--lock", "bundle.lock"],
                    &["show", "a.zip"],
                    &["unpack", "a.zip", "-d", "out"],
                    &["init", "--from", "a.zip", "-d", "new"],
                    &["lock", "--from", "a.zip"],
                ],
            ),
        ];
        for (name, commands) in cases {
            let session = built();
            let zip = session.read("a.zip");
            fs::remove_file(session.path(name)).unwrap();
            make(&session.path(name));
            for arguments in commands {
                let run = promptly(&mut session.command(arguments)).ends(2);
                assert!(
                    ["regular file", "plain file", "in the way"]
                        .iter()
                        .any(|why| run.stderr.contains(why)),
                    "{name}, {arguments:?}: {}",
                    run.stderr
                );
            }
            if name != "a.zip" {
                assert_eq!(session.read("a.zip"), zip);
            }
        }
    }
}

#[test]
fn no_file_is_read_beyond_what_it_may_have() {
    let session = built();
    let zip = session.read("a.zip");
    let refused = |name: &str, size: u64, arguments: &[&str], why: &str| {
        let before = session.read(name);
        make_sparse(&session.path(name), size);
        let run = promptly(&mut session.command(arguments)).ends(2);
        assert!(run.stderr.contains(why), "{name}: {}", run.stderr);
        session.write(name, before);
    };
    let too_large = "larger than 64 MiB";
    for size in [70 << 20, 1 << 40] {
        refused("bundle.lock", size, &["build", "-o", "a.zip"], too_large);
        refused("bundle.lock", size, &["lock"], too_large);
        let verify = ["verify", "a.zip", "--lock", "bundle.lock"];
        refused("bundle.lock", size, &verify, too_large);
        let build = ["build", "-o", "a.zip"];
        refused("bundle.toml", size, &build, "bytes; at most");
        refused("a.zip.sha256", size, &build, "no checksum file");
    }
    // Its beginning is that of a checksum file.
    session.write("a.zip.sha256", "0".repeat(9000));
    session.bundle(&["build", "-o", "a.zip"]).ends(2);
    assert_eq!(session.read("a.zip.sha256").len(), 9000);
    assert_eq!(session.read("a.zip"), zip);
}

/// However much is wrong with a config of the largest size, it is said at once.
#[test]
fn a_config_full_of_errors_is_refused_at_once() {
    let session = Session::new();
    for (name, line) in [
        ("a.toml", "a = 1\n"),
        ("b.toml", "a = 'x\n"),
        ("c.toml", "[a]\n"),
        ("d.toml", "\0"),
        ("e.toml", "[[[\n"),
        ("f.yml", "a: 1\n"),
        ("g.yml", "\0"),
        ("h.yml", "- ["),
    ] {
        session.write(name, line.repeat((1 << 20) / line.len()));
        promptly(&mut session.command(&["lock", "-c", name])).ends(2);
    }
}

#[test]
fn records_that_no_project_can_have_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path().join("cache")).unwrap();
    let project = Path::new("/project/bundle.toml");
    let mut records = Records::default();
    let record = Record {
        stamp: Stamp::of(folder.path()).unwrap(),
        seen: 0,
        found: Contents::of(b""),
    };
    records.sources.insert("/a".into(), record);
    cache.store(project, &records).unwrap();
    assert_eq!(cache.records(project), records);
    let long = PathBuf::from("/".to_owned() + &"a".repeat(65 << 20));
    records.sources.insert(long, record);
    cache.store(project, &records).unwrap();
    assert!(cache.records(project) == Records::default());
}

/// Whoever left a link in the folder does not choose where files go.
#[test]
fn nothing_is_written_through_links_that_stand_in_the_folder() {
    let init: &[&str] = &["init", "--from", "a.zip", "-d", "new"];
    let unpack: &[&str] = &["unpack", "a.zip", "-d", "new"];
    for (arguments, links) in [
        (
            init,
            ["models", "metadata", "models/weights.pth", "bundle.toml"],
        ),
        (
            unpack,
            ["models", "metadata", "models/Custom.pth", "config.yml"],
        ),
    ] {
        for link in links {
            for target in ["outside", "nowhere"] {
                let session = built();
                session.write("outside/keep", "mine");
                let at = session.path("new").join(link);
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                symlink(session.path(target), &at).unwrap();
                let run = session.bundle(arguments).ends(2);
                let case = format!("{arguments:?} {link} -> {target}: {}", run.stderr);
                assert!(
                    run.stderr.contains("symbolic link") || run.stderr.contains("already"),
                    "{case}"
                );
                assert_eq!(session.names("outside"), ["keep"], "{case}");
                assert!(!session.exists("nowhere"), "{case}");
                assert!(at.is_symlink(), "{case}");
                let first = link.split('/').next().unwrap();
                assert_eq!(session.names("new"), [first], "{case}");
            }
        }
    }
    // A link that the user names is the user's own word.
    let session = built();
    fs::create_dir(session.path("real")).unwrap();
    symlink("real", session.path("new")).unwrap();
    session.bundle(unpack).ends(0);
    assert!(session.exists("real/models/Custom.pth"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_while_unpacking_leaves_nothing() {
    let program = env!("CARGO_BIN_EXE_bundle");
    let session = Session::small(3 << 20);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let commands = [
        "unpack a.zip -d small/out",
        "init --from a.zip -d small/out",
    ];

    // A limit on the size of files fails a write in the middle, as a full disk does.
    for command in commands {
        fs::create_dir_all(session.path("small")).unwrap();
        let script = format!("trap '' XFSZ; ulimit -f 1500; exec \"$0\" {command}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, program]);
        let run = Run::of(shell.current_dir(session.path(""))).ends(2);
        assert!(run.stderr.contains("cannot write"), "{}", run.stderr);
        let left = session.names("small");
        assert!(
            left.is_empty() || left == ["out"] && session.names("small/out").is_empty(),
            "{left:?}"
        );
    }

    // A disk that is full: a file system of 1 MiB, which goes when the shell that mounted it does.
    const NO_MOUNT: i32 = 77;
    for command in commands {
        let script = format!(
            "mount -t tmpfs -o size=1m tmpfs small || exit {NO_MOUNT}
            \"$0\" {command}; code=$?; find small -type f; exit $code"
        );
        let mut shell = Command::new("unshare");
        shell.args(["--map-root-user", "--mount", "sh", "-c", &script, program]);
        let run = Run::of(shell.current_dir(session.path("")));
        if run.code == Some(NO_MOUNT) || run.stderr.contains("unshare:") {
            eprintln!("skipped: nothing can be mounted here: {}", run.stderr);
            return;
        }
        let run = run.ends(2);
        assert_eq!(run.stdout, "", "files are left");
        assert!(run.stderr.contains("No space left"), "{}", run.stderr);
    }
}

/// A ZIP as anybody could make it.
fn foreign_zip(path: &Path, files: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// Fails if a terminal would do anything with the text but show it, or if what pretends to be a line of its own is one.
#[track_caller]
fn assert_harmless(case: &str, text: &str) {
    let obeyed = |c: &char| {
        *c != '\n'
            && (c.is_control()
                || "\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{202e}\u{2066}\u{feff}".contains(*c))
    };
    assert_eq!(text.chars().find(obeyed), None, "{case}\n{text:?}");
    let is_forged = |line: &str| {
        line.trim_start_matches([' ', '×', '│', '|'])
            .starts_with("FORGED")
    };
    assert!(!text.lines().any(is_forged), "{case}\n{text}");
}

#[test]
fn texts_from_a_bundle_are_shown_and_not_obeyed() {
    // As YAML and TOML write them: a line end, a command to the terminal in two forms, and text that is turned round.
    let evil = r"a\nFORGED\u001b[2J\u009b31m\u202egnp.exe\u200b\u2066";
    let raw = "a\u{9b}31m\u{202e}gnp\u{200b}\u{2066}\u{61c}";
    let session = Session::new();
    let config = format!(
        "\"{evil}\": {{model_path: \"{evil}\", inferer_args: {{\"{evil}\": \"{evil}\", m: {{\"{evil}\": [\"{evil}\"]}}}}}}\n\
         bf_focus:\n  model_path: models/M.pth\n  model_args: {{x: {{\"{evil}\": 1}}}}\n\
         \"x{evil}\": \"{evil}\"\n_bundle_metadata: {{creation_date: \"{evil}\"}}\n"
    );
    let files = [("config.yml", config.as_str()), ("models/M.pth", "weights")];
    foreign_zip(&session.path("texts.zip"), &files);
    foreign_zip(
        &session.path("names.zip"),
        &[files[0], (raw, "x"), ("b\nFORGED", "x")],
    );
    let broken = format!("bf_focus: {{\"{evil}\": 1, \"{evil}\": 2}}\n\"{raw}");
    foreign_zip(&session.path("broken.zip"), &[("config.yml", &broken)]);
    let lock = format!("version = 1\n# {raw}\n");
    foreign_zip(
        &session.path("lock.zip"),
        &[files[0], ("bundle.lock", &lock)],
    );
    let lock = format!("version = 1\n\"{evil}\" = \"{evil}\"\n");
    foreign_zip(
        &session.path("key.zip"),
        &[files[0], ("bundle.lock", &lock)],
    );
    for (index, name) in ["texts", "names", "broken", "lock", "key"]
        .iter()
        .enumerate()
    {
        let zip = format!("{name}.zip");
        let new = format!("new{index}");
        for arguments in [
            &["show", &zip][..],
            &["show", &zip, "--json"],
            &["show", &zip, "-v"],
            &["verify", &zip],
            &["verify", &zip, "--json"],
            &["unpack", &zip, "-d", "out", "--model", "other"],
            &["lock", "--from", &zip],
            &["init", "--from", &zip, "-d", &new],
            &["build", "-c", &format!("{new}/bundle.toml"), "-o", "x.zip"],
        ] {
            let run = session.bundle(arguments);
            let case = format!("{arguments:?}");
            assert_harmless(&case, &run.stdout);
            assert_harmless(&case, &run.stderr);
            let mut colored = arguments.to_vec();
            colored.extend(["--color", "always"]);
            let run = session.bundle(&colored);
            let text = run.stdout + &run.stderr;
            assert!(
                !text.contains("\u{1b}[2J") && !text.contains(['\u{9b}', '\u{202e}']),
                "{case}"
            );
        }
    }
    let shown = session.bundle(&["show", "texts.zip"]).ends(0).stdout;
    assert!(
        shown.contains(r"a\nFORGED\u{1b}[2J\u{9b}31m\u{202e}gnp.exe"),
        "{shown}"
    );
    // JSON says the same, escaped.
    let json = session
        .bundle(&["show", "texts.zip", "--json"])
        .ends(0)
        .json();
    let keys = json["models"].as_array().unwrap().iter();
    let unescaped: String = serde_json::from_str(&format!("\"{evil}\"")).unwrap();
    assert!(
        keys.into_iter()
            .any(|model| model["key"] == unescaped.as_str())
    );
}

/// Neither do those of a project that came from somebody else.
#[test]
fn texts_from_a_project_are_shown_and_not_obeyed() {
    let evil = r"a\nFORGED\u001b[2J\u009b31m\u202egnp.exe";
    let session = Session::small(10);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let lock = session.text("bundle.lock");
    let check = |arguments: &[&str]| {
        let run = session.bundle(arguments);
        assert_harmless(&format!("{arguments:?}"), &(run.stdout + &run.stderr));
    };
    session.edit("bundle.lock", "\"bundle.toml\"", &format!("\"{evil}\""));
    check(&["build", "-o", "a.zip"]);
    check(&["show", "bundle.lock"]);
    session.write(
        "bundle.lock",
        lock.replace("version = 1\n", "version = 1\n# \u{202e}x\n"),
    );
    check(&["lock"]);
    session.write("bundle.lock", lock);
    session.edit("bundle.toml", "weights.pth", &format!("{evil}.pth"));
    check(&["build", "-o", "a.zip"]);
    session.edit("bundle.toml", &format!("{evil}.pth"), "weights\u{202e}.pth");
    check(&["build", "-o", "a.zip"]);
    session.edit("bundle.toml", "weights\u{202e}.pth", "weights.pth");
    session.edit(
        "bundle.toml",
        "auto_date",
        &format!("about = {{ description = \"{evil}\" }}\nauto_date"),
    );
    for arguments in [
        &["lock", "-v"][..],
        &["build", "-o", "a.zip"],
        &["show", "a.zip"],
        &["show", "bundle.lock"],
    ] {
        session.bundle(arguments).ends(0);
        check(arguments);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_cache_is_its_users_alone() {
    let session = Session::small(10);
    set_mode(session.cache(), 0o777);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    assert_eq!(mode(session.cache()), 0o700);
    assert!(session.cache().join("records").is_dir());

    // A folder like /tmp is not taken from the others.
    let shared = session.path("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o1777);
    let build = || {
        let mut command = session.command(&["build", "-v", "-o", "a.zip"]);
        Run::of(command.env("BUNDLE_CACHE_DIR", &shared))
            .ends(0)
            .stderr
    };
    let stderr = build();
    assert!(stderr.contains("open to everybody"), "{stderr}");
    assert_eq!(mode(&shared), 0o1777);
    assert_eq!(session.names("shared"), [""; 0]);

    set_mode(&shared, 0o777);
    if let Err(error) = chown(&shared, Some(12345), None) {
        eprintln!("skipped: a folder cannot be given to another user here: {error}");
        return;
    }
    let stderr = build();
    assert!(stderr.contains("belongs to another user"), "{stderr}");
    assert_eq!(mode(&shared), 0o777);
    assert_eq!(session.names("shared"), [""; 0]);
}

/// With nothing to build as well.
#[test]
fn what_is_no_checksum_is_not_replaced_by_one() {
    let session = Session::small(5000);
    let build: &[&str] = &["build", "-o", "a.zip"];
    session.bundle(build).ends(0);
    let line = session.text("a.zip.sha256");
    session.write("a.zip.sha256", "my notes");
    let lock = session.text("bundle.lock");
    for _ in 0..2 {
        let run = session.bundle(build).ends(2);
        assert!(run.stderr.contains("no checksum file"), "{}", run.stderr);
        assert_eq!(session.text("a.zip.sha256"), "my notes");
        session.settle();
    }
    assert_eq!(session.text("bundle.lock"), lock);
    session.bundle(&["build", "-o", "a.zip", "--force"]).ends(0);
    assert_eq!(session.text("a.zip.sha256"), line);
    session.bundle(build).ends(0);

    // What the bundle is made from, once the bundle has been moved beside it.
    let metadata = "{\"model_type\": \"custom\"}\n";
    session.write("b.zip.sha256", metadata);
    session.edit(
        "bundle.toml",
        "model_path",
        "model_metadata = \"b.zip.sha256\"\nmodel_path",
    );
    session.bundle(build).ends(0);
    fs::rename(session.path("a.zip"), session.path("b.zip")).unwrap();
    for force in [&[][..], &["--force"]] {
        let arguments = [&["build", "-o", "b.zip"], force].concat();
        let run = session.bundle(&arguments).ends(2);
        assert!(run.stderr.contains("is made from"), "{}", run.stderr);
        assert_eq!(session.text("b.zip.sha256"), metadata);
    }
}

#[test]
fn what_a_killed_build_leaves_is_removed_when_it_is_old() {
    let session = Session::small(64 << 20);
    let temporary = || {
        let names = session.names(".");
        let mut names = names.into_iter();
        names.find(|name| name.starts_with(".a.zip.") && name.ends_with(".tmp"))
    };
    let mut command = session.command(&["build", "-o", "a.zip"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while temporary().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = temporary().expect("the build was killed while it wrote");
    assert!(!session.exists("a.zip"));

    // A fresh one could be another build's, which has not yet locked it.
    session.write("weights.pth", "small");
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    assert_eq!(temporary(), Some(left.clone()));
    let file = File::options()
        .write(true)
        .open(session.path(&left))
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    session.write("weights.pth", "other");
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    assert_eq!(temporary(), None);
}

/// Does something to the project once so many bytes have been packed.
struct Meddler<'a> {
    packed: AtomicU64,
    after: u64,
    meddle: &'a (dyn Fn() + Sync),
    /// Whether the user asks to stop then.
    stops: bool,
    packing: std::sync::atomic::AtomicBool,
    stopped: std::sync::atomic::AtomicBool,
}

impl Progress for Meddler<'_> {
    fn begin(&self, what: &str, _bytes: u64) {
        self.packing.store(what == "Packing", Ordering::SeqCst);
    }

    fn advance(&self, _file: &Path, bytes: u64) {
        if !self.packing.load(Ordering::SeqCst) {
            return;
        }
        let before = self.packed.fetch_add(bytes, Ordering::SeqCst);
        if before < self.after && before + bytes >= self.after {
            (self.meddle)();
            self.stopped.store(self.stops, Ordering::SeqCst);
        }
    }

    fn interrupted(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// The copy has begun, and half of it is on its way to the disk.
#[test]
fn a_source_that_changes_in_the_middle_of_the_copy_leaves_nothing() {
    const SIZE: usize = 5 << 20;
    type Meddle = fn(&Session);
    let cases: [(&str, Meddle); 5] = [
        ("other bytes", |session| {
            let mut bytes = pattern(SIZE);
            bytes[SIZE - 1] ^= 1;
            session.write("weights.pth", bytes);
        }),
        ("cut short", |session| {
            let file = File::options()
                .write(true)
                .open(session.path("weights.pth"));
            file.unwrap().set_len(SIZE as u64 - 1).unwrap();
        }),
        ("emptied", |session| session.write("weights.pth", "")),
        ("grown", |session| {
            let file = File::options()
                .append(true)
                .open(session.path("weights.pth"));
            file.unwrap().write_all(b"x").unwrap();
        }),
        ("interrupted", |_| ()),
    ];
    for (name, meddle) in cases {
        let session = Session::small(SIZE);
        let meddler = Meddler {
            packed: AtomicU64::new(0),
            after: SIZE as u64 / 2,
            meddle: &|| meddle(&session),
            stops: name == "interrupted",
            packing: false.into(),
            stopped: false.into(),
        };
        let options = Options {
            config: session.path("bundle.toml"),
            output: Some(session.path("a.zip")),
            auto_date: Some(false),
            locked: false,
            dry_run: false,
            force: false,
            check_architecture: false,
            lenient: false,
        };
        let cache = Cache::open_at(session.cache().to_owned());
        let error = build(&options, cache, &meddler)
            .expect_err(name)
            .to_string();
        let expected = match name {
            "interrupted" => "interrupted",
            _ => "weights.pth changed while models/Custom.pth was written",
        };
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(session.names("."), ["bundle.toml", "weights.pth"], "{name}");
    }
}
