//! The tar layout of PyTorch before 0.1.10. Its tensors are not read, but `torch.load` still unpickles all that is in
//! it (`legacy_load`), so all of that is audited.

use std::collections::HashSet;

use super::rebuild::natural;
use super::{Checkpoint, Content, Layout, audited, malformed};
use crate::blob::Blob;
use crate::weights::WeightsError;
use crate::weights::audit::{Audit, Kind};
use crate::weights::pickle::Pickle;

/// Bytes of a header, and what members are padded to.
pub const HEADER: usize = 512;

/// Bytes of an extended header that are read.
const LONGEST_EXTENSION: u64 = 64 << 10;

/// Whether Python's tarfile may take the bytes for the header of a member: only the sum of its bytes counts
/// (`TarInfo.frombuf`). What is then odd about the header is refused, and nothing else tried.
pub fn is_header(head: &[u8]) -> bool {
    let Ok(head) = <&[u8; HEADER]>::try_from(head) else {
        return false;
    };
    let (unsigned, signed) = sums(head);
    let claimed = claimed(&head[CHECKSUM]);
    claimed.is_some_and(|claimed| claimed == unsigned || claimed == signed.abs())
}

/// The checksum that a header claims, without its sign, in the widest reading of `tarfile.nti`: `int(text, 8)` passes
/// over blanks, among which Python counts the separators 0x1c to 0x1f, and takes signs, underscores and a prefix.
fn claimed(field: &[u8]) -> Option<i64> {
    // Fewer digits than any unsigned sum has are found by chance in bytes of all kinds.
    const FEW: usize = 3;
    if let [first @ (0x80 | 0xff), rest @ ..] = field {
        // GNU's numbers of base 256, negative after 0xff.
        let number = rest.iter().try_fold(0_i64, |sum, byte| {
            sum.checked_mul(256)?.checked_add(i64::from(*byte))
        })?;
        let bits = u32::try_from(8 * rest.len()).ok()?;
        return match first {
            0x80 => Some(number),
            _ => Some(1_i64.checked_shl(bits)? - number),
        };
    }
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let (digits, rest): (Vec<u8>, Vec<u8>) =
        text.iter().partition(|byte| (b'0'..=b'7').contains(*byte));
    let is_passed_over =
        |byte: &u8| matches!(byte, b'\t'..=b'\r' | 0x1c..=b' ') || b"+-_oO".contains(byte);
    if digits.len() < FEW && !rest.iter().all(is_passed_over) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 8 + i64::from(digit - b'0')),
    )
}

const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The sum of a header's bytes, those of the checksum taken for spaces, unsigned as POSIX has it and signed as some do.
fn sums(head: &[u8; HEADER]) -> (i64, i64) {
    let mut sums = (8 * i64::from(b' '), 8 * i64::from(b' '));
    for (index, byte) in head.iter().enumerate() {
        if !CHECKSUM.contains(&index) {
            sums.0 += i64::from(*byte);
            sums.1 += i64::from(*byte as i8);
        }
    }
    sums
}

/// A number in octal digits, with spaces around it and NUL at its end. Whatever this reads Python reads as well: blanks
/// that are none to it would make the file no tar there.
fn octal(field: &[u8]) -> Option<i64> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| i64::from_str_radix(text, 8).ok())?
}

