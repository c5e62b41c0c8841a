//! Checkpoints made by hand, an opcode at a time.

use std::io::{Cursor, Write};
use std::path::Path;

use super::*;
use crate::progress::Silent;
use crate::weights::tensor::tensor_digest;

/// A Python value, to be pickled in protocol 2.
#[derive(Clone)]
enum V {
    None,
    Bool(bool),
    Int(i64),
    Str(String),
    Bytes(&'static [u8]),
    Tuple(Vec<V>),
    List(Vec<V>),
    Dict(Vec<(V, V)>),
    Global(&'static str, &'static str),
    /// A callable, its arguments, and what is then set in the result.
    Call(Box<V>, Vec<V>, Vec<(V, V)>),
    Built(Box<V>, Box<V>),
    Persistent(Box<V>),
}

impl V {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(b'N'),
            Self::Bool(value) => out.push(0x89 - u8::from(*value)),
            Self::Int(value) => {
                out.extend([0x8a, 8]);
                out.extend(value.to_le_bytes());
            }
            Self::Str(text) => {
                out.push(b'X');
                out.extend((text.len() as u32).to_le_bytes());
                out.extend(text.bytes());
            }
            Self::Bytes(bytes) => {
                out.push(b'B');
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend(*bytes);
            }
            Self::Tuple(items) => {
                out.push(b'(');
                items.iter().for_each(|item| item.put(out));
                out.push(b't');
            }
            Self::List(items) => {
                out.extend(b"](");
                items.iter().for_each(|item| item.put(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'}');
                set_items(entries, out);
            }
            Self::Global(module, name) => out.extend(format!("c{module}\n{name}\n").bytes()),
            Self::Call(callable, args, entries) => {
                callable.put(out);
                Self::Tuple(args.clone()).put(out);
                out.push(b'R');
                set_items(entries, out);
            }
            Self::Built(object, state) => {
                object.put(out);
                state.put(out);
                out.push(b'b');
            }
            Self::Persistent(id) => {
                id.put(out);
                out.push(b'Q');
            }
        }
    }

    fn pickle(&self) -> Vec<u8> {
        let mut out = vec![0x80, 2];
        self.put(&mut out);
        out.push(b'.');
        out
    }
}

fn set_items(entries: &[(V, V)], out: &mut Vec<u8>) {
    if entries.is_empty() {
        return;
    }
    out.push(b'(');
    for (key, value) in entries {
        key.put(out);
        value.put(out);
    }
    out.push(b'u');
}

fn s(text: &str) -> V {
    V::Str(text.to_owned())
}

fn ints(numbers: &[i64]) -> V {
    V::Tuple(numbers.iter().map(|number| V::Int(*number)).collect())
}

fn call(module: &'static str, name: &'static str, args: Vec<V>) -> V {
    V::Call(Box::new(V::Global(module, name)), args, vec![])
}

fn ordered(entries: Vec<(V, V)>) -> V {
    let class = V::Global("collections", "OrderedDict");
    V::Call(Box::new(class), vec![], entries)
}

fn storage(class: &'static str, key: &str, count: i64) -> V {
    let module = if class == "UntypedStorage" {
        "torch.storage"
    } else {
        "torch"
    };
    V::Persistent(Box::new(V::Tuple(vec![
        s("storage"),
        V::Global(module, class),
        s(key),
        s("cpu"),
        V::Int(count),
    ])))
}

fn rebuilt(storage: V, offset: i64, size: &[i64], strides: &[i64]) -> V {
    let args = vec![
        storage,
        V::Int(offset),
        ints(size),
        ints(strides),
        V::Bool(false),
        ordered(vec![]),
    ];
    call("torch._utils", "_rebuild_tensor_v2", args)
}

fn floats(key: &str, count: i64) -> V {
    rebuilt(storage("FloatStorage", key, count), 0, &[count], &[1])
}

/// What is in a ZIP, beside `data.pkl`.
type Members<'a> = &'a [(&'a str, &'a [u8])];

fn zip_of(root: &str, object: &V, members: Members) -> Blob {
    let pickle = object.pickle();
    let all = [&[("data.pkl", &pickle[..])], members].concat();
    let all: Vec<(String, &[u8])> = all
        .iter()
        .map(|(name, bytes)| (format!("{root}/{name}"), *bytes))
        .collect();
    zip_file(&all, ::zip::CompressionMethod::Stored)
}

fn zip_file(members: &[(String, &[u8])], method: ::zip::CompressionMethod) -> Blob {
    let mut out = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = ::zip::write::SimpleFileOptions::default().compression_method(method);
        out.start_file(name, options).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner().into()
}

fn open(blob: &Blob) -> Result<Checkpoint, WeightsError> {
    read(blob, Path::new("x.pth"), &Silent)
}

fn fails(blob: &Blob) -> String {
    open(blob)
        .map(|found| format!("{found:?}"))
        .unwrap_err()
        .to_string()
}

fn tensors(checkpoint: &Checkpoint) -> (&[Tensor], Option<&str>) {
    match &checkpoint.content {
        Content::Tensors { tensors, wrapper } => (tensors, wrapper.as_deref()),
        other => panic!("{other:?}"),
    }
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut take = |piece: &[u8]| {
        bytes.extend(piece);
        Ok(())
    };
    tensor.stream(Path::new("x"), &Silent, &mut take).unwrap();
    bytes
}

fn what(blob: &Blob) -> String {
    match open(blob).unwrap().content {
        Content::Other { what } => what,
        other => panic!("{other:?}"),
    }
}

fn digest(checkpoint: &Checkpoint) -> Digest {
    let (all, _) = tensors(checkpoint);
    let plain = tensor_digest(all, Path::new("x"), &Silent).unwrap();
    let checked = checkpoint.digest(Path::new("x"), &Silent).unwrap();
    assert_eq!(checked, Some(plain));
    plain
}

const EIGHT: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7];

