//! PyTorch's checkpoints. The first byte says what the rest is: `Z` the pickle of a ZIP, `L` the object of a legacy file and what
//! follows it, anything else begins a whole file.
#![no_main]

use std::io::{Cursor, Write};
use std::path::Path;

use libfuzzer_sys::{Corpus, fuzz_target};
use model_bundle::blob::Blob;
use model_bundle::progress::Silent;
use model_bundle::weights::tensor::{Tensor, tensor_digest};
use model_bundle::weights::torch::{Content, read};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fuzz_target!(|data: &[u8]| -> Corpus {
    let blob: Blob = match data {
        [b'Z', pickle @ ..] => as_zip(pickle),
        [b'L', rest @ ..] => [LEGACY, rest].concat(),
        whole => whole.to_vec(),
    }
    .into();
    let Ok(checkpoint) = read(&blob, Path::new("x"), &Silent) else {
        return Corpus::Keep;
    };
    let Content::Tensors { tensors, .. } = &checkpoint.content else {
        return Corpus::Keep;
    };
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), tensors.len(), "two tensors have one name");
    let size: u64 = tensors.iter().map(Tensor::size).sum();
    if size > 1 << 20 {
        // What is in them takes too long to look at.
        return Corpus::Reject;
    }
    let plain = tensor_digest(tensors, Path::new("x"), &Silent).expect("all elements are there");
    if let Ok(checked) = checkpoint.digest(Path::new("x"), &Silent) {
        assert_eq!(checked, Some(plain));
    }
    let again: Vec<Tensor> = tensors.iter().rev().map(saved_again).collect();
    let again = tensor_digest(&again, Path::new("x"), &Silent).expect("they are in memory");
    assert_eq!(plain, again, "saving changes the digest");
    Corpus::Keep
});

/// The beginning of a legacy file: magic number, version, machine.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

/// A ZIP with this `data.pkl` and a few storages.
fn as_zip(pickle: &[u8]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, bytes: &[u8]| {
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        out.start_file(name, stored).expect("a name");
        out.write_all(bytes).expect("memory");
    };
    put("a/data.pkl", pickle);
    for (key, size) in [0_usize, 4, 8, 12, 24, 96, 192].iter().enumerate() {
        let bytes: Vec<u8> = (0..*size).map(|i| i as u8).collect();
        put(&format!("a/data/{key}"), &bytes);
    }
    out.finish().expect("memory").into_inner()
}

/// The same tensor, contiguous and little-endian in a storage of its own.
fn saved_again(tensor: &Tensor) -> Tensor {
    let mut bytes = Vec::new();
    let mut take = |piece: &[u8]| {
        bytes.extend(piece);
        Ok(())
    };
    tensor
        .stream(Path::new("x"), &Silent, &mut take)
        .expect("all elements are there");
    assert_eq!(bytes.len() as u64, tensor.size());
    Tensor {
        storage: bytes.into(),
        offset: 0,
        strides: model_bundle::weights::tensor::contiguous_strides(&tensor.shape),
        big_endian: false,
        ..tensor.clone()
    }
}
