//! The opcodes that put a plain value on the stack: numbers, texts, byte strings, containers.

use super::error::{PickleErrorKind, ceiling};
use super::machine::{Machine, Result};
use super::node::Node;
use super::{opcode, text};

impl Machine<'_> {
    pub fn number(&mut self, code: u8) -> Result<()> {
        let node = match code {
            opcode::NONE => Node::None,
            opcode::NEWTRUE | opcode::NEWFALSE => Node::Bool(code == opcode::NEWTRUE),
            opcode::BININT => Node::Int(i32::from_le_bytes(self.cursor.array()?).into()),
            opcode::BININT1 => Node::Int(self.cursor.byte()?.into()),
            opcode::BININT2 => Node::Int(u16::from_le_bytes(self.cursor.array()?).into()),
            opcode::BINFLOAT => Node::Float(f64::from_be_bytes(self.cursor.array()?)),
            opcode::LONG1 | opcode::LONG4 => {
                let size = self.size(code)?;
                text::twos_complement(&self.cursor.bytes(size)?)
            }
            opcode::FLOAT => {
                let line = self.cursor.line()?;
                Node::Float(text::float(&line).ok_or(self.argument("a decimal number"))?)
            }
            _ => self.integer(code)?,
        };
        self.make(node)
    }

    fn integer(&mut self, code: u8) -> Result<Node> {
        let line = self.cursor.line()?;
        let digits = match (code, line.as_slice()) {
            (opcode::INT, b"00") => return Ok(Node::Bool(false)),
            (opcode::INT, b"01") => return Ok(Node::Bool(true)),
            (opcode::LONG, [digits @ .., b'L']) => digits,
            (_, digits) => digits,
        };
        match text::integer(digits) {
            text::Number::Read(node) => Ok(node),
            text::Number::Malformed => Err(self.argument("an integer")),
            text::Number::TooLong => Err(PickleErrorKind::Ceiling {
                what: "digits in an integer",
                ceiling: ceiling::DIGITS,
            }),
        }
    }

    /// How many bytes follow.
    fn size(&mut self, code: u8) -> Result<u64> {
        use opcode::*;
        match code {
            LONG1 | SHORT_BINSTRING | SHORT_BINBYTES | SHORT_BINUNICODE => {
                Ok(self.cursor.byte()?.into())
            }
            LONG4 | BINSTRING => u64::try_from(i32::from_le_bytes(self.cursor.array()?))
                .map_err(|_| self.argument("a size that is not negative")),
            BINBYTES | BINUNICODE => Ok(u32::from_le_bytes(self.cursor.array()?).into()),
            _ => Ok(u64::from_le_bytes(self.cursor.array()?)),
        }
    }

    pub fn text(&mut self, code: u8) -> Result<()> {
        let text = match code {
            opcode::STRING => {
                let line = self.cursor.line()?;
                let bytes = text::string_literal(&line);
                text::python2(&bytes.ok_or(self.argument("a quoted string"))?)
            }
            opcode::UNICODE => {
                let line = self.cursor.line()?;
                text::raw_unicode_escape(&line)
                    .ok_or(self.argument("text with complete \\u escapes"))?
            }
            opcode::BINSTRING | opcode::SHORT_BINSTRING => {
                let size = self.size(code)?;
                text::python2(&self.cursor.bytes(size)?)
            }
            _ => {
                let size = self.size(code)?;
                text::utf8(&self.cursor.bytes(size)?).ok_or(self.argument("UTF-8"))?
            }
        };
        self.make(Node::Str(text))
    }

    pub fn octets(&mut self, code: u8) -> Result<()> {
        match code {
            opcode::NEXT_BUFFER => Err(PickleErrorKind::OutOfBand),
            opcode::READONLY_BUFFER => match self.node(self.top()?) {
                Node::Bytes(_) => Ok(()),
                other => Err(self.operand("a buffer", other)),
            },
            _ => {
                let size = self.size(code)?;
                let bytes = self.cursor.bytes(size)?;
                self.make(Node::Bytes(bytes))
            }
        }
    }

    pub fn container(&mut self, code: u8) -> Result<()> {
        let node = match code {
            opcode::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            opcode::TUPLE1 => Node::Tuple(self.pop_many(1)?),
            opcode::TUPLE2 => Node::Tuple(self.pop_many(2)?),
            opcode::TUPLE3 => Node::Tuple(self.pop_many(3)?),
            opcode::TUPLE => Node::Tuple(self.pop_mark()?),
            opcode::EMPTY_LIST => Node::List(Vec::new()),
            opcode::LIST => Node::List(self.pop_mark()?),
            opcode::EMPTY_DICT => Node::Dict(Vec::new()),
            opcode::DICT => Node::Dict(self.pop_pairs()?),
            opcode::EMPTY_SET => Node::Set(Vec::new()),
            _ => Node::FrozenSet(self.pop_mark()?),
        };
        match &node {
            Node::Tuple(items) | Node::List(items) | Node::FrozenSet(items) => self.take(items),
            Node::Dict(entries) => {
                for &(key, value) in entries {
                    self.take(&[key, value]);
                }
            }
            _ => {}
        }
        self.make(node)
    }
}
