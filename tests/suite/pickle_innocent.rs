//! Pickles that must pass: what libraries write, and what only looks like a pickle.

use super::pickle_kit::op::*;
use super::pickle_kit::{Asm, Case, asm, proto};

pub fn cases() -> Vec<Case> {
    let mut cases = checkpoints();
    cases.extend(plain_values());
    cases.extend(numpy());
    cases.extend(estimators());
    cases.extend(look_alikes());
    cases
}

impl Asm {
    /// A tensor of 2 x 2 over storage `key`, as `torch.save` writes one.
    fn tensor(self, key: &str, storage: &str) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(MARK)
            .raw(MARK)
            .text2("storage")
            .global("torch", storage)
            .text2(key)
            .text2("cpu")
            .int(4)
            .raw(TUPLE)
            .raw(BINPERSID)
            .int(0)
            .int(2)
            .int(2)
            .raw(TUPLE2)
            .int(2)
            .int(1)
            .raw(TUPLE2)
            .raw(FALSE)
            .ordered_dict()
            .raw(TUPLE)
            .raw(REDUCE)
    }

    fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict")
            .raw(EMPTY_TUPLE)
            .raw(REDUCE)
    }

    fn state_dict(self) -> Self {
        self.ordered_dict()
            .raw(MARK)
            .text2("weight")
            .tensor("0", "FloatStorage")
            .text2("bias")
            .tensor("1", "HalfStorage")
            .raw(SETITEMS)
    }

    fn instance(self, module: &str, name: &str) -> Self {
        self.global(module, name).raw(EMPTY_TUPLE).raw(NEWOBJ)
    }

    fn dtype(self, code: &str) -> Self {
        self.global("numpy", "dtype")
            .text2(code)
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text2("<")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
    }

    /// An array of one float64 as numpy pickles it: `package` is `numpy.core` or `numpy._core`.
    fn array(self, package: &str) -> Self {
        self.global(&format!("{package}.multiarray"), "_reconstruct")
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
            .dtype("f8")
            .raw(FALSE)
            .octets(&1f64.to_le_bytes())
            .raw(TUPLE)
            .raw(BUILD)
    }
}

