//! NPY: one array of NumPy, as `numpy.save` writes it, in versions 1.0 to 3.0 of the format
//! (`numpy/lib/format.py`, and NEP 1).

use std::io;

use super::WeightsError;
use super::audit::{Audit, Kind};
use super::pickle::{self, NoHost};
use super::tensor::{DType, Tensor, contiguous_strides};
use crate::blob::Blob;

/// How every file begins.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read, in bytes; NumPy itself takes 10,000 characters unless told otherwise.
const LONGEST_HEADER: u64 = 64 << 10;

/// Dimensions of an array: NumPy's limit.
const MOST_DIMENSIONS: usize = 64;

/// Whether a file that begins so would be taken for one.
pub fn looks_like(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// What the file holds.
#[derive(Debug)]
pub enum Npy {
    /// An array of numbers; it has no name.
    Tensor(Tensor),
    /// An array of objects: a pickle, and what it names.
    Objects(Audit),
}

/// Reads a file.
///
/// # Errors
/// Fails if it cannot be read, is damaged, or holds something else than numbers or objects.
pub fn read(blob: &Blob) -> Result<Npy, WeightsError> {
    let (text, start) = header_text(blob)?;
    let header = Header::parse(&text).map_err(|(at, message)| {
        malformed(
            start - text.len() as u64 + at as u64,
            format!("its header: {message}"),
        )
    })?;
    let data = blob
        .slice(start..blob.size())
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let (dtype, big_endian) = match element(&header.descr) {
        Ok(found) => found,
        Err(Element::Object) => return objects(&data).map(Npy::Objects),
        Err(Element::Unknown) => {
            let message = format!(
                "its elements are `{}`; only numbers and truth values are read",
                header.descr
            );
            return Err(malformed(0, message));
        }
    };
    let mut strides = contiguous_strides(&header.shape);
    if header.fortran_order {
        let reversed: Vec<u64> = header.shape.iter().rev().copied().collect();
        strides = contiguous_strides(&reversed);
        strides.reverse();
    }
    let tensor = Tensor {
        name: String::new(),
        dtype,
        shape: header.shape,
        storage: data,
        offset: 0,
        strides,
        big_endian,
    };
    if tensor.size() != tensor.storage.size() {
        let message = format!(
            "its array has {} bytes, and the file has {} for it",
            tensor.size(),
            tensor.storage.size()
        );
        return Err(malformed(start, message));
    }
    tensor.check().map_err(|reason| malformed(start, reason))?;
    Ok(Npy::Tensor(tensor))
}

fn malformed(offset: u64, message: impl Into<String>) -> WeightsError {
    WeightsError::Malformed {
        format: "a NPY file",
        member: None,
        offset: Some(offset),
        message: message.into(),
    }
}

/// The header as text, and where the data begins.
fn header_text(blob: &Blob) -> Result<(String, u64), WeightsError> {
    let short = |_| malformed(0, "it ends before its header does");
    let mut start = [0; 8];
    blob.read_exact_at(&mut start, 0).map_err(short)?;
    let [.., major, minor] = start;
    if !start.starts_with(MAGIC) {
        return Err(malformed(0, "it does not begin with `\\x93NUMPY`"));
    }
    let (length, position) = match (major, minor) {
        (1, 0) => {
            let mut length = [0; 2];
            blob.read_exact_at(&mut length, 8).map_err(short)?;
            (u64::from(u16::from_le_bytes(length)), 10)
        }
        (2 | 3, 0) => {
            let mut length = [0; 4];
            blob.read_exact_at(&mut length, 8).map_err(short)?;
            (u64::from(u32::from_le_bytes(length)), 12)
        }
        _ => {
            let message = format!("expected version 1.0, 2.0 or 3.0, found {major}.{minor}");
            return Err(malformed(6, message));
        }
    };
    if length > LONGEST_HEADER {
        let message = format!("its header has {length} bytes; at most {LONGEST_HEADER} are taken");
        return Err(malformed(8, message));
    }
    let mut bytes = vec![0; length as usize];
    blob.read_exact_at(&mut bytes, position).map_err(short)?;
    // What is read here is ASCII in every version; only the names of fields, which are not read, could be more.
    match String::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Ok((text, position + length)),
        _ => Err(malformed(position, "its header is not ASCII")),
    }
}

