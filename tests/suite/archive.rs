//! The archive as its users meet it: written, read back, proved, and laid out the same for good.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model_bundle::archive::{
    Archive, BundlePath, Difference, Entry, Layout, Source, WriteError, sha256_file, unpack,
    verify, write,
};
use model_bundle::digest::{Contents, Crc32};
use model_bundle::progress::{Progress, Silent};

use crate::archive_kit::{build, entries, entry, files, folder, path, sample};

#[test]
fn an_archive_is_written_read_back_and_proved() {
    let (_folder, zip) = folder();
    let files = sample();
    let written = build(&zip, &files);
    assert_eq!(written.size, fs::metadata(&zip).unwrap().len());
    assert_eq!(written.sha256, sha256_file(&zip, &Silent).unwrap());

    let known = HashMap::new();
    let differences = verify(&zip, &entries(&files), &known, &Silent).unwrap();
    assert_eq!(differences, []);

    let archive = Archive::open(&zip).unwrap();
    assert_eq!(archive.entries().len(), files.len());
    let mut second_opinion = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    for (index, (name, bytes)) in files.iter().enumerate() {
        let entry = archive.entry(name).unwrap();
        assert_eq!(archive.read(entry, 100).unwrap(), *bytes);
        assert_eq!(
            archive.contents(entry, &Silent).unwrap(),
            Contents::of(bytes)
        );
        let mut read = vec![];
        let mut theirs = second_opinion.by_index(index).unwrap();
        theirs.read_to_end(&mut read).unwrap();
        assert_eq!((theirs.name(), &read), (name.as_str(), bytes));
        assert_eq!(theirs.data_start(), Some(entry.data.start));
        assert_eq!(theirs.unix_mode(), Some(0o100_644));
    }
}

