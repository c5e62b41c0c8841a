//! The corpus of pickles: each hostile one is refused for exactly its reasons, each innocent one passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use model_bundle::blob::Blob;
use model_bundle::progress::Silent;
use model_bundle::weights;
use model_bundle::weights::audit::{Audit, Fault, Kind};
use model_bundle::weights::pickle::{self, NoHost};

use super::pickle_files::File;
use super::pickle_kit::{As, Case, Expected, asm, proto};
use super::{pickle_files, pickle_hostile, pickle_innocent};

fn audit(kind: Kind, stream: As, bytes: &[u8]) -> Audit {
    let blob = Blob::from(bytes.to_vec());
    let mut audit = Audit::default();
    match stream {
        As::Hidden => {
            audit.hidden(kind, None, &blob).unwrap();
        }
        As::Pickle => match pickle::read(&blob, 0, &mut NoHost) {
            Ok(pickle) => audit.pickle(kind, None, &pickle),
            Err(error) => audit.broken(kind, None, &error),
        },
    }
    audit
}

fn found(audit: &Audit) -> Vec<Expected> {
    let findings = audit.findings.iter().map(|finding| Expected {
        within: finding.within.clone(),
        offset: finding.offset,
        kind: finding.fault.kind(),
        global: finding
            .fault
            .global()
            .map(ToString::to_string)
            .unwrap_or_default(),
    });
    findings.collect()
}

fn check(case: &Case) {
    let audit = audit(case.kind, case.stream, &case.bytes);
    let mut expected = case.expected.clone();
    expected.sort();
    let mut found = found(&audit);
    found.sort();
    assert_eq!(found, expected, "{}", case.name);
}

#[test]
fn hostile_pickles_are_refused_for_their_reasons() {
    let cases = pickle_hostile::cases();
    for case in &cases {
        assert!(!case.expected.is_empty(), "{} expects nothing", case.name);
        check(case);
    }
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.len() >= 160, "{} cases", names.len());
}

#[test]
fn innocent_pickles_pass() {
    let cases = pickle_innocent::cases();
    for case in &cases {
        assert!(case.expected.is_empty());
        check(case);
    }
    assert!(cases.len() >= 58, "{} cases", cases.len());
}

/// Pickles that torch 2.6 and scikit-learn 1.0 to 1.6 wrote (`fixtures/pickles`).
#[test]
fn what_libraries_write_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pickles");
    let mut versions = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kind = match name.starts_with("sklearn") {
            true => Kind::Estimator,
            false => Kind::Torch,
        };
        let audit = audit(kind, As::Pickle, &fs::read(&path).unwrap());
        let found: Vec<_> = audit.findings.iter().map(ToString::to_string).collect();
        // Only the module that was pickled whole names classes, and these can be allowed.
        let allow: Vec<String> = match name.contains("module") {
            true => [
                "container.Sequential",
                "conv.Conv2d",
                "batchnorm.BatchNorm2d",
                "activation.PReLU",
            ]
            .map(|class| format!("torch.nn.modules.{class}"))
            .into(),
            false => Vec::new(),
        };
        assert_eq!(found.len(), allow.len(), "{name}: {found:?}");
        assert_eq!(audit.refused(&allow).count(), 0, "{name}: {found:?}");
        assert!(audit.globals.len() > 2, "{name}");
        versions.extend(name.split('_').nth(1).map(ToOwned::to_owned));
    }
    assert!(versions.len() >= 8, "{versions:?}");
}

#[test]
fn only_unknown_globals_can_be_allowed() {
    for case in pickle_hostile::cases() {
        let audit = audit(case.kind, case.stream, &case.bytes);
        let all: Vec<String> = audit.globals.iter().cloned().collect();
        let refused: Vec<_> = audit.refused(&all).collect();
        let lifted = audit.findings.len() - refused.len();
        let unknown = |fault: &Fault| matches!(fault, Fault::Unknown { .. });
        let unknowns = audit
            .findings
            .iter()
            .filter(|finding| unknown(&finding.fault))
            .count();
        assert_eq!(lifted, unknowns, "{}", case.name);
    }
    let lab = proto(2).global("lab.nets", "Net").raw(b")\x81.");
    let lab = audit(Kind::Torch, As::Pickle, &lab.bytes());
    for (allow, count) in [
        ("lab.nets.Net", 0),
        ("lab.nets", 1),
        ("lab.nets.Net2", 1),
        ("lab", 1),
    ] {
        assert_eq!(lab.refused(&[allow.to_owned()]).count(), count, "{allow}");
    }
}

