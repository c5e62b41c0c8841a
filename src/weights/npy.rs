//! NPY: one array of NumPy, as `numpy.save` writes it.

use std::io;

use super::WeightsError;
use super::audit::{Audit, Kind};
use super::pickle::{self, NoHost};
use super::tensor::{DType, Tensor, contiguous_strides};
use crate::blob::Blob;
pub use crate::npy::looks_like;
use crate::npy::{Header, NpyError};

/// What the file holds.
#[derive(Debug)]
pub enum Npy {
    /// An array of numbers; it has no name.
    Tensor(Tensor),
    /// An array of objects: a pickle, and what it names.
    Objects(Audit),
}

/// Reads a file.
///
/// # Errors
/// Fails if it cannot be read, is damaged, or holds something else than numbers or objects.
pub fn read(blob: &Blob) -> Result<Npy, WeightsError> {
    let header =
        Header::read(blob).map_err(|NpyError { offset, message }| malformed(offset, message))?;
    let start = header.start;
    let data = blob
        .slice(start..blob.size())
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let (dtype, big_endian) = match element(&header) {
        Ok(found) => found,
        Err(Element::Object) => return objects(&data).map(Npy::Objects),
        Err(Element::Unknown) => {
            let message = format!(
                "its elements are `{}`; only numbers and truth values are read",
                header.descr
            );
            return Err(malformed(0, message));
        }
    };
    let mut strides = contiguous_strides(&header.shape);
    if header.fortran_order {
        let reversed: Vec<u64> = header.shape.iter().rev().copied().collect();
        strides = contiguous_strides(&reversed);
        strides.reverse();
    }
    let tensor = Tensor {
        name: String::new(),
        dtype,
        shape: header.shape,
        storage: data,
        offset: 0,
        strides,
        big_endian,
    };
    if tensor.size() != tensor.storage.size() {
        let message = format!(
            "its array has {} bytes, and the file has {} for it",
            tensor.size(),
            tensor.storage.size()
        );
        return Err(malformed(start, message));
    }
    tensor.check().map_err(|reason| malformed(start, reason))?;
    Ok(Npy::Tensor(tensor))
}

fn malformed(offset: u64, message: impl Into<String>) -> WeightsError {
    WeightsError::Malformed {
        format: "a NPY file",
        member: None,
        offset: Some(offset),
        message: message.into(),
    }
}

/// An array of objects is a pickle; whoever loads it runs it.
fn objects(data: &Blob) -> Result<Audit, WeightsError> {
    let mut audit = Audit::default();
    match pickle::read(data, 0, &mut NoHost) {
        Ok(pickle) => audit.pickle(Kind::Estimator, None, &pickle),
        Err(error) => audit.broken(Kind::Estimator, None, &error),
    }
    Ok(audit)
}

/// What elements are that are no numbers.
enum Element {
    Object,
    Unknown,
}