/// `layout = 1` is fixed for good: these bytes never change.
#[test]
fn the_bytes_of_layout_1() {
    let (_folder, zip) = folder();
    build(
        &zip,
        &files(&[("models/\u{fc}.pth", b"weights"), ("config.yml", b"a: 1\n")]),
    );
    let golden = [
        // Local header: signature, version 2.0, no flags, stored, 1980-01-01 00:00:00, CRC, sizes, lengths.
        "504b0304 1400 0000 0000 0000 2100 691923e3 05000000 05000000 0a00 0000",
        "636f6e6669672e796d6c 613a20310a",
        // The same with the UTF-8 flag.
        "504b0304 1400 0008 0000 0000 2100 5873d21a 07000000 07000000 0d00 0000",
        "6d6f64656c732fc3bc2e707468 77656967687473",
        // Central headers: made by Unix 2.0, ..., no comment, disk 0, no internal attributes, mode, offset.
        "504b0102 1403 1400 0000 0000 0000 2100 691923e3 05000000 05000000 0a00 0000",
        "0000 0000 0000 0000a481 00000000 636f6e6669672e796d6c",
        "504b0102 1403 1400 0008 0000 0000 2100 5873d21a 07000000 07000000 0d00 0000",
        "0000 0000 0000 0000a481 2d000000 6d6f64656c732fc3bc2e707468",
        // End record: disks, two entries, the directory's size and offset, no comment.
        "504b0506 0000 0000 0200 0200 73000000 5f000000 0000",
    ];
    assert_eq!(
        hex(&fs::read(&zip).unwrap()),
        golden.concat().replace(' ', "")
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_order_of_the_sources_does_not_matter() {
    let (_folder, zip) = folder();
    let mut files = sample();
    build(&zip, &files);
    let bytes = fs::read(&zip).unwrap();
    files.reverse();
    build(&zip, &files);
    assert_eq!(fs::read(&zip).unwrap(), bytes);
    assert_eq!(
        verify(&zip, &entries(&files), &HashMap::new(), &Silent).unwrap(),
        []
    );
}

/// Sizes, offsets and counts at the borders of 16 and 32 bits, without the data: the layout is written into a
/// file with holes, and must open here and in the `zip` crate.
#[test]
fn zip64_where_a_field_overflows_and_nowhere_else() {
    const GIB4: u64 = 1 << 32;
    // Of each: sizes, and the lengths of the ZIP64 fields in local and central headers.
    type Row = (&'static [u64], &'static [(usize, usize)]);
    let table: [Row; 6] = [
        (&[GIB4 - 2], &[(0, 0)]),
        (&[GIB4 - 1], &[(20, 20)]),
        (&[GIB4], &[(20, 20)]),
        (&[5 << 30, 1, 5 << 30], &[(20, 20), (0, 12), (20, 28)]),
        (&[GIB4 - 38, 1], &[(0, 0), (0, 12)]),
        (&[GIB4 - 39, 1], &[(0, 0), (0, 12)]),
    ];
    for (sizes, extras) in table {
        let entries: Vec<Entry> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| sized(&format!("models/{index}"), *size))
            .collect();
        let archive = check_layout(&Layout::new(&entries).unwrap());
        for ((local, central), (entry, size)) in extras.iter().zip(archive.iter().zip(sizes)) {
            assert_eq!(entry.size, *size);
            let header = (entry.data_start - entry.offset) as usize;
            assert_eq!(header, 30 + "models/0".len() + local, "{sizes:?}");
            assert_eq!(entry.central_extra, *central, "{sizes:?}");
        }
    }
}

#[test]
fn zip64_where_the_entries_are_too_many() {
    for count in [65_534, 65_535, 65_536, 70_000] {
        let entries: Vec<Entry> = (0..count).map(|i| sized(&format!("{i}"), 0)).collect();
        let layout = Layout::new(&entries).unwrap();
        assert_eq!(check_layout(&layout).len(), count);
        let zip64 = layout
            .tail()
            .windows(4)
            .any(|window| window == b"PK\x06\x06");
        assert_eq!(zip64, count >= 65_535, "{count}");
    }
}

fn sized(name: &str, size: u64) -> Entry {
    let mut entry = entry(name, b"");
    entry.contents.size = size;
    entry
}

/// An entry as the second opinion sees it.
struct Seen {
    size: u64,
    offset: u64,
    data_start: u64,
    central_extra: usize,
}

/// Writes a layout into a file with holes, opens it here and there, and says what is seen there.
fn check_layout(layout: &Layout) -> Vec<Seen> {
    let (_folder, zip) = folder();
    let file = File::create(&zip).unwrap();
    put_layout(&file, layout);
    assert_eq!(file.metadata().unwrap().len(), layout.size());

    let ours = Archive::open(&zip).unwrap();
    let file = std::io::BufReader::new(File::open(&zip).unwrap());
    let mut theirs = zip::ZipArchive::new(file).unwrap();
    assert_eq!(ours.entries().len(), theirs.len());
    (ours.entries().iter().enumerate())
        .map(|(index, ours)| {
            let theirs = theirs.by_index_raw(index).unwrap();
            assert_eq!(theirs.name(), ours.path.as_str());
            assert_eq!(theirs.size(), ours.size);
            assert_eq!(theirs.header_start(), ours.offset);
            assert_eq!(theirs.data_start(), Some(ours.data.start));
            let name = ours.path.as_str().len() as u64;
            let next = theirs.central_header_start() + 46 + name;
            Seen {
                size: ours.size,
                offset: ours.offset,
                data_start: ours.data.start,
                central_extra: next_record(layout, next),
            }
        })
        .collect()
}

/// Writes all of a layout but the entries' own bytes, which stay holes.
fn put_layout(file: &File, layout: &Layout) {
    for placed in layout.entries() {
        write_at(file, placed.offset, &placed.header);
    }
    write_at(file, layout.directory_offset(), layout.tail());
}

fn write_at(mut file: &File, offset: u64, bytes: &[u8]) {
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

/// How far the next record's signature is from `offset`.
fn next_record(layout: &Layout, offset: u64) -> usize {
    let at = (offset - layout.directory_offset()) as usize;
    let rest = &layout.tail()[at..];
    rest.windows(2).position(|window| window == b"PK").unwrap()
}

/// A file that is not what its entry says, whatever happened to it, is named.
#[test]
fn a_source_that_changes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("weights.pth");
    fs::write(&source, "weights").unwrap();
    let failure = |expected: Entry| {
        let mut out = File::create(folder.path().join("out.zip")).unwrap();
        let sources = [(expected, Source::File(source.clone()))];
        let error = write(&mut out, &sources, &Silent).unwrap_err();
        assert!(matches!(error, WriteError::Changed(_)));
        let folder = folder.path().display().to_string();
        error.to_string().replace(&folder, "FOLDER")
    };
    insta::assert_snapshot!(failure(entry("models/a.pth", b"weights and more")), @"FOLDER/weights.pth changed while models/a.pth was written from it: expected 16 bytes with BLAKE3 704ae9e4fafda82e898f93483ca7811ef046bbbd1909dad18f4f3b8b7bc1711d and CRC-32 2ec60834, found only 7 bytes; let whatever writes the file finish, then build again");
    insta::assert_snapshot!(failure(entry("models/a.pth", b"weigh")), @"FOLDER/weights.pth changed while models/a.pth was written from it: expected 5 bytes with BLAKE3 7fc2ffb82c5125d673f2c410fc3fd8b554e78ad75432d9f132662f89fa46839d and CRC-32 affb2856, found more bytes than that; let whatever writes the file finish, then build again");
    insta::assert_snapshot!(failure(entry("models/a.pth", b"WEIGHTS")), @"FOLDER/weights.pth changed while models/a.pth was written from it: expected 7 bytes with BLAKE3 73a6820a11c36a384e7c3b2f75e4b01350add5489fbe6e135d92e31f25d8fcf6 and CRC-32 25978d42, found 7 bytes with BLAKE3 3edc5c4a5df8c79ef4f8dbdc373cd21ca041ccf39fe5693250d004092094dc4a and CRC-32 1ad27358; let whatever writes the file finish, then build again");
    let mut lock = entry("models/a.pth", b"weights");
    lock.contents.crc32 = Crc32(7);
    insta::assert_snapshot!(failure(lock), @"FOLDER/weights.pth changed while models/a.pth was written from it: expected 7 bytes with BLAKE3 3edc5c4a5df8c79ef4f8dbdc373cd21ca041ccf39fe5693250d004092094dc4a and CRC-32 00000007, found 7 bytes with BLAKE3 3edc5c4a5df8c79ef4f8dbdc373cd21ca041ccf39fe5693250d004092094dc4a and CRC-32 1ad27358; let whatever writes the file finish, then build again");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut out = File::create(folder.path().join("out.zip")).unwrap();
    let sources = [(
        entry("a", b"a"),
        Source::File(PathBuf::from("/nowhere/a.pth")),
    )];
    let error = write(&mut out, &sources, &Silent).unwrap_err();
    insta::assert_snapshot!(error, @"cannot read /nowhere/a.pth, the source of a: No such file or directory (os error 2)");
}

#[test]
fn names_that_collide_make_no_archive() {
    let error = Layout::new(&[entry("models/a", b""), entry("models/A", b"")]).unwrap_err();
    insta::assert_snapshot!(error, @r#"the entry names "models/A" and "models/a" differ only by upper and lower case or by Unicode form; rename one of them"#);
}

/// Counts bytes, and asks to stop after so many.
struct Stop {
    after: u64,
    read: std::sync::atomic::AtomicU64,
}

impl Progress for Stop {
    fn advance(&self, _file: &Path, bytes: u64) {
        self.read
            .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.read.load(std::sync::atomic::Ordering::Relaxed) >= self.after
    }
}

#[test]
fn all_long_work_stops_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("weights.pth");
    let bytes = vec![7; 8 << 20];
    fs::write(&source, &bytes).unwrap();
    let stop = || Stop {
        after: 1 << 20,
        read: 0.into(),
    };
    let sources = [(entry("models/a.pth", &bytes), Source::File(source))];
    let zip = folder.path().join("a.zip");
    let mut out = File::create(&zip).unwrap();
    assert!(
        write(&mut out, &sources, &stop())
            .unwrap_err()
            .is_interrupted()
    );

    let mut out = File::create(&zip).unwrap();
    write(&mut out, &sources, &Silent).unwrap();
    let entries = [sources[0].0.clone()];
    let verified = verify(&zip, &entries, &HashMap::new(), &stop());
    assert!(verified.unwrap_err().is_interrupted());
    let hashed = sha256_file(&zip, &stop()).unwrap_err();
    assert_eq!(hashed.kind(), std::io::ErrorKind::Interrupted);
    let archive = Archive::open(&zip).unwrap();
    let target = folder.path().join("unpacked");
    let unpacked = unpack(&archive, |_| true, &target, None, &stop());
    assert!(unpacked.unwrap_err().is_interrupted());
    assert!(!target.exists());
}

/// An archive, a folder to unpack it into, and what is in that folder.
struct Unpacking {
    _folder: tempfile::TempDir,
    archive: Archive,
    target: PathBuf,
}

impl Unpacking {
    fn new() -> Self {
        let (folder, zip) = folder();
        build(&zip, &sample());
        Self {
            archive: Archive::open(&zip).unwrap(),
            target: folder.path().join("a/b"),
            _folder: folder,
        }
    }

    fn all(&self) -> Result<(), String> {
        self.only(|_| true, None)
    }

    fn only(
        &self,
        selection: impl Fn(&BundlePath) -> bool,
        expected: Option<&[Entry]>,
    ) -> Result<(), String> {
        let root = self._folder.path().display().to_string();
        unpack(&self.archive, selection, &self.target, expected, &Silent)
            .map(drop)
            .map_err(|error| error.to_string().replace(&root, "FOLDER"))
    }

    fn list(&self) -> Vec<String> {
        list(&self.target)
    }
}

pub fn list(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), &format!("{name}/"), names),
                false => names.push(name),
            }
        }
    }
    let mut names = vec![];
    walk(folder, "", &mut names);
    names.sort();
    names
}

