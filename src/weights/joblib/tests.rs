//! Streams with raw arrays, as joblib writes them and as it must not be made to read them.

use std::path::Path;

use super::*;
use crate::progress::Silent;

/// What a file holds, and its audit.
fn opened(bytes: &[u8]) -> Result<(Content, Audit), String> {
    let file = read(&bytes.to_vec().into(), Path::new("x.joblib"), &Silent);
    let file = file.map_err(|error| error.to_string())?;
    let findings = file.audit.findings.iter().map(ToString::to_string);
    match file.content {
        Some(content) => Ok((content, file.audit)),
        None => Err(findings.collect::<Vec<_>>().join("\n")),
    }
}

fn refusal(bytes: &[u8]) -> String {
    match opened(bytes) {
        Ok((content, _)) => panic!("it is read: {content:?}"),
        Err(error) => {
            assert!(!error.is_empty());
            error
        }
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/sklearn");
    std::fs::read(folder.join(name)).unwrap()
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// `numpy.dtype(code, False, True)` with its state.
fn dtype(code: &str, order: &str, flags: u8) -> Vec<u8> {
    let state = [
        b"K\x03",
        &text(order)[..],
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK",
    ]
    .concat();
    [
        b"cnumpy\ndtype\n",
        &text(code)[..],
        b"\x89\x88\x87R(",
        &state,
        &[flags],
        b"tb",
    ]
    .concat()
}

/// A scalar of numpy's.
fn scalar(code: &str, bytes: &[u8]) -> Vec<u8> {
    let octets = [b"C", &[bytes.len() as u8][..], bytes].concat();
    let bare = [b"cnumpy\ndtype\n", &text(code)[..], b"\x85R"].concat();
    let callable = &b"cnumpy.core.multiarray\nscalar\n"[..];
    [callable, &bare, &octets, b"\x86R"].concat()
}

/// One attribute of a wrapper: its name, and the opcodes that make its value.
type Attribute = (&'static str, Vec<u8>);

fn attributes() -> Vec<Attribute> {
    vec![
        ("subclass", b"cnumpy\nndarray\n".to_vec()),
        ("shape", b"K\x02\x85".to_vec()),
        ("order", text("C")),
        ("dtype", dtype("i2", "<", 0)),
        ("allow_mmap", b"\x89".to_vec()),
    ]
}

/// A pickle of protocol 2 that is one wrapper, up to its BUILD.
fn wrapper(class: &str, attributes: &[Attribute]) -> Vec<u8> {
    let mut bytes = format!("\u{80}\u{2}cjoblib.numpy_pickle\n{class}\n").into_bytes();
    bytes.splice(..3, *b"\x80\x02");
    bytes.extend(b")\x81}(");
    for (name, value) in attributes {
        bytes.extend(text(name));
        bytes.extend(value);
    }
    bytes.extend(b"ub");
    bytes
}

fn stream(attributes: &[Attribute], raw: &[u8]) -> Vec<u8> {
    [&wrapper("NumpyArrayWrapper", attributes), raw, b"."].concat()
}

/// The array that a stream is.
fn array_of(bytes: &[u8]) -> Vec<i64> {
    let (file, _) = opened(bytes).unwrap_or_else(|error| panic!("{error}"));
    let nodes = Nodes::new(&file.pickle.nodes, &file.arrays);
    numpy::array(nodes, file.pickle.root)
        .unwrap()
        .ints()
        .unwrap()
}

#[test]
fn a_raw_array_follows_its_wrapper() {
    let all = attributes();
    assert_eq!(array_of(&stream(&all, &[1, 0, 2, 0])), [1, 2]);
    let mut aligned = all.clone();
    aligned.push(("numpy_array_alignment_bytes", b"K\x10".to_vec()));
    assert_eq!(
        array_of(&stream(&aligned, &[2, 0xff, 0xff, 1, 0, 2, 0])),
        [1, 2]
    );
    let mut unaligned = all.clone();
    unaligned.push(("numpy_array_alignment_bytes", b"N".to_vec()));
    assert_eq!(array_of(&stream(&unaligned, &[1, 0, 2, 0])), [1, 2]);
    let mut turned = all;
    turned[1].1 = b"K\x02K\x02\x86".to_vec();
    turned[2].1 = text("F");
    turned[3].1 = dtype("u1", "|", 0);
    assert_eq!(array_of(&stream(&turned, &[1, 2, 3, 4])), [1, 3, 2, 4]);
}

#[test]
fn a_wrapper_is_as_joblib_writes_it() {
    let raw = [1, 0, 2, 0];
    let with = |index: usize, value: &[u8]| {
        let mut all = attributes();
        all[index].1 = value.to_vec();
        refusal(&stream(&all, &raw))
    };
    for (error, wanted) in [
        (
            with(0, b"cnumpy\nmatrix\n"),
            "expected numpy.ndarray as its class, found the global numpy.matrix",
        ),
        (with(1, b"K\x05\x85"), "past the end of the file"),
        (with(1, b"J\xff\xff\xff\xff\x85"), "a shape"),
        (
            with(1, &[&scalar("i2", b"\x02\0"), &b"\x85"[..]].concat()),
            "a shape of plain integers",
        ),
        (with(2, &scalar("S1", b"C")), "the order 'C' or 'F'"),
        (with(4, &scalar("b1", b"\0")), "True or False"),
        (with(3, &dtype("S4294967300", "|", 0)), "a dtype's code"),
        (with(2, &text("K")), "the order 'C' or 'F', found 'K'"),
        (with(3, &dtype("O8", "|", 0)), "flags"),
        (with(3, &dtype("f8", "<", 63)), "flags"),
        (with(3, b"N"), "a numpy dtype, found None"),
    ] {
        assert!(
            error.contains("a NumpyArrayWrapper is damaged") || wanted.contains("end"),
            "{error}"
        );
        assert!(error.contains(wanted), "{error}");
    }
    let mut more = attributes();
    more.push(("__reduce__", b"N".to_vec()));
    assert!(refusal(&stream(&more, &raw)).contains("each attribute"));
    more.pop();
    more.push(("numpy_array_alignment_bytes", b"K\x40".to_vec()));
    assert!(refusal(&stream(&more, &raw)).contains("an alignment of 16, found 64"));
    let old = [&wrapper("NDArrayWrapper", &attributes())[..], b"."].concat();
    assert!(refusal(&old).contains("joblib before 0.10"));
}

/// Nothing but a padding's length stands where a plain unpickler would look for the next opcode, and no length is one.
#[test]
fn padding_is_joblibs_own() {
    let mut all = attributes();
    all.push(("numpy_array_alignment_bytes", b"K\x10".to_vec()));
    for length in [0, 17, b'.', b'c', 0xff] {
        let mut raw = vec![length];
        raw.extend(vec![0xff; usize::from(length)]);
        raw.extend([1, 0, 2, 0]);
        let error = refusal(&stream(&all, &raw));
        assert!(error.contains("1 to 16 bytes of padding"), "{error}");
    }
    let error = refusal(&stream(&all, &[2, 0xff, b'.', 1, 0, 2, 0]));
    assert!(
        error.contains("padding of 0xff before an array, found 0x2e"),
        "{error}"
    );
}

/// joblib's reader has the whole frame when it meets BUILD, and takes the array from behind it.
#[test]
fn a_raw_array_does_not_begin_within_a_frame() {
    let whole = stream(&attributes(), &[1, 0, 2, 0]);
    let build = whole.len() - 5;
    let framed = |size: usize| {
        let frame = [&[0x95][..], &(size as u64).to_le_bytes()].concat();
        [&whole[..2], &frame, &whole[2..]].concat()
    };
    assert_eq!(array_of(&framed(build - 2)), [1, 2]);
    let error = refusal(&framed(build - 1));
    assert!(error.contains("within a frame"), "{error}");
}

#[test]
fn nothing_follows_the_pickle() {
    let whole = fixture("1.6_pipeline.joblib");
    for rest in [&b"."[..], b"\x80\x04N.", b"\0"] {
        let error = refusal(&[&whole, rest].concat());
        assert!(error.contains("more bytes follow"), "{error}");
    }
    for end in 0..whole.len() {
        assert!(opened(&whole[..end]).is_err(), "cut to {end}");
    }
}

/// The bytes of an array are opcodes to `pickle.load`.
#[test]
fn a_raw_array_is_audited_as_opcodes_too() {
    let mut all = attributes();
    all[1].1 = b"K\x08\x85".to_vec();
    let audit_of = |raw: &[u8]| opened(&stream(&all, raw)).unwrap().1;
    let audit = audit_of(b"cos\nsystem\n(NN..");
    assert!(audit.globals.contains("os.system"), "{audit:?}");
    assert!(
        audit.findings[0].to_string().contains("`os.system`"),
        "{audit:?}"
    );
    // Values that happen to be opcodes make no finding: Python would stop at these, too.
    for opcode in b"Rbau.\x81\x93\x92osN0(2" {
        let audit = audit_of(&[*opcode; 16]);
        assert!(audit.findings.is_empty(), "{opcode:#04x} {audit:?}");
    }
}

/// Known names do harm too, called as no pickler does or with a dtype that is another by then.
#[test]
fn calls_in_a_raw_array_are_audited() {
    let finding = |raw: &[u8]| {
        let mut all = attributes();
        all[1].1 = [&b"J"[..], &(raw.len() as i32).to_le_bytes(), b"\x85"].concat();
        all[3].1 = dtype("u1", "|", 0);
        let (_, audit) = opened(&stream(&all, raw)).unwrap();
        let findings = audit.findings.iter().map(ToString::to_string);
        findings.collect::<Vec<_>>().join("\n")
    };
    let encode = [
        b"0c_codecs\nencode\n",
        &text("x")[..],
        &text("rot13"),
        b"\x86R",
    ]
    .concat();
    let array = |dims: u8| {
        let array = b"0cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R";
        let state = [
            b"(K\x01K",
            &[dims][..],
            b"\x85",
            &dtype("u1", "|", 0),
            b"\x89C\x01xtb",
        ];
        [&array[..], &state.concat()].concat()
    };
    // Whether the reading comes to its end, or breaks off afterwards.
    for end in [b".", b"\xff"] {
        let found = finding(&[&encode[..], end].concat());
        assert!(found.contains("`_codecs.encode`"), "{found}");
        let found = finding(&[&array(9)[..], end].concat());
        assert!(found.contains("does not hold together"), "{found}");
        let found = finding(&[&array(1)[..], end].concat());
        assert_eq!(found, "");
    }
    // Python would not call a text, nor go on.
    let chance = [b"0", &text("x")[..], b"NR", &encode].concat();
    assert_eq!(finding(&chance), "");
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const EVIL: &[u8] = b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.";

#[test]
fn what_is_compressed_is_audited() {
    let (_, audit) = opened(&zlib(EVIL)).unwrap();
    assert!(
        audit.findings[0].to_string().contains("`os.system`"),
        "{audit:?}"
    );
    let error = refusal(&zlib(&[EVIL, EVIL].concat()));
    assert!(
        error.contains("`os.system`") && error.contains("more bytes follow"),
        "{error}"
    );
}

/// joblib unpickles while it unpacks: what comes before the damage has run by then.
#[test]
fn damage_in_a_compressed_file_is_no_excuse() {
    let mut noise = EVIL.to_vec();
    let mut state = 1_u32;
    noise.extend((0..200_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    let whole = zlib(&noise);
    let error = refusal(&whole[..whole.len() - 100]);
    assert!(error.contains("`os.system`"), "{error}");
    assert!(error.contains("expected more compressed data"), "{error}");
    let error = refusal(b"ZF0x2a                 ");
    assert!(error.contains("joblib before 0.10"), "{error}");
}

/// Files that nothing would start to unpickle are no weights, which is not for the audit to say.
#[test]
fn other_files_are_no_weights() {
    for other in [
        &b""[..],
        b"x",
        b"xyz: 1\n",
        b"BZ",
        b"BZip me\n",
        b"class Network(Module):\n    pass\n",
        b"{\"a\": 1}",
        b"\x80\x04",
        b"\x08\x09\x12\x07pytorch",
    ] {
        let read = read(&other.to_vec().into(), Path::new("x"), &Silent);
        assert!(
            matches!(read, Err(WeightsError::Malformed { .. })),
            "{other:?} {read:?}"
        );
    }
}

/// An array of objects is a pickle inside, which joblib unpickles.
#[test]
fn the_pickle_of_an_array_of_objects_is_audited() {
    let mut all = attributes();
    all[3].1 = dtype("O8", "|", 63);
    let inner = |object: &[u8]| {
        let state = [
            b"(K\x01K\x01\x85",
            &dtype("O8", "|", 63)[..],
            b"\x89]",
            object,
            b"atb.",
        ]
        .concat();
        let array =
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R";
        [&array[..], &state].concat()
    };
    let (good, audit) = opened(&stream(&all, &inner(&text("area")))).unwrap();
    let nodes = Nodes::new(&good.pickle.nodes, &good.arrays);
    let names = numpy::array(nodes, good.pickle.root)
        .unwrap()
        .texts()
        .unwrap();
    assert_eq!(names, ["area"]);
    assert!(audit.findings.is_empty(), "{audit:?}");
    let bad = inner(b"cos\nsystem\nX\x01\0\0\0a\x85R");
    let (_, audit) = opened(&stream(&all, &bad)).unwrap();
    assert!(
        audit.findings[0].to_string().contains("`os.system`"),
        "{audit:?}"
    );
    // To `pickle.load` the memo goes on inside, and its first two texts are those outside.
    let outside = [
        b"\x80\x02",
        &text("os")[..],
        b"\x94",
        &text("system"),
        b"\x9400",
    ]
    .concat();
    let own = [
        &text("numpy")[..],
        b"\x94",
        &text("dtype"),
        b"\x9400h\0h\x01\x93",
    ]
    .concat();
    let hiding = [&outside, &stream(&all, &inner(&own))[2..]].concat();
    let (_, audit) = opened(&hiding).unwrap();
    assert!(
        audit.findings[0].to_string().contains("`os.system`"),
        "{audit:?}"
    );
    let error = refusal(&stream(&all, b"N."));
    assert!(
        error.contains("the pickle of an array of objects inside"),
        "{error}"
    );
}

#[test]
fn trees_and_arrays_are_checked_wherever_they_are() {
    let tree = b"\x80\x02csklearn.tree._tree\nTree\n(K\x03NK\x01tR.";
    assert!(refusal(tree).contains("Tree.__init__"));
    let pointers = [b"\x80\x02", &dtype("O8", "|", 0)[..], b"0N."].concat();
    assert!(refusal(&pointers).contains("flags"));
}
