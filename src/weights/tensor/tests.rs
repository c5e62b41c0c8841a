use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::progress::Silent;

fn tensor(name: &str, dtype: DType, shape: &[u64], storage: Vec<u8>) -> Tensor {
    Tensor {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
        strides: contiguous_strides(shape),
        storage: storage.into(),
        offset: 0,
        big_endian: false,
    }
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut take = |piece: &[u8]| {
        assert_eq!(piece.len() as u64 % tensor.dtype.size(), 0);
        bytes.extend(piece);
        Ok(())
    };
    tensor.stream(Path::new("x"), &Silent, &mut take).unwrap();
    bytes
}

/// The same, gathered in small blocks.
fn in_blocks(tensor: &Tensor, block: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = TensorReader::with_block(tensor, block).unwrap();
    io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    bytes
}

/// What the streaming must give, one element after the other.
fn gathered(tensor: &Tensor, storage: &[u8]) -> Vec<u8> {
    let item = tensor.dtype.size();
    let mut bytes = Vec::new();
    for number in 0..tensor.elements() {
        let (mut rest, mut at) = (number, tensor.offset);
        for (count, stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
            at += rest % count * stride;
            rest /= count;
        }
        let mut element = storage[(at * item) as usize..((at + 1) * item) as usize].to_vec();
        if tensor.big_endian {
            let parts = element.chunks_exact_mut(tensor.dtype.swap_size() as usize);
            parts.for_each(<[u8]>::reverse);
        }
        bytes.extend(element);
    }
    bytes
}

const DTYPES: [DType; 6] = [
    DType::Bool,
    DType::F16,
    DType::F32,
    DType::F64,
    DType::C64,
    DType::C128,
];

