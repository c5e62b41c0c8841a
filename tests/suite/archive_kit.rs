//! What the archive tests share: sample entries, archives on disk, and an assembler of ZIPs good and bad.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use model_bundle::archive::{BundlePath, Entry, Source, Written, write};
use model_bundle::digest::Contents;
use model_bundle::progress::Silent;

pub fn path(name: &str) -> BundlePath {
    BundlePath::new(name).unwrap()
}

pub fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        path: path(name),
        contents: Contents::of(bytes),
    }
}

/// Files by name: what a test wants in an archive.
pub type Files = Vec<(String, Vec<u8>)>;

pub fn files(list: &[(&str, &[u8])]) -> Files {
    list.iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

/// A small bundle with a file of every kind, an empty one and a name that is not ASCII among them.
pub fn sample() -> Files {
    files(&[
        ("config.yml", b"bf_focus:\n  model_path: models/a.pth\n"),
        ("bundle.lock", b"version = 1\n"),
        ("config_tracker.yml", b"TrackerConfig: {}\n"),
        ("metadata/a.json", b"{\n  \"original_name\": \"a\"\n}\n"),
        ("models/a.pth", &[0x80, 2, b'.', 0, 0xff, 0x10, 7]),
        (
            "models/\u{fc}.pth",
            b"PK\x05\x06 inside the data is nobody's end record",
        ),
        ("tests/bf_focus/input.npy", b""),
    ])
}

pub fn entries(files: &Files) -> Vec<Entry> {
    files
        .iter()
        .map(|(name, bytes)| entry(name, bytes))
        .collect()
}

/// Writes the canonical archive of `files`.
pub fn build(at: &Path, files: &Files) -> Written {
    let sources: Vec<(Entry, Source)> = files
        .iter()
        .map(|(name, bytes)| (entry(name, bytes), Source::Bytes(bytes.clone())))
        .collect();
    write(&mut File::create(at).unwrap(), &sources, &Silent).unwrap()
}

/// A temporary folder and the path of an archive in it.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("bundle.zip");
    (folder, zip)
}

/// The fields of a header that both headers of an entry have.
#[derive(Clone)]
pub struct Head {
    pub needed: u16,
    pub flags: u16,
    pub method: u16,
    pub time: u16,
    pub date: u16,
    pub crc: u32,
    pub compressed: u32,
    pub size: u32,
    pub name: Vec<u8>,
    pub extra: Vec<u8>,
}

