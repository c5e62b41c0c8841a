//! Protocol buffers' wire format, read where it lies: the fields of a message, one after another.
//!
//! The format is that of protobuf's `encoding` page: a key of field number and wire type, then a varint, four or eight
//! bytes, or a length and as many bytes. Nothing recurses here, and nothing is allocated on a length's word.

use std::io;

use super::{Result, malformed, unsupported};
use crate::blob::Blob;

/// What is read of the file at a time, between the tensors.
const WINDOW: u64 = 1 << 16;

/// What a model may hold in memory beside its tensors: names, nodes and their attributes. A forest of a million
/// nodes needs about 80 MiB.
pub(super) const HELD: u64 = 256 << 20;

/// A message, or another run of bytes with a length before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    pub fn size(self) -> u64 {
        self.end - self.start
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub number: u32,
    /// Where its key is.
    pub at: u64,
    pub value: Value,
}

/// What a field holds, by wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Span(Span),
}

/// Reads fields from a blob through a window, and keeps account of what is held of them.
pub(super) struct Reader {
    blob: Blob,
    window: Vec<u8>,
    window_start: u64,
    held: u64,
}

impl Reader {
    pub fn new(blob: &Blob) -> Self {
        Self {
            blob: blob.clone(),
            window: Vec::new(),
            window_start: 0,
            held: 0,
        }
    }

    /// All of the blob, as a message.
    pub fn whole(&self) -> Span {
        Span {
            start: 0,
            end: self.blob.size(),
        }
    }

    /// The bytes of a span, where they lie.
    pub fn slice(&self, span: Span) -> Result<Blob> {
        let slice = self.blob.slice(span.start..span.end);
        slice.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }

    /// Takes the next field off the front of a message; `None` at its end.
    pub fn next(&mut self, message: &mut Span) -> Result<Option<Field>> {
        if message.start == message.end {
            return Ok(None);
        }
        let at = message.start;
        let key = self.varint(message)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number != 0);
        let number = number
            .ok_or_else(|| malformed(at, format!("expected a field, found the key {key}")))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint(message)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array(message)?)),
            2 => Value::Span(self.span(message)?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array(message)?)),
            other => {
                return Err(malformed(
                    at,
                    format!("expected a field of wire type 0, 1, 2 or 5, found type {other}"),
                ));
            }
        };
        Ok(Some(Field { number, at, value }))
    }

    /// Takes a length off the front of `within`, and the bytes it stands for.
    fn span(&mut self, within: &mut Span) -> Result<Span> {
        let at = within.start;
        let length = self.varint(within)?;
        let left = within.size();
        if length > left {
            return Err(malformed(
                at,
                format!("expected at most {left} bytes, found a length of {length}"),
            ));
        }
        let span = Span {
            start: within.start,
            end: within.start + length,
        };
        within.start = span.end;
        Ok(span)
    }

    /// Takes a varint off the front of `within`.
    pub fn varint(&mut self, within: &mut Span) -> Result<u64> {
        let at = within.start;
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array(within)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(malformed(
            at,
            "expected a number of at most 64 bits, found a longer one".to_owned(),
        ))
    }

    /// Takes `N` bytes off the front of `within`.
    pub fn array<const N: usize>(&mut self, within: &mut Span) -> Result<[u8; N]> {
        if within.size() < N as u64 {
            return Err(malformed(
                within.start,
                format!("expected {N} more bytes, found the end of the message"),
            ));
        }
        let mut bytes = [0; N];
        let mut done = 0;
        while done < N {
            let piece = self.at(within.start, within.end)?;
            let count = piece.len().min(N - done);
            bytes[done..done + count].copy_from_slice(&piece[..count]);
            done += count;
            within.start += count as u64;
        }
        Ok(bytes)
    }

    /// Some bytes from `position` on, before `end`: at least one.
    fn at(&mut self, position: u64, end: u64) -> Result<&[u8]> {
        let have = self.window_start..self.window_start + self.window.len() as u64;
        if !have.contains(&position) {
            let size = WINDOW.min(self.blob.size().saturating_sub(position));
            self.window.resize(size as usize, 0);
            self.window_start = position;
            if let Err(error) = self.blob.read_exact_at(&mut self.window, position) {
                self.window.clear();
                return Err(error.into());
            }
        }
        let from = (position - self.window_start) as usize;
        let size = (end - position).min((self.window.len() - from) as u64) as usize;
        match self.window.get(from..from + size) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// The text that a field holds, kept in memory.
    pub fn text(&mut self, field: Field) -> Result<String> {
        const AROUND: u64 = 48;
        let span = span(field)?;
        self.hold(span.size().saturating_add(AROUND))?;
        let bytes = self.slice(span)?.read(HELD)?;
        String::from_utf8(bytes)
            .map_err(|_| malformed(span.start, "expected UTF-8 text, found other bytes".into()))
    }

    /// Accounts for `bytes` more that are kept of the model.
    pub fn hold(&mut self, bytes: u64) -> Result<()> {
        self.held = self.held.saturating_add(bytes);
        if self.held > HELD {
            return Err(unsupported(format!(
                "its graph takes more than {} MiB beside its tensors; at most that is read",
                HELD >> 20
            )));
        }
        Ok(())
    }
}

