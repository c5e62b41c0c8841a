//! Building: what is done again and why, what is refused, and what is left when it goes wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use insta::assert_snapshot;
use model_bundle::cache::Cache;
use model_bundle::ops::build::{Options, Outcome, Report, build};
use model_bundle::progress::Progress;

use crate::session::{Run, Session, pattern};

/// Counts the bytes read of each file.
#[derive(Default)]
struct Counting(Mutex<BTreeMap<String, u64>>);

impl Progress for Counting {
    fn advance(&self, file: &Path, bytes: u64) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        *self.0.lock().unwrap().entry(name).or_default() += bytes;
    }
}

impl Counting {
    fn build(session: &Session) -> (Report, BTreeMap<String, u64>) {
        let counting = Self::default();
        let options = Options {
            config: session.path("bundle.toml"),
            output: None,
            auto_date: Some(false),
            locked: false,
            dry_run: false,
            force: false,
            check_architecture: false,
            lenient: false,
        };
        let cache = Cache::open_at(session.cache().to_owned());
        let report = build(&options, cache, &counting).unwrap();
        (report, counting.0.into_inner().unwrap())
    }
}

/// The weights of a project and their sizes, large enough to be told from everything else.
fn large_rods() -> (Session, Vec<(String, u64)>) {
    let session = Session::rods();
    let names = [
        "bf_focus_v3.pth",
        "fl_focus_v3.pth",
        "unet_segm.pth",
        "resnet_classifier.pth",
        "pi_model_20251218.pkl",
        "oof_detector_rfdetr.pth",
        "sc_segmenter.pth",
    ];
    let sizes = names.iter().enumerate().map(|(index, name)| {
        let size = (3 << 20) + 1000 * index as u64;
        session.write(&format!("models/{name}"), pattern(size as usize));
        ((*name).to_owned(), size)
    });
    let sizes = sizes.collect();
    (session, sizes)
}

#[test]
fn an_up_to_date_build_reads_no_model_and_a_changed_one_alone_is_hashed_anew() {
    let (session, sizes) = large_rods();
    session.settle();
    let (report, read) = Counting::build(&session);
    assert_eq!(report.outcome, Outcome::Built);
    for (name, size) in &sizes {
        assert_eq!(read[name], 2 * size, "{name}: hashed and copied");
    }

    // The output is younger than its record can prove: it is read once more, and nothing else.
    session.settle();
    let (report, read) = Counting::build(&session);
    assert_eq!(report.outcome, Outcome::UpToDate);
    assert_eq!(read.keys().collect::<Vec<_>>(), ["rods.zip"]);

    let (report, read) = Counting::build(&session);
    assert_eq!(report.outcome, Outcome::UpToDate);
    assert_eq!(read, BTreeMap::new(), "an up-to-date build reads nothing");

    let changed = "unet_segm.pth";
    // No weights, and so nothing to derive from them: what is read is what is hashed and copied.
    session.write(&format!("models/{changed}"), pattern(4 << 20));
    let (report, read) = Counting::build(&session);
    assert_eq!(report.outcome, Outcome::Built);
    for (name, size) in &sizes {
        let expected = if name == changed {
            2 * (4 << 20)
        } else {
            *size
        };
        assert_eq!(read[name], expected, "{name}");
    }
}