#[test]
fn a_state_dict_is_read() {
    let sixteen: Vec<u8> = (0..16).collect();
    let weight = rebuilt(storage("FloatStorage", "0", 4), 0, &[2, 2], &[1, 2]);
    let shared = rebuilt(storage("FloatStorage", "0", 4), 1, &[3], &[1]);
    let scalar = rebuilt(storage("LongStorage", "1", 1), 0, &[], &[]);
    let empty = rebuilt(storage("HalfStorage", "2", 0), 0, &[0, 4], &[4, 1]);
    let parameter = call(
        "torch._utils",
        "_rebuild_parameter",
        vec![scalar.clone(), V::Bool(true), ordered(vec![])],
    );
    let object = ordered(vec![
        (s("w"), weight),
        (s("shared"), shared),
        (s("n"), scalar),
        (s("p"), parameter),
        (s("e"), empty),
    ]);
    let members: Members = &[
        ("byteorder", b"little"),
        ("data/0", &sixteen),
        ("data/1", EIGHT),
        ("data/2", b""),
    ];
    for root in ["archive", "a b. ", "c:", "con", "é", ".git"] {
        let found = open(&zip_of(root, &object, members)).unwrap();
        assert_eq!(found.layout, Layout::Zip);
        assert_eq!(found.audit.refused(&[]).count(), 0);
        assert_eq!(found.notes, [""; 0]);
        let (all, wrapper) = tensors(&found);
        assert_eq!(wrapper, None);
        let shown: Vec<String> = all
            .iter()
            .map(|t| format!("{} {} {:?}", t.name, t.dtype, t.shape))
            .collect();
        assert_eq!(
            shown,
            [
                "w float32 [2, 2]",
                "shared float32 [3]",
                "n int64 []",
                "p int64 []",
                "e float16 [0, 4]"
            ]
        );
        assert_eq!(
            bytes_of(&all[0]),
            [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
        );
        assert_eq!(bytes_of(&all[1]), sixteen[4..]);
        digest(&found);
    }
}

#[test]
fn deflated_members_and_both_byte_orders_are_the_same_tensors() {
    let object = V::Dict(vec![
        (s("w"), floats("0", 2)),
        (s("b"), {
            rebuilt(storage("BoolStorage", "1", 2), 0, &[2], &[1])
        }),
    ]);
    let pickle = object.pickle();
    let member = |name: &str, bytes| (format!("a/{name}"), bytes);
    let little = [
        member("data.pkl", &pickle[..]),
        member("data/0", EIGHT),
        member("data/1", &[1, 0]),
    ];
    let big = [
        little[0].clone(),
        member("byteorder", b"big"),
        member("data/0", &[3, 2, 1, 0, 7, 6, 5, 4]),
        little[2].clone(),
    ];
    let digest_of = |blob: &Blob| digest(&open(blob).unwrap());
    let wanted = digest_of(&zip_file(&little, ::zip::CompressionMethod::Stored));
    assert_eq!(
        wanted,
        digest_of(&zip_file(&little, ::zip::CompressionMethod::Deflated))
    );
    assert_eq!(
        wanted,
        digest_of(&zip_file(&big, ::zip::CompressionMethod::Stored))
    );
    assert_eq!(
        wanted,
        digest_of(&zip_file(&big, ::zip::CompressionMethod::Deflated))
    );
    let odd = [little[0].clone(), member("byteorder", b"middle")];
    let error = fails(&zip_file(&odd, ::zip::CompressionMethod::Stored));
    assert!(
        error.contains("`a/byteorder`: expected `little` or `big`"),
        "{error}"
    );
    // PyTorch finds members whatever their case.
    let upper = [
        member("DATA.PKL", &pickle[..]),
        little[1].clone(),
        little[2].clone(),
    ];
    assert_eq!(
        wanted,
        digest_of(&zip_file(&upper, ::zip::CompressionMethod::Stored))
    );
}

#[test]
fn untyped_storages_have_the_dtype_of_their_tensor() {
    let v3 = |name| {
        let args = vec![
            storage("UntypedStorage", "0", 8),
            V::Int(1),
            ints(&[2]),
            ints(&[1]),
            V::Bool(false),
            ordered(vec![]),
            V::Global("torch", name),
        ];
        V::Dict(vec![(
            s("w"),
            call("torch._utils", "_rebuild_tensor_v3", args),
        )])
    };
    let found = open(&zip_of("a", &v3("uint16"), &[("data/0", EIGHT)])).unwrap();
    let (all, _) = tensors(&found);
    assert_eq!(
        (all[0].dtype.name(), bytes_of(&all[0])),
        ("uint16", vec![2, 3, 4, 5])
    );
    let found = open(&zip_of("a", &v3("float8_e5m2fnuz"), &[("data/0", EIGHT)])).unwrap();
    assert_eq!(bytes_of(&tensors(&found).0[0]), [1, 2]);
    let found = what(&zip_of("a", &v3("bits8"), &[("data/0", EIGHT)]));
    assert_eq!(
        found,
        "a state dict with a tensor of bits8 (`w`), which this program does not read"
    );
}

#[test]
fn one_wrapper_is_taken_off() {
    let dict =
        |entries: Vec<(&str, V)>| V::Dict(entries.into_iter().map(|(k, v)| (s(k), v)).collect());
    let a = || ordered(vec![(s("w"), floats("0", 2))]);
    let b = || ordered(vec![(s("w"), floats("1", 1)), (s("step"), V::Int(3))]);
    let optimiser = || {
        let state = V::Dict(vec![(V::Int(0), dict(vec![("exp_avg", floats("1", 1))]))]);
        dict(vec![("state", state), ("param_groups", V::List(vec![]))])
    };
    let members: Members = &[("data/0", EIGHT), ("data/1", &EIGHT[..4])];
    let table = [
        (
            dict(vec![
                ("model", a()),
                ("optimizer", optimiser()),
                ("epoch", V::Int(3)),
            ]),
            "model",
        ),
        (
            dict(vec![("params", b()), ("params_ema", a())]),
            "params_ema",
        ),
        (
            dict(vec![
                ("lr", V::Int(1)),
                ("my_net", a()),
                ("optimizer", optimiser()),
            ]),
            "my_net",
        ),
        (
            dict(vec![("state_dict", a()), ("loss", floats("1", 1))]),
            "state_dict",
        ),
        (
            dict(vec![("model", V::None), ("state_dict", a())]),
            "state_dict",
        ),
    ];
    for (object, wrapper) in table {
        let found = open(&zip_of("a", &object, members)).unwrap();
        let (all, found) = tensors(&found);
        assert_eq!((all.len(), all[0].elements(), found), (1, 2, Some(wrapper)));
    }
    let both = dict(vec![("params", b()), ("params_ema", a())]);
    let found = open(&zip_of("a", &both, members)).unwrap();
    assert_eq!(
        found.notes,
        ["the tensors of `params_ema` are taken; those of `params` are not"]
    );
    let found = open(&zip_of("a", &b(), members)).unwrap();
    assert_eq!(
        found.notes,
        ["`step` is an integer, no tensor, and is passed over"]
    );
    let several = dict(vec![("g", a()), ("d", b())]);
    assert_eq!(
        what(&zip_of("a", &several, members)),
        "a dict with several sets of tensors (`g`, `d`)"
    );
    let nested = dict(vec![("model", dict(vec![("state_dict", a())]))]);
    assert_eq!(
        what(&zip_of("a", &nested, members)),
        "a dict without tensors"
    );
    // The same key twice: the last counts, as in Python.
    let twice = V::Dict(vec![(s("w"), floats("1", 1)), (s("w"), floats("0", 2))]);
    let found = open(&zip_of("a", &twice, members)).unwrap();
    assert_eq!(
        (tensors(&found).0.len(), tensors(&found).0[0].elements()),
        (1, 2)
    );
}

#[test]
fn arguments_beside_the_weights_are_given() {
    let state = V::Dict(vec![
        (s("num_classes"), V::Int(2)),
        (s("class_names"), V::List(vec![s("rod"), s("debris")])),
        (s("encoder"), s("dinov2")),
        (s("lr"), V::None),
    ]);
    let args = V::Built(
        Box::new(call("argparse", "Namespace", vec![])),
        Box::new(state),
    );
    let model = ordered(vec![(s("w"), floats("0", 2))]);
    let object = V::Dict(vec![(s("model"), model), (s("args"), args)]);
    let found = open(&zip_of("a", &object, &[("data/0", EIGHT)])).unwrap();
    assert_eq!(found.audit.refused(&[]).count(), 0);
    assert_eq!(
        found.arguments,
        [
            ("num_classes".to_owned(), Argument::Int(2)),
            (
                "class_names".to_owned(),
                Argument::Texts(vec!["rod".to_owned(), "debris".to_owned()])
            ),
            ("encoder".to_owned(), Argument::Text("dinov2".to_owned())),
        ]
    );
}

#[test]
fn what_is_no_state_dict_is_named() {
    let module = |class| {
        let state = V::Dict(vec![
            (s("training"), V::Bool(true)),
            (s("_parameters"), ordered(vec![(s("w"), floats("0", 2))])),
            (s("_modules"), ordered(vec![])),
        ]);
        V::Built(
            Box::new(V::Call(Box::new(class), vec![], vec![])),
            Box::new(state),
        )
    };
    let members: Members = &[("data/0", EIGHT)];
    let reconstructed = call(
        "copy_reg",
        "_reconstructor",
        vec![
            V::Global("lab.nets", "Net"),
            V::Global("__builtin__", "object"),
            V::None,
        ],
    );
    let state = V::Dict(vec![
        (s("_parameters"), V::Dict(vec![])),
        (s("_modules"), V::Dict(vec![])),
    ]);
    for object in [
        module(V::Global("lab.nets", "Net")),
        V::Dict(vec![(s("model"), module(V::Global("lab.nets", "Net")))]),
        V::Built(Box::new(reconstructed), Box::new(state)),
    ] {
        let found = open(&zip_of("a", &object, members)).unwrap();
        let Content::Module { class } = &found.content else {
            panic!("{found:?}");
        };
        assert_eq!(class.to_string(), "lab.nets.Net");
        assert_ne!(found.audit.refused(&[]).count(), 0);
        assert_eq!(found.audit.refused(&["lab.nets.Net".to_owned()]).count(), 0);
    }
    for (object, is) in [
        (V::List(vec![]), "a list"),
        (floats("0", 2), "a single tensor"),
        (V::Dict(vec![(s("a"), V::None)]), "a dict without tensors"),
        (ordered(vec![]), "a dict without tensors"),
        (
            call("argparse", "Namespace", vec![]),
            "an object of `argparse.Namespace`",
        ),
    ] {
        assert_eq!(what(&zip_of("a", &object, members)), is);
    }
    let script = zip_of(
        "a",
        &V::None,
        &[("constants.pkl", &V::Tuple(vec![]).pickle())],
    );
    assert!(matches!(
        open(&script).unwrap().content,
        Content::TorchScript
    ));
    let package = zip_of("a", &V::None, &[(".data/extern_modules", b"sys\n")]);
    assert_eq!(what(&package), "a package of `torch.package`");
}

#[test]
fn tensors_that_are_not_read_are_named() {
    let metadata = V::Dict(vec![(s("conj"), V::Bool(true))]);
    let mut args = vec![
        storage("ComplexFloatStorage", "0", 1),
        V::Int(0),
        ints(&[1]),
        ints(&[1]),
        V::Bool(false),
        ordered(vec![]),
    ];
    args.push(metadata);
    let lazy = call("torch._utils", "_rebuild_tensor_v2", args);
    let subclass = call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        vec![
            V::Global("torch._utils", "_rebuild_tensor_v2"),
            V::Global("lab", "Special"),
            V::Tuple(vec![]),
            V::Dict(vec![]),
        ],
    );
    for (value, is) in [
        (
            lazy,
            "a tensor that is conjugated or negated only when it is used",
        ),
        (subclass, "a tensor of the subclass `lab.Special`"),
        (
            call("torch._utils", "_rebuild_qtensor", vec![]),
            "a quantised tensor",
        ),
        (
            call("torch._utils", "_rebuild_sparse_tensor", vec![]),
            "a sparse tensor",
        ),
        (
            call("torch._utils", "_rebuild_wrapper_subclass", vec![]),
            "a tensor subclass that wraps others",
        ),
        (
            rebuilt(storage("QInt8Storage", "0", 8), 0, &[8], &[1]),
            "a tensor of qint8",
        ),
    ] {
        let object = V::Dict(vec![(s("w"), value)]);
        let found = what(&zip_of("a", &object, &[("data/0", EIGHT)]));
        assert_eq!(
            found,
            format!("a state dict with {is} (`w`), which this program does not read")
        );
    }
    // A tensor with attributes is a tensor.
    let V::Call(_, plain, _) = floats("0", 2) else {
        unreachable!();
    };
    let with_attributes = call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        vec![
            V::Global("torch._utils", "_rebuild_tensor_v2"),
            V::Global("torch", "Tensor"),
            V::Tuple(plain),
            V::Dict(vec![(s("note"), s("x"))]),
        ],
    );
    let object = V::Dict(vec![(s("w"), with_attributes)]);
    let found = open(&zip_of("a", &object, &[("data/0", EIGHT)])).unwrap();
    assert_eq!(bytes_of(&tensors(&found).0[0]), EIGHT);
}

