//! The compressions that `joblib.load` recognises, undone into a temporary file.
//!
//! A file is taken for what its first bytes say, its extension counts for nothing (`_detect_compressor` in joblib's
//! `numpy_pickle_utils.py`, prefixes in its `compressor.py`). Several members one after another are read as Python's
//! modules read them; anything else after the last is refused, since some reader might unpickle it.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};

use crate::blob::{Blob, BlobReader, Spill};
use crate::progress::{Progress, check_interrupt};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Compression {
    None,
    Zlib,
    Gzip,
    Bz2,
    Lzma,
    Xz,
    Lz4,
    /// joblib's own before 0.10, with arrays in files beside it.
    Zfile,
}

/// In joblib's order: the first that fits counts.
const PREFIXES: [(&[u8], Compression); 7] = [
    (b"ZF", Compression::Zfile),
    (b"\x78", Compression::Zlib),
    (b"\x1f\x8b", Compression::Gzip),
    (b"BZ", Compression::Bz2),
    (b"\x5d\x00", Compression::Lzma),
    (b"\xfd7zXZ", Compression::Xz),
    (b"\x04\x22\x4d\x18", Compression::Lz4),
];

impl Compression {
    /// What joblib takes a file with these first bytes (at least five, if it has so many) for.
    pub fn of(head: &[u8]) -> Self {
        let mut prefixes = PREFIXES.iter();
        let found = prefixes.find(|(prefix, _)| head.starts_with(prefix));
        found.map_or(Self::None, |(_, compression)| *compression)
    }

    /// Whether joblib's decoder would begin with a file of this head. Two prefixes are also those of texts.
    fn begins(self, head: &[u8]) -> bool {
        match (self, head) {
            // RFC 1950: the first two bytes are a multiple of 31.
            (Self::Zlib, [first, second, ..]) => {
                u16::from_be_bytes([*first, *second]).is_multiple_of(31)
            }
            (Self::Zlib, _) => false,
            (Self::Bz2, _) => matches!(head, [_, _, b'h', b'1'..=b'9', ..]),
            _ => true,
        }
    }

    /// What the file is, for messages.
    pub(super) fn format(self) -> &'static str {
        match self {
            Self::None => "a pickle",
            Self::Zlib => "a pickle in zlib's compression",
            Self::Gzip => "a pickle in gzip's compression",
            Self::Bz2 => "a pickle in bzip2's compression",
            Self::Lzma => "a pickle in LZMA's compression",
            Self::Xz => "a pickle in XZ's compression",
            Self::Lz4 => "a pickle in LZ4's compression",
            Self::Zfile => "a pickle of joblib before 0.10",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
            Self::Bz2 => "bz2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zfile => "zfile",
        })
    }
}

/// What a file may unpack to: 64 MiB, and 256 bytes for each of its own. Trees and coefficients, being mostly noise,
/// do not compress to a tenth.
fn ceiling(size: u64) -> u64 {
    const ROOM: u64 = 64 << 20;
    const RATIO: u64 = 256;
    size.saturating_mul(RATIO).saturating_add(ROOM)
}

/// What an LZMA decoder may hold, in KiB: the dictionary of xz's preset 9, the largest that joblib asks for, is 64 MiB.
const LZMA_MEMORY: u32 = 72 << 10;

/// What a file unpacks to.
#[derive(Debug)]
pub struct Unpacked {
    pub compression: Compression,
    /// The file itself if it is not compressed.
    pub stream: Blob,
    /// Why the stream is not all of it, if it is not.
    pub failure: Option<Failure>,
}

/// Why a file cannot be unpacked to its end.
#[derive(Debug)]
pub struct Failure {
    /// Whether joblib would unpack some of it all the same, and unpickle that.
    pub is_begun: bool,
    /// What was expected, and what was found.
    pub message: String,
}

/// Undoes the compression of a file. `path` is only what `progress` is told. Damage, bytes after the end, and more than
/// the ceiling allows are failures in the result.
///
/// # Errors
/// Fails if it cannot be read, or the user asked to stop.
pub fn unpack(blob: &Blob, path: &Path, progress: &dyn Progress) -> io::Result<Unpacked> {
    let mut head = [0; 8];
    let known = blob.size().min(head.len() as u64) as usize;
    let head = &mut head[..known];
    blob.read_exact_at(head, 0)?;
    let compression = Compression::of(head);
    if compression == Compression::None {
        return Ok(Unpacked {
            compression,
            stream: blob.clone(),
            failure: None,
        });
    }
    let mut output = Output::new(blob, progress);
    let mut input = Input::new(blob);
    let done = undo(compression, &mut input, &mut output);
    progress.advance(path, blob.size());
    // What the decoders say of a failure to read or to write is not to be told from damage.
    if let Some(error) = input.into_failure().or(output.failure.take()) {
        return Err(error);
    }
    Ok(Unpacked {
        compression,
        stream: output.spill.finish(),
        failure: done.err().map(|message| Failure {
            is_begun: compression.begins(head),
            message,
        }),
    })
}