/// The dtype of the elements, and whether they have their highest byte first.
fn element(header: &Header) -> Result<(DType, bool), Element> {
    let (big_endian, kind) = header.element().ok_or(Element::Unknown)?;
    let dtype = match kind {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u8" => DType::U64,
        "u4" => DType::U32,
        "u2" => DType::U16,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        "c16" => DType::C128,
        "c8" => DType::C64,
        "O" | "O8" | "O4" => return Err(Element::Object),
        _ => return Err(Element::Unknown),
    };
    if header.descr.starts_with('|') && dtype.size() > 1 {
        return Err(Element::Unknown);
    }
    Ok((dtype, big_endian))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::MAGIC;
    use crate::progress::Silent;
    use std::path::Path;

    fn file(version: u8, header: &str, data: &[u8]) -> Blob {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes.into()
    }

    fn elements(blob: &Blob) -> (Tensor, Vec<u8>) {
        let Npy::Tensor(tensor) = read(blob).unwrap() else {
            panic!("it holds objects");
        };
        let mut bytes = Vec::new();
        let mut take = |piece: &[u8]| {
            bytes.extend(piece);
            Ok(())
        };
        tensor.stream(Path::new("x"), &Silent, &mut take).unwrap();
        (tensor, bytes)
    }

    #[test]
    fn arrays_of_every_version_and_order_are_read() {
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }    \n";
        for version in 1..=3 {
            let (tensor, bytes) = elements(&file(
                version,
                header,
                &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            ));
            assert_eq!(tensor.shape, [2, 3]);
            assert_eq!(tensor.dtype, DType::U16);
            assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        }
        let header = r#"{"shape":(2L,3L),"descr":">u2","fortran_order":True}"#;
        let (_, bytes) = elements(&file(1, header, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        assert_eq!(bytes, [1, 0, 5, 4, 9, 8, 3, 2, 7, 6, 11, 10]);
        let scalar = "{'descr': '|b1', 'fortran_order': False, 'shape': ()}";
        assert_eq!(elements(&file(1, scalar, &[1])).1, [1]);
        let empty = "{'descr': '<c16', 'fortran_order': True, 'shape': (0, 7)}";
        assert_eq!(elements(&file(1, empty, &[])).0.shape, [0, 7]);
    }

    #[test]
    fn broken_headers_are_named() {
        let dict = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
        };
        let table = [
            (
                dict("'<f4'", "False", "(2,)"),
                7,
                "has 8 bytes, and the file has 7",
            ),
            (
                dict("'<f4'", "False", "(2,)"),
                9,
                "has 8 bytes, and the file has 9",
            ),
            (dict("'<f4'", "False", "(2)"), 8, "expected a tuple"),
            (dict("'<f4'", "False", "2"), 8, "expected a tuple"),
            (dict("'<f4'", "False", "(-2,)"), 8, "expected a number"),
            (
                dict("'<f4'", "False", "(99999999999999999999,)"),
                8,
                "expected a number",
            ),
            (
                dict("'<f4'", "False", "(4294967296, 4294967296)"),
                8,
                "and the file has 8",
            ),
            (dict("'<f4'", "0", "(2,)"), 8, "expected True or False"),
            (dict("'<U4'", "False", "(2,)"), 8, "its elements are `<U4`"),
            (dict("'|f4'", "False", "(2,)"), 8, "its elements are `|f4`"),
            (dict("'f4'", "False", "(2,)"), 8, "its elements are `f4`"),
            (
                dict("[('a', '<f4')]", "False", "(2,)"),
                8,
                "arrays with fields",
            ),
            (
                dict("'<f4'", "False", "(2,), 'shape': (2,)"),
                8,
                "stands there twice",
            ),
            (
                dict("'<f4'", "False", "(2,), 'more': 1"),
                8,
                "expected the keys",
            ),
            (
                "{'descr': '<f4', 'shape': (2,)}".to_owned(),
                8,
                "expected the keys",
            ),
            (dict("'<f4'", "False", "(2,)") + "x", 8, "something follows"),
            (
                dict("'\\x3cf4'", "False", "(2,)"),
                8,
                "expected a plain string",
            ),
            ("{'descr': '<f4".to_owned(), 8, "a string has no end"),
            (String::new(), 8, "expected `{`"),
        ];
        for (header, size, reason) in table {
            let error = read(&file(1, &header, &vec![0; size]))
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{header}: {error}");
        }
        for (bytes, reason) in [
            (&b"\x93NUMPY\x01\0\x05\0{"[..], "ends before its header"),
            (b"\x93NUMPY\x01", "ends before its header"),
            (b"\x93NUMPY\x04\0\0\0\0\0", "found 4.0"),
            (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "at most 65536"),
            (b"NUMPY\x93\x01\0\0\0", "does not begin with"),
            (b"\x93NUMPY\x01\0\x01\0\xe9", "not ASCII"),
        ] {
            let error = read(&bytes.to_vec().into()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_array_of_objects_is_audited_and_not_read() {
        let header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
        let bad = file(1, header, b"cos\nsystem\n(S'true'\ntR.");
        let Npy::Objects(audit) = read(&bad).unwrap() else {
            panic!("it is read");
        };
        assert!(audit.globals.contains("os.system"));
        assert_ne!(audit.refused(&[]).count(), 0);
    }
}
