//! The allow-list: the globals that files of weights need, by exact name, and how each is used in them.
//!
//! What is here is harmless with any arguments that [`Use`] lets through: at most it makes a value, or sets attributes
//! of one that the same stream made. Sources: `torch._utils` and `torch._weights_only_unpickler` of PyTorch 2.6,
//! `numpy.random._pickle`, and what scikit-learn 1.0 to 1.6 and joblib write at protocols 0 to 5.

use super::Kind;
use crate::weights::pickle::GlobalName;

/// How a pickler's own streams use a global; any other use is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Named, as a value or as an argument, and never called.
    Mention,
    /// Called, with any arguments by position.
    Call,
    /// Called without arguments; its state comes with `BUILD`.
    Instance,
    /// Called with any arguments; then keys are set in it.
    Mapping,
    /// Called with any arguments; then values are appended to it.
    Sequence,
    /// `collections.defaultdict`: a mapping whose first argument makes its values.
    DefaultDict,
    /// `bytes`, `bytearray`: a number as an argument would only take memory.
    Octets,
    /// `_codecs.encode`: how byte strings are written before protocol 3.
    Encode,
    /// `numpy.dtype`, whose state numpy believes.
    Dtype,
    /// numpy's `_reconstruct`, of an empty plain array.
    Reconstruct,
    /// `numpy.random._pickle`, whose functions call their second argument.
    Random,
    /// `copyreg._reconstructor`: how instances are written before protocol 2.
    Reconstructor,
    /// `torch._utils._rebuild_parameter_with_state`: its last argument is set as attributes.
    WithState,
    /// `torch._tensor._rebuild_from_type_v2`, which calls its first argument.
    FromType,
}

type Group = (
    &'static [&'static str],
    &'static [(Use, &'static [&'static str])],
);

/// How the kind of file uses a global; `None` if it does not.
pub(super) fn known(kind: Kind, global: &GlobalName) -> Option<Use> {
    let own = match kind {
        Kind::Torch => TORCH,
        Kind::Estimator => ESTIMATOR,
    };
    let groups = SHARED.iter().chain(own);
    let mut groups = groups.filter(|(modules, _)| modules.contains(&&*global.module));
    groups.find_map(|(_, uses)| {
        let found = uses
            .iter()
            .find(|(_, names)| names.contains(&&*global.name));
        found.map(|(how, _)| *how)
    })
}

/// The types of the values that a `defaultdict` makes, and the bases of instances: harmless, and never called here.
const PLAIN_TYPES: &[&str] = &[
    "object",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "bool",
    "str",
    "Ellipsis",
    "NotImplemented",
];

const SHARED: &[Group] = &[
    (
        &["builtins", "__builtin__"],
        &[
            (Use::Mention, PLAIN_TYPES),
            (Use::Call, &["set", "frozenset", "complex", "slice"]),
            (Use::Octets, &["bytes", "bytearray"]),
        ],
    ),
    (&["__builtin__"], &[(Use::Mention, &["long", "unicode"])]),
    (
        &["collections"],
        &[
            (Use::Mapping, &["OrderedDict", "Counter"]),
            (Use::DefaultDict, &["defaultdict"]),
            (Use::Sequence, &["deque"]),
        ],
    ),
    (&["_codecs"], &[(Use::Encode, &["encode"])]),
    (
        &["copyreg", "copy_reg"],
        &[(Use::Reconstructor, &["_reconstructor"])],
    ),
    (
        &["datetime"],
        &[(
            Use::Call,
            &["date", "datetime", "time", "timedelta", "timezone"],
        )],
    ),
    (
        &["numpy"],
        &[
            (Use::Dtype, &["dtype"]),
            (Use::Mention, &["ndarray"]),
            (Use::Mention, NUMPY_SCALARS),
        ],
    ),
    (
        &["numpy.core.multiarray", "numpy._core.multiarray"],
        &[
            (Use::Reconstruct, &["_reconstruct"]),
            (Use::Call, &["scalar"]),
        ],
    ),
    (
        &["numpy.core.numeric", "numpy._core.numeric"],
        &[(Use::Call, &["_frombuffer"])],
    ),
    // Random generators, as the `random_state` of an estimator.
    (
        &["numpy.random._pickle"],
        &[(
            Use::Random,
            &[
                "__bit_generator_ctor",
                "__generator_ctor",
                "__randomstate_ctor",
            ],
        )],
    ),
    (&["numpy.random"], &[(Use::Random, &["__RandomState_ctor"])]),
    (&["numpy.random._mt19937"], &[(Use::Mention, &["MT19937"])]),
    (
        &["numpy.random._pcg64"],
        &[(Use::Mention, &["PCG64", "PCG64DXSM"])],
    ),
    (&["numpy.random._philox"], &[(Use::Mention, &["Philox"])]),
    (&["numpy.random._sfc64"], &[(Use::Mention, &["SFC64"])]),
    (
        &["numpy.random.bit_generator"],
        &[
            (Use::Mention, &["SeedSequence"]),
            (Use::Call, &["__pyx_unpickle_SeedSequence"]),
        ],
    ),
];

