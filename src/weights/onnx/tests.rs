//! Models put together field by field, and those that exporters wrote.

use std::path::Path;

use super::*;
use crate::weights::tensor::contiguous_strides;

/// A field that holds bytes.
fn bytes(number: u32, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut field = varint(u64::from(number) << 3 | 2);
    field.extend(varint(content.len() as u64));
    field.extend(content);
    field
}

fn number(number: u32, value: i64) -> Vec<u8> {
    let mut field = varint(u64::from(number) << 3);
    field.extend(varint(value as u64));
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// A model with these fields in its graph.
fn model(graph: &[Vec<u8>]) -> Result<Model> {
    read(&model_bytes(graph).into())
}

fn model_bytes(graph: &[Vec<u8>]) -> Vec<u8> {
    let opset = bytes(8, [bytes(1, ""), number(2, 17)].concat());
    [number(1, 8), bytes(7, graph.concat()), opset].concat()
}

/// The field of a graph that holds a tensor with these fields.
fn initialiser(name: &str, element: i64, dims: &[i64], fields: &[Vec<u8>]) -> Vec<u8> {
    let dims = dims.iter().map(|dim| number(1, *dim)).collect::<Vec<_>>();
    let head = [number(2, element), bytes(8, name)].concat();
    bytes(5, [dims.concat(), head, fields.concat()].concat())
}

fn refusal(graph: &[Vec<u8>]) -> String {
    model(graph).unwrap_err().to_string()
}

fn content(tensor: &Tensor) -> Vec<u8> {
    assert_eq!(tensor.offset, 0);
    assert_eq!(tensor.strides, contiguous_strides(&tensor.shape));
    tensor.storage.read(1 << 20).unwrap()
}

fn fixture(name: &str) -> Blob {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Blob::open(&root.join("tests/fixtures/weights/onnx").join(name)).unwrap()
}

#[test]
fn a_classifier_of_skl2onnx_is_read() {
    let model = read(&fixture("pi_model.onnx")).unwrap();
    assert_eq!(
        (model.ir_version, model.producer.as_str()),
        (10, "skl2onnx")
    );
    assert_eq!(
        (model.opset(""), model.opset("ai.onnx.ml")),
        (Some(21), Some(1))
    );
    let ops: Vec<_> = model.graph.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Scaler", "LinearClassifier"]);
    assert!(model.graph.nodes.iter().all(|n| n.domain == "ai.onnx.ml"));
    let attribute = |node: usize, name: &str| {
        let mut all = model.graph.nodes[node].attributes.iter();
        all.find(|a| a.name == name)
            .map(|a| a.value.clone())
            .unwrap()
    };
    assert!(matches!(attribute(0, "scale"), AttributeValue::Floats(list) if list.len() == 4));
    assert!(matches!(
        attribute(1, "multi_class"),
        AttributeValue::Int(0)
    ));
    assert!(matches!(attribute(1, "post_transform"), AttributeValue::String(t) if t == "LOGISTIC"));
    let labels = attribute(1, "classlabels_strings");
    assert!(matches!(labels, AttributeValue::Strings(list) if list == ["piNEG", "piPOS"]));
    let [input] = model.graph.inputs.as_slice() else {
        panic!("one input");
    };
    assert_eq!(input.name, "X");
    assert_eq!(
        input.kind,
        Kind::Tensor {
            element: Element::Number(DType::F32),
            shape: Some(vec![Dim::Unknown, Dim::Known(4)])
        }
    );
    let labels = &model.graph.outputs[0].kind;
    assert!(matches!(
        labels,
        Kind::Tensor {
            element: Element::Text,
            ..
        }
    ));
    assert_eq!(model.feature_names(), None);
    assert_eq!(model.parameters(), 4 + 4 + 8 + 2);
}

#[test]
fn a_network_of_pytorch_is_read_where_it_lies() {
    let blob = fixture("resnet_classifier.onnx");
    let model = read(&blob).unwrap();
    assert_eq!(model.producer, "pytorch");
    assert!(model.graph.initialisers.len() > 10);
    for tensor in &model.graph.initialisers {
        let size = tensor.elements() * tensor.dtype.size();
        assert_eq!(content(tensor).len() as u64, size, "{}", tensor.name);
    }
    assert_eq!(model.parameters(), 6786);
}

#[test]
fn numbers_are_the_same_however_they_are_written() {
    let floats = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
    let raw = initialiser("a", 1, &[2], &[bytes(9, &floats)]);
    let packed = initialiser("b", 1, &[2], &[bytes(4, &floats)]);
    let halves = [bytes(4, &floats[..4]), bytes(4, &floats[4..])];
    let pieces = initialiser("c", 1, &[2], &halves);
    let single: Vec<_> = floats.chunks(4).map(|f| [&[0x25], f].concat()).collect();
    let single = initialiser("d", 1, &[2], &single);
    let model = model(&[raw, packed, pieces, single]).unwrap();
    assert_eq!(model.graph.initialisers.len(), 4);
    for tensor in &model.graph.initialisers {
        assert_eq!(content(tensor), floats, "{}", tensor.name);
    }
}

#[test]
fn varints_become_elements_of_every_type() {
    let minus = varint(-2_i64 as u64);
    let packed = |number: u32| bytes(number, [varint(1), minus.clone()].concat());
    let small = |number: u32| bytes(number, [varint(1), varint(0x3c00)].concat());
    let graph = [
        initialiser("int64", 7, &[2], &[packed(7)]),
        initialiser("int32", 6, &[2], &[packed(5)]),
        initialiser("int8", 3, &[2], &[packed(5)]),
        initialiser("half", 10, &[2], &[small(5)]),
        initialiser("bfloat", 16, &[2], &[small(5)]),
        initialiser("uint32", 12, &[2], &[small(11)]),
        initialiser("bool", 9, &[2], &[number(5, 1), number(5, 0)]),
    ];
    let model = model(&graph).unwrap();
    let found = |name: &str| {
        let mut all = model.graph.initialisers.iter();
        content(all.find(|t| t.name == name).unwrap())
    };
    assert_eq!(found("int64"), [1_i64, -2].map(i64::to_le_bytes).concat());
    assert_eq!(found("int32"), [1_i32, -2].map(i32::to_le_bytes).concat());
    assert_eq!(found("int8"), [1, 0xfe]);
    assert_eq!(found("half"), [1, 0, 0, 0x3c]);
    assert_eq!(found("bfloat"), [1, 0, 0, 0x3c]);
    assert_eq!(found("uint32"), [1, 0, 0, 0, 0, 0x3c, 0, 0]);
    assert_eq!(found("bool"), [1, 0]);
}

#[test]
fn a_tensor_of_another_size_than_its_shape_is_refused() {
    for (fields, wanted) in [
        (
            vec![bytes(9, [0; 7])],
            "8 bytes in `w` of shape [2], found 7",
        ),
        (
            vec![bytes(4, [0; 12])],
            "8 bytes in `w` of shape [2], found 12",
        ),
        (vec![bytes(4, [0; 4]), bytes(4, [0; 8])], "found more"),
        (vec![], "8 bytes in `w` of shape [2], found 0"),
        (vec![bytes(9, [0; 8]), bytes(4, [0; 8])], "some in field 4"),
        (vec![bytes(7, [0; 2])], "some in field 7"),
        (vec![bytes(9, [0; 8]), bytes(9, [0; 8])], "field 9 once"),
        (vec![bytes(9, [0; 8]), bytes(3, [])], "a segment"),
        (
            vec![bytes(9, [0; 8]), number(1, i64::MAX)],
            "a file that ends",
        ),
        (
            vec![bytes(9, [0; 8]), number(1, -1)],
            "none of them negative",
        ),
        (
            vec![bytes(9, [0; 8]), number(1, 1 << 62), number(1, 8)],
            "fewer than 2^64",
        ),
    ] {
        let error = refusal(&[initialiser("w", 1, &[2], &fields)]);
        assert!(error.contains(wanted), "{error}");
    }
    let error = refusal(&[initialiser("w", 3, &[1], &[bytes(5, varint(200))])]);
    assert!(
        error.contains("a number of type int8, found 200"),
        "{error}"
    );
    let empty = model(&[initialiser("w", 1, &[0, 5], &[])]).unwrap();
    assert!(content(&empty.graph.initialisers[0]).is_empty());
    let scalar = model(&[initialiser("w", 1, &[], &[bytes(9, [0; 4])])]).unwrap();
    assert!(scalar.graph.initialisers[0].shape.is_empty());
}

#[test]
fn strings_are_kept_apart_from_numbers() {
    let texts = initialiser("names", 8, &[2], &[bytes(6, "a"), bytes(6, "ß")]);
    let found = model(std::slice::from_ref(&texts)).unwrap();
    assert_eq!(found.graph.texts[0].values, ["a", "ß"]);
    assert!(found.graph.initialisers.is_empty());
    let error = refusal(&[initialiser("names", 8, &[3], &[bytes(6, "a")])]);
    assert!(error.contains("3 strings"), "{error}");
    let error = refusal(&[texts.clone(), texts]);
    assert!(error.contains("`names` twice"), "{error}");
}

#[test]
fn what_means_nothing_alone_is_refused_by_name() {
    let location = [bytes(1, "location"), bytes(2, "weights.bin")].concat();
    let external = [bytes(13, location), number(14, 1)];
    let node = |fields: &[Vec<u8>]| bytes(1, [bytes(4, "If"), fields.concat()].concat());
    let attribute = |fields: Vec<u8>| bytes(5, [bytes(1, "then"), fields].concat());
    let sparse = bytes(15, bytes(1, bytes(8, "mask")));
    for (graph, wanted) in [
        (
            initialiser("w", 1, &[2], &external),
            "initialiser `w` are in another file, `weights.bin`",
        ),
        (sparse, "initialiser `mask` is sparse"),
        (
            node(&[bytes(7, "com.microsoft"), bytes(3, "n")]),
            "`If` (the node `n`) is an operator of the domain `com.microsoft`",
        ),
        (
            node(&[attribute(bytes(6, [])), bytes(2, "out")]),
            "`then` of `If` (which gives `out`) is a subgraph",
        ),
        (node(&[attribute(bytes(22, []))]), "is a sparse tensor"),
        (initialiser("w", 22, &[2], &[bytes(9, [0])]), "type int4"),
    ] {
        let error = model(&[graph]).unwrap_err();
        assert!(matches!(error, WeightsError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let function = bytes(25, bytes(1, "Gelu"));
    let error = read(&[model_bytes(&[]), function].concat().into()).unwrap_err();
    assert!(error.to_string().contains("function `Gelu`"), "{error}");
}

#[test]
fn attributes_have_the_kind_they_say() {
    let attribute = |kind: i64, fields: Vec<u8>| {
        let fields = [bytes(1, "a"), fields, number(20, kind)].concat();
        let node = bytes(1, [bytes(4, "Conv"), bytes(5, fields)].concat());
        let mut model = model(&[node])?;
        Ok::<_, WeightsError>(model.graph.nodes.remove(0).attributes.remove(0).value)
    };
    let ints = attribute(7, [number(8, 3), bytes(8, [1, 2])].concat()).unwrap();
    assert!(matches!(ints, AttributeValue::Ints(list) if list == [3, 1, 2]));
    let left_out = attribute(1, vec![]).unwrap();
    assert!(matches!(left_out, AttributeValue::Float(0.0)));
    let implied = attribute(0, number(3, -4)).unwrap();
    assert!(matches!(implied, AttributeValue::Int(-4)));
    let tensor = [number(2, 7), number(1, 1), bytes(7, [5])].concat();
    let tensor = attribute(4, bytes(5, tensor)).unwrap();
    let AttributeValue::Tensor(Constant::Numbers(tensor)) = tensor else {
        panic!("{tensor:?}");
    };
    assert_eq!(content(&tensor), 5_i64.to_le_bytes());
    for (kind, wanted) in [
        (4, "expected a tensor"),
        (99, "of type 99"),
        (0, "of type 0"),
    ] {
        let error = attribute(kind, vec![]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn types_nest_so_far_and_no_further() {
    let declared = |levels: usize| {
        let mut kind = bytes(1, number(1, 1));
        for _ in 1..levels {
            kind = bytes(4, bytes(1, kind));
        }
        let input = [bytes(1, "x"), bytes(2, kind)].concat();
        model(&[bytes(11, input)])
    };
    assert!(declared(8).is_ok());
    let error = declared(9).unwrap_err().to_string();
    assert!(error.contains("at most 8 levels"), "{error}");
    let map = bytes(5, [number(1, 7), bytes(2, bytes(1, number(1, 1)))].concat());
    let output = [bytes(1, "p"), bytes(2, bytes(4, bytes(1, map)))].concat();
    let found = model(&[bytes(12, output)]).unwrap().graph.outputs.remove(0);
    let tensor = Kind::Tensor {
        element: Element::Number(DType::F32),
        shape: None,
    };
    let map = Kind::Map {
        key: Element::Number(DType::I64),
        value: Box::new(tensor),
    };
    assert_eq!(found.kind, Kind::Sequence(Box::new(map)));
}

#[test]
fn a_model_needs_a_version_a_graph_and_an_operator_set() {
    let opset = bytes(8, number(2, 17));
    let graph = bytes(7, []);
    for (fields, wanted) in [
        (vec![], "a graph"),
        (vec![number(1, 8), opset.clone()], "a graph"),
        (vec![graph.clone(), opset.clone()], "a positive ir_version"),
        (vec![number(1, 8), graph.clone()], "an opset_import"),
        (
            vec![number(1, 8), graph.clone(), graph.clone(), opset.clone()],
            "field 7 once",
        ),
    ] {
        let error = read(&fields.concat().into()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains("no ONNX model"), "{error}");
    }
    let named = bytes(
        14,
        [bytes(1, "feature_names"), bytes(2, "area,mean")].concat(),
    );
    let model = read(&[model_bytes(&[]), named.clone()].concat().into()).unwrap();
    assert_eq!(model.feature_names().unwrap(), ["area", "mean"]);
    let twice = [model_bytes(&[]), named.clone(), named].concat();
    assert!(read(&twice.into()).is_err());
}

#[test]
fn onnx_is_told_from_other_files_by_its_first_bytes() {
    for name in ["pi_model.onnx", "resnet_classifier.onnx"] {
        let head = fixture(name).slice(0..3).unwrap().read(3).unwrap();
        assert!(looks_like(&head), "{name}");
    }
    for other in [
        &b"PK\x03\x04"[..],
        b"\x80\x02}",
        b"\x08",
        b"",
        b"\x08\x09\x00",
        b"\x08\x00\x12",
    ] {
        assert!(!looks_like(other), "{other:?}");
    }
}

/// Every cut of a real model is an error, none a panic.
#[test]
fn no_part_of_a_model_is_a_model() {
    let whole = fixture("pi_model.onnx").read(1 << 20).unwrap();
    for end in 0..whole.len() {
        match read(&whole[..end].to_vec().into()) {
            Err(error) => assert!(!error.to_string().is_empty()),
            // The last fields are the operator sets.
            Ok(_) => assert!(end > whole.len() - 30),
        }
    }
}
