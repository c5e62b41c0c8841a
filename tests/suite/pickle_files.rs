//! Files whose pickles must be refused, or must pass, wherever in the file they are.

use model_bundle::weights::audit::Kind;
use zip::CompressionMethod::{Deflated, Stored};

use super::pickle_hostile::system;
use super::pickle_kit::op::*;
use super::pickle_kit::{As, Asm, Case, asm, gzip, proto, pth, zlib};

/// A file, by the name that it is given; the name never decides what it is taken for.
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Whether it must be refused.
    pub hostile: bool,
}

/// A case as a file that a lab would have: its pickle is the one of a checkpoint, another member of it, or the file.
pub fn file_of(case: &Case) -> File {
    let (extension, bytes) = match (case.stream, case.kind) {
        (As::Pickle, Kind::Torch) => ("pth", pth(&case.bytes, &[], Stored)),
        (As::Pickle, Kind::Estimator) => ("pkl", case.bytes.clone()),
        (As::Hidden, _) => {
            let members: [(&str, &[u8]); 1] = [("archive/extra", &case.bytes)];
            ("pth", pth(&innocent(), &members, Stored))
        }
    };
    File {
        name: format!("{}.{extension}", case.name),
        bytes,
        hostile: !case.expected.is_empty(),
    }
}

fn innocent() -> Vec<u8> {
    proto(2).raw(EMPTY_DICT).stop().bytes()
}