const NUMPY_SCALARS: &[&str] = &[
    "bool_",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "intc",
    "intp",
    "longlong",
    "float16",
    "float32",
    "float64",
    "longdouble",
    "complex64",
    "complex128",
    "str_",
    "bytes_",
    "object_",
    "void",
    "datetime64",
    "timedelta64",
];

/// The types that storages come in: `torch.FloatStorage`, `torch.cuda.FloatStorage`, ...
const STORAGES: &[&str] = &[
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "ComplexDoubleStorage",
    "ComplexFloatStorage",
    "QUInt8Storage",
    "QInt8Storage",
    "QInt32Storage",
    "QUInt4x2Storage",
    "QUInt2x4Storage",
    "UntypedStorage",
    "TypedStorage",
    "_UntypedStorage",
    "_TypedStorage",
];

const TENSORS: &[&str] = &[
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "BFloat16Tensor",
    "LongTensor",
    "IntTensor",
    "ShortTensor",
    "CharTensor",
    "ByteTensor",
    "BoolTensor",
];

const DTYPES: &[&str] = &[
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "double",
    "float",
    "half",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "complex32",
    "complex64",
    "complex128",
    "cfloat",
    "cdouble",
    "chalf",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "long",
    "int",
    "short",
    "bool",
    "quint8",
    "qint8",
    "qint32",
    "quint4x2",
    "quint2x4",
];

const TORCH: &[Group] = &[
    (
        &["torch._utils"],
        &[
            (
                Use::Call,
                &[
                    "_rebuild_tensor",
                    "_rebuild_tensor_v2",
                    "_rebuild_tensor_v3",
                    "_rebuild_parameter",
                    "_rebuild_qtensor",
                    "_rebuild_sparse_tensor",
                    "_rebuild_sparse_csr_tensor",
                    "_rebuild_nested_tensor",
                    "_rebuild_meta_tensor_no_storage",
                    "_rebuild_device_tensor_from_numpy",
                    "_rebuild_device_tensor_from_cpu_tensor",
                    "_rebuild_xla_tensor",
                ],
            ),
            (Use::WithState, &["_rebuild_parameter_with_state"]),
        ],
    ),
    (
        &["torch._tensor", "torch.tensor"],
        &[(Use::FromType, &["_rebuild_from_type_v2"])],
    ),
    (
        &["torch"],
        &[
            (Use::Mention, STORAGES),
            (Use::Mention, TENSORS),
            (Use::Mention, DTYPES),
            (Use::Mention, &["Tensor"]),
            (
                Use::Mention,
                &[
                    "per_tensor_affine",
                    "per_tensor_symmetric",
                    "per_channel_affine",
                    "per_channel_symmetric",
                    "per_channel_affine_float_qparams",
                ],
            ),
            (Use::Call, &["Size", "device"]),
        ],
    ),
    (
        &["torch.cuda"],
        &[(Use::Mention, STORAGES), (Use::Mention, TENSORS)],
    ),
    (&["torch.storage"], &[(Use::Mention, STORAGES)]),
    (&["torch._tensor"], &[(Use::Mention, &["Tensor"])]),
    (&["torch.nn.parameter"], &[(Use::Call, &["Parameter"])]),
    // How TorchScript writes its lists; each gives its argument back.
    (
        &["torch.jit._pickle"],
        &[(
            Use::Call,
            &[
                "build_intlist",
                "build_doublelist",
                "build_boollist",
                "build_tensorlist",
                "restore_type_tag",
            ],
        )],
    ),
    (&["torch.serialization"], &[(Use::Call, &["_get_layout"])]),
    (&["torch.torch_version"], &[(Use::Call, &["TorchVersion"])]),
    (&["argparse"], &[(Use::Instance, &["Namespace"])]),
];

const ESTIMATOR: &[Group] = &[
    (
        &[
            "joblib.numpy_pickle",
            "sklearn.externals.joblib.numpy_pickle",
        ],
        &[(Use::Instance, &["NumpyArrayWrapper"])],
    ),
    (&["sklearn.pipeline"], &[(Use::Instance, &["Pipeline"])]),
    // The modules without an underscore are those before scikit-learn 0.22.
    (
        &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
        &[(
            Use::Instance,
            &[
                "StandardScaler",
                "MinMaxScaler",
                "MaxAbsScaler",
                "RobustScaler",
                "Normalizer",
                "Binarizer",
                "QuantileTransformer",
                "PowerTransformer",
            ],
        )],
    ),
    (
        &[
            "sklearn.preprocessing._label",
            "sklearn.preprocessing.label",
        ],
        &[(Use::Instance, &["LabelEncoder", "LabelBinarizer"])],
    ),
    (
        &[
            "sklearn.linear_model._logistic",
            "sklearn.linear_model.logistic",
        ],
        &[(
            Use::Instance,
            &["LogisticRegression", "LogisticRegressionCV"],
        )],
    ),
    (
        &["sklearn.tree._classes", "sklearn.tree.tree"],
        &[(
            Use::Instance,
            &["DecisionTreeClassifier", "ExtraTreeClassifier"],
        )],
    ),
    (&["sklearn.tree._tree"], &[(Use::Call, &["Tree"])]),
    (
        &["sklearn.ensemble._forest", "sklearn.ensemble.forest"],
        &[(
            Use::Instance,
            &["RandomForestClassifier", "ExtraTreesClassifier"],
        )],
    ),
];
