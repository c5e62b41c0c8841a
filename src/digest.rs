//! Digests as types, and the hashing of files over all cores.
//!
//! A file is read in slices of 256 KiB with positioned reads, never mapped: a file that is truncated under a
//! map kills the process, a short read is an error. Each slice is one subtree of BLAKE3's tree and one
//! part of the CRC, so slices are read and hashed in any order on any thread and merged afterwards.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use rayon::prelude::*;

use crate::progress::{Progress, check_interrupt};

/// Bytes a thread reads and hashes at a time; a power of two, so that each slice is a whole BLAKE3 subtree.
const SLICE: u64 = 1 << 18;

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A SHA-256 digest: what `sha256sum` prints, for whole archives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

/// A CRC-32 as ZIP stores it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Crc32(pub u32);

/// What a run of bytes is: its length and both checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Contents {
    pub size: u64,
    pub crc32: Crc32,
    pub blake3: Digest,
}

impl Contents {
    /// The contents of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            crc32: Crc32(crc32fast::hash(bytes)),
            blake3: Digest(blake3::hash(bytes).into()),
        }
    }
}

/// Hashes the bytes `range` of `file`, over all cores.
///
/// `path` is only what `progress` is told.
///
/// # Errors
/// Fails if the file cannot be read, ends before the range does ([`io::ErrorKind::UnexpectedEof`]), or the
/// user asked to stop ([`io::ErrorKind::Interrupted`]).
pub fn hash_range(
    file: &File,
    range: Range<u64>,
    path: &Path,
    progress: &dyn Progress,
) -> io::Result<Contents> {
    let size = range.end - range.start;
    if size <= SLICE {
        let bytes = one_slice(file, range, path, progress)?;
        return Ok(Contents::of(&bytes));
    }
    let slices = in_slices(file, range, path, progress, |bytes, offset| {
        let mut crc = crc32fast::Hasher::new();
        crc.update(bytes);
        (subtree(bytes, offset), crc)
    })?;
    let mut crc = crc32fast::Hasher::new();
    let mut subtrees = Vec::with_capacity(slices.len());
    for (subtree, part) in slices {
        crc.combine(&part);
        subtrees.push(subtree);
    }
    Ok(Contents {
        size,
        crc32: Crc32(crc.finalize()),
        blake3: root(&subtrees, size),
    })
}

/// The digest alone of the bytes `range` of `file`, over all cores.
///
/// `path` is only what `progress` is told.
///
/// # Errors
/// As [`hash_range`].
pub fn digest_range(
    file: &File,
    range: Range<u64>,
    path: &Path,
    progress: &dyn Progress,
) -> io::Result<Digest> {
    let size = range.end - range.start;
    if size <= SLICE {
        let bytes = one_slice(file, range, path, progress)?;
        return Ok(Digest::of(&bytes));
    }
    let subtrees = in_slices(file, range, path, progress, subtree)?;
    Ok(root(&subtrees, size))
}

/// Reads a range that is no longer than a slice.
fn one_slice(
    file: &File,
    range: Range<u64>,
    path: &Path,
    progress: &dyn Progress,
) -> io::Result<Vec<u8>> {
    check_interrupt(progress)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    read_exact_at(file, &mut bytes, range.start)?;
    progress.advance(path, bytes.len() as u64);
    Ok(bytes)
}

/// What `hash` makes of every slice of a range and of the slice's place in it, over all cores.
fn in_slices<T: Send>(
    file: &File,
    range: Range<u64>,
    path: &Path,
    progress: &dyn Progress,
    hash: impl Fn(&[u8], u64) -> T + Sync + Send,
) -> io::Result<Vec<T>> {
    let size = range.end - range.start;
    (0..size.div_ceil(SLICE))
        .into_par_iter()
        .map_init(
            || vec![0; SLICE as usize],
            |buffer, index| {
                check_interrupt(progress)?;
                let offset = index * SLICE;
                let bytes = &mut buffer[..SLICE.min(size - offset) as usize];
                read_exact_at(file, bytes, range.start + offset)?;
                progress.advance(path, bytes.len() as u64);
                Ok(hash(bytes, offset))
            },
        )
        .collect()
}

