//! Graphs put together by hand, as numpy makes them, and as it must not be made to.

use super::*;

/// A graph that grows.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn text(&mut self, text: &str) -> NodeId {
        self.add(Node::Str(text.into()))
    }

    fn bytes(&mut self, bytes: &[u8]) -> NodeId {
        self.add(Node::Bytes(bytes.into()))
    }

    fn ints<const N: usize>(&mut self, ints: [i64; N]) -> [NodeId; N] {
        ints.map(|int| self.add(Node::Int(int)))
    }

    fn tuple(&mut self, items: &[NodeId]) -> NodeId {
        self.add(Node::Tuple(items.to_vec()))
    }

    fn call(&mut self, module: &str, name: &str, args: &[NodeId], state: &[NodeId]) -> NodeId {
        let callable = self.add(Node::Global(crate::weights::pickle::GlobalName {
            module: module.into(),
            name: name.into(),
        }));
        let args = self.tuple(args);
        self.add(Node::Object {
            callable,
            args,
            kwargs: None,
            state: state.to_vec(),
            items: Vec::new(),
            entries: Vec::new(),
        })
    }

    fn dtype_with(&mut self, code: &str, state: &[NodeId]) -> NodeId {
        let code = self.text(code);
        let (no, yes) = (self.add(Node::Bool(false)), self.add(Node::Bool(true)));
        self.call("numpy", "dtype", &[code, no, yes], state)
    }

    /// `dtype(code)` with a state of this byte order, size and flags.
    fn dtype(&mut self, code: &str, order: &str, size: i64, flags: i64) -> NodeId {
        let order = self.text(order);
        let none = self.add(Node::None);
        let [version, size, alignment, flags] = self.ints([3, size, -1, flags]);
        let state = [version, order, none, none, none, size, alignment, flags];
        let state = self.tuple(&state);
        self.dtype_with(code, &[state])
    }

    fn array(&mut self, shape: &[i64], dtype: NodeId, data: NodeId) -> NodeId {
        let ndarray = crate::weights::pickle::GlobalName {
            module: "numpy".into(),
            name: "ndarray".into(),
        };
        let class = self.add(Node::Global(ndarray));
        let [zero, version] = self.ints([0, 1]);
        let (empty, code) = (self.tuple(&[zero]), self.bytes(b"b"));
        let shape: Vec<_> = shape.iter().map(|dim| self.add(Node::Int(*dim))).collect();
        let shape = self.tuple(&shape);
        let fortran = self.add(Node::Bool(false));
        let state = self.tuple(&[version, shape, dtype, fortran, data]);
        let args = [class, empty, code];
        self.call("numpy._core.multiarray", "_reconstruct", &args, &[state])
    }

    fn nodes(&self) -> Nodes<'_> {
        Nodes::new(&self.nodes, &[])
    }

    fn checked(&self) -> Result<(), String> {
        check(self.nodes()).map_err(|error| error.to_string())
    }
}

#[test]
fn an_array_has_the_bytes_of_its_shape() {
    let mut graph = Graph::default();
    let dtype = graph.dtype("i2", ">", -1, 0);
    let data = graph.bytes(&[0, 1, 0, 2]);
    let good = graph.array(&[2], dtype, data);
    assert_eq!(array(graph.nodes(), good).unwrap().ints().unwrap(), [1, 2]);
    graph.checked().unwrap();
    for shape in [&[3][..], &[1], &[-2], &[1 << 62, 2, 2], &[]] {
        let bad = graph.array(shape, dtype, data);
        assert!(array(graph.nodes(), bad).is_err(), "{shape:?}");
    }
    let error = graph.checked().unwrap_err();
    assert!(
        error.contains("6 bytes for the shape [3], found 4"),
        "{error}"
    );
}

