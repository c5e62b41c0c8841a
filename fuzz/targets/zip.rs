//! Anyone's ZIP: opened, read, verified, and unpacked; and what is accepted means the same to another reader.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use model_bundle::archive::{
    Archive, ArchiveEntry, BundlePath, Entry, OpenError, ReadError, Source, unpack, verify,
    verify_foreign, write,
};
use model_bundle::digest::Contents;
use model_bundle::progress::Silent;
use model_bundle_fuzz::folder;

/// The most that is taken into memory of an entry.
const LIMIT: u64 = 1 << 20;

/// What the files hold that can be read, by name; `None` for damaged ones and ones too large.
type Held = BTreeMap<BundlePath, Option<Vec<u8>>>;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let folder = folder();
    let zip = folder.path().join("any.zip");
    fs::write(&zip, data).expect("the ZIP can be written");
    match Archive::open(&zip) {
        Ok(archive) => accepted(&archive, data, folder.path(), &zip),
        Err(OpenError::Refused { problems, .. }) => {
            assert!(!problems.is_empty());
            assert!(
                problems
                    .iter()
                    .all(|problem| !problem.to_string().is_empty())
            );
            refused(&zip);
        }
        Err(error) => panic!("{error}"),
    }
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(3) {
        repair(&mut data[..size]);
    }
    size
});

