//! Which format a file of images has: by its content first, by its name second.

use std::path::Path;

use super::error::{EXPORT, ImageError};
use crate::npy;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Tiff,
    Npy,
    Png,
}

/// How many bytes of a file are looked at.
pub(super) const HEAD: usize = 132;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

const VIDEO: &str =
    "export its frames as a TIFF stack: in Fiji, File > Import > Movie, then File > Save As > Tiff";

const PYRAMID: &str = "HiTMicTools' `.p.tif` and `.p.tiff` files hold patches or pyramids, no plain stack: export the stack itself with \
     `tifffile.imwrite(path, array, imagej=True, metadata={'axes': 'TYX'})`";

/// Formats that are recognised by where their bytes stand, and what.
const CONTENTS: [(usize, &[u8], &str); 18] = [
    (0, b"\xda\xce\xbe\x0a", "a Nikon ND2 file"),
    (
        0,
        b"\0\0\0\x0cjP  ",
        "a JPEG 2000 file, or an ND2 file of before 2012",
    ),
    (0, b"ZISRAWFILE", "a Zeiss CZI file"),
    (0, b"\x70\0\0\0", "a Leica LIF file"),
    (0, b"\xff\xd8\xff", "a JPEG file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an OLE file, as of Olympus (OIB) or Zeiss (ZVI)",
    ),
    (0, b"GIF8", "a GIF file"),
    (0, b"BM", "a BMP file"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"NRRD0", "an NRRD file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"RIFF", "an AVI or WebP file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (4, b"ftyp", "an MP4 or QuickTime video, or a HEIF picture"),
    (128, b"DICM", "a DICOM file"),
    (
        0,
        b"version https://git-lfs",
        "a git-lfs pointer in place of the file",
    ),
];

/// Formats that are recognised by the end of a file's name.
const NAMES: [(&str, &str); 16] = [
    ("nd2", "a Nikon ND2 file"),
    ("czi", "a Zeiss CZI file"),
    ("lif", "a Leica LIF file"),
    ("oib", "an Olympus OIB file"),
    ("oif", "an Olympus OIF file"),
    ("vsi", "an Olympus VSI file"),
    ("ims", "an Imaris file"),
    ("dv", "a DeltaVision file"),
    ("h5", "an HDF5 file"),
    ("hdf5", "an HDF5 file"),
    ("npz", "an NPZ archive"),
    ("zarr", "a Zarr store"),
    ("avi", "an AVI video"),
    ("mp4", "an MP4 video"),
    ("mov", "a QuickTime video"),
    ("csv", "a table"),
];

impl Format {
    /// The format of a file that begins so.
    ///
    /// # Errors
    /// Fails if it is none that is read, and says what it looks like.
    pub fn of(path: &Path, head: &[u8]) -> Result<Self, ImageError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        let foreign = |what: &str, around| ImageError::Foreign {
            path: path.to_owned(),
            what: what.to_owned(),
            around,
        };
        if name.ends_with(".p.tif") || name.ends_with(".p.tiff") {
            return Err(foreign("a HiTMicTools `.p.tiff`", PYRAMID));
        }
        match head {
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => return Ok(Self::Tiff),
            _ if head.starts_with(PNG) => return Ok(Self::Png),
            _ if npy::looks_like(head) => return Ok(Self::Npy),
            [] => return Err(foreign("an empty file", "copy it again from its origin")),
            _ => (),
        }
        let content = CONTENTS.iter().find(|(at, magic, _)| {
            let there = head.get(*at..);
            there.is_some_and(|there| there.starts_with(magic))
        });
        let named = || {
            let ending = name.rsplit_once('.').map(|(_, ending)| ending);
            NAMES.iter().find(|(known, _)| ending == Some(*known))
        };
        let what = content.map(|(_, _, what)| *what);
        let what = what.or_else(|| named().map(|(_, what)| *what));
        let start: String = head
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Err(match what {
            Some(what) if what.contains("video") || what.contains("AVI") => foreign(what, VIDEO),
            Some(what) if what.contains("git-lfs") => foreign(what, "fetch it: `git lfs pull`"),
            Some(what @ ("a table" | "a ZIP archive" | "a gzip file")) => {
                foreign(what, "name the image itself")
            }
            Some(what) => foreign(what, EXPORT),
            None => foreign(
                &format!("no image that is known (it begins with 0x{start})"),
                EXPORT,
            ),
        })
    }

    /// The format of an output, by the end of its name.
    ///
    /// # Errors
    /// Fails if it is none that is written.
    pub fn of_output(path: &Path) -> Result<Self, ImageError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_ascii_lowercase().as_str() {
            "tif" | "tiff" => Ok(Self::Tiff),
            "npy" => Ok(Self::Npy),
            "png" => Ok(Self::Png),
            _ => Err(ImageError::Unfit {
                path: path.to_owned(),
                expected: "an output that ends in `.tif`, `.tiff`, `.npy` or `.png`".to_owned(),
                found: match ending.is_empty() {
                    true => "no ending".to_owned(),
                    false => format!("`.{ending}`"),
                },
            }),
        }
    }
}

/// The error for a folder.
pub(super) fn folder(path: &Path) -> ImageError {
    let zarr = [".zattrs", ".zgroup", ".zarray", "zarr.json"];
    let is_zarr = path.extension().is_some_and(|ending| ending == "zarr")
        || zarr.iter().any(|name| path.join(name).exists());
    let (what, around) = match is_zarr {
        true => ("a Zarr store", EXPORT),
        false => ("a folder", "name the file of the stack in it"),
    };
    ImageError::Foreign {
        path: path.to_owned(),
        what: what.to_owned(),
        around,
    }
}
