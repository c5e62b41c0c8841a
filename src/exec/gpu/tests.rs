use std::collections::HashSet;

use insta::assert_snapshot;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use serde_json::json;

use super::device::AdapterKind;
use super::lower::lower;
use super::record::{Dispatch, Recording};
use super::shader::{Constant, Kernel, Precision, Shader};
use super::tuning::Tuning;
use crate::exec::cases::{Family, Input};
use crate::nn::{
    Binary, Conv, Function, Graph, GraphBuilder, Kind, Network, Op, Program, Shape, StateDict,
    ValueId, fuse,
};
use crate::weights::tensor::{DType, Tensor, contiguous_strides};

/// The memory of a workgroup that every device has.
const LEAST: usize = 16352;

/// A network with weights of no meaning, the same each time.
pub(super) fn network(kind: Kind, args: serde_json::Value, size: [usize; 2]) -> Graph {
    let network = Network::from_model_args(kind, args.as_object().unwrap()).unwrap();
    let weight = |index: usize| 0.3 * ((index * 2_654_435_761) % 997) as f32 / 997.0 - 0.1;
    let bytes =
        |count: usize| -> Vec<u8> { (0..count).flat_map(|i| weight(i).to_le_bytes()).collect() };
    let tensor = |expected: crate::nn::Expected| Tensor {
        storage: bytes(expected.elements() as usize).into(),
        strides: contiguous_strides(&expected.shape),
        name: expected.name,
        dtype: DType::F32,
        shape: expected.shape,
        offset: 0,
        big_endian: false,
    };
    let tensors: Vec<Tensor> = network.tensors().into_iter().map(tensor).collect();
    network.graph(&StateDict::new(&tensors), size).unwrap()
}

/// The kinds of adapters that kernels are cut for.
const KINDS: [AdapterKind; 3] = [
    AdapterKind::Discrete,
    AdapterKind::Integrated,
    AdapterKind::Software,
];

fn least(kind: AdapterKind) -> Tuning {
    Tuning::of(kind, LEAST, false)
}

/// All rows of the table.
fn tunings() -> impl Iterator<Item = Tuning> {
    let exchanging = Tuning::of(AdapterKind::Software, LEAST, true);
    KINDS.map(least).into_iter().chain([exchanging])
}

fn nafnet_graph(width: usize) -> Graph {
    let args = json!({"img_channel": 1, "width": width, "middle_blk_num": 1,
        "enc_blk_nums": [1], "dec_blk_nums": [1]});
    network(Kind::NafNet, args, [32, 32])
}

fn unet_graph() -> Graph {
    let args = json!({"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 16],
        "strides": [2], "num_res_units": 1});
    network(Kind::MonaiUnet, args, [32, 32])
}

fn single(graph: Graph, tuning: Tuning) -> Recording {
    lower(&fuse(graph), tuning, Precision::Single).unwrap()
}

fn nafnet(width: usize, tuning: Tuning) -> Recording {
    single(nafnet_graph(width), tuning)
}

fn unet(tuning: Tuning) -> Recording {
    single(unet_graph(), tuning)
}

