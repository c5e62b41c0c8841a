//! Why an image is not read or not written.

use std::io;
use std::path::{Path, PathBuf};

/// What helps where a format, or a part of one, is not read.
pub(super) const EXPORT: &str = "open it in Fiji and export it (File > Save As > Tiff), or convert it with Bio-Formats \
     (`bfconvert IN OUT.ome.tif`), or write it with Python (`tifffile.imwrite(path, array, imagej=True, metadata={'axes': 'TYX'})`)";

/// Why an image is not read or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The disk or the path.
    #[error("{} could not be read: {source}", path.display())]
    #[allow(missing_docs)]
    Read { path: PathBuf, source: io::Error },
    /// The disk or the path.
    #[error("{} could not be written: {source}", path.display())]
    #[allow(missing_docs)]
    Write { path: PathBuf, source: io::Error },
    /// A format that is not read.
    #[error("{} is {what}; expected TIFF, NPY or PNG: {around}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, with its article: `a Nikon ND2 file`.
        what: String,
        /// The way around it.
        around: &'static str,
    },
    /// A part of TIFF, NPY or PNG that is not read.
    #[error("{}: {what} cannot be read; {around}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What of it: `JPEG compression`.
        what: String,
        /// The way around it.
        around: &'static str,
    },
    /// The file contradicts itself, or ends too early.
    #[error(
        "{}, {place}: expected {expected}, found {found}; the file is damaged or was not copied whole: copy it again \
         from its origin, or export it anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it: `page 3, strip 1`.
        place: String,
        #[allow(missing_docs)]
        expected: String,
        #[allow(missing_docs)]
        found: String,
    },
    /// Something was asked of a file that it does not have or cannot hold.
    #[error("{}: expected {expected}, found {found}", path.display())]
    #[allow(missing_docs)]
    Unfit {
        path: PathBuf,
        expected: String,
        found: String,
    },
}

/// Why a part of a file is not read; the file is named by whoever knows it.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged {
        place: String,
        expected: String,
        found: String,
    },
    Unsupported {
        what: String,
        around: &'static str,
    },
}

impl Fault {
    /// The file contradicts itself.
    pub fn damaged(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            place: place.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// What is not read, with the common way around it.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported {
            what: what.into(),
            around: EXPORT,
        }
    }

    /// The error of that file.
    pub fn of(self, path: &Path) -> ImageError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => ImageError::Read { path, source },
            Self::Damaged {
                place,
                expected,
                found,
            } => ImageError::Damaged {
                path,
                place,
                expected,
                found,
            },
            Self::Unsupported { what, around } => ImageError::Unsupported { path, what, around },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