/// numpy trusts the flags: with others than its own it would follow bytes as pointers.
#[test]
fn bytes_are_never_pointers() {
    for (code, flags, good) in [
        ("O8", 63, true),
        ("O8", 0, false),
        ("O8", 63 - 2, false),
        ("O8", 7, false),
        ("O8", 63 + 128, false),
        ("f8", 64, false),
        ("f8", 0, true),
        ("f8", 1, false),
        ("f8", 63, false),
    ] {
        let mut graph = Graph::default();
        let order = if code == "O8" { "|" } else { "<" };
        graph.dtype(code, order, -1, flags);
        assert_eq!(graph.checked().is_ok(), good, "{code} {flags}");
    }
    let mut graph = Graph::default();
    graph.dtype("O8", ">", -1, 63);
    assert!(graph.checked().is_err());
    let mut graph = Graph::default();
    let dtype = graph.dtype("O8", "|", -1, 63);
    let data = graph.bytes(&[1; 8]);
    graph.array(&[1], dtype, data);
    let error = graph.checked().unwrap_err();
    assert!(
        error.contains("a list of objects, found 8 bytes"),
        "{error}"
    );
}

/// A record of one field at this offset.
fn record(field: &str, flags: i64, offset: i64, size: i64) -> Result<(), String> {
    let mut graph = Graph::default();
    let order = if field == "O8" { "|" } else { "<" };
    let inner = graph.dtype(field, order, -1, flags);
    let (name, order) = (graph.text("a"), graph.text("|"));
    let none = graph.add(Node::None);
    let [version, at, size, alignment, zero] = graph.ints([3, offset, size, 1, 16]);
    let names = graph.tuple(&[name]);
    let value = graph.tuple(&[inner, at]);
    let fields = graph.add(Node::Dict(vec![(name, value)]));
    let state = [version, order, none, names, fields, size, alignment, zero];
    let state = graph.tuple(&state);
    graph.dtype_with("V16", &[state]);
    graph.checked()
}

#[test]
fn fields_lie_within_their_record() {
    record("f8", 0, 8, 16).unwrap();
    for (offset, size) in [(9, 16), (-1, 16), (i64::MAX, 16), (0, 8), (0, -1)] {
        assert!(record("f8", 0, offset, size).is_err(), "{offset} {size}");
    }
    let error = record("O8", 63, 0, 16).unwrap_err();
    assert!(
        error.contains("to be numbers within 16 bytes, found object"),
        "{error}"
    );
}

#[test]
fn codes_and_sizes_are_numpys() {
    for (code, size, good) in [
        ("U3", 12, true),
        ("U3", 3, false),
        ("S3", 3, true),
        ("f8", 8, true),
        ("f8", 4, false),
        ("f3", -1, false),
        ("f", -1, false),
        ("f+8", -1, false),
        ("", -1, false),
        ("U4611686018427387904", -1, false),
        ("U99999999999999999999", -1, false),
        ("S2147483647", 2_147_483_647, true),
        ("S2147483648", 2_147_483_648, false),
        ("S4294967300", 4_294_967_300, false),
        ("U1073741825", 4_294_967_300, false),
        ("V8", 8, false),
    ] {
        let mut graph = Graph::default();
        graph.dtype(code, "<", size, 0);
        assert_eq!(graph.checked().is_ok(), good, "{code} {size}");
    }
}

#[test]
fn scalars_are_numbers_texts_and_truths() {
    let mut graph = Graph::default();
    let scalar = |graph: &mut Graph, code: &str, bytes: &[u8]| {
        let dtype = graph.dtype(code, "<", if code == "U1" { 4 } else { -1 }, 0);
        let bytes = graph.bytes(bytes);
        graph.call("numpy.core.multiarray", "scalar", &[dtype, bytes], &[])
    };
    let int = scalar(&mut graph, "i4", &[5, 0, 0, 0]);
    let float = scalar(&mut graph, "f4", &[0, 0, 0x80, 0x3f]);
    let text = scalar(&mut graph, "U1", &[0x61, 0, 0, 0]);
    let truth = scalar(&mut graph, "b1", &[1]);
    let nodes = graph.nodes();
    assert_eq!((nodes.int(int), nodes.float(float)), (Ok(5), Ok(1.0)));
    assert_eq!(nodes.text(text).unwrap(), "a");
    assert_eq!(nodes.flag(truth), Ok(true));
    assert!(nodes.int(float).is_err() && nodes.flag(int).is_err());
    let short = scalar(&mut graph, "i4", &[5]);
    assert!(graph.nodes().int(short).is_err() && graph.checked().is_err());
}

