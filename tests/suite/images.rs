//! Stacks of images: those of other programs are read, and ours are read back.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model_bundle::image::{
    Axes, Calibration, ImageError, Info, Named, PixelType, Pixels, Reader, Writer,
};
use proptest::prelude::*;
use tiff::decoder::{Decoder, DecodingResult};

const KINDS: [PixelType; 6] = [
    PixelType::U8,
    PixelType::U16,
    PixelType::I16,
    PixelType::U32,
    PixelType::I32,
    PixelType::F32,
];

const WORLD: Calibration = Calibration {
    pixel: Some([0.13, 0.065]),
    spacing: Some(0.5),
    interval: Some(2.5),
};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 150, "{} files", files.len());
    files
}

/// The plane that tests/images/make.py writes.
fn plane(dtype: &str, axes: &Axes, [t, z, c]: [usize; 3]) -> Pixels<'static> {
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
    assert!(
        close(Some(y), 0.13) && close(Some(x), 0.065),
        "{name}: {y} {x}"
    );
    // tifffile writes what it is told, of axes that are not there too.
    assert!(
        close(found.interval, 2.5) && close(found.spacing, 0.5),
        "{name}: {found:?}, {axes:?}"
    );
}

#[test]
fn stacks_of_other_programs_are_read() {
    for path in fixtures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (dtype, axes) = named(&path);
        let mut reader = Reader::open(&path).unwrap_or_else(|error| panic!("{error}"));
        let found = *reader.info();
        let lengths = |axes: &Axes| {
            (
                axes.frames,
                axes.slices,
                axes.channels,
                axes.height,
                axes.width,
            )
        };
        assert_eq!(lengths(&found.axes), lengths(&axes), "{name}");
        check_calibration(name, &found.calibration, &axes);
        for t in 0..axes.frames {
            for z in 0..axes.slices {
                for c in 0..axes.channels {
                    let read = reader
                        .plane(t, z, c)
                        .unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(read.kind(), found.kind, "{name}");
                    assert!(
                        read == plane(&dtype, &axes, [t, z, c]),
                        "{name}: {t} {z} {c}"
                    );
                }
            }
        }
    }
}

fn places(axes: &Axes) -> impl Iterator<Item = [usize; 3]> + use<> {
    let Axes {
        frames,
        slices,
        channels,
        ..
    } = *axes;
    (0..frames * slices * channels).map(move |at| {
        [
            at / channels / slices,
            at / channels % slices,
            at % channels,
        ]
    })
}

fn write(
    path: &Path,
    info: &Info,
    planes: impl IntoIterator<Item = Pixels<'static>>,
) -> Result<(), ImageError> {
    let mut writer = Writer::create(path, info)?;
    for plane in planes {
        writer.write(&plane)?;
    }
    writer.finish()
}

fn info(axes: Axes, kind: PixelType, calibration: Calibration) -> Info {
    Info {
        axes,
        kind,
        calibration,
    }
}

/// What the `tiff` crate reads of each page.
fn second_opinion(path: &Path) -> Vec<Pixels<'static>> {
    let mut decoder = Decoder::new(Cursor::new(fs::read(path).unwrap())).unwrap();
    let mut pages = Vec::new();
    loop {
        pages.push(match decoder.read_image().unwrap() {
            DecodingResult::U8(list) => Pixels::U8(list.into()),
            DecodingResult::U16(list) => Pixels::U16(list.into()),
            DecodingResult::I16(list) => Pixels::I16(list.into()),
            DecodingResult::U32(list) => Pixels::U32(list.into()),
            DecodingResult::I32(list) => Pixels::I32(list.into()),
            DecodingResult::F32(list) => Pixels::F32(list.into()),
            other => panic!("{other:?}"),
        });
        if !decoder.more_images() {
            return pages;
        }
        decoder.next_image().unwrap();
    }
}