type Done = Result<(), String>;

fn undo(compression: Compression, input: &mut Input, output: &mut Output) -> Done {
    match compression {
        Compression::None => Ok(()),
        Compression::Zfile => Err(
            "joblib before 0.10 wrote it (a Z-file), which is not supported: load it and write it \
             anew with a later joblib"
                .to_owned(),
        ),
        Compression::Zlib => zlib(input, output),
        Compression::Gzip => members(input, output, b"\x1f\x8b", true, |input, output| {
            output.take_all(&mut flate2::bufread::GzDecoder::new(input))
        }),
        Compression::Bz2 => members(input, output, b"BZh", false, |input, output| {
            output.take_all(&mut bzip2::bufread::BzDecoder::new(input))
        }),
        Compression::Lz4 => members(input, output, b"\x04\x22\x4d\x18", false, lz4),
        Compression::Lzma => lzma(input, output),
        // This reader goes on to the file's end, and refuses what is no stream or padding.
        Compression::Xz => output.take_all(&mut lzma_rust2::XzReader::new_mem_limit(
            input,
            true,
            LZMA_MEMORY,
        )),
    }
}

/// One member after another, each of which begins with `magic`; gzip's may have zeros between and after them.
fn members(
    input: &mut Input,
    output: &mut Output,
    magic: &[u8],
    may_be_padded: bool,
    mut one: impl FnMut(&mut Input, &mut Output) -> Done,
) -> Done {
    loop {
        one(input, output)?;
        let mut rest = input.peek()?;
        while may_be_padded && rest.first() == Some(&0) {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            input.consume(zeros);
            rest = input.peek()?;
        }
        let count = rest.len().min(magic.len());
        match rest {
            [] => return Ok(()),
            _ if rest[..count] == magic[..count] => {}
            _ => return Err(AFTER.to_owned()),
        }
    }
}

const AFTER: &str = "expected nothing after the compressed data, found more bytes";

fn zlib(input: &mut Input, output: &mut Output) -> Done {
    let mut inflater = Decompress::new(true);
    let mut buffer = vec![0; PIECE];
    loop {
        let rest = input.peek()?;
        let at_end = rest.is_empty();
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let flush = FlushDecompress::None;
        let status = inflater
            .decompress(rest, &mut buffer, flush)
            .map_err(|error| error.to_string())?;
        let consumed = inflater.total_in() - before_in;
        input.consume(consumed as usize);
        let given = (inflater.total_out() - before_out) as usize;
        output.take(&buffer[..given])?;
        match status {
            Status::StreamEnd => break,
            _ if consumed == 0 && given == 0 && at_end => {
                return Err("expected more compressed data, found the end of the file".to_owned());
            }
            _ => {}
        }
    }
    match input.peek()?.is_empty() {
        true => Ok(()),
        false => Err(AFTER.to_owned()),
    }
}

fn lz4(input: &mut Input, output: &mut Output) -> Done {
    let mut watched = Watched {
        input,
        touched_end: false,
    };
    output.take_all(&mut lz4_flex::frame::FrameDecoder::new(&mut watched))?;
    // This decoder takes the end of the file between two blocks for the end of the frame.
    match watched.touched_end {
        false => Ok(()),
        true => Err("expected more compressed data, found the end of the file".to_owned()),
    }
}

fn lzma(input: &mut Input, output: &mut Output) -> Done {
    let decoder = lzma_rust2::LzmaReader::new_mem_limit(&mut *input, LZMA_MEMORY, None);
    let mut decoder = decoder.map_err(|error| error.to_string())?;
    output.take_all(&mut decoder)?;
    let (_, unused) = decoder.into_parts();
    match unused.is_empty() && input.peek()?.is_empty() {
        true => Ok(()),
        false => Err(AFTER.to_owned()),
    }
}

/// What decoders read from. It remembers the error with which a read failed.
struct Input {
    reader: BufReader<Source>,
}

struct Source {
    reader: BlobReader,
    failure: Option<io::Error>,
}

impl Input {
    fn new(blob: &Blob) -> Self {
        let source = Source {
            reader: blob.reader(),
            failure: None,
        };
        Self {
            reader: BufReader::with_capacity(PIECE, source),
        }
    }

    fn peek(&mut self) -> Result<&[u8], String> {
        self.reader.fill_buf().map_err(|error| error.to_string())
    }