/// `--explain` names the reason for each file.
#[test]
fn explain_and_dry_run_name_every_reason() {
    let session = Session::rods();
    session.edit(
        "bundle.toml",
        "name = \"rods\"",
        "name = \"rods\"\ncreated = \"2025-12-18 15:30:42\"",
    );
    let before = session.names(".");
    let run = session.bundle(&["build", "--dry-run"]).ends(0);
    assert_eq!(session.names("."), before);
    assert_snapshot!("dry_run_of_a_new_project", run.transcript());

    session.settle();
    session.bundle(&["build"]).ends(0);
    session.settle();
    session.bundle(&["build"]).ends(0);
    assert_snapshot!(
        "nothing_changed",
        session.bundle(&["build", "--explain"]).ends(0).transcript()
    );

    let pi = session.read("models/pi_model_20251218.pkl");
    session.write("models/pi_model_20251218.pkl", &pi);
    fs::copy(
        session.path("models/bf_focus_v3.pth"),
        session.path("models/fl_focus_v3.pth"),
    )
    .unwrap();
    session.edit(
        "bundle.toml",
        "mask_threshold = 0.5",
        "mask_threshold = 0.6",
    );
    session.edit(
        "bundle.toml",
        "[tracker]\nconfig_path = \"tracking_config.yml\"\n",
        "",
    );
    let run = session.bundle(&["build", "--dry-run", "--explain"]).ends(0);
    assert_snapshot!("several_changes", run.transcript());
    session.bundle(&["build"]).ends(0);

    fs::remove_dir_all(session.cache()).unwrap();
    assert_snapshot!(
        "no_records",
        session.bundle(&["build", "--explain"]).ends(0).transcript()
    );

    fs::remove_file(session.path("rods_20251218.zip")).unwrap();
    let run = session.bundle(&["build", "--dry-run"]).ends(0);
    assert_snapshot!("output_missing", run.transcript());
    session.bundle(&["build"]).ends(0);

    let mut zip = session.read("rods_20251218.zip");
    zip[100] ^= 1;
    session.write("rods_20251218.zip", &zip);
    let run = session.bundle(&["build", "--dry-run"]).ends(0);
    assert_snapshot!("output_altered", run.transcript());
    zip.truncate(5000);
    session.write("rods_20251218.zip", &zip);
    assert_snapshot!(
        "output_cut",
        session.bundle(&["build", "--dry-run"]).ends(0).transcript()
    );
    session.bundle(&["build", "--locked"]).ends(0);
}

#[test]
fn the_checksum_file_is_the_one_that_sha256sum_reads() {
    let session = Session::small(5000);
    session.bundle(&["build", "-o", "out/deep/a b.zip"]).ends(0);
    let line = session.text("out/deep/a b.zip.sha256");
    assert_eq!(line.len(), 64 + 2 + "a b.zip\n".len());
    assert!(line.ends_with("  a b.zip\n"));
    let lock = session.text("bundle.lock");
    assert!(lock.contains(&format!("sha256 = \"{}\"", &line[..64])));
    // A lost or damaged one is written again by a build that has nothing else to do.
    session.write("out/deep/a b.zip.sha256", &line[..20]);
    session.bundle(&["build", "-o", "out/deep/a b.zip"]).ends(0);
    assert_eq!(session.text("out/deep/a b.zip.sha256"), line);
}

#[test]
fn hitmictools_calls_work() {
    let session = Session::rods();
    let created = ["SOURCE_DATE_EPOCH", "1766071842"];
    let run = |arguments: &[&str]| {
        let mut command = session.command(arguments);
        command.env(created[0], created[1]);
        Run::of(&mut command).ends(0).stdout
    };
    let config = "config_model_bundle.yml";
    assert_eq!(
        run(&["build", "-i", config, "-o", "my.zip"]),
        "my_20251218.zip\n"
    );
    assert_eq!(
        run(&["build", "-i", config, "-o", "my.zip", "--no-auto-date"]),
        "my.zip\n"
    );
    assert_eq!(
        run(&["create", "-i", config, "-o", "exact.zip"]),
        "exact.zip\n"
    );
    let dated = Path::new("dir").join("model_collection_20251218.zip");
    assert_eq!(
        run(&["create-mbundle", "-i", config, "-d", "dir"]),
        format!("{}\n", dated.display())
    );
    assert_eq!(session.read("my.zip"), session.read("exact.zip"));
    assert_eq!(
        session.read("my.zip"),
        session.read("dir/model_collection_20251218.zip")
    );
}

#[test]
fn an_output_that_is_no_bundle_is_left_alone() {
    let session = Session::small(10);
    assert_snapshot!(
        "not_zip",
        session.bundle(&["build", "-o", "out.tar"]).ends(2).stderr
    );
    session.write("thesis.zip", "PK my only copy");
    let run = session.bundle(&["build", "-o", "thesis.zip"]).ends(2);
    assert_snapshot!("in_the_way", run.stderr);
    assert_eq!(session.text("thesis.zip"), "PK my only copy");
    assert!(!session.exists("bundle.lock"));
    session
        .bundle(&["build", "-o", "thesis.zip", "--force"])
        .ends(0);
    session.bundle(&["verify", "thesis.zip"]).ends(0);
    // A bundle, even a damaged one, is replaced.
    let mut zip = session.read("thesis.zip");
    zip.truncate(600);
    session.write("thesis.zip", zip);
    session.bundle(&["build", "-o", "thesis.zip"]).ends(0);
    fs::create_dir(session.path("folder.zip")).unwrap();
    session.bundle(&["build", "-o", "folder.zip"]).ends(2);
}

