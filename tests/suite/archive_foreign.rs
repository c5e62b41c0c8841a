//! Archives that other tools made: read if every reader sees the same in them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use model_bundle::archive::{Archive, ArchiveEntry, Entry, Method, unpack, verify_foreign};
use model_bundle::progress::Silent;

use crate::archive_kit::{Part, Zip, entry, folder, sample};

/// `fixtures/foreign/make.py` made them; all hold the same files.
const MADE: [&str; 8] = [
    "bundler",
    "from_windows",
    "info_zip",
    "info_zip_stored",
    "info_zip_streamed",
    "streamed_deflated",
    "streamed_stored",
    "zip64_in_local_header",
];

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign");
    folder.join(format!("{name}.zip"))
}

fn files_in(archive: &Archive) -> Vec<&ArchiveEntry> {
    let all = archive.entries().iter();
    all.filter(|entry| !entry.is_directory).collect()
}

#[test]
fn what_other_tools_write_is_read() {
    for name in MADE {
        let archive = Archive::open(&fixture(name)).unwrap_or_else(|error| panic!("{error}"));
        let mut theirs = zip::ZipArchive::new(File::open(fixture(name)).unwrap()).unwrap();
        let mut names = vec![];
        for entry in files_in(&archive) {
            let mut bytes = vec![];
            let mut file = theirs.by_name(entry.path.as_str()).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(archive.read(entry, 2000).unwrap(), bytes, "{name}");
            names.push(entry.path.as_str());
        }
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "config.yml",
                "metadata/NAFNet-bf_focus_restoration.json",
                "models/NAFNet-bf_focus_restoration.pth",
                "models/PIClassifier.pth",
                "models/stale_from_yesterday.txt",
            ],
            "{name}"
        );
    }
}

#[test]
fn what_other_tools_write_is_verified_and_unpacked() {
    for name in MADE {
        let archive = Archive::open(&fixture(name)).unwrap();
        let expected: Vec<Entry> = files_in(&archive)
            .into_iter()
            .map(|entry| Entry {
                path: entry.path.clone(),
                contents: archive.contents(entry, &Silent).unwrap(),
            })
            .collect();
        let differences = verify_foreign(&fixture(name), &expected, &Silent).unwrap();
        assert_eq!(differences, [], "{name}");
        let target = tempfile::tempdir().unwrap();
        let paths = unpack(&archive, |_| true, target.path(), Some(&expected), &Silent).unwrap();
        assert_eq!(paths.len(), expected.len());
        for (path, entry) in paths.iter().zip(&expected) {
            assert_eq!(fs::metadata(path).unwrap().len(), entry.contents.size);
        }
    }
}

#[test]
fn a_foreign_archive_is_compared_by_what_it_holds() {
    let archive = Archive::open(&fixture("bundler")).unwrap();
    let mut expected: Vec<Entry> = files_in(&archive)
        .into_iter()
        .filter(|entry| !entry.path.as_str().contains("stale"))
        .map(|entry| Entry {
            path: entry.path.clone(),
            contents: archive.contents(entry, &Silent).unwrap(),
        })
        .collect();
    expected[0] = entry("config.yml", &[b'#'; 120]);
    expected.push(entry("models/gone.pth", b""));
    let differences = verify_foreign(&fixture("bundler"), &expected, &Silent).unwrap();
    let text: Vec<String> = differences.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(text.join("\n"), @"
models/stale_from_yesterday.txt is in the archive, but should not be
config.yml: the contents differ: expected BLAKE3 6481cb2b4e87037b59737c871cde1ef4d334875f433205c9020b20a8bbc73b63, found 793e42758b08ab65b8be5c8279cbb707dc839c83fe52b6bf4915c9ab074ddaaa
models/gone.pth is missing
");
}

#[test]
fn reading_is_bounded() {
    let archive = Archive::open(&fixture("bundler")).unwrap();
    let entry = archive
        .entry("models/NAFNet-bf_focus_restoration.pth")
        .unwrap();
    assert_eq!(entry.method, Method::Deflated);
    insta::assert_snapshot!(archive.read(entry, 1023).unwrap_err(), @"models/NAFNet-bf_focus_restoration.pth has 1024 bytes; at most 1023 bytes are taken here");
}

/// What a ZIP may have without meaning two things: see APPNOTE 4.3.9 for the four data descriptors.
#[test]
fn harmless_peculiarities_are_accepted() {
    let (_folder, zip) = folder();
    let accept = |what: &str, change: &dyn Fn(&mut Zip)| {
        let mut made = Zip::of(&sample());
        change(&mut made);
        fs::write(&zip, made.bytes()).unwrap();
        let archive = Archive::open(&zip).unwrap_or_else(|error| panic!("{what}: {error}"));
        for entry in archive.entries() {
            archive
                .read(entry, 1000)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    };
    accept("a comment", &|zip| zip.comment = b"made with love".to_vec());
    for (signature, wide) in [(true, true), (true, false), (false, true), (false, false)] {
        accept("a descriptor", &|zip| {
            zip.parts
                .iter_mut()
                .for_each(|part| part.stream(signature, wide));
        });
    }
    accept("no mode", &|zip| {
        for part in &mut zip.parts {
            (part.made_by, part.attributes) = (20, 0x20);
        }
    });
    accept("a mode without a type", &|zip| {
        zip.parts
            .iter_mut()
            .for_each(|part| part.attributes = 0o600 << 16);
    });
    accept("a shared folder", &|zip| {
        let mut part = Part::stored(b"models/", b"");
        part.attributes = 0o042_775 << 16 | 0x10;
        zip.parts.insert(0, part);
    });
    accept("deflated", &|zip| {
        for part in &mut zip.parts {
            let name = part.local.name.clone();
            *part = Part::deflated(&name, &part.data);
        }
    });
    accept("nothing", &|zip| zip.parts.clear());
}