/// An array of objects is a pickle; whoever loads it runs it.
fn objects(data: &Blob) -> Result<Audit, WeightsError> {
    let mut audit = Audit::default();
    match pickle::read(data, 0, &mut NoHost) {
        Ok(pickle) => audit.pickle(Kind::Estimator, None, &pickle),
        Err(error) => audit.broken(Kind::Estimator, None, &error),
    }
    Ok(audit)
}

/// What elements are that are no numbers.
enum Element {
    Object,
    Unknown,
}

/// The dtype of a `descr` such as `<f4`, and whether its numbers have their highest byte first.
fn element(descr: &str) -> Result<(DType, bool), Element> {
    let (order, kind) = match descr.as_bytes() {
        [order @ (b'<' | b'>' | b'|'), ..] => (*order, descr.get(1..).unwrap_or_default()),
        _ => return Err(Element::Unknown),
    };
    let dtype = match kind {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u8" => DType::U64,
        "u4" => DType::U32,
        "u2" => DType::U16,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        "c16" => DType::C128,
        "c8" => DType::C64,
        "O" | "O8" | "O4" => return Err(Element::Object),
        _ => return Err(Element::Unknown),
    };
    if order == b'|' && dtype.size() > 1 {
        return Err(Element::Unknown);
    }
    Ok((dtype, order == b'>'))
}

/// The header: a dict literal of exactly three keys.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// Where in the text something is wrong, and what.
type Wrong = (usize, &'static str);

impl Header {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let mut from = Literal { text, position: 0 };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        from.expect('{', "expected `{`")?;
        while !from.take('}') {
            let at = from.position;
            let key = from.string()?;
            from.expect(':', "expected `:`")?;
            let again = match key {
                "descr" => descr.replace(from.string()?.to_owned()).is_some(),
                "fortran_order" => fortran_order.replace(from.truth()?).is_some(),
                "shape" => shape.replace(from.shape()?).is_some(),
                _ => return Err((at, "expected the keys `descr`, `fortran_order` and `shape`")),
            };
            if again {
                return Err((at, "a key stands there twice"));
            }
            if !from.take(',') {
                from.expect('}', "expected `,` or `}`")?;
                break;
            }
        }
        from.blanks();
        if from.position != text.len() {
            return Err((from.position, "something follows the dict"));
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self {
                descr,
                fortran_order,
                shape,
            }),
            _ => Err((0, "expected the keys `descr`, `fortran_order` and `shape`")),
        }
    }
}