/// A dtype whose state's numbers are scalars of the same dtype would be followed for ever.
#[test]
fn a_graph_that_bites_its_tail_ends() {
    let mut graph = Graph::default();
    let dtype = graph.dtype("i8", "<", -1, 0);
    let bytes = graph.bytes(&[3, 0, 0, 0, 0, 0, 0, 0]);
    let scalar = graph.call("numpy.core.multiarray", "scalar", &[dtype, bytes], &[]);
    for node in &mut graph.nodes {
        if let Node::Tuple(items) = node
            && items.len() == 8
        {
            items[0] = scalar;
        }
    }
    assert!(graph.nodes().int(scalar).is_err());
    assert!(graph.checked().is_err());
}

#[test]
fn bytes_are_read_as_every_protocol_writes_them() {
    let mut graph = Graph::default();
    let (text, codec) = (graph.text("aé"), graph.text("latin1"));
    let encoded = graph.call("_codecs", "encode", &[text, codec], &[]);
    let empty = graph.call("__builtin__", "bytes", &[], &[]);
    let wide = graph.text("€");
    let wide = graph.call("_codecs", "encode", &[wide, codec], &[]);
    let rot = graph.text("rot13");
    let rot = graph.call("_codecs", "encode", &[text, rot], &[]);
    let nodes = graph.nodes();
    assert_eq!(*nodes.bytes(encoded).unwrap(), [b'a', 0xe9]);
    assert!(nodes.bytes(empty).unwrap().is_empty());
    assert!(nodes.bytes(wide).is_err() && nodes.bytes(rot).is_err());
}

#[test]
fn labels_of_objects_are_of_one_kind() {
    let mut graph = Graph::default();
    let dtype = graph.dtype("O8", "|", -1, 63);
    let labels = |graph: &mut Graph, nodes: Vec<Node>| {
        let ids: Vec<_> = nodes.into_iter().map(|node| graph.add(node)).collect();
        let count = ids.len() as i64;
        let list = graph.add(Node::List(ids));
        let id = graph.array(&[count], dtype, list);
        array(graph.nodes(), id).unwrap().labels()
    };
    let texts = vec![Node::Str("a".into()), Node::Str("b".into())];
    let texts = labels(&mut graph, texts).unwrap();
    assert_eq!(texts, Labels::Texts(vec!["a".into(), "b".into()]));
    let ints = labels(&mut graph, vec![Node::Int(0), Node::Int(1)]).unwrap();
    assert_eq!(ints, Labels::Ints(vec![0, 1]));
    let bools = labels(&mut graph, vec![Node::Bool(false), Node::Bool(true)]).unwrap();
    assert_eq!(bools, Labels::Bools(vec![false, true]));
    let mixed = vec![Node::Int(0), Node::Str("b".into())];
    assert!(labels(&mut graph, mixed).is_err());
}

/// `numpy.dtype('i2')` is one object for the whole program, and takes no state.
#[test]
fn only_a_dtype_of_its_own_takes_a_state() {
    for (flags, good) in [
        (&[][..], false),
        (&[false], false),
        (&[false, true], true),
        (&[false, false], false),
        (&[true, true], false),
    ] {
        let mut graph = Graph::default();
        let (code, order, none) = (graph.text("i2"), graph.text(">"), graph.add(Node::None));
        let [version, size, alignment, zero] = graph.ints([3, -1, -1, 0]);
        let state = [version, order, none, none, none, size, alignment, zero];
        let state = graph.tuple(&state);
        let flags = flags.iter().map(|flag| graph.add(Node::Bool(*flag)));
        let args: Vec<_> = std::iter::once(code).chain(flags).collect();
        graph.call("numpy", "dtype", &args, &[state]);
        assert_eq!(graph.checked().is_ok(), good, "{args:?}");
    }
}

/// Ten thousand arrays of one text would be decoded ten thousand times.
#[test]
fn arrays_have_bytes_of_their_own() {
    let text = "a".repeat(1 << 16);
    for (arrays, good) in [(50, true), (100, false)] {
        let mut graph = Graph::default();
        let (text, codec) = (graph.text(&text), graph.text("latin1"));
        let data = graph.call("_codecs", "encode", &[text, codec], &[]);
        let dtype = graph.dtype("u1", "|", -1, 0);
        for _ in 0..arrays {
            graph.array(&[1 << 16], dtype, data);
        }
        assert_eq!(graph.checked().is_ok(), good, "{arrays}");
    }
}
