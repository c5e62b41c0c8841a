//! A project whose one model gives back what it is given: the smallest NAFNet, all zeros, on numbers that are not scaled.

use std::fs::File;
use std::path::Path;

use crate::session::Session;

/// A convolution in, one out, and the input added: `[name, shape, bytes]` of its weights, which are zeros.
const TENSORS: [(&str, &str, usize); 4] = [
    ("intro.weight", "[1,1,3,3]", 36),
    ("intro.bias", "[1]", 4),
    ("ending.weight", "[1,1,3,3]", 36),
    ("ending.bias", "[1]", 4),
];

/// A folder with the project, `bundle.toml`, whose windows have this side.
pub fn tiny(patch: usize) -> Session {
    let session = Session::new();
    let mut end = 0;
    let tensors = TENSORS.map(|(name, shape, bytes)| {
        let start = end;
        end += bytes;
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    });
    let header = format!("{{{}}}", tensors.join(","));
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    weights.extend(vec![0; end]);
    session.write("tiny.safetensors", weights);
    session.write(
        "tiny.json",
        r#"{"model_type": "NAFNet", "model_args": {"img_channel": 1, "width": 1, "middle_blk_num": 0, "enc_blk_nums": [], "dec_blk_nums": []}}"#,
    );
    session.write(
        "bundle.toml",
        format!(
            "[bf_focus]\nmodel_path = \"tiny.safetensors\"\nmodel_metadata = \"tiny.json\"\ninferer_args = {{ scale_method = \"fixed_range\", patch_size = {patch}, overlap_ratio = 0.0, scaler_args = {{ bit_depth = 1, clip = false }} }}\n"
        ),
    );
    session
}

/// A series of black frames, uint16, as NPY: sparse, so that it takes no space.
pub fn series(path: &Path, frames: usize, side: usize) {
    let shape = format!(
        "{{'descr': '<u2', 'fortran_order': False, 'shape': ({frames}, {side}, {side}), }}"
    );
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{shape:<117}\n").as_bytes());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(128 + (frames * side * side * 2) as u64)
        .unwrap();
}