impl Head {
    fn put(&self, out: &mut Vec<u8>) {
        for value in [self.needed, self.flags, self.method, self.time, self.date] {
            out.extend(value.to_le_bytes());
        }
        for value in [self.crc, self.compressed, self.size] {
            out.extend(value.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend((self.extra.len() as u16).to_le_bytes());
    }
}

/// One entry of an assembled ZIP: two headers that need not agree, and the bytes between.
#[derive(Clone)]
pub struct Part {
    /// What stands before the local header, belonging to nothing.
    pub gap: Vec<u8>,
    pub local: Head,
    pub data: Vec<u8>,
    pub descriptor: Vec<u8>,
    pub made_by: u16,
    pub central: Head,
    pub disk: u16,
    pub attributes: u32,
    pub comment: Vec<u8>,
    /// The local header's offset, if the central directory is to lie about it.
    pub offset: Option<u32>,
}

impl Part {
    pub fn stored(name: &[u8], data: &[u8]) -> Self {
        let head = Head {
            needed: 20,
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            method: 0,
            time: 0,
            date: 0x21,
            crc: Contents::of(data).crc32.0,
            compressed: data.len() as u32,
            size: data.len() as u32,
            name: name.to_vec(),
            extra: vec![],
        };
        Self {
            gap: vec![],
            local: head.clone(),
            data: data.to_vec(),
            descriptor: vec![],
            made_by: 0x0314,
            central: head,
            disk: 0,
            attributes: 0o100_644 << 16,
            comment: vec![],
            offset: None,
        }
    }

    pub fn deflated(name: &[u8], data: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        let mut part = Self::stored(name, data);
        part.both(|head| {
            head.method = 8;
            head.compressed = packed.len() as u32;
        });
        part.data = packed;
        part
    }

    /// Changes both headers alike.
    pub fn both(&mut self, change: impl Fn(&mut Head)) {
        change(&mut self.local);
        change(&mut self.central);
    }

    /// Gives the entry another name.
    pub fn rename(&mut self, name: &[u8]) {
        self.both(|head| {
            head.name = name.to_vec();
            head.flags = if name.is_ascii() { 0 } else { 1 << 11 };
        });
    }

    /// Moves what the local header says into a data descriptor, as a writer that cannot seek does.
    pub fn stream(&mut self, signature: bool, wide: bool) {
        let (crc, compressed, size) = (self.local.crc, self.local.compressed, self.local.size);
        self.both(|head| head.flags |= 1 << 3);
        (self.local.crc, self.local.compressed, self.local.size) = (0, 0, 0);
        if signature {
            self.descriptor.extend(b"PK\x07\x08");
        }
        self.descriptor.extend(crc.to_le_bytes());
        for value in [compressed, size] {
            self.descriptor.extend(value.to_le_bytes());
            if wide {
                self.descriptor.extend([0; 4]);
            }
        }
    }
}

/// A ZIP to be assembled, with every field within reach.
#[derive(Clone, Default)]
pub struct Zip {
    pub parts: Vec<Part>,
    /// The order of the central directory, if it is another one than that of the parts.
    pub directory: Option<Vec<usize>>,
    pub before_directory: Vec<u8>,
    pub after_directory: Vec<u8>,
    pub entries: Option<u16>,
    pub disk: u16,
    pub comment: Vec<u8>,
}

impl Zip {
    /// The canonical archive of `files`, whose order must be canonical.
    pub fn of(files: &Files) -> Self {
        Self {
            parts: files
                .iter()
                .map(|(name, bytes)| Part::stored(name.as_bytes(), bytes))
                .collect(),
            ..Self::default()
        }
    }

    pub fn part(&mut self, name: &str) -> &mut Part {
        let named = |part: &&mut Part| part.central.name == name.as_bytes();
        self.parts.iter_mut().find(named).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![];
        let mut offsets = vec![];
        for part in &self.parts {
            out.extend(&part.gap);
            offsets.push(out.len() as u32);
            out.extend(b"PK\x03\x04");
            part.local.put(&mut out);
            for bytes in [
                &part.local.name,
                &part.local.extra,
                &part.data,
                &part.descriptor,
            ] {
                out.extend(bytes);
            }
        }
        out.extend(&self.before_directory);
        let start = out.len();
        let order = self.directory.clone();
        let order = order.unwrap_or_else(|| (0..self.parts.len()).collect());
        for index in &order {
            let part = &self.parts[*index];
            out.extend(b"PK\x01\x02");
            out.extend(part.made_by.to_le_bytes());
            part.central.put(&mut out);
            out.extend((part.comment.len() as u16).to_le_bytes());
            out.extend(part.disk.to_le_bytes());
            out.extend([0; 2]);
            out.extend(part.attributes.to_le_bytes());
            out.extend(part.offset.unwrap_or(offsets[*index]).to_le_bytes());
            for bytes in [&part.central.name, &part.central.extra, &part.comment] {
                out.extend(bytes);
            }
        }
        let size = (out.len() - start) as u32;
        out.extend(&self.after_directory);
        let entries = self.entries.unwrap_or(order.len() as u16);
        out.extend(b"PK\x05\x06");
        out.extend(self.disk.to_le_bytes());
        out.extend([0; 2]);
        out.extend(entries.to_le_bytes());
        out.extend(entries.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend((start as u32).to_le_bytes());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(&self.comment);
        out
    }
}
