//! Bytes -> records: RFC 4180, cell by cell, in bounded memory.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use super::{Record, TableError, Unlike};

/// More bytes than a row of measurements has. A file of one endless row is not read to its end.
const LONGEST: usize = 16 << 20;
/// More cells than a row of measurements has.
const WIDEST: usize = 1 << 16;

/// What is often forgotten.
const DOUBLED: &str = "a quote within quotes is written twice";

/// The records of a file.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    path: PathBuf,
    separator: u8,
    /// The line that is read next, from 1.
    line: u64,
    bytes: Vec<u8>,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before its first byte.
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: the end of them, or the first half of an escaped quote.
    Quote,
}

impl<R: Read> Records<R> {
    /// Looks at the header for the byte order mark and the separator.
    pub fn new(mut input: R, path: &Path) -> Result<Self, TableError> {
        /// As far as the header is looked at.
        const HEAD: u64 = 1 << 16;
        let mut head = Vec::new();
        let read = input.by_ref().take(HEAD).read_to_end(&mut head);
        read.map_err(|error| failed(path, error))?;
        let skipped = match *head {
            [0xef, 0xbb, 0xbf, ..] => 3,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(not_utf8(path, 1)),
            _ => 0,
        };
        head.drain(..skipped);
        Ok(Self {
            separator: separator(&head),
            input: BufReader::new(Cursor::new(head).chain(input)),
            path: path.to_owned(),
            line: 1,
            bytes: Vec::new(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The byte that is read next.
    fn peek(&mut self) -> Result<Option<u8>, TableError> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, TableError> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.input.consume(1);
        }
        Ok(byte)
    }

    /// Puts the next record that is no empty line in the place of `record`; `false` at the end of the file.
    pub fn next(&mut self, record: &mut Record) -> Result<bool, TableError> {
        loop {
            record.ends.clear();
            record.line = self.line;
            self.bytes.clear();
            match self.record(&mut record.ends)? {
                Ended::File if record.ends.is_empty() => return Ok(false),
                Ended::EmptyLine => {}
                Ended::File | Ended::Line => break,
            }
        }
        record.text.clear();
        let text = std::str::from_utf8(&self.bytes).ok();
        // The bytes of one character may stand in two cells.
        let text = text.filter(|text| record.ends.iter().all(|end| text.is_char_boundary(*end)));
        let text = text.ok_or_else(|| not_utf8(&self.path, record.line))?;
        record.text.push_str(text);
        Ok(true)
    }

    /// Reads to the end of a line that is not within quotes; the cells go to `self.bytes`.
    fn record(&mut self, ends: &mut Vec<usize>) -> Result<Ended, TableError> {
        let begun = self.line;
        let mut at = At::Start;
        loop {
            let Some(byte) = self.byte()? else {
                return match at {
                    At::Quoted => {
                        let found = "the end of the file";
                        Err(self.unlike(begun, "a closing quote", found, DOUBLED))
                    }
                    At::Start if ends.is_empty() => Ok(Ended::File),
                    _ => self.end(ends, begun).map(|()| Ended::File),
                };
            };
            let is_end = matches!(byte, b'\n' | b'\r');
            if is_end {
                // A carriage return counts together with the line feed that may follow it.
                if byte == b'\r' && self.peek()? == Some(b'\n') {
                    if at == At::Quoted {
                        self.push(b'\r', begun)?;
                    }
                    self.input.consume(1);
                    self.line += 1;
                    if at == At::Quoted {
                        self.push(b'\n', begun)?;
                        continue;
                    }
                } else {
                    self.line += 1;
                }
            }
            at = match (at, byte) {
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, byte) => {
                    self.push(byte, begun)?;
                    At::Quoted
                }
                (At::Quote, b'"') => {
                    self.push(b'"', begun)?;
                    At::Quoted
                }
                (At::Start, b'"') => At::Quoted,
                (At::Start, _) if is_end && ends.is_empty() => return Ok(Ended::EmptyLine),
                (_, _) if is_end => {
                    self.end(ends, begun)?;
                    return Ok(Ended::Line);
                }
                (_, byte) if byte == self.separator => {
                    self.end(ends, begun)?;
                    At::Start
                }
                (At::Quote, _) => {
                    let expected = "a separator after a closing quote";
                    return Err(self.unlike(begun, expected, "more text", DOUBLED));
                }
                (At::Start | At::Plain, byte) => {
                    self.push(byte, begun)?;
                    At::Plain
                }
            };
        }
    }

    fn unlike(&self, line: u64, expected: &str, found: &str, next: &str) -> TableError {
        let unlike = Unlike::new(&self.path, expected, found);
        unlike.line(line).next(next).into()
    }

    fn push(&mut self, byte: u8, line: u64) -> Result<(), TableError> {
        if self.bytes.len() >= LONGEST {
            let next = "is a quote left open?";
            return Err(self.unlike(line, "a row of at most 16 MiB", "a longer one", next));
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn end(&self, ends: &mut Vec<usize>, line: u64) -> Result<(), TableError> {
        if ends.len() >= WIDEST {
            return Err(self.unlike(line, "a row of at most 65536 cells", "a longer one", ""));
        }
        ends.push(self.bytes.len());
        Ok(())
    }
}

fn failed(path: &Path, error: io::Error) -> TableError {
    TableError::Read {
        path: path.to_owned(),
        error,
    }
}

fn not_utf8(path: &Path, line: u64) -> TableError {
    let unlike = Unlike::new(path, "text in UTF-8", "another encoding");
    unlike.line(line).next("save it as `CSV UTF-8`").into()
}

/// What a record ended with.
enum Ended {
    Line,
    EmptyLine,
    File,
}

/// What stands between the cells of a header: a comma if it has one outside quotes, or else a semicolon or a tab.
fn separator(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut found = [false; 3];
    const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
    for byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            byte if !quoted => {
                for (found, separator) in found.iter_mut().zip(SEPARATORS) {
                    *found |= separator == *byte;
                }
            }
            _ => {}
        }
    }
    let mut pairs = found.into_iter().zip(SEPARATORS);
    pairs.find(|(found, _)| *found).map_or(b',', |pair| pair.1)
}
