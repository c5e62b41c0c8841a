//! Graphs of ONNX models, computed plainly in f64, against the networks they were exported from
//! (`tests/networks/make_forward.py --onnx`).

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use model_bundle::blob::Blob;
use model_bundle::nn::{
    Graph, Network, Node, OnnxError, Op, Shape, StateDict, from_onnx, onnx_input,
};
use model_bundle::weights::onnx::{
    self, Attribute, AttributeValue, Declaration, Dim, Element, Model, Opset,
};
use model_bundle::weights::tensor::{DType, Tensor, contiguous_strides};

use crate::forward::{FOLDER, case, declared, distance, numbers, rods, tensors};
use crate::plain;

fn model(path: &Path) -> Model {
    onnx::read(&Blob::open(path).unwrap()).unwrap()
}

/// How far a model's graph is from the output that stands beside it.
fn apart(path: &Path) -> Result<f64, OnnxError> {
    let beside = tensors(&path.with_extension("safetensors"));
    let of = |name: &str| beside.iter().find(|tensor| tensor.name == name).unwrap();
    let (input, output) = (of("input"), of("output"));
    let [channels, height, width] = [0, 1, 2].map(|side| input.shape[side] as usize);
    let graph = from_onnx(&model(path), Shape::new(channels, height, width))?;
    let found = plain::values_of(&graph, &numbers(input)).swap_remove(graph.output().index());
    Ok(distance(&found, &numbers(output)))
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "onnx")
    });
    paths.sort();
    paths
}

/// The exports that are kept, and those of the folder that `MODEL_BUNDLE_ONNX` names.
fn exports() -> Vec<PathBuf> {
    let mut all = models(Path::new(&format!("{FOLDER}/onnx")));
    assert_eq!(all.len(), 16);
    if let Some(folder) = std::env::var_os("MODEL_BUNDLE_ONNX") {
        all.extend(models(Path::new(&folder)));
    }
    all
}