/// Takes a Python literal apart, as far as a header needs it.
struct Literal<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Literal<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len()
            - rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
                .len();
    }

    /// Takes the character, if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        self.blanks();
        let there = self.rest().starts_with(wanted);
        self.position += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn expect(&mut self, wanted: char, or: &'static str) -> Result<(), Wrong> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err((self.position, or)),
        }
    }

    /// A string without escapes; where a list of fields stands in its place, the array has fields.
    fn string(&mut self) -> Result<&'a str, Wrong> {
        self.blanks();
        let at = self.position;
        let quote = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => quote,
            Some('[') => return Err((at, "arrays with fields are not read")),
            _ => return Err((at, "expected a string")),
        };
        let inside = self.rest().get(1..).unwrap_or_default();
        let (text, _) = inside
            .split_once(quote)
            .ok_or((at, "a string has no end"))?;
        if text.contains(['\\', '\n']) {
            return Err((at, "expected a plain string"));
        }
        self.position += text.len() + 2;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, Wrong> {
        self.blanks();
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word) {
                self.position += word.len();
                return Ok(value);
            }
        }
        Err((self.position, "expected True or False"))
    }

    /// A tuple of numbers. NumPy under Python 2 wrote `3L`.
    fn shape(&mut self) -> Result<Vec<u64>, Wrong> {
        let mut shape = Vec::new();
        self.expect('(', "expected a tuple")?;
        while !self.take(')') {
            self.blanks();
            let at = self.position;
            let digits = self.rest();
            let digits = digits.len()
                - digits
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .len();
            let number = self
                .rest()
                .get(..digits)
                .and_then(|digits| digits.parse().ok());
            let number = number.ok_or((at, "expected a number that fits into 64 bits"))?;
            self.position += digits;
            self.take('L');
            shape.push(number);
            if shape.len() > MOST_DIMENSIONS {
                return Err((at, "an array has at most 64 dimensions"));
            }
            if !self.take(',') {
                self.expect(')', "expected `,` or `)`")?;
                // `(3)` is a number and no tuple.
                if shape.len() == 1 {
                    return Err((at, "expected a tuple"));
                }
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::path::Path;

    fn file(version: u8, header: &str, data: &[u8]) -> Blob {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes.into()
    }

    fn elements(blob: &Blob) -> (Tensor, Vec<u8>) {
        let Npy::Tensor(tensor) = read(blob).unwrap() else {
            panic!("it holds objects");
        };
        let mut bytes = Vec::new();
        let mut take = |piece: &[u8]| {
            bytes.extend(piece);
            Ok(())
        };
        tensor.stream(Path::new("x"), &Silent, &mut take).unwrap();
        (tensor, bytes)
    }

    #[test]
    fn arrays_of_every_version_and_order_are_read() {
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }    \n";
        for version in 1..=3 {
            let (tensor, bytes) = elements(&file(
                version,
                header,
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            ));
            assert_eq!(tensor.shape, [2, 3]);
            assert_eq!(tensor.dtype, DType::U16);
            assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        }
        let header = r#"{"shape":(2L,3L),"descr":">u2","fortran_order":True}"#;
        let (_, bytes) = elements(&file(1, header, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        assert_eq!(bytes, [1, 0, 5, 4, 9, 8, 3, 2, 7, 6, 11, 10]);
        let scalar = "{'descr': '|b1', 'fortran_order': False, 'shape': ()}";
        assert_eq!(elements(&file(1, scalar, &[1])).1, [1]);
        let empty = "{'descr': '<c16', 'fortran_order': True, 'shape': (0, 7)}";
        assert_eq!(elements(&file(1, empty, &[])).0.shape, [0, 7]);
    }

    #[test]
    fn broken_headers_are_named() {
        let dict = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
        };
        let table = [
            (
                dict("'<f4'", "False", "(2,)"),
                7,
                "has 8 bytes, and the file has 7",
            ),
            (
                dict("'<f4'", "False", "(2,)"),
                9,
                "has 8 bytes, and the file has 9",
            ),
            (dict("'<f4'", "False", "(2)"), 8, "expected a tuple"),
            (dict("'<f4'", "False", "2"), 8, "expected a tuple"),
            (dict("'<f4'", "False", "(-2,)"), 8, "expected a number"),
            (
                dict("'<f4'", "False", "(99999999999999999999,)"),
                8,
                "expected a number",
            ),
            (
                dict("'<f4'", "False", "(4294967296, 4294967296)"),
                8,
                "and the file has 8",
            ),
            (dict("'<f4'", "0", "(2,)"), 8, "expected True or False"),
            (dict("'<U4'", "False", "(2,)"), 8, "its elements are `<U4`"),
            (dict("'|f4'", "False", "(2,)"), 8, "its elements are `|f4`"),
            (dict("'f4'", "False", "(2,)"), 8, "its elements are `f4`"),
            (
                dict("[('a', '<f4')]", "False", "(2,)"),
                8,
                "arrays with fields",
            ),
            (
                dict("'<f4'", "False", "(2,), 'shape': (2,)"),
                8,
                "stands there twice",
            ),
            (
                dict("'<f4'", "False", "(2,), 'more': 1"),
                8,
                "expected the keys",
            ),
            (
                "{'descr': '<f4', 'shape': (2,)}".to_owned(),
                8,
                "expected the keys",
            ),
            (dict("'<f4'", "False", "(2,)") + "x", 8, "something follows"),
            (
                dict("'\\x3cf4'", "False", "(2,)"),
                8,
                "expected a plain string",
            ),
            ("{'descr': '<f4".to_owned(), 8, "a string has no end"),
            (String::new(), 8, "expected `{`"),
        ];
        for (header, size, reason) in table {
            let error = read(&file(1, &header, &vec![0; size]))
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{header}: {error}");
        }
        for (bytes, reason) in [
            (&b"\x93NUMPY\x01\0\x05\0{"[..], "ends before its header"),
            (b"\x93NUMPY\x01", "ends before its header"),
            (b"\x93NUMPY\x04\0\0\0\0\0", "found 4.0"),
            (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "at most 65536"),
            (b"NUMPY\x93\x01\0\0\0", "does not begin with"),
            (b"\x93NUMPY\x01\0\x01\0\xe9", "not ASCII"),
        ] {
            let error = read(&bytes.to_vec().into()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_array_of_objects_is_audited_and_not_read() {
        let header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
        let bad = file(1, header, b"cos\nsystem\n(S'true'\ntR.");
        let Npy::Objects(audit) = read(&bad).unwrap() else {
            panic!("it is read");
        };
        assert!(audit.globals.contains("os.system"));
        assert_ne!(audit.refused(&[]).count(), 0);
    }
}