/// What an allowed class does is its own affair; what the pickle does besides is not.
#[test]
fn an_allowed_global_does_not_lift_what_else_is_wrong() {
    let asm = proto(2)
        .global("lab", "Net")
        .raw(b")\x81")
        .global("lab", "table")
        .int(0)
        .int(1)
        .raw(b"s");
    let audit = audit(Kind::Torch, As::Pickle, &asm.stop().bytes());
    let allow = ["lab.Net".to_owned(), "lab.table".to_owned()];
    let refused: Vec<_> = audit
        .refused(&allow)
        .map(|finding| finding.fault.kind())
        .collect();
    assert_eq!(refused, ["odd_change"]);
}

#[test]
fn byte_strings_are_followed_only_so_deep() {
    let wrapped = |depth| {
        (0..depth).fold(pickle_hostile::system().bytes(), |inner, _| {
            proto(3).octets(&inner).stop().bytes()
        })
    };
    for (depth, kind) in [(8, "dangerous_global"), (9, "endless"), (40, "endless")] {
        let audit = audit(Kind::Torch, As::Pickle, &wrapped(depth));
        let kinds: Vec<_> = audit
            .findings
            .iter()
            .map(|finding| finding.fault.kind())
            .collect();
        assert_eq!(kinds, [kind], "{depth}");
    }
}

/// What is not listed any more cannot be lifted either.
#[test]
fn a_thousand_unknown_globals_hide_nothing() {
    let many = (0..2000).fold(proto(2), |asm, n| {
        asm.global("lab", &format!("C{n}")).raw(b"0")
    });
    let many = many.global("os", "system").raw(b".").bytes();
    let audit = audit(Kind::Torch, As::Pickle, &many);
    assert_eq!(audit.findings.len(), 1001);
    assert_eq!(audit.globals.len(), 2001);
    let all: Vec<String> = audit.globals.iter().cloned().collect();
    let refused: Vec<_> = audit
        .refused(&all)
        .map(|finding| finding.fault.kind())
        .collect();
    assert_eq!(refused, ["endless"]);
}

#[test]
fn a_finding_says_where_what_why_and_what_to_do() {
    let show = |bytes: &[u8], member| {
        let blob = Blob::from(bytes.to_vec());
        let mut audit = Audit::default();
        assert!(audit.hidden(Kind::Torch, member, &blob).unwrap());
        audit.findings[0].to_string()
    };
    let system = pickle_hostile::system().bytes();
    assert_eq!(
        show(&system, Some("archive/extra.pkl")),
        "in `archive/extra.pkl`, at byte 2: it names `posix.system`, which runs programs, as soon as the file is \
         unpickled; no weights need it, and it cannot be allowed"
    );
    assert_eq!(
        show(&proto(3).octets(&system).stop().bytes(), None),
        "in the pickle inside the value at byte 2, at byte 2: it names `posix.system`, which runs programs, as soon \
         as the file is unpickled; no weights need it, and it cannot be allowed"
    );
    let lab = proto(2).global("lab.nets", "Net").raw(b".").bytes();
    assert_eq!(
        show(&lab, None),
        "at byte 2: it names `lab.nets.Net`, which weights are not known to need: unpickling imports it, and may \
         call it."
    );
    let odd = asm()
        .global("\u{1b}[2Jlab", &"x".repeat(1000))
        .raw(b".")
        .bytes();
    let shown = show(&odd, None);
    assert!(shown.len() < 1500 && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn findings_are_one_record_each_in_json() {
    let audit = audit(Kind::Torch, As::Pickle, &pickle_hostile::system().bytes());
    let json = serde_json::to_value(&audit.findings).unwrap();
    assert_eq!(json[0]["kind"], "dangerous_global");
    assert_eq!(json[0]["global"], "posix.system");
    assert_eq!(json[0]["offset"], 2);
    assert_eq!(json[0]["member"], serde_json::Value::Null);
    assert!(
        json[0]["message"]
            .as_str()
            .unwrap()
            .contains("runs programs")
    );
}

/// What becomes of a file: `None` if it passes.
fn refusal(file: &File) -> Option<String> {
    let blob = Blob::from(file.bytes.clone());
    match weights::read(&blob, Path::new(&file.name), &Silent) {
        Err(error) => Some(error.to_string()),
        Ok(weights) => weights.audit.findings.first().map(ToString::to_string),
    }
}

#[test]
fn files_are_refused_wherever_the_pickle_is() {
    let mut wrong = Vec::new();
    for file in pickle_files::files() {
        let refusal = refusal(&file);
        if refusal.is_some() != file.hostile {
            wrong.push((file.name, refusal));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_around_the_pickles_change_nothing() {
    let mut wrong = Vec::new();
    for case in pickle_hostile::cases()
        .iter()
        .chain(&pickle_innocent::cases())
    {
        let file = pickle_files::file_of(case);
        let refusal = refusal(&file);
        if refusal.is_some() != file.hostile {
            wrong.push((file.name, refusal));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