/// The span of a field that has a length.
pub(super) fn span(field: Field) -> Result<Span> {
    match field.value {
        Value::Span(span) => Ok(span),
        found => Err(unlike(field, "a length and bytes", found)),
    }
}

/// The number in a field of type `int32`, `int64`, or an enumeration.
pub(super) fn int(field: Field) -> Result<i64> {
    match field.value {
        Value::Varint(number) => Ok(number as i64),
        found => Err(unlike(field, "a number", found)),
    }
}

/// The number in a field of type `float`.
pub(super) fn float(field: Field) -> Result<f32> {
    match field.value {
        Value::Fixed32(bits) => Ok(f32::from_bits(bits)),
        found => Err(unlike(field, "a float", found)),
    }
}

/// The error that a field is of another wire type than its message's definition says.
pub(super) fn unlike(field: Field, expected: &str, found: Value) -> super::WeightsError {
    let found = match found {
        Value::Varint(_) => "a varint",
        Value::Fixed64(_) => "eight bytes",
        Value::Fixed32(_) => "four bytes",
        Value::Span(_) => "a length and bytes",
    };
    malformed(
        field.at,
        format!(
            "expected {expected} in field {}, found {found}",
            field.number
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Field>> {
        let mut reader = Reader::new(&bytes.to_vec().into());
        let mut message = reader.whole();
        let mut fields = Vec::new();
        while let Some(field) = reader.next(&mut message)? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1a, 2, b'h', b'i', // 3: bytes
            0x25, 0, 0, 0x80, 0x3f, // 4: fixed32 1.0
            0xf8, 0xff, 0xff, 0xff, 0x0f, 0, // the last field number
        ];
        let fields = all(&bytes).unwrap();
        let found: Vec<_> = fields.iter().map(|f| (f.number, f.value)).collect();
        assert_eq!(
            found,
            [
                (1, Value::Varint(150)),
                (2, Value::Fixed64(1)),
                (3, Value::Span(Span { start: 14, end: 16 })),
                (4, Value::Fixed32(0x3f80_0000)),
                ((1 << 29) - 1, Value::Varint(0)),
            ]
        );
        assert_eq!(float(fields[3]).unwrap(), 1.0);
        assert!(int(fields[3]).is_err() && span(fields[0]).is_err());
    }

    #[test]
    fn what_the_bytes_do_not_hold_is_refused() {
        for (bytes, wanted) in [
            (&[0x08][..], "end of the message"),
            (&[0x08, 0x80], "end of the message"),
            (&[0x1a, 3, 0, 0], "at most 2 bytes, found a length of 3"),
            (&[0x00], "the key 0"),
            (&[0x0b], "type 3"),
            (&[0x0d, 0, 0, 0], "expected 4 more bytes"),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
                "64 bits",
            ),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                "64 bits",
            ),
        ] {
            let error = all(bytes).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let most = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(all(&most).unwrap()[0].value, Value::Varint(u64::MAX));
    }

    #[test]
    fn fields_are_read_across_windows() {
        let mut bytes = Vec::new();
        for index in 0..WINDOW as u32 {
            bytes.push(0x0d);
            bytes.extend(index.to_le_bytes());
        }
        let fields = all(&bytes).unwrap();
        assert_eq!(fields.len() as u64, WINDOW);
        for (index, field) in fields.iter().enumerate() {
            assert_eq!(field.value, Value::Fixed32(index as u32));
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut reader = Reader::new(&vec![].into());
        reader.hold(HELD).unwrap();
        let error = reader.hold(1).unwrap_err().to_string();
        assert!(error.contains("more than 256 MiB"), "{error}");
    }
}