/// A build never writes over what it is made from, not even by force.
#[test]
fn a_build_spares_its_sources() {
    let session = Session::small(5000);
    session.bundle(&["build", "-o", "own.zip"]).ends(0);
    let zip = session.read("own.zip");
    session.edit("bundle.toml", "weights.pth", "own.zip");
    for arguments in [
        &["build", "-o", "own.zip"][..],
        &["build", "-o", "own.zip", "--force"],
    ] {
        let run = session.bundle(arguments).ends(2);
        assert!(
            run.stderr.contains("which the bundle is made from"),
            "{}",
            run.stderr
        );
        assert_eq!(session.read("own.zip"), zip);
    }
    session.edit("bundle.toml", "own.zip", "x.zip.sha256");
    session.write("x.zip.sha256", "weights");
    session.bundle(&["build", "-o", "x.zip"]).ends(2);
    assert_eq!(session.text("x.zip.sha256"), "weights");

    session.edit("bundle.toml", "x.zip.sha256", "weights.pth");
    let run = session.bundle(&["build", "-o", "x.zip"]).ends(2);
    assert!(run.stderr.contains("no checksum file"), "{}", run.stderr);
    assert_eq!(
        session.names("."),
        [
            "bundle.lock",
            "bundle.toml",
            "own.zip",
            "own.zip.sha256",
            "weights.pth",
            "x.zip.sha256"
        ]
    );
}

#[test]
fn a_lock_with_another_archive_is_not_reproduced() {
    let session = Session::small(10);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    fs::remove_file(session.path("a.zip")).unwrap();
    let lock = session.text("bundle.lock");
    let at = lock.find("sha256 = \"").unwrap() + 10;
    let edited = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..]);
    session.write("bundle.lock", &edited);
    let run = session
        .bundle(&["build", "--locked", "-o", "a.zip"])
        .ends(1);
    assert!(run.stderr.contains("would not be what"), "{}", run.stderr);
    assert!(!session.exists("a.zip"));
    assert_eq!(session.text("bundle.lock"), edited);
}

fn silent(command: &mut std::process::Command) -> &mut std::process::Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

/// SIGKILL at random moments: the old ZIP or the new one, and the next build does the rest.
#[cfg(unix)]
#[test]
fn a_killed_build_leaves_the_old_bundle_or_the_new_one() {
    let session = Session::small(3 << 20);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let started = std::time::Instant::now();
    session.write("weights.pth", pattern((3 << 20) + 1));
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let duration = started.elapsed() * 3 / 2;
    let mut killed = 0;
    for round in 0..50_u32 {
        let old = session.read("a.zip");
        session.write("weights.pth", pattern((3 << 20) + 2 + round as usize));
        let mut command = session.command(&["build", "-o", "a.zip"]);
        let mut child = silent(&mut command).spawn().unwrap();
        // Moments spread over the whole build, by a sequence that repeats nothing.
        let moment = f64::from(round) * 0.618_034 % 1.0;
        std::thread::sleep(duration.mul_f64(moment));
        let _ = child.kill();
        killed += u32::from(!child.wait().unwrap().success());
        let now = session.read("a.zip");
        if now != old {
            session.bundle(&["verify", "a.zip"]).ends(0);
        }
        session.bundle(&["build", "-o", "a.zip"]).ends(0);
        session
            .bundle(&["verify", "a.zip", "--lock", "bundle.lock"])
            .ends(0);
        assert!(session.text("a.zip.sha256").ends_with("  a.zip\n"));
    }
    assert!(
        killed > 10,
        "only {killed} builds were killed before they ended"
    );
    // Leftovers that are old enough are removed by the next build.
    std::thread::sleep(Duration::from_secs(6));
    session.write("weights.pth", "last");
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    assert_eq!(
        session.names("."),
        [
            "a.zip",
            "a.zip.sha256",
            "bundle.lock",
            "bundle.toml",
            "weights.pth"
        ]
    );
}