/// What each dispatch computes, and by which kernel; one that is made again and again is counted.
fn outline(recording: &Recording) -> String {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for dispatch in &recording.dispatches {
        let line = format!("{}: {}", dispatch.what, dispatch.shader.kernel.name());
        match lines.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => lines.push((line, 1)),
        }
    }
    let lines = lines.into_iter().map(|(line, count)| match count {
        1 => line,
        _ => format!("{line}, {count} times"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_blocks_of_nafnet_are_three_dispatches() {
    assert_snapshot!(nafnet(8, least(AdapterKind::Discrete)), @r"
    3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=2 BLOCKS=1 SLIDES [4 x 1]
    layer norm, 1x1 convolution, 3x3 convolution, gate: spread SLOTS=64 ROWS=1 PIXELS=4 REDUCED [6 x 1]
    mean, 1x1 convolution: squeeze SLOTS=32 ROWS=2 [1 x 1]
    product, 1x1 convolution, sum, layer norm, 1x1 convolution, gate, 1x1 convolution, sum: mix SLOTS=16 ROWS=4 SCALES ROOM=2 SHARED=4 PIXELS=4 [16 x 1]
    2x2 convolution: conv SLOTS=32 ROWS=2 PIXELS=4 VECTORS=2 BLOCKS=1 [2 x 1]
    layer norm, 1x1 convolution, 3x3 convolution, gate: spread SLOTS=64 ROWS=1 PIXELS=4 REDUCED [2 x 1]
    mean, 1x1 convolution: squeeze SLOTS=16 ROWS=4 [1 x 1]
    product, 1x1 convolution, sum, layer norm, 1x1 convolution, gate, 1x1 convolution, sum: mix SLOTS=16 ROWS=4 SCALES ROOM=4 SHARED=8 PIXELS=4 [4 x 1]
    1x1 convolution, sum, pixel shuffle: tiled SLOTS=16 ROWS=4 PIXELS=8 VECTORS=2 SHUFFLED SLIDES >v + image(at, op) [2 x 1]
    layer norm, 1x1 convolution, 3x3 convolution, gate: spread SLOTS=64 ROWS=1 PIXELS=4 REDUCED [6 x 1]
    mean, 1x1 convolution: squeeze SLOTS=32 ROWS=2 [1 x 1]
    product, 1x1 convolution, sum, layer norm, 1x1 convolution, gate, 1x1 convolution, sum: mix SLOTS=16 ROWS=4 SCALES ROOM=2 SHARED=4 PIXELS=4 [16 x 1]
    3x3 convolution, sum: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 SLIDES >v + image(at, op) [4 x 1]
    ");
}

#[test]
fn what_dispatches_read_and_write_is_known() {
    let tuning = || least(AdapterKind::Discrete);
    for recording in [nafnet(8, tuning()), unet(tuning())] {
        assert_eq!(recording.traffic.len(), recording.dispatches.len());
        for (traffic, dispatch) in recording.traffic.iter().zip(&recording.dispatches) {
            assert!(
                traffic.shapes.is_some() && traffic.values > 0,
                "{dispatch:?}"
            );
        }
        // All learnt numbers are read by someone, and by one only.
        let learnt: u64 = recording.traffic.iter().map(|traffic| traffic.learnt).sum();
        assert_eq!(learnt, size_of_val(&*recording.constants) as u64);
    }
    // The second half of a block: its source, its scale and what it is added to are read, its result is written.
    let recording = nafnet(8, tuning());
    let mix = &recording.traffic[3];
    assert_eq!(mix.shapes, Some([Shape::new(8, 32, 32); 2]));
    assert_eq!(mix.values, 3 * 8 * 32 * 32 + 8);
}

#[test]
fn the_units_of_a_unet_are_fused() {
    assert_snapshot!(unet(least(AdapterKind::Discrete)), @r"
    3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=2 BLOCKS=1 [1 x 1]
    3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=2 BLOCKS=1 REDUCED [1 x 1]
    moments: merge SLOTS=32 ROWS=2 MODE=1 [1 x 1]
    norm, PReLU, sum: pointwise <normalise(v, at, op) <leaky_relu(v, op) <v + image(at, op) [8 x 1]
    1x1 convolution: conv SLOTS=32 ROWS=2 PIXELS=4 VECTORS=2 BLOCKS=1 SLIDES [2 x 1]
    3x3 convolution: conv SLOTS=32 ROWS=2 PIXELS=4 VECTORS=2 BLOCKS=1 REDUCED SLIDES [2 x 1]
    moments: merge SLOTS=16 ROWS=4 MODE=1 [1 x 1]
    norm, PReLU, sum: pointwise <normalise(v, at, op) <leaky_relu(v, op) <v + image(at, op) [16 x 1]
    transposed 3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 REDUCED SLIDES JOINED [1 x 1]
    transposed 3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 REDUCED SLIDES JOINED [1 x 1]
    transposed 3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 REDUCED SLIDES JOINED [1 x 1]
    transposed 3x3 convolution: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 REDUCED SLIDES JOINED [1 x 1]
    moments: merge SLOTS=64 ROWS=1 MODE=1 [1 x 1]
    norm, PReLU: pointwise <normalise_groups(v, at, op) <leaky_relu(v, op) [16 x 1]
    3x3 convolution, sum: conv SLOTS=64 ROWS=1 PIXELS=4 VECTORS=1 BLOCKS=1 SLIDES >v + image(at, op) [4 x 1]
    ");
}

/// A window of 256 x 256 through the NAFNet of width 32 that networks of focus restoration are made of: 35 dispatches at
/// the most, for a device that has as much memory for a workgroup as every graphics card.
#[test]
fn a_whole_nafnet_is_few_dispatches() {
    let args = json!({"img_channel": 1, "width": 32, "middle_blk_num": 1,
        "enc_blk_nums": [1, 1, 1], "dec_blk_nums": [1, 1, 1]});
    let graph = || network(Kind::NafNet, args.clone(), [256, 256]);
    for exchanges in [false, true] {
        let tuning = Tuning::of(AdapterKind::Software, 32768, exchanges);
        assert!(single(graph(), tuning).dispatches.len() <= 35);
    }
    let tuning = Tuning::of(AdapterKind::Discrete, 32768, false);
    let recording = single(graph(), tuning);
    assert!(recording.dispatches.len() <= 35);
    assert_snapshot!(outline(&recording));
}

#[test]
fn a_whole_unet_is_few_dispatches() {
    let args = json!({"spatial_dims": 2, "in_channels": 1, "out_channels": 1,
        "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2], "num_res_units": 2});
    let tuning = Tuning::of(AdapterKind::Discrete, 32768, false);
    let recording = single(network(Kind::MonaiUnet, args, [256, 256]), tuning);
    assert_snapshot!(outline(&recording));
}

fn conv(inputs: usize, outputs: usize, kernel: usize) -> Conv {
    let half = (kernel / 2) as isize;
    Conv {
        outputs,
        kernel: [kernel, kernel],
        stride: [1, 1],
        padding: [[half, half], [half, half]],
        groups: 1,
        transposed: false,
        weight: vec![0.5; kernel * kernel * inputs * outputs].into(),
        bias: None,
    }
}

/// Every op once, alone and before and after convolutions.
fn others() -> Vec<Graph> {
    let shape = Shape::new(8, 6, 6);
    let list = |value: f32| vec![value; 8].into();
    let slopes = list(0.5);
    let functions = [
        Function::Relu,
        Function::LeakyRelu { slope: 0.1 },
        Function::Prelu { slopes },
        Function::Elu { alpha: 1.0 },
        Function::Gelu,
        Function::GeluTanh,
        Function::Swish { alpha: 1.0 },
        Function::Mish,
        Function::Tanh,
        Function::Sigmoid,
        Function::Softplus,
        Function::Erf,
        Function::Exp,
        Function::Sqrt,
        Function::Square,
        Function::Reciprocal,
    ];
    let mut linear = conv(8, 8, 6);
    linear.padding = [[0, 0], [0, 0]];
    let mut depthwise = conv(1, 8, 3);
    depthwise.groups = 8;
    let binary = [
        Binary::Add,
        Binary::Subtract,
        Binary::Multiply,
        Binary::Divide,
    ];
    let mut ops: Vec<Op> = functions.into_iter().map(Op::Apply).collect();
    ops.extend([
        Op::LayerNorm {
            weight: list(1.0),
            bias: list(0.0),
            eps: 1e-6,
        },
        Op::Affine {
            scale: list(1.0),
            shift: list(0.0),
        },
        Op::Gate,
        Op::Mean,
        Op::ChannelMean,
        Op::Softmax,
        Op::PixelShuffle { factor: 2 },
        Op::Conv(depthwise.clone()),
        Op::Conv(linear),
        Op::Conv(conv(8, 8, 3)),
        Op::Conv(conv(8, 4, 1)),
    ]);
    let mut made = Vec::new();
    for op in ops {
        let (mut b, input) = GraphBuilder::new(shape).unwrap();
        let v = b.push(Op::Conv(conv(8, 8, 3)), &[input]).unwrap();
        let v = b.push(op, &[v]).unwrap();
        let channels = b.shape(v).channels;
        let v = b.push(Op::Conv(conv(channels, 4, 1)), &[v]).unwrap();
        made.push(b.finish(v));
    }
    for binary in binary {
        for other in [Op::Apply(Function::Square), Op::Mean, Op::ChannelMean] {
            let (mut b, input) = GraphBuilder::new(shape).unwrap();
            let other = b.push(other, &[input]).unwrap();
            let v = b.push(Op::Binary(binary), &[input, other]).unwrap();
            made.push(b.finish(v));
        }
    }
    for groups in [2, 8] {
        let (mut b, input) = GraphBuilder::new(shape).unwrap();
        let moments = b.push(Op::Moments { groups, eps: 1e-5 }, &[input]).unwrap();
        let norm = Op::Normalise {
            weight: None,
            bias: None,
        };
        let v = b.push(norm, &[input, moments]).unwrap();
        let v: ValueId = b.push(Op::Conv(depthwise.clone()), &[v]).unwrap();
        made.push(b.finish(v));
    }
    made
}

/// All dispatches of the networks above, and those around a network.
pub(super) fn dispatches(precision: Precision) -> Vec<Dispatch> {
    let mut graphs = others();
    graphs.extend([nafnet_graph(32), nafnet_graph(6), unet_graph()]);
    let programs: Vec<Program> = graphs.into_iter().map(fuse).collect();
    let lowered = |tuning: Tuning| {
        let programs = programs.iter();
        programs.map(move |program| lower(program, tuning, precision).unwrap())
    };
    let recordings = tunings().flat_map(lowered);
    let all = recordings.flat_map(|recording| recording.dispatches);
    let around = super::frame::examples(precision == Precision::Half);
    all.chain(around).collect()
}

/// Every file of `shaders/` is run by one of the cases that every device is checked with.
#[test]
fn every_kernel_has_a_case() {
    let mut reached = HashSet::new();
    for family in Family::ALL {
        for seed in 0..family.seeds() {
            let case = family.case(seed).unwrap();
            let is_frame = matches!(case.input, Input::Frame(_));
            for tuning in tunings() {
                reached.extend(super::kernels(&case.program(), is_frame, tuning).unwrap());
            }
        }
    }
    let reached: HashSet<String> = reached.into_iter().map(|k| k.name().to_owned()).collect();
    let files = std::fs::read_dir("shaders").unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files = files.filter_map(|name| name.strip_suffix(".wgsl").map(str::to_owned));
    assert_eq!(reached, files.collect());
}

fn parsed(shader: &Shader, precision: Precision) -> naga::Module {
    let text = shader.text(precision);
    naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{shader}:\n{}", error.emit_to_string(&text)))
}

/// Every shader is valid, and can be translated to what drivers take.
#[test]
fn shaders_are_valid_and_can_be_translated() {
    let shaders = [Precision::Single, Precision::Half].map(|precision| {
        let dispatches = dispatches(precision).into_iter();
        let shaders: HashSet<Shader> = dispatches.map(|dispatch| dispatch.shader).collect();
        let kernels: HashSet<Kernel> = shaders.iter().map(|shader| shader.kernel).collect();
        assert_eq!(kernels.len(), Kernel::ALL.len());
        (precision, shaders)
    });
    for (shader, precision) in shaders
        .iter()
        .flat_map(|(precision, shaders)| shaders.iter().map(|shader| (shader, *precision)))
    {
        let module = parsed(shader, precision);
        let capabilities = match precision {
            Precision::Single => Capabilities::empty(),
            Precision::Half => Capabilities::SHADER_FLOAT16,
        };
        let subgroups = match shader.exchanges() {
            true => Capabilities::SUBGROUP,
            false => Capabilities::empty(),
        };
        let info = Validator::new(ValidationFlags::all(), capabilities | subgroups)
            .validate(&module)
            .unwrap_or_else(|error| {
                panic!(
                    "{shader}: {}",
                    error.emit_to_string(&shader.text(precision))
                )
            });
        let options = naga::back::spv::Options::default();
        naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
        let options = naga::back::msl::Options {
            lang_version: (2, 4),
            fake_missing_bindings: true,
            ..Default::default()
        };
        let pipeline = naga::back::msl::PipelineOptions::default();
        naga::back::msl::write_string(&module, &info, &options, &pipeline).unwrap();
        let options = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_2,
            ..Default::default()
        };
        let pipeline = naga::back::hlsl::PipelineOptions::default();
        let mut text = String::new();
        let mut writer = naga::back::hlsl::Writer::new(&mut text, &options, &pipeline);
        writer.write(&module, &info, None).unwrap();
        assert!(text.contains("main"));
    }
}

/// Dispatches give a kernel the numbers that its `Kernel` has, by name and in order.
#[test]
fn dispatches_give_kernels_what_they_ask_for() {
    let mut seen = HashSet::new();
    for dispatch in dispatches(Precision::Single) {
        assert!(dispatch.words().len() * 4 <= super::device::SLOT);
        let steps = dispatch.shader.before.len() + dispatch.shader.after.len();
        assert_eq!(dispatch.steps.len(), steps);
        if !seen.insert(dispatch.shader.kernel) {
            continue;
        }
        let module = parsed(&dispatch.shader, Precision::Single);
        let named = |ty: &naga::Type| ty.name.as_deref() == Some("Kernel");
        let (_, kernel) = module.types.iter().find(|(_, ty)| named(ty)).unwrap();
        let naga::TypeInner::Struct { members, .. } = &kernel.inner else {
            panic!("{}", dispatch.shader);
        };
        let asked: Vec<&str> = members.iter().filter_map(|m| m.name.as_deref()).collect();
        let given: Vec<&str> = dispatch.numbers.iter().map(|(name, _)| *name).collect();
        assert_eq!(given, asked, "{}", dispatch.shader);
    }
}

/// The fused halves fit the memory that every device has.
#[test]
fn tiles_fit_the_memory_of_a_workgroup() {
    for width in [4, 8, 16, 32, 64, 128] {
        for dispatch in nafnet(width, least(AdapterKind::Discrete)).dispatches {
            let count = |name: &str| {
                let constants = dispatch.shader.constants.iter();
                let found = constants.clone().find(|(constant, _)| *constant == name);
                match found {
                    Some((_, Constant::Count(count))) => *count as usize,
                    _ => 0,
                }
            };
            if dispatch.shader.kernel == Kernel::Mix {
                let pixels = count("PIXELS") * count("SLOTS");
                assert!(pixels * 16 * count("SHARED") <= LEAST);
            }
        }
    }
}