#[test]
fn unpacking_gives_back_the_files() {
    let unpacking = Unpacking::new();
    unpacking.only(|_| true, Some(&entries(&sample()))).unwrap();
    let mut names: Vec<String> = sample().into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(unpacking.list(), names);
    for (name, bytes) in sample() {
        assert_eq!(fs::read(unpacking.target.join(name)).unwrap(), bytes);
    }
}

#[test]
fn unpacking_takes_what_is_selected() {
    let unpacking = Unpacking::new();
    let weights = |path: &BundlePath| path.as_str().starts_with("models/");
    unpacking.only(weights, None).unwrap();
    assert_eq!(unpacking.list(), ["models/a.pth", "models/\u{fc}.pth"]);
}

#[test]
fn unpacking_overwrites_nothing() {
    let unpacking = Unpacking::new();
    fs::create_dir_all(unpacking.target.join("models")).unwrap();
    fs::write(unpacking.target.join("models/a.pth"), "mine").unwrap();
    insta::assert_snapshot!(unpacking.all().unwrap_err(), @"FOLDER/a/b/models/a.pth exists already; move it away, or unpack into another folder");
    assert_eq!(unpacking.list(), ["models/a.pth"]);

    fs::remove_dir_all(&unpacking.target).unwrap();
    fs::create_dir_all(&unpacking.target).unwrap();
    fs::write(unpacking.target.join("models"), "mine").unwrap();
    insta::assert_snapshot!(unpacking.all().unwrap_err(), @"FOLDER/a/b/models should be a folder, but is not; move it away, or unpack into another folder");
    assert_eq!(unpacking.list(), ["models"]);
}