/// Makes the numbers that hang together agree again, as far as there are headers one after another: sizes and
/// CRCs of stored entries, offsets, and the end record. Mutations get past the first checks by it.
fn repair(data: &mut [u8]) -> Option<()> {
    const LOCAL: &[u8] = b"PK\x03\x04";
    const CENTRAL: &[u8] = b"PK\x01\x02";
    let u16_at = |data: &[u8], at: usize| {
        let bytes = data.get(at..at + 2)?;
        Some(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let set = |data: &mut [u8], at: usize, number: usize| {
        let bytes = data.get_mut(at..at + 4)?;
        bytes.copy_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
        Some(())
    };
    let mut locals = Vec::new();
    let mut at = 0;
    while data.get(at..)?.starts_with(LOCAL) {
        let start = at + 30 + u16_at(data, at + 26)? + u16_at(data, at + 28)?;
        let rest = data.get(start..)?;
        let is_header = |window: &[u8]| window == LOCAL || window == CENTRAL;
        let length = rest.windows(4).position(is_header)?;
        let plain = u16_at(data, at + 6)? & 8 == 0 && u16_at(data, at + 8)? == 0;
        if plain {
            let crc = Contents::of(&data[start..start + length]).crc32.0;
            set(data, at + 14, crc as usize)?;
            set(data, at + 18, length)?;
            set(data, at + 22, length)?;
        }
        locals.push((at, plain));
        at = start + length;
    }
    let directory = at;
    for (local, plain) in &locals {
        if !data.get(at..)?.starts_with(CENTRAL) {
            break;
        }
        let length = [28, 30, 32].map(|field| u16_at(data, at + field));
        set(data, at + 42, *local)?;
        if *plain {
            data.copy_within(local + 14..local + 26, at + 16);
        }
        at += 46 + length.iter().flatten().sum::<usize>();
    }
    if data.get(at..)?.starts_with(b"PK\x05\x06") {
        let count = u16::try_from(locals.len()).ok()?.to_le_bytes();
        data.get_mut(at + 8..at + 10)?.copy_from_slice(&count);
        data.get_mut(at + 10..at + 12)?.copy_from_slice(&count);
        set(data, at + 12, at - directory)?;
        set(data, at + 16, directory)?;
    }
    Some(())
}

/// What is refused is no archive to either verification, whatever is expected of it.
fn refused(zip: &Path) {
    let one = Entry {
        path: BundlePath::new("config.yml").expect("a name"),
        contents: Contents::of(b"a: 1\n"),
    };
    for expected in [&[][..], &[one]] {
        assert!(
            !verify_foreign(zip, expected, &Silent)
                .expect("it is read")
                .is_empty()
        );
        let found = verify(zip, expected, &HashMap::new(), &Silent).expect("it is read");
        assert!(!found.is_empty());
    }
}

fn accepted(archive: &Archive, data: &[u8], folder: &Path, zip: &Path) {
    let mut held = Held::new();
    let mut entries = Vec::new();
    let mut damaged = false;
    for entry in archive.entries() {
        let (bytes, contents) = read(archive, entry);
        damaged |= contents.is_none() && !entry.is_directory;
        if entry.is_directory {
            continue;
        }
        assert!(held.insert(entry.path.clone(), bytes).is_none());
        entries.push(Entry {
            path: entry.path.clone(),
            contents: contents.unwrap_or(Contents {
                size: entry.size,
                ..Contents::of(b"no such bytes")
            }),
        });
    }
    let foreign = verify_foreign(zip, &entries, &Silent).expect("it is read");
    assert_eq!(foreign.is_empty(), !damaged, "{foreign:?}");
    canonical(data, &held, &entries, zip);
    other_reader(archive, data, &held);
    unpacked(archive, &held, damaged, folder);
}

/// Counts bytes, and believes no entry that gives more of them than it says.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads an entry in all three ways, which must agree.
fn read(archive: &Archive, entry: &ArchiveEntry) -> (Option<Vec<u8>>, Option<Contents>) {
    let mut counter = Counter(0);
    let copied = archive.copy_to(entry, &mut counter, &Silent).ok();
    assert!(counter.0 <= entry.size);
    let contents = archive.contents(entry, &Silent).ok();
    assert_eq!(copied, contents);
    if let Some(contents) = contents {
        assert_eq!((contents.size, contents.crc32), (entry.size, entry.crc32));
    }
    let bytes = match archive.read(entry, LIMIT) {
        Err(ReadError::TooLarge { found, .. }) => {
            assert!(found > LIMIT);
            return (None, contents);
        }
        bytes => bytes.ok(),
    };
    assert_eq!(bytes.as_deref().map(Contents::of), contents);
    (bytes, contents)
}

/// The canonical verification finds nothing if and only if these are the bytes that a build writes.
fn canonical(data: &[u8], held: &Held, entries: &[Entry], zip: &Path) {
    let known: Option<HashMap<BundlePath, Vec<u8>>> = held
        .iter()
        .map(|(path, bytes)| Some((path.clone(), bytes.clone()?)))
        .collect();
    let known = known.unwrap_or_default();
    let differences = verify(zip, entries, &known, &Silent).expect("it is read");
    let sources: Option<Vec<(Entry, Source)>> = entries
        .iter()
        .map(|entry| {
            let bytes = known.get(&entry.path)?.clone();
            Some((entry.clone(), Source::Bytes(bytes)))
        })
        .collect();
    let Some(sources) = sources else {
        // Something is damaged, or deflated and large: a build makes neither.
        return assert!(!differences.is_empty());
    };
    let ours = zip.with_extension("ours");
    let mut out = File::create(&ours).expect("a file can be made");
    write(&mut out, &sources, &Silent).expect("accepted names can be written");
    let written = fs::read(&ours).expect("what was written is read");
    assert_eq!(differences.is_empty(), written == data, "{differences:?}");
    let own = verify(&ours, entries, &known, &Silent).expect("it is read");
    assert!(own.is_empty());
    fs::remove_file(&ours).expect("it is there");
}

/// The `zip` crate sees the same names, and where it reads an entry too, the same bytes.
fn other_reader(archive: &Archive, data: &[u8], held: &Held) {
    let Ok(mut theirs) = zip::ZipArchive::new(Cursor::new(data)) else {
        return;
    };
    assert_eq!(theirs.len(), archive.entries().len());
    for index in 0..theirs.len() {
        let Ok(mut file) = theirs.by_index(index) else {
            continue;
        };
        let name = file.name().expect("accepted names are text").into_owned();
        let entry = archive.entries().iter().find(|entry| {
            let slash = if entry.is_directory { "/" } else { "" };
            format!("{}{slash}", entry.path) == name
        });
        let entry = entry.unwrap_or_else(|| panic!("only they see {name:?}"));
        assert_eq!(entry.size, file.size());
        let mut bytes = Vec::new();
        if let Some(Some(ours)) = held.get(&entry.path)
            && file
                .by_ref()
                .take(LIMIT + 1)
                .read_to_end(&mut bytes)
                .is_ok()
        {
            assert_eq!(*ours, bytes);
        }
    }
}

/// All files are unpacked and nothing else is there, or nothing at all.
fn unpacked(archive: &Archive, held: &Held, damaged: bool, folder: &Path) {
    let target = folder.join("in").join("target");
    let done = unpack(archive, |_| true, &target, None, &Silent);
    let mut found = BTreeMap::new();
    files(folder, folder, &mut found);
    assert_eq!(
        found.remove("any.zip").map(|size| size > 0),
        Some(archive.size() > 0)
    );
    assert_eq!(done.is_ok(), !damaged, "{done:?}");
    if let Err(error) = done {
        assert!(!error.to_string().is_empty());
        assert!(found.is_empty() && !folder.join("in").exists());
        return;
    }
    assert_eq!(found.len(), held.len());
    for entry in archive.entries().iter().filter(|entry| !entry.is_directory) {
        assert_eq!(found[&format!("in/target/{}", entry.path)], entry.size);
        if let Some(Some(bytes)) = held.get(&entry.path) {
            let path = target.join(entry.path.as_str());
            assert_eq!(fs::read(path).expect("it is there"), *bytes);
        }
    }
}

/// The files below a folder with their sizes; links and the like there are none.
fn files(root: &Path, at: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in fs::read_dir(at).expect("the folder is there") {
        let path = entry.expect("the folder is read").path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if metadata.is_dir() {
            files(root, &path, found);
        } else {
            assert!(metadata.is_file());
            let name = path.strip_prefix(root).expect("it is inside");
            let name = name.to_str().expect("names are UTF-8");
            found.insert(name.to_owned(), metadata.len());
        }
    }
}
