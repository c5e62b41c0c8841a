//! safetensors: a header in JSON, and then the bytes of all tensors without a gap.
//!
//! The rules are those of the format's README and of its reference reader (`safetensors/src/tensor.rs`), which wants
//! the whole file in memory; here only the header is read, and the tensors stay where they are.

use std::collections::HashSet;
use std::fmt;
use std::io::BufReader;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use super::WeightsError;
use super::tensor::{DType, Tensor, contiguous_strides};
use crate::blob::Blob;

/// The longest header, in bytes: that of the reference reader (`MAX_HEADER_SIZE`).
const LONGEST_HEADER: u64 = 100_000_000;

/// Bytes of the header's length, before it.
const LENGTH: u64 = 8;

/// What the file holds.
#[derive(Debug)]
pub struct SafeTensors {
    /// In the order of their bytes.
    pub tensors: Vec<Tensor>,
    /// `__metadata__`, in the order of the file.
    pub metadata: Vec<(String, String)>,
}

/// Whether a file of `size` bytes that begins so could be of this format: its header is a JSON object, and has the length
/// that stands before it.
pub fn looks_like(head: &[u8], size: u64) -> bool {
    match head.split_first_chunk() {
        Some((length, [b'{', ..])) => {
            u64::from_le_bytes(*length) <= LONGEST_HEADER.min(size.saturating_sub(LENGTH))
        }
        _ => false,
    }
}

/// Reads a file.
///
/// # Errors
/// Fails if it cannot be read, or breaks a rule of the format.
pub fn read(blob: &Blob) -> Result<SafeTensors, WeightsError> {
    let mut length = [0; LENGTH as usize];
    if blob.size() < LENGTH {
        return Err(malformed(0, "it is too short for the length of its header"));
    }
    blob.read_exact_at(&mut length, 0)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(malformed(
            0,
            format!("its header should have {length} bytes; at most {LONGEST_HEADER} are taken"),
        ));
    }
    let end = LENGTH + length;
    let (Some(text), Some(data)) = (blob.slice(LENGTH..end), blob.slice(end..blob.size())) else {
        return Err(malformed(
            0,
            format!(
                "its header should have {length} bytes, and the file has {}",
                blob.size()
            ),
        ));
    };
    let mut first = [0; 1];
    if length == 0 || text.read_exact_at(&mut first, 0).is_err() || first != *b"{" {
        return Err(malformed(LENGTH, "its header should begin with `{`"));
    }
    let header: Header =
        serde_json::from_reader(BufReader::new(text.reader())).map_err(|error| {
            // The header is usually one line.
            match error.is_io() {
                true => WeightsError::Io(error.into()),
                false => malformed(LENGTH, format!("its header: {error}")),
            }
        })?;
    let tensors = place(header.tensors, end, &data)?;
    Ok(SafeTensors {
        tensors,
        metadata: header.metadata,
    })
}

fn malformed(offset: u64, message: impl Into<String>) -> WeightsError {
    WeightsError::Malformed {
        format: "a safetensors file",
        member: None,
        offset: Some(offset),
        message: message.into(),
    }
}

/// Says where each tensor's bytes are; together they must be all of the data, each once.
fn place(
    mut entries: Vec<(String, Entry)>,
    start: u64,
    data: &Blob,
) -> Result<Vec<Tensor>, WeightsError> {
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut position = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let wrong = |message: String| {
            malformed(
                start.saturating_add(position),
                format!("the tensor `{name}`: {message}"),
            )
        };
        let Some(dtype) = dtype(&entry.dtype) else {
            return Err(wrong(format!(
                "the dtype `{}` is not known here",
                entry.dtype
            )));
        };
        let (from, to) = entry.data_offsets;
        if from != position {
            return Err(wrong(format!(
                "its bytes should begin at {position}, where those before it end, and begin at {from}"
            )));
        }
        let bytes = data.slice(from..to).ok_or_else(|| {
            wrong(format!(
                "its bytes are {from} to {to}; the file has {} of data",
                data.size()
            ))
        })?;
        let size = entry
            .shape
            .iter()
            .try_fold(dtype.size(), |size, count| size.checked_mul(*count));
        if size != Some(bytes.size()) {
            return Err(wrong(format!(
                "{dtype} of shape {:?} does not have {} bytes",
                entry.shape,
                bytes.size()
            )));
        }
        position = to;
        tensors.push(Tensor {
            name,
            dtype,
            strides: contiguous_strides(&entry.shape),
            shape: entry.shape,
            storage: bytes,
            offset: 0,
            big_endian: false,
        });
    }
    match data.size() - position {
        0 => Ok(tensors),
        rest => Err(malformed(
            start + position,
            format!("{rest} bytes follow, which belong to no tensor"),
        )),
    }
}

