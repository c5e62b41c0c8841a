//! safetensors, and NPY: what is accepted is what the reference reader of the format accepts.
#![no_main]

use std::path::Path;

use model_bundle::progress::Silent;
use model_bundle::weights::npy::{self, Npy};
use model_bundle::weights::safetensors::read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let blob = data.to_vec().into();
    if npy::looks_like(data) {
        if let Ok(Npy::Tensor(tensor)) = npy::read(&blob) {
            let mut size = 0;
            let mut take = |piece: &[u8]| {
                size += piece.len() as u64;
                Ok(())
            };
            tensor
                .stream(Path::new("x"), &Silent, &mut take)
                .expect("all elements are there");
            assert_eq!(size, tensor.storage.size());
        }
        return;
    }
    let Ok(ours) = read(&blob) else {
        return;
    };
    let theirs = safetensors::SafeTensors::deserialize(data);
    let theirs = theirs.expect("the reference reader takes what is accepted");
    assert_eq!(theirs.len(), ours.tensors.len());
    for tensor in &ours.tensors {
        assert_eq!(tensor.check(), Ok(()));
        let view = theirs.tensor(&tensor.name).expect("the names are the same");
        let shape: Vec<u64> = view.shape().iter().map(|size| *size as u64).collect();
        assert_eq!(shape, tensor.shape);
        let bytes = tensor.storage.read(u64::MAX).expect("it is in memory");
        assert_eq!(bytes, view.data());
    }
});
