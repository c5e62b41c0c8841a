//! The machine, an opcode at a time.

use super::PickleError;
use super::error::PickleErrorKind;
use super::machine::{Host, NoHost, read};
use super::node::{Node, NodeId, Pickle};
use crate::blob::Blob;

fn run(bytes: &[u8]) -> Result<Pickle, PickleError> {
    read(&bytes.to_vec().into(), 0, &mut NoHost)
}

fn fails(bytes: &[u8]) -> (u64, String) {
    let error = run(bytes).unwrap_err();
    (error.offset, error.to_string())
}

fn int(pickle: &Pickle, id: NodeId) -> i64 {
    pickle.int(id).unwrap()
}

#[test]
fn marks_nest_and_pop_takes_a_mark() {
    // 1 ( ( 2 1 -> the inner mark and 2 are gone; 3 POP; POP takes the outer mark; TUPLE1 of 1.
    let pickle = run(b"K\x01((K\x021K\x0300\x85.").unwrap();
    let items = pickle.sequence(pickle.root).unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(int(&pickle, items[0]), 1);
    assert_eq!(pickle.end, 13);
}

#[test]
fn nothing_below_a_mark_can_be_taken() {
    for (bytes, opcode) in [
        (b"K\x01(\x85.".as_slice(), "TUPLE1"),
        (b"K\x01(2.", "DUP"),
        (b"K\x01(.", "STOP"),
        (b"K\x01(K\x02R.", "REDUCE"),
        (b"](K\x02a.", "APPEND"),
        (b"K\x01(q\x00.", "BINPUT"),
        (b"K\x010" as &[u8], "POP"),
    ] {
        let bytes = [bytes, b"0."].concat();
        let error = run(&bytes).unwrap_err();
        assert!(
            matches!(error.kind, PickleErrorKind::Underflow { opcode: found } if found == opcode),
            "{bytes:?}: {error}"
        );
    }
}

#[test]
fn the_memo_holds_what_was_stored_last() {
    let pickle = run(b"K\x01p7\n0K\x02r\x07\0\0\x000K\x03\x940g7\nh\x01j\x07\0\0\0\x87.");
    let pickle = pickle.unwrap();
    let items = pickle.sequence(pickle.root).unwrap();
    let items: Vec<i64> = items.iter().map(|&id| int(&pickle, id)).collect();
    assert_eq!(items, [2, 3, 2]);
    assert_eq!(
        fails(b"K\x01h\x05."),
        (2, "BINGET asks for memo 5, which was never stored".into())
    );
}

#[test]
fn errors_say_where_and_what() {
    for (bytes, offset, message) in [
        (
            b"".as_slice(),
            0,
            "the pickle ends in the middle; the next opcode, or the rest of this one, is missing",
        ),
        (b"N\xff.", 1, "0xff is no pickle opcode"),
        (
            b"\x80\x06.",
            0,
            "it declares pickle protocol 6; protocols 0 to 5 are known",
        ),
        (b"Nt.", 1, "TUPLE needs a MARK, and there is none"),
        (
            b"(Nd.",
            2,
            "DICT needs pairs of keys and values, and found an odd number of them",
        ),
        (
            b"T\xff\xff\xff\xff.",
            0,
            "BINSTRING should be followed by a size that is not negative",
        ),
        (b"NN\x93.", 2, "STACK_GLOBAL needs texts, and found None"),
        (
            b"\x97.",
            0,
            "NEXT_BUFFER asks for data outside the pickle, and a file has none",
        ),
        (
            b"((o.",
            2,
            "OBJ takes more values from the stack than there are",
        ),
        (
            b"X\x02\0\0\0a\xff.",
            0,
            "BINUNICODE should be followed by UTF-8",
        ),
    ] {
        assert_eq!(fails(bytes), (offset, message.into()), "{bytes:?}");
    }
    let claims = fails(b"\x8e\0\0\0\0\0\0\0\x7f");
    assert_eq!(claims.0, 0);
    assert!(claims.1.contains("in the middle"));
}

#[test]
fn globals_named_before_a_failure_are_given() {
    let error = run(b"\x80\x04cos\nsystem\n\x8c\x02nt\x8c\x01x\x93\xff").unwrap_err();
    let globals: Vec<_> = error
        .globals
        .iter()
        .map(|used| (used.global.to_string(), used.offset))
        .collect();
    assert_eq!(globals, [("os.system".into(), 2), ("nt.x".into(), 20)]);
    assert!(error.kind.stops_python());
}

/// Python's own unpickler has imported the module by then.
#[test]
fn a_global_without_its_last_line_feed_is_named() {
    for (bytes, named) in [
        (b"cos\nsystemX".as_slice(), "os.system"),
        (b"cos\n", "os."),
        (b"(iosX", "os."),
    ] {
        let error = run(bytes).unwrap_err();
        assert!(matches!(error.kind, PickleErrorKind::Truncated));
        assert_eq!(error.globals[0].global.to_string(), named);
    }
}

#[test]
fn a_computed_name_is_no_reason_for_python_to_stop() {
    let error = run(b"cbuiltins\nstr\n\x8c\x02os\x85R\x8c\x06system\x93.").unwrap_err();
    assert!(matches!(error.kind, PickleErrorKind::ComputedGlobal { .. }));
    assert!(!error.kind.stops_python());
}