/// Writes into `$BUNDLE_IMAGES` if that is set, where tests/images/read_back.py finds the files.
#[test]
fn stacks_are_written_for_other_programs() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("BUNDLE_IMAGES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    fs::create_dir_all(&folder).unwrap();
    let lengths = [
        (1, 1, 1),
        (3, 1, 1),
        (1, 2, 1),
        (1, 1, 2),
        (3, 1, 2),
        (1, 2, 3),
        (3, 2, 2),
    ];
    for ((t, z, c), kind) in lengths
        .into_iter()
        .flat_map(|l| KINDS.map(|kind| (l, kind)))
    {
        let axes = Axes::new(t, z, c, 7, 9);
        let planes = || places(&axes).map(|at| plane(&kind.to_string(), &axes, at));
        for (what, ending, calibration) in [
            ("plain", "tif", Calibration::default()),
            ("cal", "tiff", WORLD),
            ("array", "npy", Calibration::default()),
        ] {
            let path = folder.join(format!("{what}.{kind}.t{t}z{z}c{c}.7x9.{ending}"));
            let written = info(axes, kind, calibration);
            write(&path, &written, planes()).unwrap();
            if ending != "npy" {
                assert_eq!(second_opinion(&path), planes().collect::<Vec<_>>());
                let found = *Reader::open(&path).unwrap().info();
                assert_eq!((found.axes, found.kind), (axes, kind));
                match calibration.pixel {
                    None => assert_eq!(found.calibration, calibration),
                    Some(_) => check_calibration("_cal", &found.calibration, &axes),
                }
            }
        }
    }
    for (c, kind) in [1, 3]
        .into_iter()
        .flat_map(|c| [(c, PixelType::U8), (c, PixelType::U16)])
    {
        let axes = Axes::new(1, 1, c, 7, 9);
        let path = folder.join(format!("picture.{kind}.t1z1c{c}.7x9.png"));
        let planes = places(&axes).map(|at| plane(&kind.to_string(), &axes, at));
        write(&path, &info(axes, kind, Calibration::default()), planes).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        for at in places(&axes) {
            assert_eq!(
                reader.plane(0, 0, at[2]).unwrap(),
                plane(&kind.to_string(), &axes, at)
            );
        }
    }
}

/// Numbers of a type, bit for bit at random.
fn random(kind: PixelType, area: usize, seed: u64) -> Pixels<'static> {
    let bits = (1..=area as u64).map(|at| {
        let mixed = (at.wrapping_add(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)) as u32
    });
    match kind {
        PixelType::U8 => Pixels::U8(bits.map(|bits| bits as u8).collect()),
        PixelType::U16 => Pixels::U16(bits.map(|bits| bits as u16).collect()),
        PixelType::I16 => Pixels::I16(bits.map(|bits| bits as i16).collect()),
        PixelType::U32 => Pixels::U32(bits.collect()),
        PixelType::I32 => Pixels::I32(bits.map(|bits| bits as i32).collect()),
        PixelType::F32 => Pixels::F32(bits.map(|bits| bits as i32 as f32 * 1e-3).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(
        lengths in (1usize..4, 1usize..4, 1usize..4, 1usize..20, 1usize..20),
        kind in prop::sample::select(KINDS.to_vec()),
        calibration in (prop::option::of((1e-3f64..1e3, 1e-3f64..1e3)), prop::option::of(1e-3f64..1e3)),
        seed in any::<u64>(),
    ) {
        let (t, z, c, height, width) = lengths;
        let axes = Axes::new(t, z, c, height, width);
        let (pixel, interval) = calibration;
        let pixel = pixel.map(|(y, x)| [y, x]);
        let written = info(axes, kind, Calibration { pixel, spacing: None, interval });
        let planes: Vec<Pixels> = (0..t * z * c).map(|at| random(kind, height * width, seed ^ at as u64)).collect();
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.tif", "a.npy"] {
            let path = folder.path().join(name);
            write(&path, &written, planes.clone()).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            let found = *reader.info();
            // An array has no slices but between frames and channels.
            let slices_first = name == "a.npy" && t == 1;
            let (t, z) = if slices_first { (z, 1) } else { (t, z) };
            prop_assert_eq!((found.axes.frames, found.axes.slices, found.axes.channels), (t, z, c));
            prop_assert_eq!((found.axes.height, found.axes.width, found.kind), (height, width, kind));
            if name == "a.tif" {
                prop_assert_eq!(found.calibration.interval, interval);
                for (found, expected) in found.calibration.pixel.into_iter().flatten().zip(pixel.into_iter().flatten()) {
                    prop_assert!((found / expected - 1.0).abs() < 1e-9);
                }
                prop_assert_eq!(found.calibration.pixel.is_some(), pixel.is_some());
            }
            for (at, expected) in places(&found.axes).zip(&planes) {
                prop_assert_eq!(&reader.plane(at[0], at[1], at[2]).unwrap(), expected);
            }
        }
    }
}

#[test]
fn an_array_keeps_its_axes() {
    let folder = tempfile::tempdir().unwrap();
    for (named, shape) in [
        (Named::default(), "(7, 9)"),
        (
            Named {
                frames: true,
                ..Named::default()
            },
            "(1, 7, 9)",
        ),
        (
            Named {
                frames: true,
                channels: true,
                slices: false,
            },
            "(1, 1, 7, 9)",
        ),
    ] {
        let mut axes = Axes::new(1, 1, 1, 7, 9);
        axes.named = named;
        let path = folder.path().join("a.npy");
        let written = info(axes, PixelType::U8, Calibration::default());
        write(&path, &written, [random(PixelType::U8, 63, 0)]).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(&format!("'shape': {shape}, }}")));
        assert_eq!(Reader::open(&path).unwrap().info().axes, axes);
    }
}

