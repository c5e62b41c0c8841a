//! Imports go downward: the map in `src/lib.rs` is the truth.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top. A module may use what stands below it, and of its own layer only itself.
const LAYERS: [&[&str]; 22] = [
    &["cli"],
    &["ops"],
    &["project"],
    &["runner"],
    &["subject"],
    &["resolve"],
    &["plan"],
    &["inspect"],
    &["adopt"],
    &["lockfile", "packed"],
    &["fit"],
    &["facts"],
    &["tasks"],
    &["exec"],
    &["nn"],
    &["weights"],
    &["config", "archive", "image"],
    &["cache", "yaml"],
    &["atomic", "value", "created", "wording", "npy"],
    &["blob"],
    &["digest"],
    &["progress"],
];

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| {
            panic!("`{module}` is in no layer: put it in the map and into this test")
        })
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a source file names as `crate::module`, outside of comments.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
}

#[test]
fn imports_go_downward() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut seen = 0;
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap();
        let module = Path::new(first.as_os_str())
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap();
        if ["lib", "main", "bin"].contains(&module) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for used in uses(&text).filter(|used| *used != module) {
            seen += 1;
            assert!(
                layer(module) < layer(used),
                "{} uses `{used}`, which does not stand below `{module}`",
                relative.display()
            );
        }
    }
    assert!(
        seen > 50,
        "the test found only {seen} imports: does it still read them?"
    );
}
