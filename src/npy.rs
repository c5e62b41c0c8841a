//! NPY: the header of NumPy's files of one array, in versions 1.0 to 3.0 of the format (`numpy/lib/format.py`, and NEP 1).

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

/// What is wrong with a header, and where.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {message}")]
#[allow(missing_docs)]
pub struct NpyError {
    pub offset: u64,
    pub message: String,
}

fn malformed(offset: u64, message: impl Into<String>) -> NpyError {
    NpyError {
        offset,
        message: message.into(),
    }
}

/// The header as text, and where the data begins.
fn header_text(blob: &Blob) -> Result<(String, u64), NpyError> {
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

/// The header: a dict literal of exactly three keys.
#[derive(Debug)]
pub struct Header {
    /// The type of its elements: `<f4`.
    pub descr: String,
    /// Whether the first index runs fastest.
    pub fortran_order: bool,
    /// The lengths of its axes.
    pub shape: Vec<u64>,
    /// Where its elements begin in the file.
    pub start: u64,
}

/// Where in the text something is wrong, and what.
type Wrong = (usize, &'static str);

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is no NPY.
    pub fn read(blob: &Blob) -> Result<Self, NpyError> {
        let (text, start) = header_text(blob)?;
        Self::parse(&text, start).map_err(|(at, message)| {
            malformed(
                start - text.len() as u64 + at as u64,
                format!("its header: {message}"),
            )
        })
    }

    /// Whether numbers have their highest byte first, and their type without that: `f4`. `None` if no byte order is said.
    pub fn element(&self) -> Option<(bool, &str)> {
        match self.descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|'), ..] => Some((*order == b'>', self.descr.get(1..)?)),
            _ => None,
        }
    }

    fn parse(text: &str, start: u64) -> Result<Self, Wrong> {
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
                start,
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

/// The header, in version 1.0, of an array in C order, as `numpy.save` writes it: with the data it begins, a multiple of 64
/// bytes long.
pub fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (");
    for (axis, length) in shape.iter().enumerate() {
        dict += &match axis {
            0 => format!("{length}"),
            _ => format!(", {length}"),
        };
    }
    dict += if shape.len() == 1 { ",), }" } else { "), }" };
    // NumPy leaves room for a first axis of 21 digits, so that arrays can be appended to.
    let digits = shape.first().map_or(0, |length| length.to_string().len());
    dict.extend(std::iter::repeat_n(' ', 21usize.saturating_sub(digits)));
    let unpadded = MAGIC.len() + 4 + dict.len() + 1;
    dict.extend(std::iter::repeat_n(
        ' ',
        unpadded.next_multiple_of(64) - unpadded,
    ));
    dict.push('\n');
    let mut bytes = [MAGIC, &[1, 0]].concat();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.bytes());
    bytes
}