#[test]
fn what_does_not_fit_is_damage() {
    let float = |count| storage("FloatStorage", "0", count);
    let w = |tensor| V::Dict(vec![(s("w"), tensor)]);
    let data: Members = &[("data/0", EIGHT)];
    let huge = 1 << 62;
    let two_names = V::Dict(vec![
        (s("w"), floats("0", 2)),
        (
            s("x"),
            rebuilt(storage("HalfStorage", "0", 4), 0, &[4], &[1]),
        ),
    ]);
    let table = [
        (
            w(rebuilt(float(3), 0, &[2], &[1])),
            data,
            "its storage `a/data/0` should have 12 bytes, and has 8",
        ),
        (
            w(rebuilt(float(huge), 0, &[2], &[1])),
            data,
            "should have more than 64 bits count bytes",
        ),
        (
            w(rebuilt(float(2), 0, &[3], &[1])),
            data,
            "reach up to byte 12 of a storage of 8",
        ),
        (
            w(rebuilt(float(2), 1, &[2], &[1])),
            data,
            "reach up to byte 12 of a storage of 8",
        ),
        (
            w(rebuilt(float(2), 0, &[2], &[-1])),
            data,
            "not negative, found -1",
        ),
        (
            w(rebuilt(float(2), -1, &[2], &[1])),
            data,
            "not negative, found -1",
        ),
        (
            w(rebuilt(float(2), 0, &[huge, huge], &[0, 0])),
            data,
            "beyond what 64 bits",
        ),
        (
            w(rebuilt(float(2), 0, &[1 << 40], &[0])),
            data,
            "they overlap too often",
        ),
        (
            w(rebuilt(float(2), 0, &[2, 1], &[1])),
            data,
            "2 dimensions and 1 strides",
        ),
        (
            w(rebuilt(float(2), 0, &[1; 65], &[1; 65])),
            data,
            "has 65 dimensions",
        ),
        (
            w(rebuilt(V::None, 0, &[2], &[1])),
            data,
            "expected a storage, found None",
        ),
        (
            w(rebuilt(storage("HugeStorage", "0", 2), 0, &[2], &[1])),
            data,
            "expected a storage class, found `torch.HugeStorage`",
        ),
        (
            w(floats("1", 2)),
            data,
            "its storage `a/data/1` is not in the file",
        ),
        (
            two_names,
            data,
            "the storage `0` is declared as 2 of float32 and as 4 of float16",
        ),
        (
            w(call("torch._utils", "_rebuild_tensor_v2", vec![V::None])),
            data,
            "needs at least 4 arguments, and has 1",
        ),
        (
            w(call("torch._utils", "_rebuild_parameter", vec![V::None])),
            data,
            "expected the call that builds a tensor",
        ),
    ];
    for (object, members, reason) in table {
        let error = fails(&zip_of("a", &object, members));
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(error.contains("`a/data.pkl`, at byte "), "{error}");
    }
}

