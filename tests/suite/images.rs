//! Stacks of images: those of other programs are read, and ours are read back.

use std::fs;
use std::path::{Path, PathBuf};

use model_bundle::image::{Axes, Calibration, Info, PixelType, Pixels, Reader};

pub fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 150, "{} files", files.len());
    files
}

/// The plane that tests/images/make.py writes.
fn plane(dtype: &str, axes: &Axes, [t, z, c]: [usize; 3]) -> Pixels {
    let mut all = Vec::new();
    for y in 0..axes.height {
        for x in 0..axes.width {
            all.push((t * 7919 + z * 977 + c * 131 + y * 17 + x * 3 + (x * y) % 11) as i64);
        }
    }
    let all = all.into_iter();
    let label = |v: i64| v * 16_777_259 % 4_294_967_291;
    match dtype {
        "bool" => Pixels::U8(all.map(|v| u8::from(v % 3 == 0)).collect()),
        "uint8" => Pixels::U8(all.map(|v| (v % 251) as u8).collect()),
        "int8" => Pixels::I16(all.map(|v| (v % 251 - 125) as i16).collect()),
        "uint16" => Pixels::U16(all.map(|v| (v * 97 % 65521) as u16).collect()),
        "int16" => Pixels::I16(all.map(|v| (v * 97 % 65521 - 32000) as i16).collect()),
        "uint32" | "uint64" => Pixels::U32(all.map(|v| label(v) as u32).collect()),
        "int32" | "int64" => Pixels::I32(all.map(|v| (label(v) - 2_147_483_000) as i32).collect()),
        "float16" => Pixels::F32(all.map(|v| (v % 500) as f32 * 0.25).collect()),
        "float32" => Pixels::F32(all.map(|v| v as f32 * 0.25 - 100.0).collect()),
        "float64" => Pixels::F32(all.map(|v| (v as f64 * 0.1) as f32).collect()),
        _ => panic!("no such type: {dtype}"),
    }
}

/// What the name of a fixture says: its numbers' type and its axes.
fn named(path: &Path) -> (String, Axes) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let numbers = |text: &str| -> Vec<usize> {
        let numbers = text.split(|c: char| !c.is_ascii_digit());
        let numbers = numbers.filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().unwrap()).collect()
    };
    let (lead, sides) = (numbers(parts[2]), numbers(parts[3]));
    let axes = Axes::new(lead[0], lead[1], lead[2], sides[0], sides[1]);
    (parts[1].to_owned(), axes)
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found / expected - 1.0).abs() < 1e-6)
}

fn check_calibration(name: &str, found: &Calibration, axes: &Axes) {
    if !name.contains("_cal") {
        assert_eq!(found.interval, None, "{name}");
        return;
    }
    let [y, x] = found.pixel.unwrap();
    assert!(close(Some(y), 0.13) && close(Some(x), 0.065), "{name}: {y} {x}");
    // tifffile writes what it is told, of axes that are not there too.
    assert!(close(found.interval, 2.5) && close(found.spacing, 0.5), "{name}: {found:?}, {axes:?}");
}

#[test]
fn stacks_of_other_programs_are_read() {
    for path in fixtures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (dtype, axes) = named(&path);
        let mut reader = Reader::open(&path).unwrap_or_else(|error| panic!("{error}"));
        let found = *reader.info();
        let lengths = |axes: &Axes| (axes.frames, axes.slices, axes.channels, axes.height, axes.width);
        assert_eq!(lengths(&found.axes), lengths(&axes), "{name}");
        check_calibration(name, &found.calibration, &axes);
        for t in 0..axes.frames {
            for z in 0..axes.slices {
                for c in 0..axes.channels {
                    let read = reader.plane(t, z, c).unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(read.kind(), found.kind, "{name}");
                    assert!(read == plane(&dtype, &axes, [t, z, c]), "{name}: {t} {z} {c}");
                }
            }
        }
    }
}