    fn into_failure(self) -> Option<io::Error> {
        self.reader.into_inner().failure
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }
}

/// Notices when a decoder asks for more than there is.
struct Watched<'a> {
    input: &'a mut Input,
    touched_end: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.touched_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// What is read, decoded and written at a time.
const PIECE: usize = 1 << 16;

/// What decoders write to: as much as the ceiling allows, and until the user asks to stop.
struct Output<'a> {
    spill: Spill,
    limit: u64,
    progress: &'a dyn Progress,
    failure: Option<io::Error>,
}

impl<'a> Output<'a> {
    fn new(blob: &Blob, progress: &'a dyn Progress) -> Self {
        Self {
            spill: Spill::default(),
            limit: ceiling(blob.size()),
            progress,
            failure: None,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Done {
        if self.spill.size() + bytes.len() as u64 > self.limit {
            return Err(format!(
                "expected it to unpack to at most {} bytes (64 MiB and 256 times its size), found more",
                self.limit
            ));
        }
        let written = check_interrupt(self.progress).and_then(|()| self.spill.write_all(bytes));
        written.map_err(|error| {
            let text = error.to_string();
            self.failure = Some(error);
            text
        })
    }

    /// Takes all that a decoder gives.
    fn take_all(&mut self, decoder: &mut dyn Read) -> Done {
        let mut buffer = vec![0; PIECE];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.take(&buffer[..count])?,
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// One pickle as joblib compressed it in every way.
    const FIXTURES: [&str; 6] = ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"];

    fn fixture(method: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/sklearn");
        std::fs::read(folder.join(format!("1.0_pipeline.{method}.joblib"))).unwrap()
    }

    fn unpacked(bytes: &[u8]) -> Result<(Compression, Vec<u8>), String> {
        let blob = bytes.to_vec().into();
        let unpacked = unpack(&blob, Path::new("x"), &Silent).unwrap();
        match unpacked.failure {
            None => Ok((unpacked.compression, unpacked.stream.read(1 << 20).unwrap())),
            Some(failure) => Err(failure.message),
        }
    }

    #[test]
    fn what_joblib_compresses_is_unpacked() {
        let (_, wanted) = unpacked(&fixture("zlib")).unwrap();
        assert!(wanted.starts_with(b"\x80\x04") && wanted.ends_with(b"."));
        for method in FIXTURES {
            let (compression, found) = unpacked(&fixture(method)).unwrap();
            assert_eq!(compression.to_string(), method);
            assert_eq!(found, wanted, "{method}");
        }
        let plain = unpacked(&wanted).unwrap();
        assert_eq!(plain, (Compression::None, wanted));
    }

    #[test]
    fn no_part_of_a_compressed_file_is_one() {
        for method in FIXTURES {
            let whole = fixture(method);
            for end in 6..whole.len() {
                let found = unpacked(&whole[..end]);
                assert!(found.is_err(), "{method} cut to {end}");
            }
        }
    }

    #[test]
    fn nothing_may_follow_but_another_member() {
        for method in FIXTURES {
            let whole = fixture(method);
            let (_, once) = unpacked(&whole).unwrap();
            let twice = unpacked(&[whole.clone(), whole.clone()].concat());
            match method {
                "zlib" | "lzma" => assert!(twice.is_err(), "{method}"),
                _ => assert_eq!(twice.unwrap().1, [once.clone(), once.clone()].concat()),
            }
            for stray in [&b"\x80\x04N."[..], b"B", b"\x00\x00\x00cos\n"] {
                let found = unpacked(&[&whole, stray].concat());
                assert!(found.is_err(), "{method} {stray:?}");
            }
        }
        let padded = [fixture("gzip"), vec![0; 3]].concat();
        assert!(unpacked(&padded).is_ok());
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        for _ in 0..100 {
            encoder.write_all(&[0; 1 << 20]).unwrap();
        }
        let error = unpacked(&encoder.finish().unwrap()).unwrap_err();
        assert!(error.contains("64 MiB and 256 times its size"), "{error}");
    }

    #[test]
    fn an_lzma_dictionary_beyond_joblibs_is_not_believed() {
        let mut bytes = fixture("lzma");
        bytes[1..5].copy_from_slice(&(1_u32 << 30).to_le_bytes());
        assert_eq!(Compression::of(&bytes), Compression::Lzma);
        let error = unpacked(&bytes).unwrap_err();
        assert!(error.contains("memory"), "{error}");
    }

    #[test]
    fn a_z_file_is_refused_by_name() {
        let error = unpacked(b"ZF0x1f                x").unwrap_err();
        assert!(error.contains("joblib before 0.10"), "{error}");
    }
}
