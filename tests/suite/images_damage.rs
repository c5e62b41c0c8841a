//! Images that are damaged, hostile, or of formats that are not read: the error says where, what, and what to do.

use std::fs;
use std::path::Path;

use model_bundle::image::{Axes, Calibration, Info, PixelType, Pixels, Reader, Writer};

/// Three pages of 7 by 9 pixels, as they are written.
fn three_pages() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let info = Info {
        axes: Axes::new(3, 1, 1, 7, 9),
        kind: PixelType::U8,
        calibration: Calibration::default(),
    };
    let mut writer = Writer::create(&path, &info).unwrap();
    for page in 0..3 {
        writer.write(&Pixels::U8(vec![page; 63].into())).unwrap();
    }
    writer.finish().unwrap();
    fs::read(path).unwrap()
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Where the entries of a page's directory begin, and how many there are.
fn entries(bytes: &[u8], page: usize) -> (usize, usize) {
    let mut at = number(bytes, 4);
    for _ in 1..page {
        let count = usize::from(bytes[at]);
        at = number(bytes, at + 2 + 12 * count);
    }
    (at + 2, usize::from(bytes[at]))
}

/// Gives an entry of a page another value; a tag of 0 is the position of the next directory.
fn patch(bytes: &mut [u8], page: usize, tag: u16, value: u32) {
    let (first, count) = entries(bytes, page);
    if tag == 0 {
        return put(bytes, first + 12 * count, value);
    }
    let mut places = (0..count).map(|index| first + 12 * index);
    let at = places.find(|at| bytes[*at..*at + 2] == tag.to_le_bytes());
    put(bytes, at.unwrap() + 8, value);
}

