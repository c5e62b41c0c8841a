//! The archive against random files, random damage and random bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use model_bundle::archive::{Archive, Difference, unpack, verify};
use model_bundle::progress::Silent;
use proptest::prelude::*;

use crate::archive_kit::{Files, Zip, build, entries, folder, sample};

/// Files with names that can stand together.
fn some_files() -> impl Strategy<Value = Files> {
    let name = prop_oneof![
        Just("config.yml".to_owned()),
        "(models|metadata|tests/[ab]|z)/[a-f]{1,3}(é|ø)?\\.(pth|json)",
    ];
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0_usize..3_000_000).prop_map(|(byte, size)| vec![byte; size]),
    ];
    prop::collection::btree_map(name, bytes, 0..8)
        .prop_map(|files: BTreeMap<_, _>| files.into_iter().collect())
}

/// Everything a reader does, on whatever is in the file. Nothing may panic or leave `target`.
fn use_it(zip: &Path) {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    if let Ok(archive) = Archive::open(zip) {
        for entry in archive.entries() {
            let _ = archive.read(entry, 1 << 20);
        }
        let _ = unpack(&archive, |_| true, &target, None, &Silent);
    }
    for left in fs::read_dir(outside.path()).unwrap() {
        assert_eq!(left.unwrap().path(), target);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_files_are_packed_and_proved(files in some_files()) {
        let (_folder, zip) = folder();
        build(&zip, &files);
        let differences = verify(&zip, &entries(&files), &HashMap::new(), &Silent).unwrap();
        prop_assert_eq!(differences, Vec::<Difference>::new());
        let archive = Archive::open(&zip).unwrap();
        let mut theirs = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
        prop_assert_eq!(archive.entries().len(), files.len());
        prop_assert_eq!(theirs.len(), files.len());
        for (name, bytes) in &files {
            let entry = archive.entry(name).unwrap();
            prop_assert_eq!(&archive.read(entry, u64::MAX).unwrap(), bytes);
            let mut read = vec![];
            theirs.by_name(name).unwrap().read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_damage_is_found_and_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        streamed in any::<bool>(),
    ) {
        let (_folder, zip) = folder();
        let mut made = Zip::of(&sample());
        if streamed {
            made.parts.iter_mut().for_each(|part| part.stream(true, false));
        }
        let good = Zip::of(&sample()).bytes();
        let mut bytes = made.bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&zip, &bytes).unwrap();
        let differences = verify(&zip, &entries(&sample()), &HashMap::new(), &Silent).unwrap();
        prop_assert_eq!(differences.is_empty(), bytes == good);
        use_it(&zip);
    }

    #[test]
    fn random_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..400), end: bool) {
        let (_folder, zip) = folder();
        if end {
            bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\0\0\0\0\0\0");
        }
        fs::write(&zip, &bytes).unwrap();
        let differences = verify(&zip, &entries(&sample()), &HashMap::new(), &Silent).unwrap();
        prop_assert!(!differences.is_empty());
        use_it(&zip);
    }
}