/// Files that are hostile or innocent by what they are, and not by one pickle.
pub fn files() -> Vec<File> {
    let hostile = |name: &str, bytes| File {
        name: name.into(),
        bytes,
        hostile: true,
    };
    let innocent = |name: &str, bytes| File {
        name: name.into(),
        bytes,
        hostile: false,
    };
    let mut files = in_zips();
    files.extend(one_after_another());
    files.extend([
        hostile("zlib.pkl", zlib(&system().bytes())),
        hostile("zlib.pth", zlib(&system().bytes())),
        hostile("gzip.joblib", gzip(&system().bytes())),
        hostile("gzip.onnx", gzip(&system().bytes())),
        hostile("plain.safetensors", system().bytes()),
        hostile("plain.npy", system().bytes()),
        hostile("objects.npy", npy_of_objects(&system().bytes())),
        // `pickle.load` takes the array's bytes for opcodes.
        hostile(
            "array_that_reads_as_opcodes.joblib",
            joblib(|asm| asm.dtype_of("f8", "<", 0), b"cos\nx\n.\0"),
        ),
        hostile(
            "array_of_objects.joblib",
            joblib_of_objects(&system().bytes()),
        ),
        innocent("array_of_floats.joblib", joblib_of_floats()),
        innocent(
            "array_of_objects_too.joblib",
            joblib_of_objects(&array_of_one_none()),
        ),
        innocent("zlib_too.joblib", zlib(&innocent_estimator().bytes())),
        innocent("gzip_too.pkl", gzip(&innocent_estimator().bytes())),
        innocent(
            "random.bin",
            (0..5000u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
        ),
        innocent("notes.txt", b"A model of rods.\nimport os\n".to_vec()),
        innocent("nothing.pth", Vec::new()),
    ]);
    files
}

fn in_zips() -> Vec<File> {
    let hostile = |name: &str, bytes| File {
        name: name.into(),
        bytes,
        hostile: true,
    };
    let system = system().bytes();
    let zip = |members: &[(&str, &[u8])]| pth(&innocent(), members, Stored);
    vec![
        hostile("deflated.pth", pth(&system, &[], Deflated)),
        hostile("checkpoint.joblib", pth(&system, &[], Stored)),
        hostile("extra_member.pth", zip(&[("archive/extra.pkl", &system)])),
        hostile(
            "member_without_a_name_for_it.pth",
            zip(&[("archive/LICENSE", &system)]),
        ),
        hostile(
            "storage_that_is_a_pickle.pth",
            zip(&[("archive/data/1", &system)]),
        ),
        hostile("constants.pth", zip(&[("archive/constants.pkl", &system)])),
        hostile("other_root.pth", zip(&[("other/data.pkl", &system)])),
        hostile(
            "objects_in_a_zip.pth",
            zip(&[("archive/a.npy", &npy_of_objects(&system))]),
        ),
        hostile("wrong_crc.pth", with_wrong_crcs(pth(&system, &[], Stored))),
        File {
            name: "deflated_too.pth".into(),
            bytes: pth(
                &innocent(),
                &[("archive/.data/serialization_id", b"0123456789")],
                Deflated,
            ),
            hostile: false,
        },
    ]
}

/// Readers that do not check a CRC, such as torch's, read on.
fn with_wrong_crcs(mut zip: Vec<u8>) -> Vec<u8> {
    let places = |zip: &[u8], magic: &[u8]| -> Vec<usize> {
        let found = zip
            .windows(4)
            .enumerate()
            .filter(|(_, window)| *window == magic);
        found.map(|(at, _)| at).collect()
    };
    for (magic, crc) in [(b"PK\x03\x04", 14), (b"PK\x01\x02", 16)] {
        for at in places(&zip, magic) {
            zip[at + crc] ^= 0xff;
        }
    }
    zip
}

fn one_after_another() -> Vec<File> {
    let file = |name: &str, streams: &[Asm], hostile| File {
        name: name.into(),
        bytes: streams.iter().flat_map(Asm::bytes).collect(),
        hostile,
    };
    let none = || proto(2).raw(EMPTY_DICT).stop();
    // What `torch.save` wrote before 1.6: a magic number, a protocol, the system, the object, the keys of storages.
    let magic = || proto(2).raw(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19").stop();
    let version = || proto(2).raw(b"M\xe9\x03").stop();
    let keys = || proto(2).raw(EMPTY_LIST).stop();
    let framed_magic = || {
        let magic = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
        let until = magic.len() + version().bytes().len() + none().bytes().len() + 2 + 5 + 4;
        proto(4)
            .raw(b"\x95")
            .raw(&(until as u64).to_le_bytes())
            .raw(magic)
    };
    vec![
        file(
            "legacy_object.pth",
            &[magic(), version(), none(), system(), keys()],
            true,
        ),
        file(
            "legacy_magic.pth",
            &[system(), version(), none(), none(), keys()],
            true,
        ),
        file(
            "legacy_system.pth",
            &[magic(), version(), system(), none(), keys()],
            true,
        ),
        file(
            "legacy_keys.pth",
            &[magic(), version(), none(), none(), system()],
            true,
        ),
        file(
            "legacy_sixth.pth",
            &[magic(), version(), none(), none(), keys(), system()],
            true,
        ),
        file(
            "legacy.pth",
            &[magic(), version(), none(), none(), keys()],
            false,
        ),
        // For Python, the next pickle begins at the end of the frame: in the byte string.
        file(
            "legacy_long_frame.pth",
            &[
                framed_magic(),
                version(),
                none(),
                proto(2)
                    .octets(&[&[0; 4], &system().bytes()[..]].concat())
                    .stop(),
                keys(),
            ],
            true,
        ),
        file("second_stream.pkl", &[innocent_estimator(), system()], true),
        file(
            "second_stream_of_protocol_0.joblib",
            &[innocent_estimator(), asm().raw(b"cos\nsystem\n(S'id'\ntR.")],
            true,
        ),
    ]
}

fn innocent_estimator() -> Asm {
    proto(3)
        .global("sklearn.preprocessing._data", "Normalizer")
        .raw(EMPTY_TUPLE)
        .raw(NEWOBJ)
        .raw(EMPTY_DICT)
        .text2("norm")
        .text2("l2")
        .raw(SETITEM)
        .raw(BUILD)
        .stop()
}

/// `numpy.save` of an array of objects: a header, and a pickle.
fn npy_of_objects(pickle: &[u8]) -> Vec<u8> {
    let header = format!(
        "{:<117}\n",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    );
    let size = (header.len() as u16).to_le_bytes();
    [
        b"\x93NUMPY\x01\0",
        size.as_slice(),
        header.as_bytes(),
        pickle,
    ]
    .concat()
}

/// A `joblib.dump` of an array of objects: a wrapper, a pickle of its own in the middle of the stream, and its end.
fn joblib_of_objects(inner: &[u8]) -> Vec<u8> {
    joblib(Asm::objects, inner)
}

/// A `joblib.dump` of an array of one float.
fn joblib_of_floats() -> Vec<u8> {
    joblib(|asm| asm.dtype_of("f8", "<", 0), &0.25f64.to_le_bytes())
}

fn joblib(dtype: impl Fn(Asm) -> Asm, inner: &[u8]) -> Vec<u8> {
    let wrapper = proto(3)
        .raw(EMPTY_DICT)
        .text2("classes")
        .global("joblib.numpy_pickle", "NumpyArrayWrapper")
        .raw(EMPTY_TUPLE)
        .raw(NEWOBJ)
        .raw(EMPTY_DICT)
        .raw(MARK)
        .text2("subclass")
        .global("numpy", "ndarray")
        .text2("shape")
        .int(1)
        .raw(TUPLE1)
        .text2("order")
        .text2("C")
        .text2("dtype");
    let wrapper = dtype(wrapper)
        .text2("allow_mmap")
        .raw(FALSE)
        .raw(SETITEMS)
        .raw(BUILD);
    [
        wrapper.bytes(),
        inner.into(),
        asm().raw(SETITEM).stop().bytes(),
    ]
    .concat()
}

fn array_of_one_none() -> Vec<u8> {
    proto(3)
        .global("numpy.core.multiarray", "_reconstruct")
        .global("numpy", "ndarray")
        .int(0)
        .raw(TUPLE1)
        .octets(b"b")
        .raw(TUPLE3)
        .raw(REDUCE)
        .raw(MARK)
        .int(1)
        .int(1)
        .raw(TUPLE1)
        .objects()
        .raw(FALSE)
        .raw(EMPTY_LIST)
        .raw(NONE)
        .raw(APPEND)
        .raw(TUPLE)
        .raw(BUILD)
        .stop()
        .bytes()
}

impl Asm {
    fn objects(self) -> Self {
        self.dtype_of("O8", "|", 63)
    }

    fn dtype_of(self, code: &str, order: &str, flags: i32) -> Self {
        self.global("numpy", "dtype")
            .text2(code)
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text2(order)
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(flags)
            .raw(TUPLE)
            .raw(BUILD)
    }
}