/// Reads a file to its end, or says why not.
fn read(name: &str, bytes: Vec<u8>) -> Result<(), String> {
    let open = Reader::of_blob(Path::new(name), bytes.into());
    let mut reader = open.map_err(|error| error.to_string())?;
    let axes = reader.info().axes;
    for frame in 0..axes.frames {
        for slice in 0..axes.slices {
            for channel in 0..axes.channels {
                let plane = reader.plane(frame, slice, channel);
                plane.map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(())
}

fn refused(name: &str, bytes: Vec<u8>) -> String {
    let error = read(name, bytes).unwrap_err();
    assert!(error.contains(name), "{error}");
    error
}

#[test]
fn a_damaged_page_is_named() {
    let whole = three_pages();
    read("a.tif", whole.clone()).unwrap();
    let size = whole.len() as u32;
    let table: [(usize, u16, u32, &str); 21] = [
        (
            3,
            0,
            8,
            "page 4: expected another directory, found the directory at byte 8 again",
        ),
        (1, 0, 8, "page 2: expected another directory"),
        (1, 0, size, "page 2: expected its directory at byte"),
        (
            2,
            0,
            4_294_967_280,
            "page 3: expected its directory at byte 4294967280",
        ),
        (
            2,
            256,
            10,
            "page 2: expected 7 rows and 9 columns, as on page 1, found 7 rows and 10 columns",
        ),
        (1, 256, 0, "page 1: expected a length in tag 256, found 0"),
        (
            1,
            257,
            1 << 31,
            "page 1: expected 306783379 strips, found 1",
        ),
        (2, 258, 16, "as on page 1, found"),
        (2, 258, 12, "numbers of 12 bits"),
        (1, 258, 1, "numbers of 1 bits"),
        (2, 259, 7, "JPEG compression"),
        (2, 259, 50000, "Zstandard compression"),
        (2, 259, 5, "strip 1: expected 63 bytes of pixels, found"),
        (2, 259, 8, "strip 1: expected 63 bytes of pixels, found"),
        (2, 262, 6, "YCbCr"),
        (1, 270, size, "page 1: expected"),
        (3, 273, size - 3, "strip 1: expected 63 bytes at byte"),
        (2, 277, 0, "expected a length in tag 277, found 0"),
        (2, 278, 0, "expected a length in tag 278, found 0"),
        (2, 278, 3, "expected 3 strips, found 1"),
        (2, 279, 62, "found strips of 62 bytes in all"),
    ];
    for (page, tag, value, reason) in table {
        let mut bytes = whole.clone();
        patch(&mut bytes, page, tag, value);
        let error = refused("a.tif", bytes);
        assert!(error.contains(reason), "{page} {tag} {value}: {error}");
    }
    let mut bytes = whole.clone();
    for page in 1..=3 {
        patch(&mut bytes, page, 257, 0x7fff_ffff);
        patch(&mut bytes, page, 256, 0x7fff_ffff);
        patch(&mut bytes, page, 278, 0x7fff_ffff);
    }
    let error = refused("a.tif", bytes);
    assert!(
        error.contains("2147483647 rows, 2147483647 columns"),
        "{error}"
    );
    let said = whole
        .windows(8)
        .position(|text| text == b"frames=3")
        .unwrap();
    let mut bytes = whole;
    bytes[said + 7] = b'4';
    let error = refused("a.tif", bytes);
    assert!(
        error.contains("expected pages for 4 frames of 1 slices and 1 channels, found 3 pages"),
        "{error}"
    );
    assert!(error.contains("copy it again"), "{error}");
}

#[test]
fn ome_xml_that_contradicts_the_pages_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let whole = fs::read(folder.join("ome_tiffdata.uint16.t3z1c2.7x9.ome.tif")).unwrap();
    for (from, to, reason) in [
        (
            "SizeT=\"3\"",
            "SizeT=\"9\"",
            "pages for 9 frames of 1 slices and 2 channels, found 6 pages",
        ),
        ("SizeT=\"3\"", "SizeT=\"0\"", "a length in SizeT"),
        ("SizeT=\"3\"", "SizeT=\"x\"", "a number in SizeT, found x"),
        ("IFD=\"3\"", "IFD=\"6\"", "page 6"),
        (
            "FirstC=\"1\" IFD=\"2\"",
            "FirstC=\"0\" IFD=\"2\"",
            "each once",
        ),
        (
            "FirstC=\"1\" IFD=\"2\"",
            "FirstC=\"7\" IFD=\"2\"",
            "TiffData within the axes",
        ),
        (
            "\"XYZTC\"",
            "\"XYZTT\"",
            "a DimensionOrder such as XYCZT, found XYZTT",
        ),
        ("FileName=\"a.", "FileName=\"b.", "spread over 2 files"),
        ("</Image>", "</Imago>", "its OME-XML"),
        (
            "<TiffData FirstT=\"0\" FirstC=\"0\"",
            "<XiffData FirstT=\"0\" FirstC=\"0\"",
            "its OME-XML",
        ),
        ("<Pixels ", "<Pixelz ", "its OME-XML"),
        (
            "<Image ID=\"Image:0\">",
            "<Image/><Image     >",
            "with 2 images",
        ),
    ] {
        assert_eq!(from.len(), to.len());
        let at = whole
            .windows(from.len())
            .position(|text| text == from.as_bytes());
        let mut bytes = whole.clone();
        let at = at.unwrap_or_else(|| panic!("{from} is not there"));
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = refused("a.ome.tif", bytes);
        assert!(error.contains(reason), "{to}: {error}");
    }
}

#[test]
fn arrays_that_are_no_stacks_are_refused() {
    let array = |descr: &str, shape: &str, size: usize| {
        let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.bytes());
        bytes.extend(vec![0xff; size]);
        bytes
    };
    read("a.npy", array("|u1", "(7, 9)", 63)).unwrap();
    // Frames in front, or too small to tell.
    for shape in [
        "(3, 64, 48)",
        "(64, 3)",
        "(8, 64, 3)",
        "(64, 48, 9)",
        "(64, 1)",
    ] {
        let lengths = shape.trim_matches(['(', ')']).split(", ");
        let size = lengths
            .map(|length| length.parse::<usize>().unwrap())
            .product();
        read("a.npy", array("|u1", shape, size)).unwrap();
    }
    for (descr, shape, size, reason) in [
        ("|u1", "(63,)", 63, "an array of shape [63] cannot be read"),
        ("|u1", "()", 1, "an image has [H, W]"),
        ("|u1", "(1, 1, 1, 1, 7, 9)", 63, "an image has [H, W]"),
        ("|u1", "(0, 7, 9)", 0, "every axis must have a length"),
        (
            "|u1",
            "(64, 48, 3)",
            9216,
            "a colour image of shape [64, 48, 3] cannot be read; make it grey",
        ),
        (
            "|u1",
            "(64, 48, 1)",
            3072,
            "an image with its channels last of shape [64, 48, 1] cannot be read; put the last axis in front",
        ),
        (
            "<u2",
            "(2, 64, 48, 4)",
            49152,
            "`numpy.moveaxis(array, -1, -3)`",
        ),
        (
            "|u1",
            "(7, 9)",
            62,
            "expected 63 bytes of pixels, as the shape says, found 62 bytes",
        ),
        ("|u1", "(7, 9)", 64, "found 64 bytes"),
        (
            "|u1",
            "(4294967296, 4294967296)",
            64,
            "whose bytes can be counted",
        ),
        ("<c8", "(7, 9)", 504, "elements of type `<c8`"),
        ("|O", "(7, 9)", 504, "elements of type `|O`"),
        ("|f4", "(7, 9)", 252, "elements of type `|f4`"),
        (
            "<u8",
            "(7, 9)",
            504,
            "numbers of at most 32 bits, found 18446744073709551615",
        ),
        ("u1", "(7, 9)", 63, "elements of type `u1`"),
        ("|u1", "(7, 9", 63, "the header of a NPY file"),
    ] {
        let error = refused("a.npy", array(descr, shape, size));
        assert!(error.contains(reason), "{descr} {shape}: {error}");
    }
}

/// A PNG of these chunks.
fn picture(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        let body = [&kind[..], data].concat();
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(&body);
        bytes.extend(crc32fast::hash(&body).to_be_bytes());
    }
    bytes
}

