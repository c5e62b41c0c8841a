//! The lock: the real one comes back byte for byte; every other text is refused in its own words.

use std::fs;

use insta::assert_snapshot;
use model_bundle::lockfile::Lockfile;

use crate::session::{RODS, Session};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bundle.lock.example");

#[test]
fn the_example_lock_is_parsed_and_rewritten_byte_for_byte() {
    let bytes = fs::read(EXAMPLE).unwrap();
    let lock = Lockfile::parse(&bytes).unwrap();
    assert_eq!(lock.render().as_bytes(), bytes);
    assert_eq!(bytes, fs::read(format!("{RODS}/bundle.lock")).unwrap());
    assert_eq!(lock.models.len(), 7);
    assert!(lock.archive.is_some());
    let inner = lock.inner();
    assert_eq!(Lockfile::parse(inner.render().as_bytes()).unwrap(), inner);
    assert!(lock.changes(&lock).is_empty());
}

#[test]
fn crlf_is_not_content() {
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let lock = Lockfile::parse(text.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(lock.render(), text);
}

/// Each kind of damage, its own message.
#[test]
fn a_damaged_lock_is_refused_in_its_own_words() {
    let good = fs::read_to_string(EXAMPLE).unwrap();
    let edit = |old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        good.replacen(old, new, 1)
    };
    let digest = good.split("blake3 = \"").nth(1).unwrap()[..64].to_owned();
    let cases = [
        ("empty", String::new()),
        ("another file", "[package]\nname = \"x\"\n".to_owned()),
        ("newer", edit("version = 1", "version = 2")),
        (
            "conflict",
            edit(
                "layout = 1\n",
                "<<<<<<< HEAD\nlayout = 1\n=======\nlayout = 2\n>>>>>>> b\n",
            ),
        ),
        ("cut in a line", good[..good.len() - 20].to_owned()),
        (
            "cut before the last newline",
            good[..good.len() - 1].to_owned(),
        ),
        (
            "cut between blocks",
            good[..good.rfind("[[file]]").unwrap()].to_owned(),
        ),
        ("a comment", edit("layout = 1\n", "layout = 1 # ours\n")),
        ("other spacing", edit("layout = 1", "layout=1")),
        ("other layout", edit("layout = 1", "layout = 2")),
        (
            "unknown key",
            edit("layout = 1\n", "layout = 1\nextra = true\n"),
        ),
        ("no order", edit("order = [\"bf_focus\", ", "order = [")),
        ("bad digest", edit(&digest, &digest[1..])),
        ("upper case", edit(&digest, &digest.to_uppercase())),
        (
            "bad path",
            edit("path = \"config.yml\"", "path = \"../config.yml\""),
        ),
        (
            "file twice",
            edit("path = \"config_tracker.yml\"", "path = \"config.yml\""),
        ),
        (
            "lists itself",
            edit("path = \"config_tracker.yml\"", "path = \"bundle.lock\""),
        ),
        ("bad date", edit("created = \"2", "created = \"x2")),
        ("negative size", edit("size = ", "size = -")),
        (
            "model without file",
            edit("weights = \"models/", "weights = \"models/x"),
        ),
    ];
    let mut table = String::new();
    for (name, text) in cases {
        let error = Lockfile::parse(text.as_bytes()).expect_err(name);
        table += &format!("{name}\n    {error}\n    help: {}\n", error.help());
    }
    assert_snapshot!(table);
}

#[test]
fn no_text_near_the_example_panics_or_is_taken_for_another_lock() {
    let good = fs::read(EXAMPLE).unwrap();
    for index in 0..good.len() {
        let mut bytes = good.clone();
        bytes[index] ^= 1 << (index % 7);
        if let Ok(lock) = Lockfile::parse(&bytes) {
            assert_eq!(lock.render().as_bytes(), bytes, "byte {index}");
        }
    }
}

#[test]
fn a_lock_of_another_config_is_refused() {
    let session = Session::small(10);
    session.bundle(&["lock"]).ends(0);
    fs::rename(session.path("bundle.toml"), session.path("x.toml")).unwrap();
    fs::rename(session.path("bundle.lock"), session.path("x.lock")).unwrap();
    let run = session.bundle(&["lock", "-c", "x.toml"]).ends(2);
    assert_snapshot!(run.stderr);
}

