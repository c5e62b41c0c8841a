//! What is known of one project's files, as a text with a checksum.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::stamp::{Record, Stamp};
use crate::digest::{Contents, Digest, Sha256};

/// Format of the record files.
const HEADER: &str = "model-bundle records 1";

/// A ZIP that a build wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    pub sha256: Sha256,
    /// The digest of the lock inside it, which determines every other byte.
    pub lock: Digest,
}

/// What is known of one project's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Files that go into the bundle, by absolute path.
    pub sources: BTreeMap<PathBuf, Record<Contents>>,
    /// Bundles, by absolute path.
    pub outputs: BTreeMap<PathBuf, Record<Built>>,
}

impl Records {
    /// One line a record, under a header that carries the digest of the lines.
    pub(super) fn render(&self) -> String {
        let mut lines = String::new();
        for (path, record) in &self.sources {
            let Contents {
                size,
                crc32,
                blake3,
            } = record.found;
            push_record(
                &mut lines,
                path,
                record,
                &format!("source {size} {crc32} {blake3}"),
            );
        }
        for (path, record) in &self.outputs {
            let Built { sha256, lock } = record.found;
            push_record(&mut lines, path, record, &format!("output {sha256} {lock}"));
        }
        format!("{HEADER} {}\n{lines}", Digest::of(lines.as_bytes()))
    }

    /// The records in `text`; `None` if it is damaged or of another version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (header, lines) = text.split_once('\n')?;
        let digest = header.strip_prefix(HEADER)?.trim().parse::<Digest>().ok()?;
        if digest != Digest::of(lines.as_bytes()) {
            return None;
        }
        let mut records = Self::default();
        for line in lines.lines() {
            records.insert(line)?;
        }
        Some(records)
    }

    fn insert(&mut self, line: &str) -> Option<()> {
        let (fields, path) = line.split_once('\t')?;
        let mut fields = fields.split(' ');
        let kind = fields.next()?;
        match kind {
            "source" => {
                let found = Contents {
                    size: parse(&mut fields)?,
                    crc32: parse(&mut fields)?,
                    blake3: parse(&mut fields)?,
                };
                let record = parse_record(&mut fields, found)?;
                self.sources.insert(path.into(), record);
            }
            "output" => {
                let found = Built {
                    sha256: parse(&mut fields)?,
                    lock: parse(&mut fields)?,
                };
                let record = parse_record(&mut fields, found)?;
                self.outputs.insert(path.into(), record);
            }
            _ => return None,
        }
        Some(())
    }
}

fn push_record<T>(lines: &mut String, path: &Path, record: &Record<T>, found: &str) {
    // A path that is no text, or has more than one line, is not worth a format of its own: it is read each time.
    let Some(path) = path.to_str().filter(|path| !path.contains(['\n', '\r'])) else {
        return;
    };
    let Stamp {
        size,
        modified,
        changed,
        inode,
        device,
    } = record.stamp;
    let seen = record.seen;
    let _ = writeln!(
        lines,
        "{found} {size} {modified} {changed} {inode} {device} {seen}\t{path}"
    );
}

fn parse_record<'a, T>(fields: &mut impl Iterator<Item = &'a str>, found: T) -> Option<Record<T>> {
    let stamp = Stamp {
        size: parse(fields)?,
        modified: parse(fields)?,
        changed: parse(fields)?,
        inode: parse(fields)?,
        device: parse(fields)?,
    };
    let seen = parse(fields)?;
    fields
        .next()
        .is_none()
        .then_some(Record { stamp, seen, found })
}

fn parse<'a, T: std::str::FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            size: 3,
            modified: 10_000_000_000,
            changed: 11_000_000_000,
            inode: 7,
            device: 8,
        }
    }

    fn records() -> Records {
        let mut records = Records::default();
        records.sources.insert(
            "/a b/models/é.pth".into(),
            Record {
                stamp: stamp(),
                seen: -5,
                found: Contents::of(b"abc"),
            },
        );
        records.outputs.insert(
            "/a b/x.zip".into(),
            Record {
                stamp: stamp(),
                seen: 5,
                found: Built {
                    sha256: [7; 32].into(),
                    lock: Digest::of(b"lock"),
                },
            },
        );
        records
    }

    #[test]
    fn records_come_back() {
        let text = records().render();
        assert_eq!(Records::parse(&text), Some(records()));
    }

    #[test]
    fn any_damage_to_records_is_noticed() {
        let text = records().render().into_bytes();
        for index in 0..text.len() {
            let mut damaged = text.clone();
            damaged[index] ^= 1;
            let parsed = std::str::from_utf8(&damaged).ok().and_then(Records::parse);
            assert_eq!(parsed, None, "byte {index}");
            let cut = std::str::from_utf8(&text[..index])
                .ok()
                .and_then(Records::parse);
            assert_eq!(cut, None, "cut at {index}");
        }
    }
}