#[test]
fn pictures_that_are_not_read_are_named() {
    let header = |width: u32, height: u32, depth: u8, colour: u8| {
        let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [&sides[..], &[depth, colour, 0, 0, 0]].concat()
    };
    let claims = |header: &[u8]| picture(&[(b"IHDR", header), (b"IDAT", b"x"), (b"IEND", b"")]);
    for (header, reason) in [
        (header(7, 9, 8, 3), "PNG with a palette cannot be read"),
        (header(7, 9, 1, 0), "PNG of 1 bits a number cannot be read"),
        (
            header(0x7fff_ffff, 0x7fff_ffff, 16, 6),
            "expected pixels of 2147483647 rows",
        ),
        (header(0, 9, 8, 0), "its PNG data"),
        (header(7, 9, 8, 0), "its PNG data"),
    ] {
        let error = refused("a.png", claims(&header));
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn formats_that_are_not_read_are_named_with_a_way_around() {
    for (name, content, reason) in [
        ("a.tif", &b"\xff\xd8\xff\xe0"[..], "is a JPEG file"),
        ("a.nd2", b"\xda\xce\xbe\x0a", "is a Nikon ND2 file"),
        ("a", b"ZISRAWFILE", "is a Zeiss CZI file"),
        ("a", b"\x70\0\0\0\x10", "is a Leica LIF file"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        ("a.npz", b"PK\x03\x04", "is a ZIP archive"),
        ("a.mp4", b"\0\0\0\x20ftypisom", "is an MP4"),
        ("a.vsi", b"?", "is an Olympus VSI file"),
        (
            "a.tif",
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        ("a.tif", b"", "is an empty file"),
        (
            "a.tif",
            b"plain text",
            "no image that is known (it begins with 0x706c6169)",
        ),
        ("a.P.TIFF", b"II*\0\x08\0\0\0", "HiTMicTools `.p.tiff`"),
        ("a.p.tif", b"II*\0\x08\0\0\0", "tifffile.imwrite"),
        (
            "a.tif",
            b"II*\0",
            "its header: expected the header of a TIFF",
        ),
        (
            "a.tif",
            b"II+\0\x08\0\0\0",
            "its header: expected the header of a TIFF",
        ),
        (
            "a.tif",
            b"II*\0\0\0\0\0",
            "expected a first directory, found none",
        ),
    ] {
        let error = refused(name, content.to_vec());
        assert!(error.contains(reason), "{error}");
    }
    let error = refused("a.nd2", b"\xda\xce\xbe\x0a".to_vec());
    for way in ["Save As > Tiff", "bfconvert", "tifffile.imwrite"] {
        assert!(error.contains(way), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = Reader::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is a folder"), "{error}");
    fs::write(folder.path().join(".zattrs"), "{}").unwrap();
    let error = Reader::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is a Zarr store"), "{error}");
    let error = Reader::open(&folder.path().join("none.tif")).unwrap_err();
    assert!(error.to_string().contains("could not be read"), "{error}");
}

/// Whatever is cut off or changed: an answer, and no panic. A cut file is never read whole.
#[test]
fn no_damage_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    for name in [
        "imagej_cal_tcyx_little.uint16.t3z1c2.7x9.tif",
        "imagej_cal_one_directory.uint8.t3z2c2.7x9.tif",
        "ome_tiffdata.uint16.t3z1c2.7x9.ome.tif",
        "bigtiff_big.float32.t3z1c1.7x9.tif",
        "tcyx_fortran.float32.t3z1c2.7x9.npy",
        "rgb.uint8.t1z1c3.7x9.png",
    ] {
        let whole = fs::read(folder.join(name)).unwrap();
        for length in 0..whole.len() {
            // Only what follows the last pixel may be missing.
            if read(name, whole[..length].to_vec()).is_ok() {
                assert!(
                    length + 32 > whole.len(),
                    "{name} is read from {length} bytes"
                );
            }
        }
        for at in 0..whole.len().min(1200) {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let _ = read(name, bytes);
            }
        }
    }
}

#[test]
fn readers_go_to_other_threads() {
    fn sent<T: Send>() {}
    sent::<Reader>();
    sent::<Writer>();
}
