//! Assembles pickles from opcodes, and files around them. Nothing here is ever run.

use std::io::{Cursor, Write};

use model_bundle::weights::audit::Kind;

/// A fault that an audit must find: its kind, the global it is about (or ""), and the opcode's offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub within: Vec<u64>,
    pub offset: u64,
    pub kind: &'static str,
    pub global: String,
}

/// What becomes of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// Its format says it to be a pickle.
    Pickle,
    /// Bytes that no format says to be one.
    Hidden,
}

/// A pickle, and what must be found in it: nothing, if it is innocent.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub stream: As,
    pub bytes: Vec<u8>,
    pub expected: Vec<Expected>,
}

/// A stream that is being written.
#[derive(Clone, Debug, Default)]
pub struct Asm {
    bytes: Vec<u8>,
    expected: Vec<Expected>,
}

pub mod op {
    pub const MARK: &[u8] = b"(";
    pub const POP: &[u8] = b"0";
    pub const POP_MARK: &[u8] = b"1";
    pub const DUP: &[u8] = b"2";
    pub const NONE: &[u8] = b"N";
    pub const TRUE: &[u8] = b"\x88";
    pub const FALSE: &[u8] = b"\x89";
    pub const REDUCE: &[u8] = b"R";
    pub const BUILD: &[u8] = b"b";
    pub const NEWOBJ: &[u8] = b"\x81";
    pub const NEWOBJ_EX: &[u8] = b"\x92";
    pub const OBJ: &[u8] = b"o";
    pub const STACK_GLOBAL: &[u8] = b"\x93";
    pub const MEMOIZE: &[u8] = b"\x94";
    pub const BINPERSID: &[u8] = b"Q";
    pub const EMPTY_TUPLE: &[u8] = b")";
    pub const EMPTY_LIST: &[u8] = b"]";
    pub const EMPTY_DICT: &[u8] = b"}";
    pub const EMPTY_SET: &[u8] = b"\x8f";
    pub const TUPLE: &[u8] = b"t";
    pub const TUPLE1: &[u8] = b"\x85";
    pub const TUPLE2: &[u8] = b"\x86";
    pub const TUPLE3: &[u8] = b"\x87";
    pub const LIST: &[u8] = b"l";
    pub const DICT: &[u8] = b"d";
    pub const FROZENSET: &[u8] = b"\x91";
    pub const APPEND: &[u8] = b"a";
    pub const APPENDS: &[u8] = b"e";
    pub const SETITEM: &[u8] = b"s";
    pub const SETITEMS: &[u8] = b"u";
    pub const ADDITEMS: &[u8] = b"\x90";
}

/// An empty stream of protocol 0 or 1.
pub fn asm() -> Asm {
    Asm::default()
}

pub fn proto(version: u8) -> Asm {
    asm().raw(&[0x80, version])
}

impl Asm {
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// The opcode that comes next is one that the audit must point at.
    pub fn here(mut self, kind: &'static str, global: &str) -> Self {
        self.expected.push(Expected {
            within: Vec::new(),
            offset: self.bytes.len() as u64,
            kind,
            global: global.into(),
        });
        self
    }

    /// The opcode that comes next names a global that is refused as dangerous, or as unknown.
    pub fn danger(self, global: &str) -> Self {
        self.here("dangerous_global", global)
    }

    pub fn unknown(self, global: &str) -> Self {
        self.here("unknown_global", global)
    }

    pub fn misused(self, global: &str) -> Self {
        self.here("misused_global", global)
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn inst(self, module: &str, name: &str) -> Self {
        self.raw(format!("i{module}\n{name}\n").as_bytes())
    }

    /// `SHORT_BINUNICODE`, or `BINUNICODE`.
    pub fn text(self, text: &str) -> Self {
        match u8::try_from(text.len()) {
            Ok(size) => self.raw(&[0x8c, size]),
            Err(_) => self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()),
        }
        .raw(text.as_bytes())
    }

    /// `BINUNICODE`, which protocol 2 has too.
    pub fn text2(self, text: &str) -> Self {
        let size = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&size).raw(text.as_bytes())
    }

    /// Two texts and `STACK_GLOBAL`.
    pub fn stack_global(self, module: &str, name: &str) -> Self {
        self.text(module).text(name).raw(op::STACK_GLOBAL)
    }

    pub fn octets(self, bytes: &[u8]) -> Self {
        let size = (bytes.len() as u32).to_le_bytes();
        self.raw(b"B").raw(&size).raw(bytes)
    }

    pub fn int(self, value: i32) -> Self {
        self.raw(b"J").raw(&value.to_le_bytes())
    }

    /// A tuple of one text.
    pub fn args(self, text: &str) -> Self {
        self.text(text).raw(op::TUPLE1)
    }

    pub fn put(self, index: u8) -> Self {
        self.raw(&[b'q', index])
    }

    pub fn get(self, index: u8) -> Self {
        self.raw(&[b'h', index])
    }

    /// The byte string, or text, of a pickle, with what must be found in it.
    pub fn nested(mut self, inner: Asm, put: impl Fn(Self, &[u8]) -> Self) -> Self {
        let at = self.bytes.len() as u64;
        self.expected
            .extend(inner.expected.into_iter().map(|mut expected| {
                expected.within.insert(0, at);
                expected
            }));
        put(self, &inner.bytes)
    }

    /// Another stream after this one, whose offsets go on.
    pub fn then(mut self, next: Self) -> Self {
        let at = self.bytes.len() as u64;
        self.expected
            .extend(next.expected.into_iter().map(|mut expected| {
                expected.offset += at;
                expected
            }));
        self.raw(&next.bytes)
    }

    pub fn stop(self) -> Self {
        self.raw(b".")
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    fn case(self, name: &'static str, kind: Kind, stream: As) -> Case {
        Case {
            name,
            kind,
            stream,
            bytes: self.bytes,
            expected: self.expected,
        }
    }

    pub fn torch(self, name: &'static str) -> Case {
        self.case(name, Kind::Torch, As::Pickle)
    }

    pub fn estimator(self, name: &'static str) -> Case {
        self.case(name, Kind::Estimator, As::Pickle)
    }

    /// Bytes that no format says to be a pickle.
    pub fn hidden(self, name: &'static str) -> Case {
        self.case(name, Kind::Torch, As::Hidden)
    }
}

/// A ZIP as `torch.save` writes it, with one storage, and more members.
pub fn pth(data: &[u8], more: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    let members = [
        ("archive/data.pkl", data),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &[0; 16]),
        ("archive/version", b"3\n"),
    ];
    for (name, bytes) in members.iter().chain(more) {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(3));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(3));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