#[test]
fn exported_networks_compute_what_pytorch_computes() {
    let all = exports();
    let mut wrong = Vec::new();
    let mut largest = 0.0_f64;
    for path in &all {
        // Exporters fold constants in single precision.
        match apart(path) {
            Ok(apart) if apart < 2e-6 => largest = largest.max(apart),
            Ok(apart) => wrong.push(format!("{}: {apart:e}", path.display())),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    let of = all.len();
    assert!(
        wrong.is_empty(),
        "{} of {of} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{of} models, at most {largest:e} apart");
}

/// A graph without its constants.
fn skeleton(graph: &Graph) -> Vec<String> {
    let line = |node: &Node| {
        let inputs: Vec<usize> = node.inputs.iter().map(|id| id.index()).collect();
        let geometry = match &node.op {
            Op::Conv(conv) => format!(" {:?} {:?} {}", conv.stride, conv.padding, conv.groups),
            _ => String::new(),
        };
        format!(
            "{}{geometry} of {inputs:?} gives {}",
            node.op.name(),
            node.shape
        )
    };
    graph.nodes().iter().map(line).collect()
}

/// The network that a file of the matrix was exported from, by its name: kind, number, exporter.
fn origin(path: &Path) -> (Network, Vec<Tensor>, [usize; 2]) {
    let name = path
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .replace("monai_unet", "monai unet");
    let mut parts = name.split('_');
    let kind = parts.next().unwrap();
    let number: usize = parts.next().unwrap().parse().unwrap();
    case(kind, number)
}

#[test]
fn exported_networks_are_the_ops_of_their_layers() {
    let mut wrong = Vec::new();
    for path in exports() {
        let (network, tensors, size) = origin(&path);
        let built = network.graph(&StateDict::new(&tensors), size).unwrap();
        let read = from_onnx(&model(&path), built.input()).unwrap();
        let (built, read) = (skeleton(&built), skeleton(&read));
        if built != read {
            let first = built.iter().zip(&read).position(|(a, b)| a != b);
            let at = first.unwrap_or(built.len().min(read.len()));
            let (built, read) = (built.get(at), read.get(at));
            wrong.push(format!("{}: {at}: {built:?}, {read:?}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Numbers that look like chance.
fn noise(count: usize) -> Vec<f32> {
    let number = |at: u32| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
    (0..count as u32).map(number).collect()
}

#[test]
fn trained_networks_are_the_same_from_a_state_dict_and_from_onnx() {
    let folder = Path::new("tests/fixtures/weights");
    for (name, path) in [
        ("bf_focus_v3", "rods/bf_focus_v3.onnx"),
        ("resnet_classifier", "onnx/resnet_classifier.onnx"),
        ("unet_segm", "onnx/unet_segm.onnx"),
    ] {
        let model = model(&folder.join(path));
        let side = if name == "resnet_classifier" { 32 } else { 64 };
        assert_eq!(
            onnx_input(&model).unwrap(),
            [Some(1), Some(side), Some(side)]
        );
        let (network, tensors) = rods(name);
        let built = network
            .graph(&StateDict::new(&tensors), [side, side])
            .unwrap();
        let read = from_onnx(&model, built.input()).unwrap();
        assert_eq!(skeleton(&built), skeleton(&read), "{name}");
        let input = noise(side * side);
        let apart = distance(&plain::run(&read, &input), &plain::run(&built, &input));
        assert!(apart < 1e-6, "{name}: {apart:e}");
    }
}

/// Networks of a size that is really used: `NAME.onnx` beside `NAME.pth` and `NAME.json`, which `MODEL_BUNDLE_NETWORKS`
/// names the folder of.
#[test]
fn large_networks_are_the_same_from_a_state_dict_and_from_onnx() {
    let Some(folder) = std::env::var_os("MODEL_BUNDLE_NETWORKS") else {
        return;
    };
    for path in models(Path::new(&folder)) {
        let about = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let tensors = tensors(&path.with_extension("pth"));
        let model = model(&path);
        let [_, height, width] = onnx_input(&model).unwrap().map(|side| side.unwrap_or(64));
        let network = declared(&about);
        let built = network
            .graph(&StateDict::new(&tensors), [height, width])
            .unwrap();
        let read = from_onnx(&model, built.input()).unwrap();
        assert_eq!(skeleton(&built), skeleton(&read), "{}", path.display());
    }
}

/// A model of one chain of nodes on an image of two channels.
fn chain(nodes: Vec<onnx::Node>, initialisers: Vec<Tensor>) -> Model {
    let declaration = |name: &str| Declaration {
        name: name.to_owned(),
        kind: onnx::Kind::Tensor {
            element: Element::Number(DType::F32),
            shape: Some(vec![
                Dim::Named("n".into()),
                Dim::Known(2),
                Dim::Unknown,
                Dim::Unknown,
            ]),
        },
    };
    Model {
        ir_version: 8,
        opsets: vec![Opset {
            domain: String::new(),
            version: 17,
        }],
        producer: String::new(),
        producer_version: String::new(),
        graph: onnx::Graph {
            nodes,
            initialisers,
            inputs: vec![declaration("x")],
            outputs: vec![declaration("y")],
            ..onnx::Graph::default()
        },
        metadata: Vec::new(),
    }
}

fn node(
    op: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&str, AttributeValue)],
) -> onnx::Node {
    let attribute = |(name, value): &(&str, AttributeValue)| Attribute {
        name: (*name).to_owned(),
        value: value.clone(),
    };
    onnx::Node {
        name: format!("/{}", op.to_lowercase()),
        op: op.to_owned(),
        domain: String::new(),
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        outputs: vec![output.to_owned()],
        attributes: attributes.iter().map(attribute).collect(),
    }
}

fn floats(name: &str, shape: &[u64]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        dtype: DType::F32,
        shape: shape.to_vec(),
        storage: vec![0; 4 * shape.iter().product::<u64>() as usize].into(),
        offset: 0,
        strides: contiguous_strides(shape),
        big_endian: false,
    }
}

fn integers(name: &str, numbers: &[i64]) -> Tensor {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    Tensor {
        dtype: DType::I64,
        storage: bytes.into(),
        ..floats(name, &[numbers.len() as u64])
    }
}

fn refusal(model: &Model) -> String {
    match from_onnx(model, Shape::new(2, 6, 8)) {
        Ok(graph) => panic!("it is taken: {graph:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_not_supported_is_named() {
    use AttributeValue::{Int, Ints, String};
    let one = |node| vec![node];
    let conv = |attributes: &[(&str, AttributeValue)]| {
        let conv = node("Conv", &["x", "w"], "y", attributes);
        chain(vec![conv], vec![floats("w", &[3, 2, 3, 3])])
    };
    let text = |text: &str| String(text.to_owned());
    let slice = |place: &[i64]| {
        chain(
            one(node("Slice", &["x", "from", "to", "axes"], "y", &[])),
            vec![
                integers("from", &place[..1]),
                integers("to", &place[1..2]),
                integers("axes", &place[2..]),
            ],
        )
    };
    let mut models = vec![
        chain(one(node("HardSwish", &["x"], "y", &[])), vec![]),
        conv(&[("dilations", Ints(vec![2, 2]))]),
        conv(&[("group", Int(3))]),
        conv(&[("auto_pad", text("SOME"))]),
        conv(&[("kernel_shape", Ints(vec![3, 5]))]),
        conv(&[("colour", Int(3))]),
        conv(&[("pads", text("none"))]),
        chain(one(node("Conv", &["x", "x"], "y", &[])), vec![]),
        chain(one(node("Conv", &["x", "w"], "y", &[])), vec![]),
        chain(one(node("Relu", &["y"], "y", &[])), vec![]),
        chain(one(node("Relu", &["x"], "z", &[])), vec![]),
        chain(
            vec![
                node("Relu", &["x"], "y", &[]),
                node("Tanh", &["x"], "y", &[]),
            ],
            vec![],
        ),
        chain(one(node("Relu", &["w"], "y", &[])), vec![floats("w", &[1])]),
        chain(
            one(node("Add", &["x", "w"], "y", &[])),
            vec![floats("w", &[6, 7])],
        ),
        chain(
            one(node("Pad", &["x", "p"], "y", &[("mode", text("reflect"))])),
            vec![integers("p", &[0, 0, 1, 1, 0, 0, 1, 1])],
        ),
        slice(&[1, 4, 2]),
        chain(
            one(node("ReduceMean", &["x"], "y", &[("axes", Ints(vec![3]))])),
            vec![],
        ),
        chain(
            one(node(
                "Transpose",
                &["x"],
                "y",
                &[("perm", Ints(vec![0, 2, 3, 1]))],
            )),
            vec![],
        ),
        chain(
            one(node("Reshape", &["x", "s"], "y", &[])),
            vec![integers("s", &[0, 7, -1])],
        ),
        chain(
            one(node("ConstantOfShape", &["s"], "y", &[])),
            vec![integers("s", &[1 << 20, 1 << 19])],
        ),
        chain(
            one(node("Expand", &["w", "s"], "y", &[])),
            vec![floats("w", &[1]), integers("s", &[1 << 40, 1 << 40])],
        ),
    ];
    let mut old = conv(&[]);
    old.opsets[0].version = 9;
    models.push(old);
    let mut two = conv(&[]);
    two.graph.inputs.push(two.graph.outputs[0].clone());
    models.push(two);
    let mut other = conv(&[]);
    if let onnx::Kind::Tensor {
        shape: Some(shape), ..
    } = &mut other.graph.inputs[0].kind
    {
        shape[2] = Dim::Known(64);
    }
    models.push(other);
    let said: Vec<std::string::String> = models.iter().map(refusal).collect();
    assert_snapshot!(said.join("\n"));
}

/// Small constants made large again and again: each step is refused before it takes memory.
#[test]
fn what_constants_become_is_bounded() {
    let mut nodes = vec![node(
        "Concat",
        &["w", "w"],
        "c0",
        &[("axis", AttributeValue::Int(0))],
    )];
    for step in 0..40 {
        let from = format!("c{step}");
        let to = format!("c{}", step + 1);
        nodes.push(node(
            "Concat",
            &[&from, &from],
            &to,
            &[("axis", AttributeValue::Int(0))],
        ));
    }
    nodes.push(node("Add", &["x", "c40"], "y", &[]));
    let said = refusal(&chain(nodes, vec![floats("w", &[64])]));
    assert!(said.contains("more than 4194688 numbers"), "{said}");
    let mut nodes = vec![node(
        "Concat",
        &["x", "x"],
        "c0",
        &[("axis", AttributeValue::Int(1))],
    )];
    for step in 0..18 {
        let from = format!("c{step}");
        let to = format!("c{}", step + 1);
        nodes.push(node(
            "Concat",
            &[&from, &from],
            &to,
            &[("axis", AttributeValue::Int(1))],
        ));
    }
    for step in 18..60 {
        nodes.push(node(
            "Add",
            &[&format!("c{step}"), "w"],
            &format!("c{}", step + 1),
            &[],
        ));
    }
    nodes.push(node("Relu", &["c60"], "y", &[]));
    let said = refusal(&chain(nodes, vec![floats("w", &[1])]));
    assert!(said.contains("more than 4194310 numbers"), "{said}");
}