#[test]
fn an_unchanged_project_leaves_the_lock_untouched() {
    let session = Session::rods();
    session.bundle(&["lock"]).ends(0);
    let before = fs::metadata(session.path("bundle.lock"))
        .unwrap()
        .modified()
        .unwrap();
    let text = session.text("bundle.lock");
    session.bundle(&["lock"]).ends(0);
    session.bundle(&["lock", "--check"]).ends(0);
    // The date that CI sets is for new content.
    let mut command = session.command(&["lock", "--check"]);
    command.env("SOURCE_DATE_EPOCH", "1000000000");
    crate::session::Run::of(&mut command).ends(0);
    assert_eq!(session.text("bundle.lock"), text);
    let after = fs::metadata(session.path("bundle.lock"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);
}

/// Found by fuzzing: NaN is not equal to itself, and a lock cannot tell `1` from `"1"`.
#[test]
fn any_arguments_leave_the_lock_untouched() {
    let session = Session::small(10);
    session.write(
        "odd.yml",
        "custom:\n  bundle_name: Custom\n  model_path: weights.pth\n  model_args: {x: [.nan, {\"1\": a}], \"2\": b}\n",
    );
    session.bundle(&["lock", "-c", "odd.yml"]).ends(0);
    let text = session.text("odd.lock");
    session
        .bundle(&["lock", "-c", "odd.yml", "--check"])
        .ends(0);
    session.bundle(&["lock", "-c", "odd.yml"]).ends(0);
    assert_eq!(session.text("odd.lock"), text);
}

#[test]
fn the_date_is_the_pin_then_source_date_epoch() {
    let session = Session::small(10);
    let mut command = session.command(&["lock"]);
    command.env("SOURCE_DATE_EPOCH", "1766071842");
    crate::session::Run::of(&mut command).ends(0);
    assert!(
        session
            .text("bundle.lock")
            .contains("created = \"2025-12-18 15:30:42\"")
    );

    session.edit(
        "bundle.toml",
        "auto_date = false",
        "auto_date = false\ncreated = \"2024-01-02 03:04:05\"",
    );
    let run = session.bundle(&["lock", "--check"]).ends(1);
    assert!(run.stderr.contains("bundle.created"), "{}", run.stderr);
    let mut command = session.command(&["lock"]);
    command.env("SOURCE_DATE_EPOCH", "1766071842");
    crate::session::Run::of(&mut command).ends(0);
    assert!(
        session
            .text("bundle.lock")
            .contains("created = \"2024-01-02 03:04:05\"")
    );

    let mut command = session.command(&["lock"]);
    command.env("SOURCE_DATE_EPOCH", "soon");
    assert_snapshot!(crate::session::Run::of(&mut command).ends(2).stderr);
}

/// A stale lock: exit status 1, every change named, nothing written.
#[test]
fn check_names_every_change_and_writes_nothing() {
    let session = Session::rods();
    session.write("models/pi_model_20251218.pkl", "first");
    let mut command = session.command(&["lock", "--no-check"]);
    command.env("SOURCE_DATE_EPOCH", "1766071842");
    crate::session::Run::of(&mut command).ends(0);
    let lock = session.text("bundle.lock");

    session.write("models/pi_model_20251218.pkl", "second");
    session.edit(
        "bundle.toml",
        "score_threshold = 0.3",
        "score_threshold = 0.35",
    );
    session.edit("bundle.toml", "mask_threshold = 0.5\n", "");
    session.edit("bundle.toml", "version = \"1.0\"", "version = \"1.1\"");
    let before = session.names(".");
    let run = session.bundle(&["lock", "--check", "--no-check"]).ends(1);
    assert_snapshot!(run.stderr);
    let run = session.bundle(&["build", "--locked", "--no-check"]).ends(1);
    assert_snapshot!("build_locked_stale", run.stderr);
    assert_eq!(session.names("."), before);
    assert_eq!(session.text("bundle.lock"), lock);

    session.bundle(&["lock", "--no-check"]).ends(0);
    session.bundle(&["lock", "--check", "--no-check"]).ends(0);
}

/// A checkout that converted line endings is told as such.
#[test]
fn a_difference_of_line_endings_alone_is_said_to_be_one() {
    let session = Session::rods();
    session.bundle(&["lock"]).ends(0);
    let tracker = session.text("tracking_config.yml");
    session.write("tracking_config.yml", tracker.replace('\n', "\r\n"));
    let run = session.bundle(&["lock", "--check"]).ends(1);
    assert_snapshot!(run.stderr);
    session.bundle(&["lock"]).ends(0);
    session.write("tracking_config.yml", tracker + "# more\n");
    let run = session.bundle(&["lock", "--check"]).ends(1);
    assert!(!run.stderr.contains("line endings"), "{}", run.stderr);
}

mod random {
    use indexmap::IndexMap;
    use model_bundle::archive::BundlePath;
    use model_bundle::digest::{Contents, Digest};
    use model_bundle::lockfile::{
        ArchivePin, Layout, LockedFacts, LockedFile, LockedModel, Lockfile,
    };
    use model_bundle::value::{Key, Map, Value};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Key> {
        prop_oneof![
            any::<i64>().prop_map(Key::Int),
            "[a-z_]{1,8}".prop_map(Key::String),
            // Text that needs quotes; what reads as an integer is one.
            "\\PC{0,6}".prop_map(|text| Key::from_toml(&text)),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::List),
                map_of(inner).prop_map(Value::Map),
            ]
        })
    }

    fn map_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map> {
        vec((key(), value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
    }

    fn facts() -> impl Strategy<Value = LockedFacts> {
        let text = || proptest::option::of(any::<String>());
        let number = proptest::option::of(0..=i64::MAX as u64);
        let arguments = proptest::option::of(map_of(value()));
        let globals = vec("[a-c]{1,2}", 0..4);
        (
            text(),
            arguments,
            number,
            text(),
            any::<Option<u8>>(),
            globals,
        )
            .prop_map(
                |(architecture, architecture_args, parameters, dtype, tensors, globals)| {
                    LockedFacts {
                        architecture,
                        architecture_args,
                        parameters,
                        dtype,
                        tensors: tensors.map(|byte| Digest::of(&[byte])),
                        globals,
                    }
                },
            )
    }

    fn lockfile() -> impl Strategy<Value = Lockfile> {
        let model = (
            map_of(value()),
            proptest::option::of(map_of(value())),
            vec(any::<String>(), 0..3),
            facts(),
        );
        let models = btree_map("[a-z_]{1,8}|\\PC{1,6}", model, 0..4);
        let sources = btree_map("x[a-z]{1,8}", (any::<String>(), any::<Vec<u8>>()), 0..5);
        (models, sources, any::<bool>(), map_of(value())).prop_map(
            |(models, sources, built, about)| {
                let config = ("config.yml".to_owned(), (String::new(), Vec::new()));
                let files = sources.into_iter().chain([config]);
                let models = models.into_iter().map(
                    |(key, (inferer_args, model_args, allow_globals, facts))| {
                        let model = LockedModel {
                            inferer_args: Some(inferer_args),
                            model_args,
                            allow_globals,
                            facts,
                            ..LockedModel::default()
                        };
                        (key, model)
                    },
                );
                Lockfile {
                    layout: Layout::Canonical,
                    config: "bundle.toml".to_owned(),
                    created: "2025-12-18 15:30:42".parse().ok(),
                    archive: built.then(|| ArchivePin {
                        size: i64::MAX as u64,
                        sha256: [9; 32].into(),
                    }),
                    about,
                    models: models.collect::<IndexMap<_, _>>(),
                    files: files
                        .map(|(name, (source, bytes))| LockedFile {
                            path: BundlePath::new(&name).unwrap(),
                            source: (!source.is_empty()).then_some(source),
                            contents: Contents::of(&bytes),
                        })
                        .collect(),
                }
            },
        )
    }

    proptest! {
        /// Whatever a lock says, its text says it, and nothing else.
        #[test]
        fn a_lock_comes_back_from_its_text(lock in lockfile()) {
            let text = lock.render();
            let parsed = Lockfile::parse(text.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert!(parsed.same_content(&lock), "{text}");
            prop_assert_eq!(parsed.archive, lock.archive);
            prop_assert!(lock.changes(&parsed).is_empty());
            prop_assert_eq!(parsed.render(), text);
        }

        /// Two locks have the same content if and only if no change lies between them.
        #[test]
        fn every_difference_is_a_change(a in lockfile(), b in lockfile()) {
            prop_assert_eq!(a.same_content(&b), a.changes(&b).is_empty(), "{}\n{}", a.render(), b.render());
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let _ = Lockfile::parse(&bytes);
            let _ = Lockfile::parse(format!("version = 1\n{text}").as_bytes());
        }
    }
}
