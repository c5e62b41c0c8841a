//! The ZIP layout: one folder, in it `data.pkl`, `byteorder`, and a member for each storage.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::content::{self, Storages};
use super::rebuild::StorageId;
use super::{Checkpoint, Content, Layout, audit_elements, audited, malformed};
use crate::archive::{
    Archive, ArchiveEntry, EntryName, MemberName, Method, OpenError, Problem, ReadError,
};
use crate::blob::{Blob, Spill};
use crate::digest::Crc32;
use crate::progress::Progress;
use crate::weights::WeightsError;
use crate::weights::audit::{Audit, Kind};

/// How every file begins that `torch.load` takes for a ZIP (`_is_zipfile`).
pub const MAGIC: &[u8] = b"PK\x03\x04";

/// How much larger than the file its members may be when they are inflated, and what is free of that limit. Weights
/// deflate by a tenth.
const MOST_INFLATION: u64 = 32;
const FREE_BYTES: u64 = 256 << 20;

/// Reads a checkpoint of this layout.
pub fn read(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Checkpoint, WeightsError> {
    let archive = Archive::in_place(path, blob.clone()).map_err(refused)?;
    let members = Members::open(&archive, progress)?;
    let mut audit = Audit::default();
    let object = members.audit(&mut audit, path, progress)?;
    let mut checkpoint = Checkpoint::empty(Layout::Zip, audit);
    if members.get("constants.pkl").is_some() {
        // `_is_torchscript_zip`
        checkpoint.content = Content::TorchScript;
    } else if members.get(".data/extern_modules").is_some() {
        checkpoint.content = Content::Other {
            what: "a package of `torch.package`".to_owned(),
        };
    } else if let Some(object) = object {
        let big_endian = members.big_endian()?;
        let storages = InZip {
            members: &members,
            big_endian,
        };
        content::decide(&mut checkpoint, &object, &storages).map_err(|fault| {
            malformed(
                Some(&members.name("data.pkl")),
                Some(fault.offset),
                fault.message,
            )
        })?;
    } else {
        checkpoint.content = Content::Other {
            what: format!(
                "a ZIP without `{}`, which is no checkpoint",
                members.name("data.pkl")
            ),
        };
    }
    Ok(checkpoint)
}

fn refused(error: OpenError) -> WeightsError {
    match error {
        OpenError::Io { source, .. } => WeightsError::Io(source),
        OpenError::Refused { problems, .. } => {
            let texts: Vec<String> = problems.iter().take(3).map(Problem::to_string).collect();
            malformed(None, None, texts.join("; "))
        }
    }
}

fn damaged(error: ReadError) -> WeightsError {
    match error {
        ReadError::Io { source, .. } | ReadError::Write { source, .. } => WeightsError::Io(source),
        error => malformed(None, None, error.to_string()),
    }
}

/// A member of the archive.
struct Member {
    name: String,
    bytes: Blob,
    /// What is still to be compared with its bytes: nothing for what was inflated, and nothing where PyTorch left it out
    /// (`torch.serialization.set_crc32_options`), which makes it zero.
    crc32: Option<Crc32>,
}

/// The members by name. PyTorch finds them whatever their case (miniz's `mz_zip_reader_locate_file`); names that differ
/// by nothing else were refused.
struct Members {
    /// The folder that they are in: that of the first.
    root: String,
    all: Vec<Member>,
    by_name: HashMap<String, usize>,
}

impl Members {
    /// Finds all members, and inflates those that are deflated.
    fn open(archive: &Archive<MemberName>, progress: &dyn Progress) -> Result<Self, WeightsError> {
        let first = archive
            .entries()
            .first()
            .map(|entry| entry.path.as_str())
            .unwrap_or_default();
        // A ZIP of something else may have none.
        let root = match (first.split_once('/'), archive.entries().first()) {
            (Some((root, _)), _) => root.to_owned(),
            (None, Some(entry)) if entry.is_directory => first.to_owned(),
            _ => String::new(),
        };
        let files = || archive.entries().iter().filter(|entry| !entry.is_directory);
        let mut inflated = inflate(archive, files(), progress)?;
        let mut all = Vec::new();
        let mut by_name = HashMap::new();
        for entry in files() {
            let (bytes, crc32) = match inflated.remove(entry.path.as_str()) {
                Some(bytes) => (bytes, None),
                None => {
                    let bytes = archive.blob(entry, progress).map_err(damaged)?;
                    (bytes, Some(entry.crc32).filter(|crc| crc.0 != 0))
                }
            };
            by_name.insert(entry.path.as_str().to_ascii_lowercase(), all.len());
            all.push(Member {
                name: entry.path.as_str().to_owned(),
                bytes,
                crc32,
            });
        }
        Ok(Self { root, all, by_name })
    }

    /// The whole name of a member of the folder.
    fn name(&self, name: &str) -> String {
        match self.root.as_str() {
            "" => name.to_owned(),
            root => format!("{root}/{name}"),
        }
    }

    fn get(&self, name: &str) -> Option<&Member> {
        let name = self.name(name).to_ascii_lowercase();
        self.all.get(*self.by_name.get(&name)?)
    }

    /// Audits every member, and gives back what `data.pkl` says.
    fn audit(
        &self,
        audit: &mut Audit,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<crate::weights::pickle::Pickle>, WeightsError> {
        let object = self.name("data.pkl").to_ascii_lowercase();
        let storages = self.name("data/").to_ascii_lowercase();
        let mut found = None;
        for member in &self.all {
            crate::progress::check_interrupt(progress)?;
            let lower = member.name.to_ascii_lowercase();
            if lower.starts_with(&storages) && !lower.ends_with(".pkl") {
                audit_elements(audit, &member.name, &member.bytes)?;
                continue;
            }
            if !lower.ends_with(".pkl") {
                audit.hidden(Kind::Torch, Some(&member.name), &member.bytes)?;
                continue;
            }
            member.check(path, progress)?;
            let pickle = audited(audit, Some(&member.name), &member.bytes, 0)?;
            let rest = member.bytes.size() - pickle.end;
            if rest != 0 {
                let message = format!("{rest} bytes follow the pickle, and nothing should");
                return Err(malformed(Some(&member.name), Some(pickle.end), message));
            }
            if lower == object {
                found = Some(pickle);
            }
        }
        Ok(found)
    }

    /// What the member `byteorder` says; without it, numbers have their lowest byte first.
    fn big_endian(&self) -> Result<bool, WeightsError> {
        let Some(member) = self.get("byteorder") else {
            return Ok(false);
        };
        match member.bytes.read(16).as_deref() {
            Ok(b"little") => Ok(false),
            Ok(b"big") => Ok(true),
            Err(error) if error.kind() != io::ErrorKind::FileTooLarge => {
                Err(io::Error::from(error.kind()).into())
            }
            _ => {
                let message = "expected `little` or `big`";
                Err(malformed(Some(&member.name), None, message))
            }
        }
    }
}

impl Member {
    /// Compares the bytes with the CRC.
    fn check(&self, path: &Path, progress: &dyn Progress) -> Result<(), WeightsError> {
        let Some(expected) = self.crc32 else {
            return Ok(());
        };
        let found = self.bytes.contents(path, progress)?.crc32;
        if found != expected {
            let message = format!("its CRC-32 should be {expected}, its bytes give {found}");
            return Err(malformed(Some(&self.name), None, message));
        }
        Ok(())
    }
}

/// Inflates what is deflated, all into one place, and compares it with its CRC.
fn inflate<'a>(
    archive: &Archive<MemberName>,
    entries: impl Iterator<Item = &'a ArchiveEntry<MemberName>>,
    progress: &dyn Progress,
) -> Result<HashMap<String, Blob>, WeightsError> {
    let limit = archive
        .size()
        .saturating_mul(MOST_INFLATION)
        .saturating_add(FREE_BYTES);
    let mut spill = Spill::default();
    let mut ranges = Vec::new();
    for entry in entries.filter(|entry| entry.method == Method::Deflated) {
        let start = spill.size();
        if start.saturating_add(entry.size) > limit {
            let message = format!("its members inflate to more than {limit} bytes");
            return Err(malformed(None, None, message));
        }
        archive
            .copy_to(entry, &mut spill, progress)
            .map_err(damaged)?;
        ranges.push((entry.path.as_str().to_owned(), start..spill.size()));
    }
    let all = spill.finish();
    let slices = ranges
        .into_iter()
        .map(|(name, range)| Some((name, all.slice(range)?)));
    Ok(slices.flatten().collect())
}

/// The storages of this layout.
struct InZip<'a> {
    members: &'a Members,
    big_endian: bool,
}

impl Storages for InZip<'_> {
    fn find(&self, storage: &StorageId) -> Result<(String, Blob, Option<Crc32>), String> {
        let name = format!("data/{}", storage.key);
        let Some(member) = self.members.get(&name) else {
            return Err(format!(
                "its storage `{}` is not in the file",
                self.members.name(&name)
            ));
        };
        let found = member.bytes.size();
        match storage.size() {
            Some(expected) if expected == found => {}
            expected => {
                let expected =
                    expected.map_or("more than 64 bits count".to_owned(), |n| n.to_string());
                return Err(format!(
                    "its storage `{}` should have {expected} bytes, and has {found}",
                    member.name
                ));
            }
        }
        Ok((member.name.clone(), member.bytes.clone(), member.crc32))
    }

    fn big_endian(&self) -> bool {
        self.big_endian
    }
}