/// The dtypes of the format that are PyTorch's as well; the others have elements of less than a byte, or only an exponent.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F8_E4M3" => DType::F8E4M3FN,
        "F8_E4M3FNUZ" => DType::F8E4M3FNUZ,
        "F8_E5M2" => DType::F8E5M2,
        "F8_E5M2FNUZ" => DType::F8E5M2FNUZ,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "I16" => DType::I16,
        "I8" => DType::I8,
        "U64" => DType::U64,
        "U32" => DType::U32,
        "U16" => DType::U16,
        "U8" => DType::U8,
        "BOOL" => DType::Bool,
        "C64" => DType::C64,
        _ => return None,
    })
}

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header. A name that stands there twice is an error: readers differ in which they take.
struct Header {
    tensors: Vec<(String, Entry)>,
    metadata: Vec<(String, String)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut seen = HashSet::new();
                let mut header = Header {
                    tensors: Vec::new(),
                    metadata: Vec::new(),
                };
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(de::Error::custom(format!("`{name}` stands there twice")));
                    }
                    if name == "__metadata__" {
                        header.metadata = map.next_value::<Metadata>()?.0;
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// `__metadata__`: texts by name.
struct Metadata(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetadataVisitor;
        impl<'de> Visitor<'de> for MetadataVisitor {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut seen = HashSet::new();
                let mut all = Vec::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(de::Error::custom(format!("`{name}` stands there twice")));
                    }
                    all.push((name, text));
                }
                Ok(Metadata(all))
            }
        }
        deserializer.deserialize_map(MetadataVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Blob {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), data].concat().into()
    }

    fn fails(header: &str, data: &[u8]) -> String {
        read(&file(header, data)).unwrap_err().to_string()
    }

    #[test]
    fn tensors_are_where_the_header_says() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},
            "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"z":{"dtype":"I64","shape":[0,5],"data_offsets":[8,8]}}   "#;
        let whole = file(header, &[]);
        assert!(looks_like(&whole.read(1000).unwrap(), whole.size()));
        assert!(!looks_like(&whole.read(1000).unwrap(), whole.size() - 1));
        assert!(!looks_like(&whole.read(1000).unwrap()[..8], whole.size()));
        let found = read(&file(header, &[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
        assert_eq!(found.metadata, [("format".to_owned(), "pt".to_owned())]);
        let names: Vec<&str> = found
            .tensors
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b", "z"]);
        assert_eq!(found.tensors[1].storage.read(9).unwrap(), [5, 6, 7, 8]);
        assert_eq!(found.tensors[1].dtype, DType::BF16);
        assert_eq!(found.tensors[2].shape, [0, 5]);
        assert!(found.tensors.iter().all(|tensor| tensor.check().is_ok()));
        assert!(read(&file("{}", &[])).unwrap().tensors.is_empty());
    }

    #[test]
    fn broken_rules_are_named() {
        let a = r#""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
        let with = |more: &str| format!("{{{a},{more}}}");
        let table = [
            (
                format!("{{{a}}}"),
                3,
                "its bytes are 0 to 4; the file has 3",
            ),
            (
                format!("{{{a}}}"),
                5,
                "1 bytes follow, which belong to no tensor",
            ),
            (with(a), 4, "`a` stands there twice"),
            (
                with(r#""b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}"#),
                6,
                "should begin at 4",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}"#),
                5,
                "should begin at 4",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[2],"data_offsets":[4,3]}"#),
                4,
                "its bytes are 4 to 3",
            ),
            (
                with(r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,8]}"#),
                8,
                "does not have 4 bytes",
            ),
            (
                with(r#""b":{"dtype":"F4","shape":[2],"data_offsets":[4,8]}"#),
                8,
                "the dtype `F4`",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[4,4]}"#),
                4,
                "does not have 0",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[-1],"data_offsets":[4,4]}"#),
                4,
                "its header: ",
            ),
            (
                with(r#""b":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[4,4]}"#),
                4,
                "duplicate field",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[0]}"#),
                4,
                "missing field",
            ),
            (
                with(r#""b":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"more":1}"#),
                4,
                "unknown field",
            ),
            (with(r#""__metadata__":{"x":1}"#), 4, "its header: "),
            (
                with(r#""__metadata__":{"x":"1","x":"2"}"#),
                4,
                "`x` stands there twice",
            ),
            (format!("{{{a}}} x"), 4, "its header: trailing"),
            ("[]".to_owned(), 0, "should begin with `{`"),
            (" {}".to_owned(), 0, "should begin with `{`"),
            (String::new(), 0, "should begin with `{`"),
        ];
        for (header, size, reason) in table {
            let found = fails(&header, &vec![0; size]);
            assert!(found.contains(reason), "{header}: {found}");
        }
        let long = [&100_000_001_u64.to_le_bytes()[..], b"{}"].concat();
        let error = read(&long.into()).unwrap_err().to_string();
        assert!(error.contains("at most 100000000"), "{error}");
        let cut = [&3_u64.to_le_bytes()[..], b"{}"].concat();
        let error = read(&cut.into()).unwrap_err().to_string();
        assert!(
            error.contains("should have 3 bytes, and the file has 10"),
            "{error}"
        );
        assert!(read(&vec![0; 7].into()).is_err());
    }
}