/// Whatever becomes of a storage, PyTorch makes it, of as many bytes as its persistent id says.
#[test]
fn every_persistent_id_fits_the_file() {
    let id = |parts: Vec<V>| V::Persistent(Box::new(V::Tuple(parts)));
    let parts = |kind: V, key: V, location: V, count: i64| {
        let class = V::Global("torch", "FloatStorage");
        vec![kind, class, key, location, V::Int(count)]
    };
    let good = |key: V, count: i64| parts(s("storage"), key, s("cpu"), count);
    let members: [(&str, &[u8]); 2] = [("data/0", EIGHT), ("data/1", EIGHT)];
    // Beside a state dict, popped; as the object itself, and in it.
    let file = |odd: &V| {
        let mut pickle = vec![0x80, 2];
        odd.put(&mut pickle);
        pickle.push(b'0');
        V::Dict(vec![(s("w"), floats("0", 2))]).put(&mut pickle);
        pickle.push(b'.');
        let mut all = vec![("x/data.pkl".to_owned(), &pickle[..])];
        all.extend(members.map(|(name, bytes)| (format!("x/{name}"), bytes)));
        zip_file(&all, ::zip::CompressionMethod::Stored)
    };
    assert!(open(&file(&id(good(s("1"), 2)))).is_ok());
    let long = "1".repeat(300);
    let module = vec![s("module"), s("x"), V::None];
    for (odd, reason) in [
        (id(good(s("1"), 3)), "should have 12 bytes, and has 8"),
        (id(good(s("2"), 2)), "`x/data/2` is not in the file"),
        (
            id(parts(V::Bytes(b"storage"), s("1"), s("cpu"), 2)),
            "not that of a storage",
        ),
        (
            id(parts(s("storage"), V::Bytes(b"1"), s("cpu"), 2)),
            "expected the key of a storage",
        ),
        (
            id(parts(s("storage"), s("1"), V::Bytes(b"cpu"), 2)),
            "the location of a storage is no text",
        ),
        (id(good(s(&long), 2)), "more than 256 bytes"),
        (id(vec![]), "not that of a storage"),
        (id(module), "not that of a storage"),
        (
            V::Persistent(Box::new(V::List(good(s("1"), 2)))),
            "a persistent id that is a tuple, found a list",
        ),
        (V::Persistent(Box::new(s("1"))), "a tuple, found a text"),
    ] {
        for blob in [
            file(&odd),
            zip_of("x", &odd, &members),
            zip_of("x", &V::List(vec![odd.clone()]), &members),
        ] {
            let error = fails(&blob);
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
    // In the legacy layout as well.
    let counted = [&2_u64.to_le_bytes()[..], EIGHT].concat();
    let object = V::Tuple(vec![floats("0", 2), floats("1", 2)]);
    let error = fails(&legacy_of(&object, &["0"], &[&counted]));
    assert!(
        error.contains("its storage `1` is not in the file"),
        "{error}"
    );
}

#[test]
fn tensors_are_built_from_storages_and_tensors() {
    let utils = |name, args| call("torch._utils", name, args);
    let cpu = |data| {
        let name = "_rebuild_device_tensor_from_cpu_tensor";
        utils(name, vec![data, V::None, s("xla"), V::Bool(false)])
    };
    let parameter = |data| utils("_rebuild_parameter", vec![data, V::Bool(false), V::None]);
    let typed = |function, args| {
        let function = V::Global("torch._utils", function);
        let of = V::Global("torch", "Tensor");
        call(
            "torch._tensor",
            "_rebuild_from_type_v2",
            vec![function, of, args, V::None],
        )
    };
    let name = "_rebuild_device_tensor_from_cpu_tensor";
    let odd = || {
        let made = call("argparse", "Namespace", vec![]);
        let state = V::Dict(vec![(s("to"), V::Global("torch", "Size"))]);
        V::Built(Box::new(made), Box::new(state))
    };
    let refused = |value: &V| {
        let blob = zip_of("x", &V::List(vec![value.clone()]), &[("data/0", EIGHT)]);
        let found = open(&blob).unwrap();
        let faults = found.audit.findings.iter().map(|finding| &finding.fault);
        faults
            .filter(|fault| matches!(fault, audit::Fault::Unsound { .. }))
            .count()
    };
    let good = || floats("0", 2);
    for value in [
        good(),
        parameter(good()),
        cpu(parameter(good())),
        typed(name, V::Tuple(vec![good()])),
        utils("_rebuild_nested_tensor", vec![good(), good()]),
    ] {
        assert_eq!(refused(&value), 0);
    }
    for value in [
        cpu(odd()),
        parameter(odd()),
        parameter(V::Dict(vec![])),
        rebuilt(odd(), 0, &[2], &[1]),
        typed(name, V::Tuple(vec![odd()])),
        typed(name, odd()),
        utils("_rebuild_nested_tensor", vec![good(), odd()]),
    ] {
        assert_eq!(refused(&value), 1);
    }
}

/// Dicts, or the metadata of tensors, that are made of one list take no longer than the list and the dicts do.
#[test]
fn what_many_dicts_share_is_looked_at_once() {
    const MANY: usize = 30_000;
    let mut shared = vec![0x80, 2];
    let list = V::List(vec![V::Tuple(vec![V::None, V::None]); MANY]);
    V::Tuple(vec![list]).put(&mut shared);
    shared.extend(b"q\x010");
    V::Global("collections", "OrderedDict").put(&mut shared);
    shared.extend(b"q\x020");
    s(&"k".repeat(1 << 20)).put(&mut shared);
    shared.extend(b"q\x030");
    storage("FloatStorage", "0", 2).put(&mut shared);
    shared.extend(b"q\x040");
    V::Global("torch._utils", "_rebuild_tensor_v2").put(&mut shared);
    shared.extend(b"q\x050}(");
    let dict = b"h\x02h\x01R";
    let named = |index: usize, value: &[u8]| {
        let mut entry = Vec::new();
        s(&index.to_string()).put(&mut entry);
        entry.extend(value);
        entry
    };
    let tensor = {
        let mut call = b"h\x05(h\x04".to_vec();
        for arg in [V::Int(0), ints(&[2]), ints(&[1]), V::Bool(false)] {
            arg.put(&mut call);
        }
        call.extend(b"Nh\x06tR");
        call
    };
    let entries: [(&str, Vec<u8>); 4] = [
        ("dicts", (0..MANY).flat_map(|n| named(n, dict)).collect()),
        (
            "beside tensors",
            [
                named(MANY, &tensor),
                (0..MANY).flat_map(|n| named(n, dict)).collect(),
            ]
            .concat(),
        ),
        (
            "metadata",
            (0..MANY).flat_map(|n| named(n, &tensor)).collect(),
        ),
        ("names", b"h\x03N".repeat(MANY)),
    ];
    // Quadratic, each of them would be 900 million steps, or more.
    let start = std::time::Instant::now();
    for (name, entries) in entries {
        let metadata = [&dict[..], b"q\x060"].concat();
        let at = shared.len() - 2;
        let pickle = [&shared[..at], &metadata, b"}(", &entries, b"u."].concat();
        let members = [
            ("x/data.pkl".to_owned(), &pickle[..]),
            ("x/data/0".to_owned(), EIGHT),
        ];
        let read = open(&zip_file(&members, ::zip::CompressionMethod::Stored));
        assert!(read.is_ok(), "{name}: {read:?}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_zip_is_audited_in_every_member() {
    let object = V::Dict(vec![(s("w"), floats("0", 2))]);
    let system = call("posix", "system", vec![s("true")]).pickle();
    let pickle = object.pickle();
    let twice = [&pickle[..], &system].concat();
    let error = fails(&zip_file(
        &[("a/data.pkl".to_owned(), &twice[..])],
        ::zip::CompressionMethod::Stored,
    ));
    assert!(
        error.contains("bytes follow the pickle, and nothing should"),
        "{error}"
    );
    for name in [
        "data/1",
        "version",
        ".data/x",
        "code/__torch__.py",
        "extra.pkl",
    ] {
        let found = open(&zip_of("a", &object, &[("data/0", EIGHT), (name, &system)])).unwrap();
        let findings: Vec<_> = found.audit.refused(&[]).collect();
        assert_eq!(findings.len(), 1, "{name}");
        assert_eq!(findings[0].member.as_deref(), Some(&*format!("a/{name}")));
        assert!(found.audit.globals.contains("posix.system"));
    }
    // Numbers that happen to be an extension code are no reason to refuse a storage.
    let chance = b"\x82\x05.abcde";
    let found = open(&zip_of("a", &object, &[("data/0", chance)])).unwrap();
    assert_eq!(found.audit.findings, []);
    let found = open(&zip_of("a", &object, &[("data/0", EIGHT), ("x", chance)])).unwrap();
    assert_eq!(found.audit.findings.len(), 1);
    // Outside of the folder as well.
    let outside = [
        ("a/data.pkl".to_owned(), &pickle[..]),
        ("a/data/0".to_owned(), EIGHT),
        ("b/data.pkl".to_owned(), &system),
    ];
    let found = open(&zip_file(&outside, ::zip::CompressionMethod::Deflated)).unwrap();
    assert_eq!(found.audit.refused(&[]).count(), 1);
    let cut = [("a/data.pkl".to_owned(), &system[..system.len() - 1])];
    let error = fails(&zip_file(&cut, ::zip::CompressionMethod::Stored));
    assert!(error.contains("it names `posix.system`"), "{error}");
}

#[test]
fn damaged_zips_are_refused() {
    let object = V::Dict(vec![(s("w"), floats("0", 2))]);
    let whole = zip_of("a", &object, &[("data/0", EIGHT)]);
    let bytes = whole.read(u64::MAX).unwrap();
    for cut in [4, 30, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(open(&bytes[..cut].to_vec().into()).is_err(), "{cut}");
    }
    let at = bytes.windows(8).position(|window| window == EIGHT).unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    let found = open(&changed.into()).unwrap();
    let error = found
        .digest(Path::new("x"), &Silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("in `a/data/0`: its CRC-32 should be"),
        "{error}"
    );
    let at = bytes
        .windows(8)
        .position(|window| window == b"_rebuild")
        .unwrap();
    let mut changed = bytes;
    changed[at] = b'x';
    let error = fails(&changed.into());
    assert!(
        error.contains("in `a/data.pkl`: its CRC-32 should be"),
        "{error}"
    );
    let stray = [("data.pkl".to_owned(), &b"N."[..])];
    // PyTorch wants a folder, and `data.pkl` in it; any other ZIP is no checkpoint.
    let none = [("a/x".to_owned(), &b"N."[..])];
    for members in [stray, none] {
        let file = zip_file(&members, ::zip::CompressionMethod::Stored);
        let read = read(&file, Path::new("x"), &Silent).unwrap();
        assert!(matches!(read.content, Content::Other { .. }), "{read:?}");
    }
}

/// The legacy layout of an object, its storages' keys, and what follows.
fn legacy_of(object: &V, keys: &[&str], data: &[&[u8]]) -> Blob {
    let mut bytes = vec![0x80, 2, 0x8a, 10];
    bytes.extend([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
    bytes.push(b'.');
    bytes.extend(V::Int(1001).pickle());
    bytes.extend(V::Dict(vec![(s("little_endian"), V::Bool(true))]).pickle());
    bytes.extend(object.pickle());
    bytes.extend(V::List(keys.iter().map(|key| s(key)).collect()).pickle());
    data.iter().for_each(|data| bytes.extend(*data));
    bytes.into()
}

fn legacy_storage(class: &'static str, key: &str, count: i64, view: V) -> V {
    V::Persistent(Box::new(V::Tuple(vec![
        s("storage"),
        V::Global("torch", class),
        s(key),
        s("cpu"),
        V::Int(count),
        view,
    ])))
}

#[test]
fn the_legacy_layout_is_read() {
    let whole = || legacy_storage("HalfStorage", "7", 4, V::None);
    let view = V::Tuple(vec![s("8"), V::Int(1), V::Int(2)]);
    let viewed = legacy_storage("HalfStorage", "7", 4, view);
    let object = ordered(vec![
        (s("w"), rebuilt(whole(), 0, &[2, 2], &[2, 1])),
        (s("v"), rebuilt(viewed, 1, &[1], &[1])),
        (
            s("b"),
            rebuilt(
                legacy_storage("ByteStorage", "3", 1, V::None),
                0,
                &[1],
                &[1],
            ),
        ),
    ]);
    let one = [1, 0, 0, 0, 0, 0, 0, 0, 9];
    let four = [&[4, 0, 0, 0, 0, 0, 0, 0], EIGHT].concat();
    let blob = legacy_of(&object, &["3", "7"], &[&one, &four]);
    let found = open(&blob).unwrap();
    assert_eq!(found.layout, Layout::Legacy);
    assert_eq!(found.audit.refused(&[]).count(), 0);
    let (all, _) = tensors(&found);
    assert_eq!(bytes_of(&all[0]), EIGHT);
    assert_eq!(bytes_of(&all[1]), [4, 5]);
    assert_eq!(bytes_of(&all[2]), [9]);
    digest(&found);
    for (keys, data, reason) in [
        (
            &["3", "7"][..],
            &[&one[..], &four, b"x"][..],
            "1 bytes follow the last storage",
        ),
        (
            &["3", "7"],
            &[&one, &four[..15]],
            "the file ends before its 4 elements do",
        ),
        (&["3", "7"], &[&one, &four[..7]], "the file ends before it"),
        (&["7", "3"], &[&one, &four], "expected 4 elements, found 1"),
        (&["3"], &[&one], "its storage `7` is not in the file"),
        (&["3", "7", "3"], &[&one, &four, &one], "it is there twice"),
        (
            &["3", "9", "7"],
            &[&one, &one, &four],
            "the file has it, but no tensor uses it",
        ),
    ] {
        let error = fails(&legacy_of(&object, keys, data));
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let view = V::Tuple(vec![s("8"), V::Int(3), V::Int(2)]);
    let beyond = legacy_storage("HalfStorage", "7", 4, view);
    let object = ordered(vec![(s("v"), rebuilt(beyond, 0, &[1], &[1]))]);
    let error = fails(&legacy_of(&object, &["7"], &[&four]));
    assert!(
        error.contains("its view reaches beyond its storage"),
        "{error}"
    );
}

#[test]
fn every_stream_of_the_legacy_layout_is_audited() {
    let system = || call("posix", "system", vec![s("true")]);
    let found = open(&legacy_of(&V::List(vec![system()]), &[], &[])).unwrap();
    assert_ne!(found.audit.refused(&[]).count(), 0);
    let hidden = [&15_u64.to_le_bytes()[..], b"cposix\nsystem\n."].concat();
    let object = V::Dict(vec![(
        s("w"),
        rebuilt(
            legacy_storage("ByteStorage", "0", 15, V::None),
            0,
            &[15],
            &[1],
        ),
    )]);
    let found = open(&legacy_of(&object, &["0"], &[&hidden])).unwrap();
    assert_eq!(found.audit.refused(&[]).count(), 1);
    assert_eq!(layout(&system().pickle().into()).unwrap(), None);
    let error = fails(&system().pickle().into());
    assert!(
        error.contains("does not begin with PyTorch's magic number"),
        "{error}"
    );
}

#[test]
fn whole_modules_of_the_legacy_layout_are_recognised() {
    let class = V::Tuple(vec![
        s("module"),
        V::Global("lab.nets", "Net"),
        s("nets.py"),
        s("class Net: ..."),
    ]);
    let state = V::Dict(vec![
        (s("_parameters"), V::Dict(vec![])),
        (s("_modules"), V::Dict(vec![])),
    ]);
    let made = V::Call(Box::new(V::Persistent(Box::new(class))), vec![], vec![]);
    let object = V::Built(Box::new(made), Box::new(state));
    let found = open(&legacy_of(&object, &[], &[])).unwrap();
    assert!(matches!(found.content, Content::Module { class } if &*class.name == "Net"));
}

fn tar_member(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut head = vec![0; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    head[156] = kind;
    head[148..156].fill(b' ');
    let sum: u64 = head.iter().map(|byte| u64::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head.extend(bytes);
    head.resize(head.len().next_multiple_of(512), 0);
    head
}

fn tar_of(members: &[(&str, u8, &[u8])]) -> Blob {
    let mut bytes: Vec<u8> = members
        .iter()
        .flat_map(|(name, kind, bytes)| tar_member(name, *kind, bytes))
        .collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes.into()
}

#[test]
fn the_tar_layout_is_audited_to_its_end() {
    let class = V::Global("torch", "FloatStorage");
    let storages = [
        V::Int(1).pickle(),
        V::Tuple(vec![V::Int(5), s("cpu"), class]).pickle(),
        2_u64.to_le_bytes().to_vec(),
        EIGHT.to_vec(),
        V::List(vec![]).pickle(),
    ]
    .concat();
    let tensors = [
        V::Int(1).pickle(),
        V::Tuple(vec![
            V::Int(6),
            V::Int(5),
            V::Global("torch", "FloatTensor"),
        ])
        .pickle(),
        vec![1, 0, 0, 0, 9, 9, 9, 9],
        vec![0; 24],
    ]
    .concat();
    let object = ordered(vec![(s("w"), V::Persistent(Box::new(V::Int(6))))]).pickle();
    let times = b"30 mtime=1479000000.123456789\n";
    assert_eq!(times.len(), 30);
    let tar = |storages: &[u8], tensors: &[u8], object: &[u8], more: (&str, u8, &[u8])| {
        tar_of(&[
            ("./PaxHeaders/x", b'x', times),
            ("sys_info", b'0', &V::Dict(vec![]).pickle()),
            ("pickle", b'0', object),
            ("tensors", 0, tensors),
            ("storages", b'0', storages),
            more,
        ])
    };
    let none = ("more", b'0', &b""[..]);
    let whole = tar(&storages, &tensors, &object, none);
    assert_eq!(layout(&whole).unwrap(), Some(Layout::Tar));
    let found = open(&whole).unwrap();
    assert_eq!(found.layout, Layout::Tar);
    assert!(what(&whole).contains("load it with PyTorch and save it again"));
    let system = call("posix", "system", vec![s("true")]).pickle();
    let views = [
        &storages[..storages.len() - V::List(vec![]).pickle().len()],
        &system,
    ]
    .concat();
    for (name, blob) in [
        ("storages", tar(&views, &tensors, &object, none)),
        ("pickle", tar(&storages, &tensors, &system, none)),
        (
            "more",
            tar(&storages, &tensors, &object, ("more", b'0', &system)),
        ),
    ] {
        let found = open(&blob).unwrap();
        let members: Vec<_> = found.audit.refused(&[]).map(|f| f.member.clone()).collect();
        assert!(members.contains(&Some(name.into())), "{name}: {members:?}");
    }
    let more = |bytes: &[u8]| [bytes, b"x"].concat();
    for (blob, reason) in [
        (
            tar(&more(&storages), &tensors, &object, none),
            "in `storages`, at byte",
        ),
        (
            tar(&storages, &more(&tensors), &object, none),
            "1 bytes follow its data",
        ),
        (
            tar(&storages, &tensors[..tensors.len() - 1], &object, none),
            "ends in the middle of its data",
        ),
        (
            tar(&storages, &tensors, &more(&object), none),
            "1 bytes follow its data",
        ),
        (
            tar(&storages, &tensors, &object, ("pickle", b'0', &object)),
            "is there twice",
        ),
        (
            tar(&storages, &tensors, &object, ("link", b'2', b"")),
            "expected a regular file",
        ),
        (
            tar(
                &storages,
                &tensors,
                &object,
                ("x", b'x', b"15 path=pickle\n"),
            ),
            "changes more than times",
        ),
        (
            tar(&storages, &tensors, &object, ("x", b'x', b"99 mtime=1\n")),
            "extended header is damaged",
        ),
        (
            tar_of(&[("sys_info", b'0', b"N.")]),
            "this tar has no member `storages`",
        ),
    ] {
        let error = fails(&blob);
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let bytes = whole.read(u64::MAX).unwrap();
    for cut in [513, 1000, 1700] {
        assert!(open(&bytes[..cut].to_vec().into()).is_err(), "{cut}");
    }
    let after = [&bytes[..], b"x"].concat();
    assert!(fails(&after.into()).contains("something follows the end"));
}

/// `torch.load` asks tarfile first, which reads more in a checksum than tar writes there.
#[test]
fn whatever_tarfile_takes_for_a_header_is_no_other_layout() {
    type Field<'a> = &'a dyn Fn(i64, i64) -> Vec<u8>;
    // Its name begins the five pickles of the legacy layout; in the third, a text runs on behind the tar.
    let start = [
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        &b"\x80\x02}X\x01\0\0\0aB\xe4\x03\0\0"[..],
    ]
    .concat();
    let with = |start: &[u8], field: Field| {
        let mut bytes = tar_member("", b'0', b"");
        bytes[..start.len()].copy_from_slice(start);
        let others = || bytes[..148].iter().chain(&bytes[156..512]);
        let unsigned = 256 + others().map(|byte| i64::from(*byte)).sum::<i64>();
        let signed = 256 + others().map(|byte| i64::from(*byte as i8)).sum::<i64>();
        let field = field(unsigned, signed);
        bytes[148..148 + field.len()].copy_from_slice(&field);
        bytes.resize(512 + 1024, 0);
        Blob::from(bytes)
    };
    let negative = [&start[..], &[0x80; 40]].concat();
    let fields: [(&[u8], Field); 8] = [
        (&start, &|sum, _| format!("\x1c{sum:06o}\0").into()),
        (&start, &|sum, _| format!("{sum:06o}\x1f\0").into()),
        (&start, &|sum, _| format!("\x0b0o{sum:o}\0").into()),
        (&start, &|sum, _| format!("{sum:06o}??").into()),
        (&start, &|_, sum| format!("\t+{sum:o}\0").into()),
        (&start, &|sum, _| {
            [&[0x80], &sum.to_be_bytes()[1..]].concat()
        }),
        (&negative, &|_, sum| {
            assert!(sum < 0);
            sum.to_be_bytes().to_vec()
        }),
        (&negative, &|_, sum| format!(" -{:o}\0", -sum).into()),
    ];
    for (index, (start, field)) in fields.into_iter().enumerate() {
        let blob = with(start, field);
        assert_eq!(layout(&blob).unwrap(), Some(Layout::Tar), "{index}");
        assert!(
            fails(&blob).contains("checksum of a header is wrong"),
            "{index}"
        );
    }
    // What tarfile takes for no number is no tar to us either.
    let other = with(&start, &|sum, _| format!("{:06o}\0", sum + 1).into());
    assert_eq!(layout(&other).unwrap(), Some(Layout::Legacy));
    let blank = with(&start, &|sum, _| format!("\u{a0}{sum:o}\0").into());
    assert!(open(&blank).is_err());
}

/// A file that PyTorch wrote; `tests/fixtures/weights/make_torch.py` says how.
fn real(path: &str) -> Checkpoint {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = if path.contains('/') {
        "examples"
    } else {
        "tests/fixtures/weights"
    };
    open(&Blob::open(&root.join(folder).join(path)).unwrap())
        .unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_digest_is_the_same_in_every_layout_and_after_saving_again() {
    let safetensors = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        let blob = Blob::open(&root.join(name)).unwrap();
        let found = crate::weights::safetensors::read(&blob).unwrap();
        tensor_digest(&found.tensors, Path::new("x"), &Silent).unwrap()
    };
    let groups: [(&str, &[&str]); 3] = [
        (
            "views.safetensors",
            &[
                "views_protocol2.pth",
                "views_protocol3.pth",
                "views_protocol4.pth",
                "views_protocol5.pth",
                "views_legacy.pth",
                "views_wrapped.pth",
                "views_without_crc.pth",
                "views_deflated.pth",
            ],
        ),
        ("dtypes.safetensors", &["dtypes.pth", "dtypes_legacy.pth"]),
        (
            "bf_focus_v3.safetensors",
            &["rods/models/bf_focus_v3.pth", "bf_focus_v3_legacy.pth"],
        ),
    ];
    for (wanted, files) in groups {
        for name in files {
            let found = real(name);
            assert_eq!(found.audit.findings, [], "{name}");
            assert_eq!(found.notes, [""; 0], "{name}");
            assert_eq!(digest(&found), safetensors(wanted), "{name}");
        }
    }
    let half = real("bf_focus_v3_fp16.pth");
    assert_ne!(digest(&half), safetensors("bf_focus_v3.safetensors"));
    let wrapped = real("views_wrapped.pth");
    assert_eq!(tensors(&wrapped).1, Some("state_dict"));
    assert_eq!(
        wrapped.arguments[0],
        ("num_classes".to_owned(), Argument::Int(2))
    );
}

#[test]
fn what_pytorch_writes_beside_state_dicts_is_recognised() {
    for name in ["module.pth", "module_legacy.pth"] {
        let found = real(name);
        let Content::Module { class } = &found.content else {
            panic!("{found:?}");
        };
        assert_eq!(class.to_string(), "torch.nn.modules.container.Sequential");
        assert_ne!(found.audit.refused(&[]).count(), 0, "{name}");
    }
    assert!(matches!(real("script.pt").content, Content::TorchScript));
    let tar = real("layout.tar.pth");
    assert_eq!(tar.layout, Layout::Tar);
    assert_eq!(tar.audit.findings, []);
    for (name, is) in [
        ("quantised.pth", "a quantised tensor"),
        ("sparse.pth", "a sparse tensor"),
    ] {
        let Content::Other { what } = real(name).content else {
            panic!("{name}");
        };
        assert!(what.contains(is), "{what}");
    }
    for name in [
        "fl_focus_v3",
        "unet_segm",
        "resnet_classifier",
        "oof_detector_rfdetr",
        "sc_segmenter",
    ] {
        let found = real(&format!("rods/models/{name}.pth"));
        assert_eq!(found.audit.refused(&[]).count(), 0, "{name}");
        assert!(!tensors(&found).0.is_empty());
        digest(&found);
    }
}

/// The file is sparse: only Linux makes such without a word.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_more_than_4_gib_is_read() {
    use std::os::unix::fs::FileExt;
    let parts = include_bytes!("../../../tests/fixtures/weights/larger_than_4gib.parts");
    let mut parts = parts.as_slice();
    let number = |from: &mut &[u8]| {
        let (head, rest) = from.split_first_chunk().unwrap();
        *from = rest;
        u64::from_le_bytes(*head)
    };
    let file = tempfile::tempfile().unwrap();
    let size = number(&mut parts);
    file.set_len(size).unwrap();
    while !parts.is_empty() {
        let (offset, length) = (number(&mut parts), number(&mut parts));
        let (part, rest) = parts.split_at(length as usize);
        file.write_all_at(part, offset).unwrap();
        parts = rest;
    }
    let blob = Blob::of_file(std::sync::Arc::new(file), 0..size);
    let found = open(&blob).unwrap();
    let (all, _) = tensors(&found);
    assert_eq!((all[0].size(), all[1].size()), (9 << 29, 12));
}