fn checkpoints() -> Vec<Case> {
    vec![
        proto(2).state_dict().stop().torch("state_dict"),
        proto(2)
            .state_dict().raw(EMPTY_DICT).text2("_metadata").ordered_dict()
            .text2("").raw(EMPTY_DICT).text2("version").int(1).raw(SETITEM).raw(SETITEM).raw(SETITEM).raw(BUILD).stop()
            .torch("state_dict_with_metadata"),
        proto(3).raw(EMPTY_DICT).text2("w").tensor("0", "BFloat16Storage").raw(SETITEM).stop().torch("plain_dict"),
        proto(4).raw(EMPTY_DICT).text("model").state_dict().raw(SETITEM).stop().torch("wrapped_protocol_4"),
        proto(5).raw(EMPTY_DICT).text("state_dict").state_dict().raw(SETITEM).stop().torch("wrapped_protocol_5"),
        proto(2)
            .raw(EMPTY_DICT).raw(MARK).text2("model").state_dict().text2("epoch").int(9)
            .text2("args").instance("argparse", "Namespace").raw(EMPTY_DICT).text2("lr").raw(b"G?\xf0\0\0\0\0\0\0").raw(SETITEM).raw(BUILD)
            .raw(SETITEMS).stop()
            .torch("rfdetr_checkpoint"),
        proto(2).raw(EMPTY_DICT).raw(MARK).text2("params").state_dict().text2("params_ema").state_dict().raw(SETITEMS).stop().torch("params_ema"),
        asm()
            .raw(b"ccopy_reg\n_reconstructor\np0\n(cargparse\nNamespace\np1\nc__builtin__\nobject\np2\nNtp3\nRp4\n(dp5\nVlr\np6\nF0.1\nsb.")
            .torch("namespace_of_protocol_0"),
        proto(2)
            .global("torch._utils", "_rebuild_parameter").tensor("0", "FloatStorage").raw(TRUE).ordered_dict().raw(TUPLE3).raw(REDUCE).stop()
            .torch("parameter"),
        proto(2)
            .global("torch._utils", "_rebuild_parameter_with_state").raw(MARK).tensor("0", "FloatStorage").raw(TRUE).ordered_dict()
            .raw(EMPTY_DICT).text2("note").int(1).raw(SETITEM).raw(TUPLE).raw(REDUCE).stop()
            .torch("parameter_with_state"),
        proto(2)
            .global("torch._utils", "_rebuild_tensor_v3").raw(MARK).raw(MARK).text2("storage").global("torch.storage", "UntypedStorage")
            .text2("0").text2("cpu").int(4).raw(TUPLE).raw(BINPERSID).int(0).int(4).raw(TUPLE1).int(1).raw(TUPLE1).raw(FALSE)
            .ordered_dict().global("torch", "float8_e4m3fn").raw(TUPLE).raw(REDUCE).stop()
            .torch("tensor_v3"),
        proto(2)
            .global("torch._tensor", "_rebuild_from_type_v2").raw(MARK).global("torch._utils", "_rebuild_tensor_v2").global("torch", "Tensor")
            .raw(NONE).raw(TUPLE1).raw(EMPTY_DICT).text2("note").int(1).raw(SETITEM).raw(TUPLE).raw(REDUCE).stop()
            .torch("tensor_with_attributes"),
        proto(2)
            .raw(MARK).global("torch", "Size").int(2).int(3).raw(TUPLE2).raw(TUPLE1).raw(REDUCE)
            .global("torch", "device").text2("cuda").int(0).raw(TUPLE2).raw(REDUCE).global("torch", "bfloat16").raw(LIST).stop()
            .torch("size_device_dtype"),
        proto(2)
            .global("torch._utils", "_rebuild_sparse_tensor").global("torch.serialization", "_get_layout").args("torch.sparse_coo").raw(REDUCE)
            .tensor("0", "LongStorage").tensor("1", "FloatStorage").global("torch", "Size").int(2).raw(TUPLE1).raw(TUPLE1).raw(REDUCE)
            .raw(TUPLE3).raw(TUPLE2).raw(REDUCE).stop()
            .torch("sparse_tensor"),
        // Python 2 wrote an OrderedDict with its items as an argument.
        proto(2)
            .global("collections", "OrderedDict").raw(EMPTY_LIST).raw(EMPTY_LIST).raw(MARK).raw(b"U\x06weight").tensor("0", "FloatStorage")
            .raw(APPENDS).raw(APPEND).raw(TUPLE1).raw(REDUCE).stop()
            .torch("ordered_dict_of_python_2"),
        proto(2).raw(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19").stop().torch("magic_number_of_legacy_files"),
        proto(2)
            .raw(EMPTY_DICT).raw(MARK).text2("protocol_version").int(1001).text2("little_endian").raw(TRUE)
            .text2("type_sizes").raw(EMPTY_DICT).text2("short").int(2).raw(SETITEM).raw(SETITEMS).stop()
            .torch("system_information_of_legacy_files"),
        proto(2)
            .global("collections", "defaultdict").global("__builtin__", "dict").raw(TUPLE1).raw(REDUCE).int(0).raw(EMPTY_DICT).raw(SETITEM).stop()
            .torch("optimizer_state"),
        proto(2).global("torch.torch_version", "TorchVersion").args("2.6.0").raw(NEWOBJ).stop().torch("torch_version"),
    ]
}

fn plain_values() -> Vec<Case> {
    vec![
        proto(4)
            .raw(EMPTY_SET)
            .raw(MARK)
            .int(1)
            .int(2)
            .raw(ADDITEMS)
            .stop()
            .torch("set"),
        proto(4)
            .raw(MARK)
            .int(1)
            .raw(FROZENSET)
            .stop()
            .torch("frozenset"),
        proto(2)
            .global("__builtin__", "set")
            .raw(EMPTY_LIST)
            .int(1)
            .raw(APPEND)
            .raw(TUPLE1)
            .raw(REDUCE)
            .stop()
            .torch("set_of_protocol_2"),
        proto(3)
            .global("builtins", "complex")
            .raw(b"G?\xf0\0\0\0\0\0\0G?\xf0\0\0\0\0\0\0")
            .raw(TUPLE2)
            .raw(REDUCE)
            .stop()
            .torch("complex"),
        proto(3)
            .global("builtins", "slice")
            .int(1)
            .int(2)
            .raw(NONE)
            .raw(TUPLE3)
            .raw(REDUCE)
            .stop()
            .torch("slice"),
        proto(2)
            .global("__builtin__", "bytearray")
            .text2("a\u{e9}")
            .text2("latin-1")
            .raw(TUPLE2)
            .raw(REDUCE)
            .stop()
            .torch("bytearray_of_protocol_2"),
        proto(5)
            .raw(b"\x96\x03\0\0\0\0\0\0\0abc\x98")
            .stop()
            .torch("bytearray_of_protocol_5"),
        proto(2)
            .global("__builtin__", "bytes")
            .raw(EMPTY_TUPLE)
            .raw(REDUCE)
            .stop()
            .torch("empty_bytes_of_protocol_2"),
        proto(2)
            .global("collections", "Counter")
            .raw(EMPTY_DICT)
            .text2("a")
            .int(1)
            .raw(SETITEM)
            .raw(TUPLE1)
            .raw(REDUCE)
            .stop()
            .torch("counter"),
        proto(2)
            .global("collections", "deque")
            .raw(EMPTY_TUPLE)
            .raw(REDUCE)
            .raw(MARK)
            .int(1)
            .int(2)
            .raw(APPENDS)
            .stop()
            .torch("deque"),
        proto(3)
            .global("datetime", "datetime")
            .octets(&[7, 0xe9, 12, 18, 15, 30, 42, 0, 0, 0])
            .raw(TUPLE1)
            .raw(REDUCE)
            .stop()
            .torch("date"),
        asm()
            .raw(b"(lp0\nI01\naI00\naL10L\naF1e400\naS'it\\'s'\naV\\u00e9\na(t.")
            .torch("everything_of_protocol_0"),
        proto(2)
            .raw(EMPTY_LIST)
            .put(0)
            .get(0)
            .raw(APPEND)
            .stop()
            .torch("list_in_itself"),
        proto(2)
            .raw(EMPTY_LIST)
            .raw(DUP)
            .raw(POP)
            .stop()
            .torch("dup_and_pop"),
        proto(4)
            .raw(&[0x80, 2])
            .raw(NONE)
            .stop()
            .torch("two_protocols"),
        proto(2)
            .raw(&b"(".repeat(1000))
            .raw(NONE)
            .raw(&b"t".repeat(1000))
            .stop()
            .torch("deep_tuples"),
    ]
}

fn numpy() -> Vec<Case> {
    vec![
        proto(3)
            .array("numpy.core")
            .stop()
            .torch("array_in_a_checkpoint"),
        proto(3)
            .array("numpy._core")
            .stop()
            .estimator("array_of_numpy_2"),
        proto(2)
            .global("numpy.core.multiarray", "scalar")
            .dtype("f8")
            .global("_codecs", "encode")
            .text2("\0\0\0\0\0\0\u{f0}?")
            .text2("latin1")
            .raw(TUPLE2)
            .raw(REDUCE)
            .raw(TUPLE2)
            .raw(REDUCE)
            .stop()
            .torch("scalar_of_protocol_2"),
        proto(5)
            .global("numpy._core.numeric", "_frombuffer")
            .raw(MARK)
            .raw(b"\x96\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0?")
            .dtype("f8")
            .int(1)
            .raw(TUPLE1)
            .text("C")
            .raw(TUPLE)
            .raw(REDUCE)
            .stop()
            .estimator("array_of_protocol_5"),
        proto(2)
            .global("numpy", "dtype")
            .text2("O8")
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text2("|")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(63)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_of_objects"),
        proto(2)
            .dtype("i8")
            .put(1)
            .raw(POP)
            .global("numpy", "dtype")
            .text2("V16")
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text2("|")
            .raw(NONE)
            .text2("a")
            .text2("b")
            .raw(TUPLE2)
            .raw(EMPTY_DICT)
            .raw(MARK)
            .text2("a")
            .get(1)
            .int(0)
            .raw(TUPLE2)
            .text2("b")
            .get(1)
            .int(8)
            .raw(TUPLE2)
            .raw(SETITEMS)
            .int(16)
            .int(1)
            .int(16)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_of_records"),
        proto(2)
            .global("numpy", "float64")
            .stop()
            .estimator("dtype_as_a_parameter"),
        proto(2)
            .global("numpy.random._pickle", "__randomstate_ctor")
            .text2("MT19937")
            .global("numpy.random._pickle", "__bit_generator_ctor")
            .raw(TUPLE2)
            .raw(REDUCE)
            .raw(EMPTY_DICT)
            .text2("bit_generator")
            .text2("MT19937")
            .raw(SETITEM)
            .raw(BUILD)
            .stop()
            .estimator("random_state"),
    ]
}

fn estimators() -> Vec<Case> {
    const CLASSES: &[(&str, &str, &str)] = &[
        (
            "standard_scaler",
            "sklearn.preprocessing._data",
            "StandardScaler",
        ),
        (
            "standard_scaler_before_0_22",
            "sklearn.preprocessing.data",
            "StandardScaler",
        ),
        (
            "min_max_scaler",
            "sklearn.preprocessing._data",
            "MinMaxScaler",
        ),
        (
            "robust_scaler",
            "sklearn.preprocessing._data",
            "RobustScaler",
        ),
        (
            "logistic_regression",
            "sklearn.linear_model._logistic",
            "LogisticRegression",
        ),
        (
            "label_encoder",
            "sklearn.preprocessing._label",
            "LabelEncoder",
        ),
    ];
    let mut cases: Vec<Case> = CLASSES
        .iter()
        .map(|(case, module, name)| {
            proto(3)
                .instance(module, name)
                .raw(EMPTY_DICT)
                .raw(MARK)
                .text2("_sklearn_version")
                .text2("1.4.2")
                .text2("n_features_in_")
                .int(1)
                .text2("scale_")
                .array("numpy.core")
                .raw(SETITEMS)
                .raw(BUILD)
                .stop()
                .estimator(case)
        })
        .collect();
    cases.extend([
        proto(4)
            .instance("sklearn.pipeline", "Pipeline").raw(EMPTY_DICT).text("steps").raw(EMPTY_LIST)
            .text("scaler").instance("sklearn.preprocessing._data", "StandardScaler").raw(TUPLE2).raw(APPEND).raw(SETITEM).raw(BUILD).stop()
            .estimator("pipeline"),
        proto(4)
            .instance("sklearn.tree._classes", "DecisionTreeClassifier").raw(EMPTY_DICT).text("tree_")
            .global("sklearn.tree._tree", "Tree").int(3).array("numpy.core").int(1).raw(TUPLE3).raw(REDUCE)
            .raw(EMPTY_DICT).text("node_count").int(1).raw(SETITEM).raw(BUILD).raw(SETITEM).raw(BUILD).stop()
            .estimator("decision_tree"),
        asm()
            .raw(b"ccopy_reg\n_reconstructor\n(csklearn.preprocessing._data\nNormalizer\nc__builtin__\nobject\nNtR(dVnorm\nVl2\nsb.")
            .estimator("normalizer_of_protocol_0"),
        proto(4)
            .instance("joblib.numpy_pickle", "NumpyArrayWrapper").raw(EMPTY_DICT).raw(MARK)
            .text("subclass").global("numpy", "ndarray").text("shape").int(1).raw(TUPLE1).text("order").text("C")
            .text("dtype").dtype("f8").text("allow_mmap").raw(TRUE).raw(SETITEMS).raw(BUILD).stop()
            .estimator("array_wrapper_of_joblib"),
    ]);
    cases
}

fn look_alikes() -> Vec<Case> {
    vec![
        proto(4)
            .text("import os; os.system('id')\nc = 'posix'.")
            .stop()
            .torch("source_in_a_text"),
        proto(4)
            .text("cos\nsystem\n(S'id'\ntR")
            .stop()
            .torch("text_that_begins_as_a_pickle"),
        proto(4)
            .text("os.system")
            .text("system")
            .raw(TUPLE2)
            .stop()
            .torch("dangerous_names_as_texts"),
        proto(3)
            .octets(&proto(2).state_dict().stop().bytes())
            .stop()
            .torch("checkpoint_in_a_byte_string"),
        proto(3)
            .octets(b"class_names\nred\ngreen.\n")
            .stop()
            .torch("table_in_a_byte_string"),
        asm().raw(&[0; 4096]).hidden("zeros"),
        asm()
            .raw(
                &(0..1000u32)
                    .flat_map(|i| (i as f32 / 7.0).to_le_bytes())
                    .collect::<Vec<_>>(),
            )
            .hidden("floats"),
        asm()
            .raw(&b"(".repeat(100_000))
            .hidden("a_storage_of_marks"),
        asm()
            .raw(&b"N.".repeat(600))
            .hidden("a_storage_of_tiny_pickles"),
        asm().raw(b"3\n").hidden("version"),
        asm().raw(b"little").hidden("byteorder"),
        asm()
            .raw(b"class Module(Module):\n  __parameters__ = [\"weight\", ]\n")
            .hidden("code_of_torchscript"),
        asm().raw(b"import os\nos.system('id')\n").hidden("source"),
        asm().raw(b"").hidden("nothing"),
    ]
}