/// The subtree of BLAKE3's tree over a slice at `offset`.
fn subtree(bytes: &[u8], offset: u64) -> ChainingValue {
    blake3::Hasher::new()
        .set_input_offset(offset)
        .update(bytes)
        .finalize_non_root()
}

/// Merges the subtrees of the slices of `size` bytes, of which there are at least two.
fn root(subtrees: &[ChainingValue], size: u64) -> Digest {
    fn halves(subtrees: &[ChainingValue], size: u64) -> (ChainingValue, ChainingValue) {
        let left = hazmat::left_subtree_len(size);
        let (a, b) = subtrees.split_at((left / SLICE) as usize);
        (merged(a, left), merged(b, size - left))
    }
    fn merged(subtrees: &[ChainingValue], size: u64) -> ChainingValue {
        if let [subtree] = subtrees {
            return *subtree;
        }
        let (left, right) = halves(subtrees, size);
        hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash)
    }
    let (left, right) = halves(subtrees, size);
    Digest(hazmat::merge_subtrees_root(&left, &right, Mode::Hash).into())
}

/// Opens a regular file for reading. Anything else (a pipe, a device) could keep its reader waiting for ever.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if it is something else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    File::open(path)
}

/// Reads the text of a regular file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if it is longer.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// Reads exactly `buffer.len()` bytes at `offset`, without moving the file's cursor on Unix.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < buffer.len() {
            match std::os::windows::fs::FileExt::seek_read(
                file,
                &mut buffer[done..],
                offset + done as u64,
            ) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The text of a digest was not hexadecimal of the right length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits (0-9, a-f), found `{found}`")]
pub struct ParseDigestError {
    pub expected: usize,
    pub found: String,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseDigestError> {
    let error = || ParseDigestError {
        expected: 2 * N,
        found: text.to_owned(),
    };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(error());
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(error()),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! hex_text {
    ($name:ident, $to:expr, $from:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $to(self)
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = ParseDigestError;
            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                parse_hex(text).map($from)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_text!(Digest, |x: &Digest| x.0, Digest);
hex_text!(Sha256, |x: &Sha256| x.0, Sha256);
hex_text!(Crc32, |x: &Crc32| x.0.to_be_bytes(), |b| Crc32(
    u32::from_be_bytes(b)
));

impl Digest {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of what `hasher` has been fed.
    pub fn finish(hasher: &blake3::Hasher) -> Self {
        Self(hasher.finalize().into())
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use proptest::prelude::*;
    use std::io::Write;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The parallel hash is the plain hash, at any offset and length around slice borders.
        #[test]
        fn hash_range_equals_the_plain_hash(
            start in 0_u64..3000,
            slices in 0_u64..6,
            rest in prop_oneof![Just(0_u64), Just(1), Just(1023), Just(1024), 0..SLICE],
        ) {
            let size = slices * SLICE + rest;
            let bytes: Vec<u8> = (0..start + size).map(|i| ((i * 2_654_435_761) >> 13) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let found = hash_range(&file, start..start + size, Path::new("x"), &Silent).unwrap();
            prop_assert_eq!(found, Contents::of(&bytes[start as usize..]));
            let digest = digest_range(&file, start..start + size, Path::new("x"), &Silent).unwrap();
            prop_assert_eq!(digest, found.blake3);
        }
    }

    #[test]
    fn a_short_file_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SLICE * 2).unwrap();
        let error = hash_range(&file, 0..SLICE * 2 + 1, Path::new("x"), &Silent).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn digests_parse_only_their_own_text() {
        let digest = Digest::of(b"rods");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("0a1b2c3d".parse(), Ok(Crc32(0x0a1b_2c3d)));
        for bad in ["", "0a1b2c3", "0a1b2c3d4", "0A1B2C3D", "0a1b2c3g", "é1b2c3"] {
            assert!(bad.parse::<Crc32>().is_err(), "{bad}");
        }
    }
}