/// A tensor somewhere in a storage, as `permute`, `expand`, slices and `as_strided` make them.
fn any_tensor() -> impl Strategy<Value = (Tensor, Vec<u8>)> {
    let dimension = prop_oneof![
        4 => (1_u64..5, 0_u64..9),
        1 => (Just(0_u64), 0_u64..9),
        1 => (90_u64..200, prop_oneof![Just(1_u64), Just(700)]),
        1 => (1_u64..3, 5000_u64..20_000),
    ];
    let dimensions = proptest::collection::vec(dimension, 0..5);
    (
        dimensions,
        0_u64..20,
        0..DTYPES.len(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(dimensions, offset, dtype, big_endian, contiguous)| {
            let (shape, mut strides): (Vec<u64>, Vec<u64>) = dimensions.into_iter().unzip();
            if contiguous {
                strides = contiguous_strides(&shape);
            }
            let dtype = DTYPES[dtype];
            let last: u64 = shape
                .iter()
                .zip(&strides)
                .map(|(n, s)| n.saturating_sub(1) * s)
                .sum();
            let size = (offset + last + 1) * dtype.size();
            let storage: Vec<u8> = (0..size)
                .map(|i| ((i * 2_654_435_761) >> 11) as u8)
                .collect();
            let tensor = Tensor {
                shape,
                strides,
                offset,
                big_endian,
                ..tensor("t", dtype, &[], storage.clone())
            };
            (tensor, storage)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn streaming_gathers_what_the_strides_say((tensor, storage) in any_tensor()) {
        prop_assume!(tensor.elements() < 60_000);
        let wanted = gathered(&tensor, &storage);
        prop_assert_eq!(tensor.check(), Ok(()));
        prop_assert!(bytes_of(&tensor) == wanted);
        let small = if wanted.len() < 2000 { 1 } else { 3000 };
        for block in [small, 20_000] {
            prop_assert!(in_blocks(&tensor, block) == wanted, "in blocks of {}", block);
        }
        let digest = data_digest(&tensor, Path::new("x"), &Silent).unwrap();
        prop_assert_eq!(digest, Digest::of(&wanted));
        if let Some(range) = tensor.contiguous().filter(|_| tensor.little_endian()) {
            prop_assert!(storage[range.start as usize..range.end as usize] == wanted);
        }
    }
}

#[test]
fn a_large_matrix_is_gathered_in_blocks() {
    let (rows, columns) = (700, 1100);
    let storage: Vec<u8> = (0..rows * columns * 4)
        .map(|i| ((i * 2_654_435_761_u64) >> 9) as u8)
        .collect();
    for (shape, strides) in [
        (vec![columns, rows], vec![1, columns]),
        (vec![columns * rows], vec![1]),
        (vec![rows, 2, columns / 2], vec![columns, columns / 2, 1]),
        (vec![2, rows, columns / 2], vec![columns / 2, columns, 1]),
        (vec![columns / 2, 2, rows], vec![1, columns / 2, columns]),
        (vec![3, columns, rows], vec![0, 1, columns]),
        (vec![columns, rows, 3], vec![1, columns, 0]),
    ] {
        let tensor = Tensor {
            shape,
            strides,
            big_endian: true,
            ..tensor("t", DType::F32, &[], storage.clone())
        };
        let wanted = gathered(&tensor, &storage);
        assert!(bytes_of(&tensor) == wanted, "{:?}", tensor.shape);
        assert!(in_blocks(&tensor, 1 << 20) == wanted, "{:?}", tensor.shape);
    }
}

#[test]
fn elements_outside_of_the_storage_are_refused() {
    let whole = tensor("t", DType::F32, &[2, 3], vec![0; 24]);
    assert_eq!(whole.check(), Ok(()));
    let huge = 1 << 40;
    let table: [(&str, Tensor); 6] = [
        (
            "reach up to byte 28 of a storage of 24",
            Tensor {
                offset: 1,
                ..whole.clone()
            },
        ),
        (
            "reach up to byte 32 of a storage of 24",
            Tensor {
                strides: vec![5, 1],
                ..whole.clone()
            },
        ),
        (
            "2 dimensions and 1 strides",
            Tensor {
                strides: vec![1],
                ..whole.clone()
            },
        ),
        (
            "beyond what 64 bits",
            Tensor {
                offset: u64::MAX,
                ..whole.clone()
            },
        ),
        (
            "beyond what 64 bits",
            Tensor {
                shape: vec![huge, huge],
                strides: vec![0, 0],
                ..whole.clone()
            },
        ),
        (
            "beyond what 64 bits",
            Tensor {
                strides: vec![u64::MAX, 1],
                ..whole.clone()
            },
        ),
    ];
    for (reason, bad) in table {
        assert!(
            bad.check().unwrap_err().contains(reason),
            "{reason}: {:?}",
            bad.check()
        );
        assert!(bad.reader().is_err());
        assert!(data_digest(&bad, Path::new("x"), &Silent).is_err());
    }
    let empty = Tensor {
        shape: vec![huge, huge, 0],
        strides: vec![0, 0, 0],
        offset: 99,
        ..whole
    };
    assert_eq!(empty.check(), Ok(()));
    assert_eq!((empty.elements(), empty.size()), (0, 0));
    assert!(bytes_of(&empty).is_empty());
    assert_eq!(
        data_digest(&empty, Path::new("x"), &Silent).unwrap(),
        Digest::of(b"")
    );
}

/// The definition of `docs/format.md`, once more and plainly.
#[test]
fn the_tensor_digest_is_what_the_format_says() {
    let a = tensor("a", DType::F32, &[2], (0..8).collect());
    let b = tensor("B", DType::I64, &[], (0..8).collect());
    let mut text = Vec::new();
    let mut put = |name: &str, dtype: &str, shape: &[u64], bytes: &[u8]| {
        text.extend((name.len() as u64).to_le_bytes());
        text.extend(name.bytes());
        text.extend((dtype.len() as u64).to_le_bytes());
        text.extend(dtype.bytes());
        text.extend((shape.len() as u64).to_le_bytes());
        shape
            .iter()
            .for_each(|size| text.extend(size.to_le_bytes()));
        text.extend(Digest::of(bytes).as_bytes());
    };
    put("B", "int64", &[], &[0, 1, 2, 3, 4, 5, 6, 7]);
    put("a", "float32", &[2], &[0, 1, 2, 3, 4, 5, 6, 7]);
    let digest = |tensors: &[Tensor]| tensor_digest(tensors, Path::new("x"), &Silent).unwrap();
    let found = digest(&[a.clone(), b.clone()]);
    assert_eq!(found, Digest::of(&text));
    assert_eq!(found, digest(&[b.clone(), a.clone()]));
    let others = [
        Tensor {
            name: "b".to_owned(),
            ..b.clone()
        },
        Tensor {
            dtype: DType::U64,
            ..b.clone()
        },
        Tensor {
            shape: vec![1],
            strides: vec![1],
            ..b.clone()
        },
        Tensor {
            storage: vec![9; 8].into(),
            ..b
        },
    ];
    for other in others {
        assert_ne!(found, digest(&[a.clone(), other]));
    }
}

#[test]
fn distances_are_those_of_the_numbers() {
    let f32s = |values: &[f32]| {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        tensor("t", DType::F32, &[values.len() as u64], bytes)
    };
    let between = |a: &Tensor, b: &Tensor| distance(a, b, Path::new("x"), &Silent).unwrap();
    let a = f32s(&[1.0, f32::NAN, f32::NAN, 4.0]);
    let b = f32s(&[1.5, f32::NAN, 3.0, 4.0]);
    let found = between(&a, &b).unwrap();
    assert_eq!(
        found,
        Distance {
            max: 0.5,
            mean: 0.5 / 3.0,
            nan: 1
        }
    );
    let ints = tensor("t", DType::I8, &[4], vec![1, 0xff, 2, 3]);
    let found = between(&f32s(&[1.0, -1.0, 2.0, 1.0]), &ints).unwrap();
    assert_eq!(
        found,
        Distance {
            max: 2.0,
            mean: 0.5,
            nan: 0
        }
    );
    assert_eq!(between(&a, &f32s(&[1.0])), None);
    let many: Vec<f32> = (0..50_000).map(|i| i as f32).collect();
    let more: Vec<f32> = many.iter().map(|x| x + 1.0).collect();
    let found = between(&f32s(&many), &f32s(&more)).unwrap();
    assert_eq!(
        found,
        Distance {
            max: 1.0,
            mean: 1.0,
            nan: 0
        }
    );
}