/// Reads a checkpoint of this layout.
pub fn read(blob: &Blob) -> Result<Checkpoint, WeightsError> {
    let mut audit = Audit::default();
    let mut seen = HashSet::new();
    for member in members(blob)? {
        let name = member.name.as_str();
        if !seen.insert(member.name.clone()) {
            return Err(malformed(Some(name), None, "the member is there twice"));
        }
        let mut stream = Stream {
            audit: &mut audit,
            name,
            bytes: &member.bytes,
            position: 0,
        };
        match name {
            "storages" => stream.storages()?,
            "tensors" => stream.tensors()?,
            "pickle" | "sys_info" => {
                stream.next()?;
            }
            _ => {
                audit.hidden(Kind::Torch, Some(name), &member.bytes)?;
                continue;
            }
        }
        stream.end()?;
    }
    for wanted in ["storages", "tensors", "pickle"] {
        if !seen.contains(wanted) {
            return Err(malformed(
                None,
                None,
                format!("this tar has no member `{wanted}`"),
            ));
        }
    }
    let mut checkpoint = Checkpoint::empty(Layout::Tar, audit);
    checkpoint.content = Content::Other {
        what: "a checkpoint in the tar layout that PyTorch wrote before version 0.1.10; load it with PyTorch and save \
               it again"
            .to_owned(),
    };
    Ok(checkpoint)
}

/// A member that mixes pickles with other data.
struct Stream<'a> {
    audit: &'a mut Audit,
    name: &'a str,
    bytes: &'a Blob,
    position: u64,
}

impl Stream<'_> {
    /// Audits the pickle that comes next.
    fn next(&mut self) -> Result<Pickle, WeightsError> {
        let pickle = audited(self.audit, Some(self.name), self.bytes, self.position)?;
        self.position = pickle.end;
        Ok(pickle)
    }

    /// A pickle of the number of things that follow.
    fn count(&mut self) -> Result<u64, WeightsError> {
        let pickle = self.next()?;
        natural(&pickle, pickle.root)
            .map_err(|fault| malformed(Some(self.name), Some(fault.offset), fault.message))
    }

    /// A count, then for each storage its key, location and class, and its elements; then the views of storages.
    fn storages(&mut self) -> Result<(), WeightsError> {
        for _ in 0..self.count()? {
            let pickle = self.next()?;
            let class = match pickle.sequence(pickle.root) {
                Some([_key, _location, class]) => pickle.global(*class),
                _ => None,
            };
            let size = class.and_then(|class| super::rebuild::Elements::of_class(&class.name));
            let Some(size) = size.map(super::rebuild::Elements::size) else {
                return Err(self.wrong(
                    pickle.start,
                    "expected a key, a location and a storage class",
                ));
            };
            let count = self.number()?;
            let bytes = count.checked_mul(size);
            self.skip(bytes)?;
        }
        self.next()?;
        Ok(())
    }

    /// A count, then for each tensor its key, storage and class, its dimensions (4 bytes, and 4 that are skipped), its
    /// sizes, its strides, and where in the storage it begins.
    fn tensors(&mut self) -> Result<(), WeightsError> {
        for _ in 0..self.count()? {
            self.next()?;
            let dimensions = self.number()? & u64::from(u32::MAX);
            self.skip(dimensions.checked_mul(16))?;
            self.skip(Some(8))?;
        }
        Ok(())
    }

    /// The 8 bytes that come next.
    fn number(&mut self) -> Result<u64, WeightsError> {
        let mut bytes = [0; 8];
        let start = self.position;
        self.skip(Some(8))?;
        self.bytes.read_exact_at(&mut bytes, start)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn skip(&mut self, bytes: Option<u64>) -> Result<(), WeightsError> {
        let end = bytes.and_then(|bytes| self.position.checked_add(bytes));
        match end.filter(|end| *end <= self.bytes.size()) {
            Some(end) => {
                self.position = end;
                Ok(())
            }
            None => Err(self.wrong(self.position, "it ends in the middle of its data")),
        }
    }

    /// Nothing may follow.
    fn end(&self) -> Result<(), WeightsError> {
        match self.bytes.size() - self.position {
            0 => Ok(()),
            rest => Err(self.wrong(self.position, &format!("{rest} bytes follow its data"))),
        }
    }

    fn wrong(&self, offset: u64, message: &str) -> WeightsError {
        malformed(Some(self.name), Some(offset), message)
    }
}

/// A member of the tar.
struct Member {
    name: String,
    bytes: Blob,
}