/// A frame of this size, and what follows its opcode.
fn framed(size: u64, rest: &[u8]) -> Vec<u8> {
    [b"\x80\x04\x95", &size.to_le_bytes()[..], rest].concat()
}

#[test]
fn frames_lie_around_whole_opcodes() {
    let second = framed(2, b"N.");
    for (bytes, end) in [
        (framed(2, b"N."), 13),
        // Nothing of fewer than 4 bytes is framed, and nothing of more than 64 KiB.
        (framed(2, b"]\x94B\x02\0\0\0..a."), 22),
        (framed(2, &[b"]0", &second[2..]].concat()), 24),
        // What follows is not part of it.
        (framed(2, b"N.N."), 13),
    ] {
        assert_eq!(run(&bytes).unwrap().end, end, "{bytes:?}");
    }
    for (bytes, opcode) in [
        // The next pickle begins behind the frame, not here.
        (framed(4, b"N.N."), "STOP"),
        (framed(3, b"N."), "STOP"),
        (framed(1 << 62, b"N."), "STOP"),
        (framed(30, &second[2..]), "FRAME"),
        (framed(1, &second[2..]), "FRAME"),
        // For C, the argument is all behind the frame.
        (framed(3, b"C\x05abcdeN."), "SHORT_BINBYTES"),
        (framed(3, b"X\x05\0\0\0\xff\xff\xff\xff\xff."), "BINUNICODE"),
        (framed(3, b"cos\nx\n."), "GLOBAL"),
        (framed(1, b"K\x01."), "BININT1"),
    ] {
        let error = run(&bytes).unwrap_err();
        assert!(
            matches!(error.kind, PickleErrorKind::Frame { opcode: found, .. } if found == opcode),
            "{bytes:?}: {error}"
        );
        assert!(!error.kind.stops_python());
    }
}

#[test]
fn calls_are_objects_and_keep_what_is_done_to_them() {
    let pickle = run(b"cm\nC\n)R}b(K\x01e(K\x02K\x03uK\x04a.").unwrap();
    let Node::Object {
        state,
        items,
        entries,
        args,
        ..
    } = pickle.node(pickle.root)
    else {
        panic!("{:?}", pickle.nodes);
    };
    assert_eq!((state.len(), items.len(), entries.len()), (1, 2, 1));
    assert_eq!(pickle.sequence(*args), Some([].as_slice()));
    assert_eq!(pickle.oddities, []);
    assert_eq!(pickle.offset(pickle.root), 6);
}

#[test]
fn changes_of_what_a_pickler_leaves_alone_are_noted() {
    let pickle = run(b"csys\nmodules\nV\nNs0]}b.").unwrap();
    let odd: Vec<_> = pickle
        .oddities
        .iter()
        .map(|odd| (odd.opcode, odd.offset))
        .collect();
    assert_eq!(odd, [("SETITEM", 16), ("BUILD", 20)]);
    assert_eq!(pickle.node(pickle.oddities[0].target).what(), "a global");
}

#[test]
fn constants_are_made_once_and_lists_are_not() {
    let pickle = run(b"(NN\x88\x88\x89))]]t.").unwrap();
    assert_eq!(pickle.nodes.len(), 4 + 2 + 1);
}

#[test]
fn deep_nesting_needs_no_stack() {
    let mut bytes = vec![b']'];
    bytes.extend(
        std::iter::repeat_n([0x85u8, b'('], 300_000)
            .flatten()
            .filter(|b| *b != b'('),
    );
    bytes.push(b'.');
    assert_eq!(run(&bytes).unwrap().nodes.len(), 300_001);
    let marks = vec![b'('; 1 << 21];
    assert!(matches!(
        run(&marks).unwrap_err().kind,
        PickleErrorKind::Ceiling { .. }
    ));
}

/// A host that takes the four bytes after each `BUILD`.
struct FourBytes(usize);

impl Host for FourBytes {
    fn after_build(
        &mut self,
        nodes: &[Node],
        object: NodeId,
        _: &Blob,
        position: u64,
    ) -> Result<Option<(usize, u64)>, String> {
        assert!(matches!(nodes[object.0 as usize], Node::Object { .. }));
        self.0 += 1;
        Ok(Some((self.0, position + 4)))
    }
}

#[test]
fn a_host_takes_bytes_out_of_the_stream() {
    let bytes = b"(cm\nC\n)R}bABCDcm\nC\n)R}b....t.".to_vec();
    let pickle = read(&bytes.into(), 0, &mut FourBytes(0)).unwrap();
    let items = pickle.sequence(pickle.root).unwrap();
    let raw: Vec<_> = items.iter().map(|&id| pickle.node(id)).collect();
    assert_eq!(raw, [&Node::Raw(1), &Node::Raw(2)]);
    let short = read(&b"cm\nC\n)R}bAB".to_vec().into(), 0, &mut FourBytes(0));
    assert!(matches!(
        short.unwrap_err().kind,
        PickleErrorKind::Truncated
    ));
}
