//! Damaged archives: each is refused, and says what is wrong with it.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use model_bundle::archive::{Archive, OpenError, verify};
use model_bundle::progress::Silent;

use crate::archive_kit::{Files, Part, Zip, build, entries, files, folder, sample};

/// What `verify` says of `bytes`.
fn differences(zip: &Path, files: &Files, bytes: &[u8]) -> Vec<String> {
    fs::write(zip, bytes).unwrap();
    let known = files
        .iter()
        .map(|(name, bytes)| (crate::archive_kit::path(name), bytes.clone()))
        .collect();
    let found = verify(zip, &entries(files), &known, &Silent).unwrap();
    found.iter().map(ToString::to_string).collect()
}

/// What `open` says of the file, or of the first entry that cannot be read.
fn refusals(zip: &Path) -> Vec<String> {
    match Archive::open(zip) {
        Ok(archive) => archive
            .entries()
            .iter()
            .filter_map(|entry| archive.read(entry, 1 << 20).err())
            .map(|error| error.to_string())
            .collect(),
        Err(OpenError::Refused { problems, .. }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

/// A table of damage: what was done, what `verify` says, what every reader says.
struct Table {
    text: String,
    folder: tempfile::TempDir,
    files: Files,
}

impl Table {
    fn new() -> Self {
        Self {
            text: String::new(),
            folder: tempfile::tempdir().unwrap(),
            files: sample(),
        }
    }

    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        let zip = self.folder.path().join("bundle.zip");
        let differences = differences(&zip, &self.files, bytes);
        assert!(!differences.is_empty(), "{what}: verify finds nothing");
        writeln!(self.text, "# {what}").unwrap();
        for difference in differences {
            writeln!(self.text, "verify: {difference}").unwrap();
        }
        for refusal in refusals(&zip) {
            writeln!(self.text, "open:   {refusal}").unwrap();
        }
        self.text.push('\n');
    }

    /// Damages the sample.
    fn zip(&mut self, what: &str, damage: impl FnOnce(&mut Zip)) {
        let mut zip = Zip::of(&self.files);
        damage(&mut zip);
        self.bytes(what, &zip.bytes());
    }

    /// Damages the sample's weights.
    fn part(&mut self, what: &str, damage: impl FnOnce(&mut Part)) {
        self.zip(what, |zip| damage(zip.part("models/a.pth")));
    }
}

#[test]
fn the_assembler_makes_the_canonical_archive() {
    let (_folder, zip) = folder();
    build(&zip, &sample());
    assert_eq!(fs::read(&zip).unwrap(), Zip::of(&sample()).bytes());
}

#[test]
fn changed_entries() {
    let mut table = Table::new();
    let names: Vec<String> = sample().into_iter().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| !name.starts_with("tests")) {
        table.zip(&format!("a flipped bit in {name}"), |zip| {
            zip.part(name).data[3] ^= 1
        });
    }
    table.part("other weights, with their own CRC", |part| {
        *part = Part::stored(b"models/a.pth", b"1234567");
    });
    table.part("longer weights", |part| {
        *part = Part::stored(b"models/a.pth", b"12345678")
    });
    table.part("deflated", |part| {
        *part = Part::deflated(b"models/a.pth", &[0x80, 2, b'.', 0, 0xff, 0x10, 7]);
    });
    table.zip("CRLF in the metadata", |zip| {
        let crlf = b"{\r\n  \"original_name\": \"a\"\r\n}\r\n";
        *zip.part("metadata/a.json") = Part::stored(b"metadata/a.json", crlf);
    });
    table.zip("swapped contents", |zip| {
        *zip.part("config.yml") = Part::stored(b"config.yml", b"version = 1\n");
        let config = b"bf_focus:\n  model_path: models/a.pth\n";
        *zip.part("bundle.lock") = Part::stored(b"bundle.lock", config);
    });
    table.zip("a missing file", |zip| drop(zip.parts.remove(3)));
    table.zip("an extra file", |zip| {
        zip.parts.push(Part::stored(b"stray.txt", b"x"))
    });
    table.zip("a folder's own entry", |zip| {
        let mut part = Part::stored(b"zoo/", b"");
        part.attributes = 0o040_755 << 16 | 0x10;
        zip.parts.push(part);
    });
    table.zip("another order", |zip| zip.parts.swap(0, 1));
    table.zip("another order in the directory", |zip| {
        zip.directory = Some(vec![1, 0, 2, 3, 4, 5, 6]);
    });
    insta::assert_snapshot!(table.text);
}

#[test]
fn changed_headers() {
    let mut table = Table::new();
    table.part("another date", |part| part.both(|head| head.date = 0x5c21));
    table.part("another time", |part| part.both(|head| head.time = 0x6000));
    table.part("another version needed", |part| {
        part.both(|head| head.needed = 10)
    });
    table.part("another maker", |part| part.made_by = 0x0014);
    table.part("another mode", |part| part.attributes = 0o100_600 << 16);
    table.part("a needless UTF-8 flag", |part| {
        part.both(|head| head.flags = 1 << 11)
    });
    table.part("a comment on an entry", |part| {
        part.comment = b"hi".to_vec()
    });
    table.part("an extra field", |part| {
        part.both(|head| head.extra = b"UT\x05\x00\x01\x00\x00\x00\x00".to_vec());
    });
    table.zip("a comment", |zip| zip.comment = b"made with love".to_vec());
    table.part("a data descriptor", |part| part.stream(true, false));
    table.part("a wrong CRC in both headers", |part| {
        part.both(|head| head.crc ^= 1)
    });
    table.part("a wrong CRC in the local header", |part| {
        part.local.crc ^= 1
    });
    table.part("a wrong CRC in the central header", |part| {
        part.central.crc ^= 1
    });
    table.part("another local name", |part| {
        part.local.name = b"models/b.pth".to_vec()
    });
    table.part("another local size", |part| part.local.size += 1);
    table.part("another local method", |part| part.local.method = 8);
    table.part("another local flag", |part| part.local.flags = 2);
    table.part("another local date", |part| part.local.date = 0x22);
    insta::assert_snapshot!(table.text);
}

#[test]
fn names() {
    let mut table = Table::new();
    let names: [&[u8]; 17] = [
        b"/models/a.pth",
        b"../a.pth",
        b"models/../../a.pth",
        b"./models/a.pth",
        b"models//a.pth",
        b"C:/a.pth",
        b"models\\a.pth",
        b"models/a.pth\0.txt",
        b"models/a\x1b[2J.pth",
        b"models/nul.pth",
        b"models/a.pth.",
        b"",
        b"models/\xff.pth",
        b"models/a\xe2\x80\xaehtp.exe",
        b"config.yml",
        b"CONFIG.YML",
        b"config.yml/x",
    ];
    for name in names {
        let shown = name.escape_ascii();
        table.part(&format!("named \"{shown}\""), |part| part.rename(name));
    }
    table.zip("named in another Unicode form", |zip| {
        zip.parts
            .push(Part::stored("models/u\u{308}.pth".as_bytes(), b"x"));
    });
    table.part("not marked as UTF-8", |part| {
        part.both(|head| head.name = "models/\u{e9}.pth".into());
    });
    table.part("named by an extra field", |part| {
        let name = b"models/b.pth";
        let mut extra = vec![0x75, 0x70, 5 + name.len() as u8, 0, 1, 0, 0, 0, 0];
        extra.extend(name);
        part.central.extra = extra;
    });
    insta::assert_snapshot!(table.text);
}

#[test]
fn lies() {
    let mut table = Table::new();
    let zip64 = |values: &[u64]| {
        let mut extra = vec![1, 0, 8 * values.len() as u8, 0];
        values
            .iter()
            .for_each(|value| extra.extend(value.to_le_bytes()));
        extra
    };
    table.part("encrypted", |part| part.both(|head| head.flags |= 1));
    table.part("strong encryption", |part| {
        part.both(|head| head.flags |= 0x41)
    });
    table.part("masked headers", |part| {
        part.both(|head| head.flags |= 1 << 13)
    });
    table.part("patch data", |part| part.both(|head| head.flags |= 1 << 5));
    table.part("LZMA", |part| part.both(|head| head.method = 14));
    table.part("a symbolic link", |part| part.attributes = 0o120_777 << 16);
    table.part("a device", |part| part.attributes = 0o060_644 << 16);
    table.part("a named pipe", |part| part.attributes = 0o010_644 << 16);
    table.part("setuid", |part| part.attributes = 0o104_755 << 16);
    table.part("a folder's mode", |part| part.attributes = 0o040_755 << 16);
    table.part("an MS-DOS folder", |part| part.attributes = 0x10);
    table.part("a file with a slash", |part| part.rename(b"models/a/"));
    table.part("a size beyond the file", |part| {
        part.both(|head| (head.size, head.compressed) = (1 << 30, 1 << 30));
    });
    table.part("a terabyte", |part| {
        part.both(|head| {
            (head.size, head.compressed) = (u32::MAX, u32::MAX);
            head.extra = zip64(&[1 << 40, 1 << 40]);
        });
    });
    table.part("2^64 - 1 bytes", |part| {
        part.both(|head| {
            (head.size, head.compressed) = (u32::MAX, u32::MAX);
            head.extra = zip64(&[u64::MAX, u64::MAX]);
        });
    });
    table.part("stored in less than its size", |part| {
        part.both(|head| head.size = 8)
    });
    table.part("ZIP64 where nothing overflows", |part| {
        part.both(|head| head.extra = zip64(&[7, 7]))
    });
    table.part("ZIP64 without its field", |part| {
        part.both(|head| head.size = u32::MAX)
    });
    table.part("ZIP64 with too short a field", |part| {
        part.both(|head| {
            (head.size, head.compressed) = (u32::MAX, u32::MAX);
            head.extra = zip64(&[7]);
        });
    });
    table.part("ZIP64 twice", |part| {
        part.central.size = u32::MAX;
        part.central.extra = [zip64(&[7]), zip64(&[8])].concat();
    });
    table.part("extra fields that do not add up", |part| {
        part.central.extra = vec![1, 2, 3]
    });
    table.part("a deflate bomb that claims little", |part| {
        *part = Part::deflated(b"models/a.pth", &vec![0; 1 << 20]);
        part.both(|head| head.size = 7);
    });
    table.part("a deflate bomb that claims what no deflate can", |part| {
        *part = Part::deflated(b"models/a.pth", b"1234567");
        part.both(|head| head.size = 1 << 31);
    });
    table.part("deflate that claims more than it holds", |part| {
        *part = Part::deflated(b"models/a.pth", b"123456");
        part.both(|head| head.size = 7);
    });
    table.part("deflate cut short", |part| {
        *part = Part::deflated(b"models/a.pth", b"1234567");
        part.data.pop();
        part.both(|head| head.compressed -= 1);
    });
    table.part("deflate with bytes after it", |part| {
        *part = Part::deflated(b"models/a.pth", &[0x80, 2, b'.', 0, 0xff, 0x10, 7]);
        part.data.push(0);
        part.both(|head| head.compressed += 1);
    });
    table.part("no deflate stream", |part| {
        part.both(|head| head.method = 8);
        part.data = vec![0xff; 7];
    });
    table.part("a descriptor that disagrees", |part| {
        part.stream(true, false);
        part.descriptor[5] ^= 1;
    });
    table.part("no descriptor", |part| {
        part.stream(true, false);
        part.descriptor.clear();
    });
    insta::assert_snapshot!(table.text);
}

#[test]
fn structure() {
    let mut table = Table::new();
    let good = Zip::of(&sample()).bytes();
    table.bytes("empty", b"");
    table.bytes("not a ZIP", b"%PDF-1.7 and more of it");
    for left in [1, 100, 452, 882, 903] {
        table.bytes(&format!("cut after {left} of its bytes"), &good[..left]);
    }
    table.bytes("a byte appended", &[&good[..], b"\0"].concat());
    table.bytes("70,000 bytes appended", &[&good[..], &[0; 70_000]].concat());
    table.bytes("bytes prepended", &[b"#!/bin/sh\n", &good[..]].concat());
    table.bytes(
        "an archive after an archive",
        &[&good[..], &good[..]].concat(),
    );
    table.zip("a byte between entries", |zip| {
        zip.parts[2].gap = b"?".to_vec()
    });
    table.zip("bytes before the first entry", |zip| {
        zip.parts[0].gap = b"#!/bin/sh\n".to_vec()
    });
    table.zip("bytes before the directory", |zip| {
        zip.before_directory = b"hidden".to_vec()
    });
    table.zip("bytes after the directory", |zip| {
        zip.after_directory = b"hidden".to_vec()
    });
    table.zip("an end record in the comment", |zip| {
        zip.comment = Zip::default().bytes()
    });
    table.zip("an end record's signature in the comment", |zip| {
        zip.comment = b"PK\x05\x06 and a comment long enough to be a record".to_vec();
    });
    table.zip("a signature at the comment's end", |zip| {
        zip.comment = b"PK\x05\x06".to_vec()
    });
    table.zip("an entry too many counted", |zip| zip.entries = Some(8));
    table.zip("an entry too few counted", |zip| zip.entries = Some(6));
    table.zip("another disk", |zip| zip.disk = 1);
    table.part("an entry on another disk", |part| part.disk = 1);
    table.part("a wrong offset", |part| part.offset = Some(1));
    table.part("an offset beyond the file", |part| {
        part.offset = Some(1 << 30)
    });
    table.part("an entry that overlaps the next", |part| {
        part.both(|head| (head.size, head.compressed) = (60, 60));
    });
    table.zip("two entries of the same bytes", |zip| {
        zip.directory = Some(vec![0, 1, 2, 3, 4, 5, 6, 6]);
    });
    table.zip("two entries of the same name", |zip| {
        zip.parts.push(Part::stored(b"models/a.pth", b"other"));
    });
    table.zip("a quoted entry: one within another's data", |zip| {
        let inner = Zip::of(&files(&[("models/b.pth", b"hidden")])).bytes();
        let mut part = Part::stored(b"models/c.pth", &inner);
        part.local.name = b"models/c.pth".to_vec();
        zip.parts.push(part);
        let mut other = Part::stored(b"models/b.pth", b"hidden");
        other.offset = Some(0);
        zip.parts.push(other);
    });
    insta::assert_snapshot!(table.text);
}

#[test]
fn zip64_end_records_that_lie() {
    let mut table = Table::new();
    let record = |change: fn(&mut Vec<u8>)| {
        let mut zip = Zip::of(&sample());
        let plain = zip.bytes();
        let end = &plain[plain.len() - 22..];
        let size = u32::from_le_bytes(end[12..16].try_into().unwrap());
        let offset = u32::from_le_bytes(end[16..20].try_into().unwrap());
        let mut record = b"PK\x06\x06".to_vec();
        record.extend(44_u64.to_le_bytes());
        record.extend([20, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [7, 7, u64::from(size), u64::from(offset)] {
            record.extend(value.to_le_bytes());
        }
        record.extend(b"PK\x06\x07\0\0\0\0");
        record.extend(u64::from(offset + size).to_le_bytes());
        record.extend(1_u32.to_le_bytes());
        change(&mut record);
        zip.after_directory = record;
        zip.bytes()
    };
    table.bytes("needless, but right", &record(|_| ()));
    table.bytes(
        "another number of entries",
        &record(|record| record[32] = 8),
    );
    table.bytes("a terabyte of directory", &record(|record| record[45] = 1));
    table.bytes("a directory elsewhere", &record(|record| record[48] += 1));
    table.bytes(
        "a locator that points elsewhere",
        &record(|record| record[64] ^= 1),
    );
    table.bytes(
        "a locator without its record",
        &record(|record| record[0] = 0),
    );
    table.bytes("several disks", &record(|record| record[72] = 2));
    table.bytes("a longer record", &record(|record| record[4] = 45));
    insta::assert_snapshot!(table.text);
}

/// A small file can claim much. Refusing it takes little time and memory all the same.
#[test]
fn a_hostile_file_is_refused_at_once() {
    let (_folder, zip) = folder();
    let started = std::time::Instant::now();
    let refuse = |made: &Zip| {
        fs::write(&zip, made.bytes()).unwrap();
        assert!(!refusals(&zip).is_empty());
        let found = verify(&zip, &entries(&sample()), &HashMap::new(), &Silent).unwrap();
        assert!(!found.is_empty());
    };
    let mut quoted = Zip::of(&sample());
    quoted.directory = Some(vec![4; 20_000]);
    refuse(&quoted);
    let mut deep = Zip::of(&vec![]);
    deep.parts = (0..100_usize)
        .map(|index| Part::stored("a/".repeat(1000 + index).as_bytes(), b""))
        .collect();
    refuse(&deep);
    let mut bombs = Zip::of(&vec![]);
    let bomb = vec![0; 64 << 20];
    bombs.parts = (0..8_u8)
        .map(|index| {
            let mut part = Part::deflated(&[b'a' + index], &bomb);
            part.both(|head| head.size = 10);
            part
        })
        .collect();
    refuse(&bombs);
    assert!(started.elapsed().as_secs() < 20);
}

/// No byte of a canonical archive can change without a difference being found.
#[test]
fn every_flipped_byte_is_found() {
    let (_folder, zip) = folder();
    let files = sample();
    let good = Zip::of(&files).bytes();
    let entries = entries(&files);
    for at in 0..good.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            fs::write(&zip, &bad).unwrap();
            let found = verify(&zip, &entries, &HashMap::new(), &Silent).unwrap();
            assert!(!found.is_empty(), "byte {at} ^ {mask:#x}");
            let _ = refusals(&zip);
        }
    }
}
