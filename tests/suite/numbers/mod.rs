//! The CPU executor and everything around it together, against what PyTorch, MONAI, HiTMicTools and scikit-learn compute.

mod bits;
mod containers;
mod networks;
mod rods;

use std::collections::BTreeMap;
use std::path::Path;

use model_bundle::blob::Blob;
use model_bundle::weights::npy;

use crate::forward;

/// How far results in single precision may be from what is right: about 17 units of its last place.
pub const MOST: f64 = 2e-6;

/// `||found - wanted|| / ||wanted||`
pub fn distance(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let square = |v: f64| v * v;
    let pairs = found.iter().zip(wanted);
    let apart: f64 = pairs.map(|(a, b)| square(f64::from(*a) - b)).sum();
    (apart / wanted.iter().map(|v| square(*v)).sum::<f64>()).sqrt()
}

/// The numbers of an array in a file.
pub fn array(path: &Path) -> Vec<f64> {
    let blob = Blob::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match npy::read(&blob).unwrap() {
        npy::Npy::Tensor(tensor) => forward::numbers(&tensor),
        npy::Npy::Objects(_) => panic!("{} is no array of numbers", path.display()),
    }
}

/// The same in single precision, which is what it holds.
fn singles(path: &Path) -> Vec<f32> {
    array(path).into_iter().map(|v| v as f32).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|v| v.to_bits()).collect()
}

/// A table's columns by their names.
fn columns(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = text
        .lines()
        .map(|line| line.split(',').collect::<Vec<&str>>());
    let names = lines.next().unwrap();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        assert_eq!(line.len(), names.len());
        for (name, cell) in names.iter().zip(line) {
            let column = columns.entry((*name).to_owned()).or_default();
            column.push(cell.to_owned());
        }
    }
    columns
}

/// Fails the test unless two tables have the same columns and rows, `p...` as near as `most`, and all else the same.
#[track_caller]
fn same_table(found: &str, wanted: &str, most: f64) {
    let (found, wanted) = (columns(found), columns(wanted));
    assert!(found.keys().eq(wanted.keys()), "{:?}", found.keys());
    assert!(found.values().all(|column| !column.is_empty()));
    for (name, wanted) in wanted {
        let found = &found[&name];
        assert_eq!(found.len(), wanted.len(), "{name}");
        if !name.starts_with('p') || name == "predicted" {
            assert_eq!(*found, wanted, "{name}");
            continue;
        }
        for (row, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let number = |text: &str| text.parse::<f64>().unwrap();
            let apart = (number(found) - number(wanted)).abs();
            assert!(apart <= most, "{name}, row {row}: {found}, {wanted}");
        }
    }
}
