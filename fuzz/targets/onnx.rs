//! An ONNX model: of an accepted one, every tensor has the bytes that its shape says, and can be read; and it becomes a
//! graph for small images, or is refused.
#![no_main]

use model_bundle::blob::Blob;
use model_bundle::nn::{Shape, from_onnx, onnx_input};
use model_bundle::weights::onnx::{AttributeValue, Constant, Kind, Model, read};
use model_bundle::weights::tensor::{Tensor, contiguous_strides};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let blob = Blob::from(data.to_vec());
    match read(&blob) {
        Ok(model) => {
            accepted(&model);
            graph(&model);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

/// The image has the declared sides where these are small, and 3 where any will do.
fn graph(model: &Model) {
    let Ok(sides) = onnx_input(model) else {
        return;
    };
    let [channels, height, width] = sides.map(|side| side.unwrap_or(3));
    if channels.max(height).max(width) > 64 {
        return;
    }
    match from_onnx(model, Shape::new(channels, height, width)) {
        Ok(graph) => assert_eq!(graph.input(), Shape::new(channels, height, width)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn accepted(model: &Model) {
    assert!(model.ir_version > 0 && !model.opsets.is_empty());
    let _ = (model.parameters(), model.feature_names(), model.opset(""));
    let mut names = std::collections::HashSet::new();
    for initialiser in &model.graph.initialisers {
        assert!(!initialiser.name.is_empty() && names.insert(&initialiser.name));
        tensor(initialiser);
    }
    for texts in &model.graph.texts {
        assert!(!texts.name.is_empty() && names.insert(&texts.name));
    }
    for node in &model.graph.nodes {
        assert!(node.domain.is_empty() || node.domain == "ai.onnx.ml");
        for attribute in &node.attributes {
            match &attribute.value {
                AttributeValue::Tensor(one) => constant(one),
                AttributeValue::Tensors(list) => list.iter().for_each(constant),
                _ => {}
            }
        }
    }
    for declared in model.graph.inputs.iter().chain(&model.graph.outputs) {
        let mut levels = 1;
        let mut kind = &declared.kind;
        while let Kind::Sequence(inner) | Kind::Optional(inner) | Kind::Map { value: inner, .. } = kind {
            kind = inner;
            levels += 1;
        }
        assert!(levels <= 8);
    }
}

fn constant(constant: &Constant) {
    match constant {
        Constant::Numbers(numbers) => tensor(numbers),
        Constant::Texts(texts) => {
            let elements: u64 = texts.shape.iter().product();
            assert_eq!(texts.values.len() as u64, elements);
        }
    }
}

fn tensor(tensor: &Tensor) {
    let size = tensor.elements() * tensor.dtype.size();
    assert_eq!((tensor.storage.size(), tensor.offset), (size, 0));
    assert_eq!(tensor.strides, contiguous_strides(&tensor.shape));
    assert_eq!(tensor.storage.read(size).expect("it is there").len() as u64, size);
}
