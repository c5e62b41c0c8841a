//! `bundle verify`: a ZIP against a lock, every byte of it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt;
use crate::archive::{self, Archive, Difference, OpenError, ReadError, VerifyError};
use crate::digest::Sha256;
use crate::lockfile::{self, INNER_NAME, Layout, LockError, Lockfile};
use crate::progress::{Phase, Progress};

/// What to verify, and against what.
#[derive(Clone, Debug)]
pub struct Options {
    pub bundle: PathBuf,
    pub lock: Option<PathBuf>,
    pub sha256: Option<Sha256>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub bundle: PathBuf,
    /// What the answer rests on.
    pub anchor: Anchor,
    pub layout: &'static str,
    pub entries: usize,
    pub size: u64,
    /// The digest of the whole file, where it was asked for or the lock of a foreign bundle needs it.
    pub sha256: Option<Sha256>,
    /// Everything that is not as it should be; empty if the bundle is proven.
    pub differences: Vec<Finding>,
}

/// What ties a bundle to its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Anchor {
    /// A lock that came another way than the ZIP.
    Lock { path: PathBuf },
    /// A digest that came another way than the ZIP.
    Sha256,
    /// Only what the ZIP says of itself.
    None,
}

/// One thing that is not as it should be.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Finding {
    Archive(Difference),
    Bundle(BundleDifference),
}

/// A difference that the archive alone does not show.
#[derive(Debug, thiserror::Error, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BundleDifference {
    #[error("the file's SHA-256 is {found}, expected {expected}")]
    Sha256 { expected: Sha256, found: Sha256 },
    #[error("the file has {found} bytes, expected {expected}")]
    Size { expected: u64, found: u64 },
    #[error(
        "there is no `{INNER_NAME}` inside: the bundle was not made by this program; pin it with `bundle lock --from`, or name a lock with `--lock`"
    )]
    NoInnerLock,
    #[error("{message}")]
    InnerLock { message: String },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(difference) => difference.fmt(f),
            Self::Bundle(difference) => difference.fmt(f),
        }
    }
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("there is no lockfile at {}", path.display())]
    #[diagnostic(help(
        "name the lock of the bundle, or leave `--lock` out to check the bundle against the lock inside it"
    ))]
    NoLock { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    #[error("cannot read {}: {error}", path.display())]
    #[diagnostic(help("check that the file is there and readable"))]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// Verifies a bundle.
///
/// # Errors
/// Fails if the bundle or the lock cannot be read. What is wrong with the bundle is no error but in the report.
pub fn verify(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let bundle = &options.bundle;
    let size = std::fs::metadata(bundle).map_err(read_error(bundle))?.len();
    let (lock, anchor) = match &options.lock {
        Some(path) => {
            let lock = Lockfile::load(path)?;
            let lock = lock.ok_or_else(|| Error::NoLock { path: path.clone() })?;
            let path = path.clone();
            (Ok(lock), Anchor::Lock { path })
        }
        None if options.sha256.is_some() => (inner_lock(bundle)?, Anchor::Sha256),
        None => (inner_lock(bundle)?, Anchor::None),
    };
    let mut report = Report {
        bundle: bundle.clone(),
        anchor,
        layout: "foreign",
        entries: 0,
        size,
        sha256: None,
        differences: Vec::new(),
    };
    let passes = if options.sha256.is_some() { 2 } else { 1 };
    let _phase = Phase::begin(progress, "Verifying", passes * size);
    match lock {
        Ok(lock) => against_lock(&mut report, &lock, progress)?,
        Err(findings) => {
            // Without a lock inside, a digest from outside still proves the bytes, if every reader sees the same.
            let only_unlocked = matches!(
                findings[..],
                [Finding::Bundle(BundleDifference::NoInnerLock)]
            );
            if options.sha256.is_some() && only_unlocked {
                checksums(&mut report, progress)?;
            } else {
                report.differences = findings;
            }
        }
    }
    if let Some(expected) = options.sha256 {
        against_sha256(&mut report, expected, progress)?;
    }
    Ok(report)
}

/// The lock inside the bundle, or why there is none to use.
fn inner_lock(bundle: &Path) -> Result<Result<Lockfile, Vec<Finding>>, Error> {
    let archive = match Archive::open(bundle) {
        Ok(archive) => archive,
        Err(OpenError::Refused { problems, .. }) => {
            let findings = problems
                .into_iter()
                .map(|problem| Difference::Structure { problem });
            return Ok(Err(findings.map(Finding::Archive).collect()));
        }
        Err(OpenError::Io { source, .. }) => return Err(read_error(bundle)(source)),
    };
    let finding = match adopt::inner_lock(&archive) {
        Ok(Some(lock)) => return Ok(Ok(lock)),
        Ok(None) => BundleDifference::NoInnerLock,
        Err(error) => BundleDifference::InnerLock {
            message: error.fault.to_string(),
        },
    };
    Ok(Err(vec![Finding::Bundle(finding)]))
}

fn against_lock(
    report: &mut Report,
    lock: &Lockfile,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let entries = lock.entries();
    report.entries = entries.len();
    let differences = match lock.layout {
        Layout::Canonical => {
            report.layout = "canonical";
            let inner = lock.inner().render().into_bytes();
            let known = HashMap::from([(lockfile::inner_path(), inner)]);
            archive::verify(&report.bundle, &entries, &known, progress)?
        }
        Layout::Foreign => archive::verify_foreign(&report.bundle, &entries, progress)?,
    };
    report
        .differences
        .extend(differences.into_iter().map(Finding::Archive));
    let Some(pin) = lock.archive else {
        return Ok(());
    };
    if lock.layout == Layout::Foreign {
        against_sha256(report, pin.sha256, progress)?;
    } else if pin.size != report.size && report.differences.is_empty() {
        // The canonical headers match, so the lock contradicts itself.
        let (expected, found) = (pin.size, report.size);
        report
            .differences
            .push(Finding::Bundle(BundleDifference::Size { expected, found }));
    }
    Ok(())
}

/// Checks the CRC of every entry of a bundle that has no lock.
fn checksums(report: &mut Report, progress: &dyn Progress) -> Result<(), Error> {
    let bundle = report.bundle.clone();
    let archive = match Archive::open(&bundle) {
        Ok(archive) => archive,
        Err(OpenError::Io { source, .. }) => return Err(read_error(&bundle)(source)),
        Err(OpenError::Refused { .. }) => return Ok(()),
    };
    for entry in archive.entries().iter().filter(|entry| !entry.is_directory) {
        report.entries += 1;
        match archive.contents(entry, progress) {
            Ok(_) => {}
            Err(ReadError::Io { source, .. }) => return Err(read_error(&bundle)(source)),
            Err(error) => report
                .differences
                .push(Finding::Archive(Difference::Unreadable {
                    path: entry.path.clone(),
                    reason: error.to_string(),
                })),
        }
    }
    Ok(())
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Read {
        path: path.to_owned(),
        error,
    }
}

fn against_sha256(
    report: &mut Report,
    expected: Sha256,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let found = match report.sha256 {
        Some(found) => found,
        None => {
            archive::sha256_file(&report.bundle, progress).map_err(read_error(&report.bundle))?
        }
    };
    report.sha256 = Some(found);
    if found != expected {
        report
            .differences
            .push(Finding::Bundle(BundleDifference::Sha256 {
                expected,
                found,
            }));
    }
    Ok(())
}