#[test]
fn a_writer_takes_what_it_was_told_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let told = info(
        Axes::new(2, 1, 1, 2, 3),
        PixelType::U8,
        Calibration::default(),
    );
    let good = Pixels::U8(vec![1; 6].into());
    let refusals = [
        (
            vec![Pixels::U8(vec![1; 5].into())],
            "expected a plane of 6 pixels of uint8, found 5 of uint8",
        ),
        (vec![Pixels::U16(vec![1; 6].into())], "found 6 of uint16"),
        (vec![good.clone()], "expected 2 planes, found 1"),
        (vec![good.clone(); 3], "expected 2 planes, found one more"),
    ];
    for (planes, reason) in refusals {
        let error = write(&path, &told, planes).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    let huge = Axes::new(usize::MAX, 2, 1, 2, 3);
    for (name, axes, kind, reason) in [
        (
            "a.png",
            told.axes,
            PixelType::U8,
            "expected a single frame of one or three channels",
        ),
        (
            "a.png",
            Axes::new(1, 1, 1, 2, 3),
            PixelType::F32,
            "expected uint8 or uint16",
        ),
        ("a.jpg", told.axes, PixelType::U8, "found `.jpg`"),
        ("a", told.axes, PixelType::U8, "found no ending"),
        (
            "a.tif",
            huge,
            PixelType::U8,
            "expected a stack that a file can hold",
        ),
        (
            "a.npy",
            Axes::new(1, 1, 1, 0, 3),
            PixelType::U8,
            "expected a stack that a file can hold",
        ),
    ] {
        let path = folder.path().join(name);
        let error = Writer::create(&path, &info(axes, kind, Calibration::default())).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let nowhere = folder.path().join("none/a.tif");
    let error = Writer::create(&nowhere, &told).unwrap_err();
    assert!(matches!(error, ImageError::Write { .. }), "{error}");
}

#[test]
fn a_hundred_thousand_pages_are_opened_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.tif");
    let long = info(
        Axes::new(100_000, 1, 1, 1, 2),
        PixelType::U16,
        Calibration::default(),
    );
    let planes = (0..100_000u32).map(|at| Pixels::U16(vec![at as u16, (at >> 16) as u16].into()));
    write(&path, &long, planes).unwrap();
    let start = Instant::now();
    let mut reader = Reader::open(&path).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(reader.info().axes.frames, 100_000);
    assert_eq!(
        reader.plane(99_999, 0, 0).unwrap(),
        Pixels::U16(vec![34463, 1].into())
    );
}

/// ImageJ writes more than 4 GiB with the first plane's directory alone. The file is sparse.
#[cfg(unix)]
#[test]
fn imagej_stacks_beyond_4_gib_are_read_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.tif");
    let one = info(
        Axes::new(1, 1, 1, 1024, 2048),
        PixelType::U16,
        Calibration::default(),
    );
    write(&path, &one, [random(PixelType::U16, 1 << 21, 0)]).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let start = bytes.len() as u64 - (1 << 22);
    let text = bytes
        .windows(8)
        .position(|text| text == b"images=1")
        .unwrap();
    // It has as many bytes as the description of one plane, which says more than is needed.
    let said = b"images=1300\nframes=1300\n";
    bytes[text..text + said.len()].copy_from_slice(said);
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_len(start + 1299 * (1 << 22)).unwrap();
    let error = Reader::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("expected 1300 planes of 4194304 bytes"),
        "{error}"
    );
    file.set_len(start + 1300 * (1 << 22)).unwrap();
    let last = random(PixelType::U16, 1 << 21, 5);
    let Pixels::U16(numbers) = &last else {
        panic!("the type is another");
    };
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, start + 1299 * (1 << 22)).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.info().axes.frames, 1300);
    assert_eq!(reader.plane(1299, 0, 0).unwrap(), last);
    assert_eq!(
        reader.plane(700, 0, 0).unwrap(),
        Pixels::U16(vec![0; 1 << 21].into())
    );
}

/// Writes 5 GiB: `BUNDLE_IMAGES=DIR cargo test --release -- --ignored more_than_4_gib`.
#[test]
#[ignore = "it writes 5 GiB"]
fn more_than_4_gib_become_a_bigtiff() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("BUNDLE_IMAGES").map(PathBuf::from);
    let path = folder
        .unwrap_or_else(|| temporary.path().to_owned())
        .join("five_gib.tif");
    let axes = Axes::new(1300, 1, 1, 1024, 2048);
    let planes = (0..1300).map(|at| random(PixelType::U16, 1 << 21, at));
    write(&path, &info(axes, PixelType::U16, WORLD), planes).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.info().axes, axes);
    for at in (0..1300).step_by(100).chain([1299]) {
        assert_eq!(
            reader.plane(at, 0, 0).unwrap(),
            random(PixelType::U16, 1 << 21, at as u64)
        );
    }
}