#[test]
fn builds_side_by_side_succeed() {
    let session = Session::small(2 << 20);
    let other = Session::small(2 << 20);
    let children: Vec<_> = (0..6)
        .map(|index| {
            let mut command = match index % 2 {
                0 => session.command(&["build", "-o", "a.zip"]),
                _ => other.command(&["build", "-o", "a.zip"]),
            };
            command.env("BUNDLE_CACHE_DIR", session.cache());
            silent(&mut command).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for project in [&session, &other] {
        project
            .bundle(&["verify", "a.zip", "--lock", "bundle.lock"])
            .ends(0);
        project
            .bundle(&["build", "--locked", "-o", "a.zip"])
            .ends(0);
    }
}

#[test]
fn a_second_build_of_a_project_says_that_it_waits() {
    let session = Session::small(10);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let records = fs::read_dir(session.cache().join("records")).unwrap();
    let mut records = records.map(|entry| entry.unwrap().path());
    let turn = records.find(|path| {
        path.extension()
            .is_some_and(|extension| extension == "lock")
    });
    let turn = fs::File::open(turn.unwrap()).unwrap();
    turn.lock().unwrap();
    let mut command = session.command(&["build", "-o", "a.zip"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "   Waiting for another build of this project\n");
    assert!(child.try_wait().unwrap().is_none());
    turn.unlock().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_useless_cache_costs_time_not_results() {
    let session = Session::small(100_000);
    let first = session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let zip = session.read("a.zip");
    session.settle();
    session.bundle(&["build", "-o", "a.zip"]).ends(0);

    // Every cache file damaged, in every way.
    let records = fs::read_dir(session.cache().join("records")).unwrap();
    let records: Vec<_> = records.map(|entry| entry.unwrap().path()).collect();
    assert!(!records.is_empty());
    for damage in ["", "garbage", "model-bundle records 1 00\nsource 1"] {
        for path in &records {
            fs::write(path, damage).unwrap();
        }
        assert_eq!(
            session.bundle(&["build", "-o", "a.zip"]).ends(0).stdout,
            first.stdout
        );
        session.write("weights.pth", damage);
        session.bundle(&["build", "-o", "a.zip"]).ends(0);
        session.write("weights.pth", pattern(100_000));
        session.bundle(&["build", "-o", "a.zip"]).ends(0);
        session
            .bundle(&["verify", "a.zip", "--lock", "bundle.lock"])
            .ends(0);
    }

    // No place for a cache at all: a file is in the way.
    let blocked = session.path("weights.pth");
    let mut command = session.command(&["build", "-v", "-o", "a.zip"]);
    command.env("BUNDLE_CACHE_DIR", &blocked);
    let run = Run::of(&mut command).ends(0);
    assert!(run.stderr.contains("not used"), "{}", run.stderr);
    assert_eq!(session.read("a.zip").len(), zip.len());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_clear_error_and_leaves_the_old_bundle() {
    let session = Session::small(1 << 20);
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
    let zip = session.read("a.zip");
    session.write("weights.pth", pattern(2 << 20));
    // A limit on the size of files fails a write in the middle, as a full disk does.
    let mut shell = std::process::Command::new("bash");
    let program = env!("CARGO_BIN_EXE_bundle");
    shell
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 1500; exec \"$0\" build -o a.zip",
            program,
        ])
        .current_dir(session.path(""))
        .env("BUNDLE_CACHE_DIR", session.cache());
    let run = Run::of(&mut shell).ends(2);
    assert!(run.stderr.contains("cannot write a.zip"), "{}", run.stderr);
    assert_eq!(session.read("a.zip"), zip);
    assert_eq!(
        session.names("."),
        [
            "a.zip",
            "a.zip.sha256",
            "bundle.lock",
            "bundle.toml",
            "weights.pth"
        ]
    );
    session.bundle(&["build", "-o", "a.zip"]).ends(0);
}

#[test]
fn a_source_that_changes_under_the_build_is_named() {
    /// Rewrites the weights when packing begins.
    struct Meddler<'a>(&'a Session, &'a [u8]);
    impl Progress for Meddler<'_> {
        fn begin(&self, what: &str, _bytes: u64) {
            if what == "Packing" {
                self.0.write("weights.pth", self.1);
            }
        }
    }
    for (name, bytes) in [
        ("same size", [1_u8; 1000].as_slice()),
        ("shrunk", &[1; 10]),
        ("grown", &[1; 2000]),
    ] {
        let session = Session::small(1000);
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
        let error = build(&options, cache, &Meddler(&session, bytes))
            .expect_err(name)
            .to_string();
        assert!(
            error.contains("weights.pth") && error.contains("changed"),
            "{name}: {error}"
        );
        assert_eq!(session.names("."), ["bundle.toml", "weights.pth"], "{name}");
    }
}