#[cfg(unix)]
#[test]
fn unpacking_follows_no_link() {
    let unpacking = Unpacking::new();
    let elsewhere = unpacking._folder.path().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir_all(&unpacking.target).unwrap();
    std::os::unix::fs::symlink(&elsewhere, unpacking.target.join("models")).unwrap();
    insta::assert_snapshot!(unpacking.all().unwrap_err(), @"FOLDER/a/b/models is a symbolic link; nothing is unpacked through it: remove it, or unpack into another folder");
    assert_eq!(list(&elsewhere), [""; 0]);
    fs::remove_file(unpacking.target.join("models")).unwrap();
    std::os::unix::fs::symlink("/nowhere", unpacking.target.join("config.yml")).unwrap();
    insta::assert_snapshot!(unpacking.all().unwrap_err(), @"FOLDER/a/b/config.yml exists already; move it away, or unpack into another folder");
    assert_eq!(unpacking.list(), ["config.yml"]);
}

#[test]
fn unpacking_leaves_nothing_of_what_is_not_as_expected() {
    let unpacking = Unpacking::new();
    let mut expected = entries(&sample());
    expected[4] = entry("models/a.pth", b"others");
    insta::assert_snapshot!(unpacking.only(|_| true, Some(&expected)).unwrap_err(), @"models/a.pth is not what is expected: expected 6 bytes with BLAKE3 b74704c68d46f34f478089588176f325407e6dc4aa7096e3fef9910ce9b41282, found 7 bytes with BLAKE3 f42e9082146fab9a611455a7664f7264de896bb680a72c1b0f7156a5f11fa735");
    expected.remove(4);
    insta::assert_snapshot!(unpacking.only(|_| true, Some(&expected)).unwrap_err(), @"the archive holds models/a.pth, which is not among the expected files");
    expected = entries(&sample());
    expected.push(entry("models/z.pth", b""));
    insta::assert_snapshot!(unpacking.only(|_| true, Some(&expected)).unwrap_err(), @"the archive does not hold models/z.pth, which is expected");
    assert!(!unpacking._folder.path().join("a").exists());
}

/// What differs is told to programs by a stable tag.
#[test]
fn differences_serialize_with_their_kind() {
    let (_folder, zip) = folder();
    build(&zip, &files(&[("config.yml", b"a\r\nb\r\n"), ("x", b"")]));
    let known = HashMap::from([(path("config.yml"), b"a\nb\n".to_vec())]);
    let expected = [entry("config.yml", b"a\nb\n"), entry("y", b"")];
    let found = verify(&zip, &expected, &known, &Silent).unwrap();
    let kinds: Vec<Difference> = found
        .into_iter()
        .filter(|difference| !matches!(difference, Difference::ArchiveSize { .. }))
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&kinds).unwrap(), @r#"
[
  {
    "kind": "extra",
    "path": "x"
  },
  {
    "kind": "size",
    "path": "config.yml",
    "expected": 4,
    "found": 6,
    "line_endings": true
  },
  {
    "kind": "missing",
    "path": "y"
  }
]
"#);
}