/// The members: regular files with plain names, as Python's tarfile writes them. Whatever could give a member another
/// name or size to some reader is refused.
fn members(blob: &Blob) -> Result<Vec<Member>, WeightsError> {
    let mut members = Vec::new();
    let mut position = 0;
    loop {
        let wrong = |message: &str| malformed(None, Some(position), message);
        let mut head = [0; HEADER];
        if position == blob.size() {
            return Ok(members);
        }
        blob.read_exact_at(&mut head, position)
            .map_err(|_| wrong("the tar ends in the middle of a header"))?;
        if head.iter().all(|byte| *byte == 0) {
            return padding(blob, position).map(|()| members);
        }
        let header = Header::read(&head).map_err(wrong)?;
        let start = position + HEADER as u64;
        let bytes = start
            .checked_add(header.size)
            .and_then(|end| blob.slice(start..end));
        let bytes = bytes.ok_or_else(|| wrong("a member reaches beyond the end of the tar"))?;
        match header.kind {
            0 | b'0' => members.push(Member {
                name: header.name,
                bytes,
            }),
            b'x' => extension(&bytes).map_err(wrong)?,
            b'5' if header.size == 0 => {}
            _ => {
                return Err(wrong(
                    "expected a regular file; PyTorch writes nothing else",
                ));
            }
        }
        let padded = header.size.div_ceil(HEADER as u64) * HEADER as u64;
        // The last member need not be padded.
        position = (start + padded).min(blob.size());
    }
}

/// After the last member come zeros, up to a multiple of 20 headers.
fn padding(blob: &Blob, position: u64) -> Result<(), WeightsError> {
    let wrong = || malformed(None, Some(position), "something follows the end of the tar");
    let rest = blob.slice(position..blob.size()).ok_or_else(wrong)?;
    let rest = rest.read(2 * 20 * HEADER as u64).map_err(|_| wrong())?;
    match rest.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(wrong()),
    }
}

/// What counts of a header (POSIX, "ustar Interchange Format").
struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn read(head: &[u8; HEADER]) -> Result<Self, &'static str> {
        let (unsigned, signed) = sums(head);
        let claimed = octal(&head[CHECKSUM]);
        if claimed != Some(unsigned) && claimed != Some(signed) {
            return Err("the checksum of a header is wrong");
        }
        let size = octal(&head[124..136]).and_then(|size| u64::try_from(size).ok());
        let text = |field: &[u8]| {
            let end = field
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(field.len());
            std::str::from_utf8(field.get(..end)?)
                .ok()
                .map(str::to_owned)
        };
        // The prefix of a long name.
        if head[345] != 0 {
            return Err("a member has a longer name than PyTorch gives");
        }
        Ok(Self {
            name: text(&head[..100]).ok_or("the name of a member is no text")?,
            size: size.ok_or("the size of a member is no octal number")?,
            kind: head[156],
        })
    }
}

/// An extended header may only hold what changes nothing here: Python writes times of a fraction of a second there.
fn extension(bytes: &Blob) -> Result<(), &'static str> {
    const HARMLESS: [&str; 7] = ["mtime", "atime", "ctime", "uid", "gid", "uname", "gname"];
    let damaged = "an extended header is damaged";
    let bytes = bytes
        .read(LONGEST_EXTENSION)
        .map_err(|_| "an extended header is too long")?;
    let mut rest = std::str::from_utf8(&bytes).map_err(|_| damaged)?;
    while !rest.is_empty() {
        // `LENGTH KEY=VALUE\n`, the length being that of all of it.
        let (length, _) = rest.split_once(' ').ok_or(damaged)?;
        let length: usize = length.parse().map_err(|_| damaged)?;
        let (record, after) = rest.split_at_checked(length).ok_or(damaged)?;
        let (_, record) = record.split_once(' ').ok_or(damaged)?;
        let (key, value) = record.split_once('=').ok_or(damaged)?;
        if !value.ends_with('\n') || !HARMLESS.contains(&key) {
            return Err("an extended header changes more than times and owners");
        }
        rest = after;
    }
    Ok(())
}
