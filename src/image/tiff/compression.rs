//! How chunks of a TIFF are compressed, and back.

use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus, decode::Decoder};

/// A compression that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
}

impl Compression {
    /// The compression of that number (TIFF 6.0 and libtiff's `tiff.h`), or the name of one that is not read.
    pub fn of(number: u64) -> Result<Self, String> {
        let name = match number {
            1 => return Ok(Self::None),
            5 => return Ok(Self::Lzw),
            8 | 32946 => return Ok(Self::Deflate),
            32773 => return Ok(Self::PackBits),
            2..=4 => "CCITT fax",
            6 | 7 => "JPEG",
            33003 | 33004 | 33005 | 34712 => "JPEG 2000",
            34887 => "LERC",
            34925 => "LZMA",
            50000 | 34926 => "Zstandard",
            50001 | 34927 => "WebP",
            50002 | 52546 => "JPEG XL",
            22610 | 34892 | 34933 => "JPEG XR or PNG",
            _ => return Err(format!("compression {number}")),
        };
        Err(format!("{name} compression"))
    }

    /// How many bytes one byte becomes at most.
    ///
    /// LZW: a code of at least 9 bits stands for at most 4096 bytes. Deflate: 258 bytes for two bits. PackBits: 128 for
    /// two bytes.
    pub fn most(self) -> u64 {
        match self {
            Self::None => 1,
            Self::Lzw => 4096,
            Self::Deflate => 1032,
            Self::PackBits => 64,
        }
    }

    /// The first `size` bytes of what `raw` holds.
    ///
    /// Nothing is allocated ahead of what is decompressed. What follows these bytes, or should (an end code that some
    /// writers leave out), does not matter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expand(self, mut raw: Vec<u8>, size: usize) -> Result<Vec<u8>, String> {
        let bytes = match self {
            Self::None => {
                raw.truncate(size);
                raw
            }
            Self::Lzw => lzw(&raw, size)?,
            Self::Deflate => deflate(&raw, size)?,
            Self::PackBits => packbits(&raw, size),
        };
        match bytes.len() == size {
            true => Ok(bytes),
            false => Err(format!("{} bytes", bytes.len())),
        }
    }
}

fn deflate(raw: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = ZlibDecoder::new(raw)
        .take(size as u64)
        .read_to_end(&mut bytes);
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("{} bytes, then: {error}", bytes.len())),
    }
}

fn lzw(raw: &[u8], size: usize) -> Result<Vec<u8>, String> {
    // Before TIFF 6.0, codes had their lowest bit first; they too begin with the clear code, 256.
    if let [0, second, ..] = raw
        && second & 1 == 1
    {
        return Err("LZW of before TIFF 6.0".to_owned());
    }
    let mut decoder = Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut bytes, mut filled, mut rest) = (Vec::new(), 0, raw);
    while filled < size {
        if bytes.len() == filled {
            bytes.resize(size.min((2 * filled).max(1 << 16)), 0);
        }
        let result = decoder.decode_bytes(rest, &mut bytes[filled..]);
        filled += result.consumed_out;
        rest = &rest[result.consumed_in..];
        match result.status {
            Ok(LzwStatus::Ok) => (),
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => return Err(format!("{filled} bytes, then: {error}")),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn packbits(raw: &[u8], size: usize) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), raw);
    while let [count, after @ ..] = rest
        && bytes.len() < size
    {
        let count = *count as i8;
        match (count, after) {
            // So many and one more as they are.
            (0.., _) => {
                let (plain, after) = after.split_at(after.len().min(count as usize + 1));
                bytes.extend(plain);
                rest = after;
            }
            (i8::MIN, _) => rest = after,
            (_, [byte, after @ ..]) => {
                bytes.resize(bytes.len() + 1 + usize::from(count.unsigned_abs()), *byte);
                rest = after;
            }
            (_, []) => break,
        }
    }
    bytes.truncate(size);
    bytes
}
