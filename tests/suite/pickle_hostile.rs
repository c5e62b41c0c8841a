//! Pickles that must be refused, put together by hand. They are read, never run.

use super::pickle_kit::op::*;
use super::pickle_kit::{Asm, Case, asm, proto};

/// `posix.system("id")`, as `__reduce__` would leave it.
pub fn system() -> Asm {
    proto(2)
        .danger("posix.system")
        .global("posix", "system")
        .args("id")
        .raw(REDUCE)
        .stop()
}

pub fn cases() -> Vec<Case> {
    let mut cases = ways_to_name();
    cases.extend(ways_to_call());
    cases.extend(ways_to_change());
    cases.extend(ways_to_hide());
    cases.extend(misuses_of_the_known());
    cases.extend(unknowns());
    cases.extend(dangers());
    cases
}

fn ways_to_name() -> Vec<Case> {
    vec![
        system().torch("reduce"),
        asm()
            .danger("os.system")
            .raw(b"cos\nsystem\np0\n(S'id'\np1\ntp2\nRp3\n.")
            .torch("protocol_0"),
        proto(4)
            .text("os")
            .raw(MEMOIZE)
            .text("system")
            .raw(MEMOIZE)
            .raw(POP)
            .raw(POP)
            .get(0)
            .get(1)
            .danger("os.system")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("stack_global_of_memoised_texts"),
        proto(4)
            .text("collections")
            .put(9)
            .raw(POP)
            .text("OrderedDict")
            .put(8)
            .raw(POP)
            .text("subprocess")
            .put(9)
            .raw(POP)
            .text("Popen")
            .put(8)
            .raw(POP)
            .get(9)
            .get(8)
            .danger("subprocess.Popen")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("memo_overwritten"),
        asm()
            .raw(b"V\\u006f\\u0073\nV\\u0073ystem\n")
            .danger("os.system")
            .raw(STACK_GLOBAL)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("names_in_unicode_escapes"),
        asm()
            .raw(b"S'\\157\\163'\nS\"s\\x79stem\"\n")
            .danger("os.system")
            .raw(STACK_GLOBAL)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("names_in_octal_escapes"),
        asm()
            .raw(b"U\x05posixT\x06\0\0\0system")
            .danger("posix.system")
            .raw(STACK_GLOBAL)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("names_in_python_2_strings"),
        asm()
            .raw(MARK)
            .raw(b"S'id'\n")
            .danger("os.system")
            .inst("os", "system")
            .stop()
            .torch("inst"),
        asm()
            .raw(MARK)
            .danger("subprocess.Popen")
            .global("subprocess", "Popen")
            .raw(b"S'id'\n")
            .raw(OBJ)
            .stop()
            .torch("obj"),
        proto(4)
            .text("collections")
            .text("OrderedDict.fromkeys")
            .danger("collections.OrderedDict.fromkeys")
            .raw(STACK_GLOBAL)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("dotted_name"),
        proto(4)
            .text("torch")
            .text("storage.os.system")
            .danger("torch.storage.os.system")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("dotted_name_through_a_known_module"),
        proto(2)
            .danger("torch.storage.os")
            .global("torch.storage", "os")
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("module_passed_on_by_a_known_module"),
        proto(2)
            .danger("six.moves.builtins.eval")
            .global("six.moves.builtins", "eval")
            .args("1")
            .raw(REDUCE)
            .stop()
            .torch("builtins_passed_on"),
        proto(2)
            .here("extension_code", "")
            .raw(b"\x82\x07")
            .raw(EMPTY_TUPLE)
            .raw(REDUCE)
            .stop()
            .torch("extension_code_1"),
        proto(2)
            .here("extension_code", "")
            .raw(b"\x83\x07\x01")
            .raw(POP)
            .raw(NONE)
            .stop()
            .estimator("extension_code_2"),
        proto(2)
            .here("extension_code", "")
            .raw(b"\x84\x07\0\x01\0")
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("extension_code_4"),
        proto(4)
            .global("builtins", "str")
            .args("os")
            .raw(REDUCE)
            .text("system")
            .here("unread", "")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("computed_module_name"),
        proto(3)
            .raw(b"X\x05\0\0\0os\xed\xa0\x80")
            .text2("system")
            .danger("os\u{fffd}.system")
            .raw(STACK_GLOBAL)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("lone_surrogate_in_a_name"),
        proto(2)
            .unknown("\u{1b}[2Jlab.\u{7}Net")
            .global("\u{1b}[2Jlab", "\u{7}Net")
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("control_characters_in_a_name"),
        proto(2)
            .danger("__builtin__.eval")
            .global("__builtin__", "eval")
            .args("1")
            .raw(REDUCE)
            .stop()
            .torch("python_2_name"),
        proto(2)
            .danger("commands.getoutput")
            .global("commands", "getoutput")
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("python_2_module"),
    ]
}

fn ways_to_call() -> Vec<Case> {
    vec![
        proto(2)
            .danger("subprocess.Popen")
            .global("subprocess", "Popen")
            .args("id")
            .raw(NEWOBJ)
            .stop()
            .estimator("newobj"),
        proto(4)
            .text("subprocess")
            .text("Popen")
            .danger("subprocess.Popen")
            .raw(STACK_GLOBAL)
            .raw(EMPTY_TUPLE)
            .raw(EMPTY_DICT)
            .text("args")
            .text("id")
            .raw(SETITEM)
            .raw(NEWOBJ_EX)
            .stop()
            .estimator("newobj_ex"),
        proto(4)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .raw(EMPTY_DICT)
            .text("a")
            .int(1)
            .raw(SETITEM)
            .misused("argparse.Namespace")
            .raw(NEWOBJ_EX)
            .stop()
            .torch("newobj_ex_of_a_known_class"),
        proto(2)
            .danger("functools.partial")
            .global("functools", "partial")
            .danger("os.system")
            .global("os", "system")
            .text("id")
            .raw(TUPLE2)
            .raw(REDUCE)
            .raw(EMPTY_TUPLE)
            .here("computed_call", "")
            .raw(REDUCE)
            .stop()
            .torch("partial"),
        proto(2)
            .global("collections", "OrderedDict")
            .raw(EMPTY_TUPLE)
            .raw(REDUCE)
            .raw(EMPTY_TUPLE)
            .here("computed_call", "")
            .raw(REDUCE)
            .stop()
            .torch("call_of_a_result"),
        proto(2)
            .raw(b"(K\x01Q")
            .raw(EMPTY_TUPLE)
            .here("computed_call", "")
            .raw(REDUCE)
            .stop()
            .torch("call_of_a_persistent_id"),
        proto(2)
            .danger("builtins.getattr")
            .global("builtins", "getattr")
            .danger("importlib.import_module")
            .global("importlib", "import_module")
            .args("os")
            .raw(REDUCE)
            .text("system")
            .raw(TUPLE2)
            .raw(REDUCE)
            .args("id")
            .here("computed_call", "")
            .raw(REDUCE)
            .stop()
            .torch("getattr_of_an_import"),
        proto(2)
            .danger("operator.attrgetter")
            .global("operator", "attrgetter")
            .args("system")
            .raw(REDUCE)
            .stop()
            .torch("attrgetter"),
        proto(2)
            .danger("_operator.methodcaller")
            .global("_operator", "methodcaller")
            .args("system")
            .raw(REDUCE)
            .stop()
            .torch("methodcaller"),
        // The list is an argument when it is called, and another when it is looked at.
        proto(2)
            .global("_codecs", "encode")
            .raw(EMPTY_LIST)
            .put(0)
            .raw(MARK)
            .text("payload")
            .text("rot13")
            .raw(APPENDS)
            .misused("_codecs.encode")
            .raw(REDUCE)
            .stop()
            .torch("list_as_arguments"),
        proto(2)
            .danger("posix.system")
            .global("posix", "system")
            .args("id")
            .raw(REDUCE)
            .raw(POP)
            .raw(NONE)
            .stop()
            .torch("result_thrown_away"),
        proto(2)
            .raw(MARK)
            .danger("posix.system")
            .global("posix", "system")
            .args("id")
            .raw(REDUCE)
            .raw(POP_MARK)
            .raw(NONE)
            .stop()
            .torch("result_thrown_away_with_its_mark"),
    ]
}

fn ways_to_change() -> Vec<Case> {
    vec![
        proto(2)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .here("planted_attribute", "")
            .raw(NEWOBJ)
            .raw(EMPTY_DICT)
            .text("__setstate__")
            .danger("os.system")
            .global("os", "system")
            .raw(SETITEM)
            .raw(BUILD)
            .text("id")
            .raw(BUILD)
            .stop()
            .torch("planted_setstate"),
        proto(2)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .here("computed_state", "")
            .raw(NEWOBJ)
            .raw(EMPTY_DICT)
            .global("numpy.core.multiarray", "scalar")
            .global("numpy", "dtype")
            .text("U12")
            .raw(TUPLE1)
            .raw(REDUCE)
            .octets(b"_\0\0\0_\0\0\0s\0\0\0e\0\0\0t\0\0\0s\0\0\0t\0\0\0a\0\0\0t\0\0\0e\0\0\0_\0\0\0_\0\0\0")
            .raw(TUPLE2)
            .raw(REDUCE)
            .global("torch", "device")
            .raw(SETITEM)
            .raw(BUILD)
            .stop()
            .torch("planted_setstate_in_numpys_text"),
        proto(2)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .here("planted_attribute", "")
            .raw(NEWOBJ)
            .raw(EMPTY_DICT)
            .text("__setstate__")
            .global("torch", "device")
            .raw(SETITEM)
            .raw(BUILD)
            .text("cpu")
            .raw(BUILD)
            .stop()
            .torch("planted_setstate_of_a_known_global"),
        proto(2)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .here("planted_attribute", "")
            .raw(NEWOBJ)
            .raw(NONE)
            .raw(EMPTY_DICT)
            .text("__class__")
            .global("torch", "device")
            .raw(SETITEM)
            .raw(TUPLE2)
            .raw(BUILD)
            .stop()
            .torch("planted_class_in_slots"),
        proto(2)
            .global("argparse", "Namespace")
            .raw(EMPTY_TUPLE)
            .here("computed_state", "")
            .raw(NEWOBJ)
            .global("collections", "OrderedDict")
            .raw(EMPTY_LIST)
            .text("__setstate__")
            .global("torch", "device")
            .raw(TUPLE2)
            .raw(APPEND)
            .raw(TUPLE1)
            .raw(REDUCE)
            .raw(BUILD)
            .stop()
            .torch("planted_by_a_computed_state"),
        proto(2)
            .global("collections", "OrderedDict")
            .raw(NONE)
            .raw(EMPTY_DICT)
            .text("__reduce__")
            .global("torch", "device")
            .raw(SETITEM)
            .raw(TUPLE2)
            .here("odd_change", "")
            .raw(BUILD)
            .stop()
            .torch("build_of_a_class"),
        proto(2)
            .danger("sys.modules")
            .global("sys", "modules")
            .text("os")
            .text("x")
            .here("odd_change", "")
            .raw(SETITEM)
            .stop()
            .torch("module_table"),
        proto(2)
            .danger("sys.path")
            .global("sys", "path")
            .raw(MARK)
            .text("/tmp")
            .here("odd_change", "")
            .raw(APPENDS)
            .stop()
            .torch("module_path"),
        proto(2)
            .raw(EMPTY_LIST)
            .raw(EMPTY_DICT)
            .here("odd_change", "")
            .raw(BUILD)
            .stop()
            .torch("build_of_a_list"),
        proto(2)
            .global("torch", "device")
            .args("cpu")
            .here("odd_change", "")
            .raw(REDUCE)
            .int(0)
            .raw(APPEND)
            .stop()
            .torch("append_to_a_device"),
        proto(2)
            .global("numpy.core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .int(0)
            .raw(TUPLE1)
            .octets(b"b")
            .raw(TUPLE3)
            .here("odd_change", "")
            .raw(REDUCE)
            .int(0)
            .int(1)
            .raw(SETITEM)
            .stop()
            .estimator("item_set_in_an_array"),
        proto(2)
            .global("torch._utils", "_rebuild_parameter_with_state")
            .raw(MARK)
            .raw(NONE)
            .raw(TRUE)
            .raw(EMPTY_DICT)
            .raw(EMPTY_DICT)
            .text("__class__")
            .global("torch", "device")
            .raw(SETITEM)
            .raw(TUPLE)
            .here("planted_attribute", "")
            .raw(REDUCE)
            .stop()
            .torch("planted_by_a_rebuild_function"),
    ]
}

fn ways_to_hide() -> Vec<Case> {
    vec![
        proto(3)
            .raw(EMPTY_DICT)
            .text2("x")
            .nested(system(), Asm::octets)
            .raw(SETITEM)
            .stop()
            .torch("pickle_in_a_byte_string"),
        proto(2)
            .global("_codecs", "encode")
            .nested(system(), |asm, bytes| {
                asm.text2(&bytes.iter().map(|&byte| byte as char).collect::<String>())
            })
            .text2("latin1")
            .raw(TUPLE2)
            .raw(REDUCE)
            .stop()
            .estimator("pickle_in_a_latin_1_text"),
        proto(3)
            .nested(proto(3).nested(system(), Asm::octets).stop(), Asm::octets)
            .stop()
            .torch("pickle_in_a_pickle_in_a_pickle"),
        proto(3)
            .nested(
                asm()
                    .danger("os.system")
                    .raw(b"cos\nsystem\n(S'id'\ntR")
                    .here("unread", ""),
                Asm::octets,
            )
            .stop()
            .torch("pickle_without_an_end_in_a_byte_string"),
        proto(2)
            .danger("torch.storage._load_from_bytes")
            .global("torch.storage", "_load_from_bytes")
            .nested(system(), Asm::octets)
            .raw(TUPLE1)
            .raw(REDUCE)
            .stop()
            .torch("load_from_bytes"),
        proto(2)
            .danger("_pickle.loads")
            .global("_pickle", "loads")
            .nested(system(), Asm::octets)
            .raw(TUPLE1)
            .raw(REDUCE)
            .stop()
            .estimator("loads"),
        proto(2)
            .danger("posix.system")
            .global("posix", "system")
            .args("id")
            .raw(REDUCE)
            .here("unread", "")
            .torch("no_stop"),
        proto(2)
            .danger("posix.system")
            .global("posix", "system")
            .args("id")
            .raw(REDUCE)
            .here("unread", "")
            .raw(b"\xff.")
            .torch("ends_in_an_invalid_opcode"),
        proto(2)
            .danger("posix.system")
            .global("posix", "system")
            .args("id")
            .raw(REDUCE)
            .here("unread", "")
            .raw(b"h\x63.")
            .torch("ends_in_an_unset_memo"),
        proto(4)
            .raw(b"\x95\xff\xff\xff\xff\0\0\0\0")
            .text("posix")
            .text("system")
            .danger("posix.system")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .here("unread", "")
            .stop()
            .torch("frame_longer_than_the_file"),
        proto(4)
            .raw(b"\x95\x01\0\0\0\0\0\0\0")
            .here("unread", "")
            .text("posix")
            .text("system")
            .danger("posix.system")
            .raw(STACK_GLOBAL)
            .args("id")
            .raw(REDUCE)
            .stop()
            .torch("frame_shorter_than_its_opcodes"),
        proto(2)
            .raw(NONE)
            .stop()
            .then(system())
            .hidden("second_stream_in_a_member"),
        system().hidden("member_that_is_a_pickle"),
        asm()
            .danger("os.system")
            .raw(b"cos\nsystem\n")
            .here("unread", "")
            .raw(b"\xff")
            .hidden("member_that_begins_as_a_pickle"),
        asm()
            .raw(MARK)
            .danger("posix.system")
            .inst("posix", "system")
            .raw(POP)
            .here("unread", "")
            .hidden("member_of_protocol_0"),
        proto(2)
            .raw(EMPTY_DICT)
            .text2("weights")
            .text2("archive/data/0")
            .here("persistent_id", "")
            .raw(BINPERSID)
            .raw(SETITEM)
            .stop()
            .estimator("persistent_id"),
        asm()
            .here("persistent_id", "")
            .raw(b"Pmodel\n.")
            .estimator("persistent_id_as_text"),
    ]
}

/// numpy would take the other bytes from behind it.
fn array_of_nine_in_a_byte() -> Asm {
    asm()
        .here("unsound_object", "")
        .raw(&[0x80, 2])
        .global("numpy.core.multiarray", "_reconstruct")
        .global("numpy", "ndarray")
        .int(0)
        .raw(TUPLE1)
        .octets(b"b")
        .raw(TUPLE3)
        .raw(REDUCE)
        .raw(MARK)
        .int(1)
        .int(9)
        .raw(TUPLE1)
        .global("numpy", "dtype")
        .text("u1")
        .raw(TUPLE1)
        .raw(REDUCE)
        .raw(FALSE)
        .octets(b"x")
        .raw(TUPLE)
        .raw(BUILD)
        .stop()
}

fn misuses_of_the_known() -> Vec<Case> {
    let dtype = |asm: Asm, code: &str| {
        asm.global("numpy", "dtype")
            .text(code)
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
    };
    vec![
        proto(2)
            .global("_codecs", "encode")
            .text("payload")
            .text("uu")
            .raw(TUPLE2)
            .misused("_codecs.encode")
            .raw(REDUCE)
            .stop()
            .torch("encode_with_another_codec"),
        proto(2)
            .global("numpy.core.multiarray", "_reconstruct")
            .unknown("numpy.matrixlib.defmatrix.matrix")
            .global("numpy.matrixlib.defmatrix", "matrix")
            .int(0)
            .raw(TUPLE1)
            .octets(b"b")
            .raw(TUPLE3)
            .misused("numpy.core.multiarray._reconstruct")
            .raw(REDUCE)
            .stop()
            .estimator("reconstruct_of_another_class"),
        proto(2)
            .global("numpy._core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .int(i32::MAX)
            .raw(TUPLE1)
            .octets(b"b")
            .raw(TUPLE3)
            .misused("numpy._core.multiarray._reconstruct")
            .raw(REDUCE)
            .stop()
            .estimator("reconstruct_of_a_huge_array"),
        proto(2)
            .global("numpy", "ndarray")
            .int(i32::MAX)
            .raw(TUPLE1)
            .misused("numpy.ndarray")
            .raw(REDUCE)
            .stop()
            .estimator("array_called"),
        proto(2)
            .global("builtins", "bytearray")
            .int(i32::MAX)
            .raw(TUPLE1)
            .misused("builtins.bytearray")
            .raw(REDUCE)
            .stop()
            .torch("bytearray_of_a_size"),
        proto(2)
            .global("torch", "FloatStorage")
            .int(i32::MAX)
            .raw(TUPLE1)
            .misused("torch.FloatStorage")
            .raw(REDUCE)
            .stop()
            .torch("storage_called"),
        dtype(proto(2), "O8")
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text("|")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_that_denies_its_pointers"),
        dtype(proto(2), "f8")
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text("<")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(63)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_that_claims_pointers"),
        proto(2)
            .global("numpy", "dtype")
            .text("i2")
            .raw(TUPLE1)
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text(">")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_of_all_with_a_state"),
        proto(2)
            .global("numpy", "dtype")
            .text("i2")
            .raw(FALSE)
            .raw(FALSE)
            .raw(TUPLE3)
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text(">")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .torch("dtype_not_copied_with_a_state"),
        proto(2)
            .global("numpy", "dtype")
            .text("O8")
            .raw(FALSE)
            .raw(TRUE)
            .raw(TUPLE3)
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text("|")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(7)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .torch("dtype_that_leaves_memory_as_it_is"),
        dtype(proto(2), "i2")
            .raw(REDUCE)
            .put(1)
            .raw(POP)
            .global("numpy.core.multiarray", "scalar")
            .get(1)
            .octets(b"\x01\0")
            .misused("numpy.dtype")
            .raw(TUPLE2)
            .raw(REDUCE)
            .raw(POP)
            .get(1)
            .raw(MARK)
            .int(3)
            .text(">")
            .raw(NONE)
            .raw(NONE)
            .raw(NONE)
            .int(-1)
            .int(-1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_used_before_its_state"),
        proto(2)
            .raw(EMPTY_LIST)
            .global("numpy.core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .int(0)
            .raw(TUPLE1)
            .octets(b"b")
            .raw(TUPLE3)
            .raw(REDUCE)
            .misused("numpy.core.multiarray._reconstruct")
            .raw(APPEND)
            .stop()
            .torch("array_used_before_its_state"),
        array_of_nine_in_a_byte().torch("array_larger_than_its_bytes"),
        array_of_nine_in_a_byte().hidden("hidden_array_larger_than_its_bytes"),
        proto(3)
            .nested(array_of_nine_in_a_byte(), Asm::octets)
            .stop()
            .estimator("array_larger_than_its_bytes_in_a_byte_string"),
        dtype(proto(2), "S4294967300")
            .misused("numpy.dtype")
            .raw(REDUCE)
            .stop()
            .estimator("dtype_cut_short_by_a_c_int"),
        dtype(proto(2), "U536870912")
            .misused("numpy.dtype")
            .raw(REDUCE)
            .stop()
            .torch("dtype_of_text_cut_short_by_a_c_int"),
        dtype(dtype(proto(2), "f8").raw(REDUCE).put(1).raw(POP), "V8")
            .misused("numpy.dtype")
            .raw(REDUCE)
            .raw(MARK)
            .int(3)
            .text("|")
            .raw(NONE)
            .text("a")
            .raw(TUPLE1)
            .raw(EMPTY_DICT)
            .text("a")
            .get(1)
            .int(4)
            .misused("numpy.dtype")
            .raw(TUPLE2)
            .raw(SETITEM)
            .int(8)
            .int(1)
            .int(0)
            .raw(TUPLE)
            .raw(BUILD)
            .stop()
            .estimator("dtype_with_a_field_outside"),
        proto(2)
            .global("copyreg", "_reconstructor")
            .global("argparse", "Namespace")
            .global("builtins", "dict")
            .raw(EMPTY_DICT)
            .raw(TUPLE3)
            .misused("copyreg._reconstructor")
            .raw(REDUCE)
            .stop()
            .torch("reconstructor_with_another_base"),
        proto(2)
            .global("torch._tensor", "_rebuild_from_type_v2")
            .raw(MARK)
            .global("_codecs", "encode")
            .global("torch", "Tensor")
            .text("x")
            .text("rot13")
            .raw(TUPLE2)
            .raw(NONE)
            .raw(TUPLE)
            .misused("torch._tensor._rebuild_from_type_v2")
            .raw(REDUCE)
            .stop()
            .torch("rebuild_from_another_function"),
        proto(2)
            .global("numpy.random._pickle", "__randomstate_ctor")
            .int(i32::MAX)
            .global("builtins", "bytearray")
            .raw(TUPLE2)
            .misused("numpy.random._pickle.__randomstate_ctor")
            .raw(REDUCE)
            .stop()
            .estimator("generator_of_another_function"),
        proto(2)
            .global("collections", "defaultdict")
            .global("torch", "device")
            .raw(TUPLE1)
            .misused("collections.defaultdict")
            .raw(REDUCE)
            .stop()
            .torch("defaultdict_of_a_function"),
        proto(2)
            .global("sklearn.preprocessing._data", "StandardScaler")
            .int(1)
            .raw(TUPLE1)
            .misused("sklearn.preprocessing._data.StandardScaler")
            .raw(REDUCE)
            .stop()
            .estimator("estimator_called_with_arguments"),
    ]
}

fn unknowns() -> Vec<Case> {
    let named = |module: &str, name: &str| {
        proto(2)
            .unknown(&format!("{module}.{name}"))
            .global(module, name)
            .raw(EMPTY_TUPLE)
            .raw(NEWOBJ)
            .stop()
    };
    vec![
        named("lab.nets", "Net").torch("class_of_a_lab"),
        named("__main__", "Net").torch("class_of_a_script"),
        named("torch._utils", "_rebuild_tensor_v2x").torch("longer_name"),
        named("torch._utils", "_rebuild_tensor_v").torch("shorter_name"),
        named("torch._utils2", "_rebuild_tensor_v2").torch("longer_module"),
        named("collections", "ordereddict").torch("name_in_small_letters"),
        named("Torch", "FloatStorage").torch("module_in_capitals"),
        named("torch ", "FloatStorage").torch("module_with_a_blank"),
        named("sklearn.tree._tree", "Tree").torch("estimator_in_a_checkpoint"),
        named("torch", "FloatStorage").estimator("storage_in_an_estimator"),
        named("torch.nn.modules.conv", "Conv2d").torch("module_of_torch"),
        named(
            "sklearn.preprocessing._function_transformer",
            "FunctionTransformer",
        )
        .estimator("function_transformer"),
        named("pathlib", "PosixPath").torch("path"),
    ]
}

/// A call of each of many globals that are known to do harm.
fn dangers() -> Vec<Case> {
    const DANGERS: &[(&str, &str, &str)] = &[
        ("danger_eval", "builtins", "eval"),
        ("danger_exec", "builtins", "exec"),
        ("danger_compile", "builtins", "compile"),
        ("danger_import", "builtins", "__import__"),
        ("danger_open", "builtins", "open"),
        ("danger_breakpoint", "builtins", "breakpoint"),
        ("danger_python_2_apply", "__builtin__", "apply"),
        ("danger_nt", "nt", "system"),
        ("danger_os_popen", "os", "popen"),
        ("danger_subprocess", "subprocess", "check_output"),
        (
            "danger_asyncio_subprocess",
            "asyncio.subprocess",
            "create_subprocess_shell",
        ),
        ("danger_posixsubprocess", "_posixsubprocess", "fork_exec"),
        (
            "danger_multiprocessing",
            "multiprocessing.util",
            "spawnv_passfds",
        ),
        (
            "danger_concurrent",
            "concurrent.futures.process",
            "_process_worker",
        ),
        ("danger_pty", "pty", "spawn"),
        ("danger_webbrowser", "webbrowser", "open"),
        ("danger_runpy", "runpy", "_run_code"),
        ("danger_code", "code", "InteractiveInterpreter"),
        ("danger_types", "types", "CodeType"),
        ("danger_function_type", "types", "FunctionType"),
        ("danger_marshal", "marshal", "loads"),
        (
            "danger_cloudpickle",
            "cloudpickle.cloudpickle",
            "_make_function",
        ),
        ("danger_dill", "dill", "loads"),
        ("danger_joblib", "joblib", "load"),
        (
            "danger_joblib_wrapper",
            "joblib.numpy_pickle_compat",
            "NDArrayWrapper",
        ),
        ("danger_numpy_load", "numpy", "load"),
        ("danger_pandas", "pandas.io.pickle", "read_pickle"),
        ("danger_torch_load", "torch", "load"),
        ("danger_torch_serialization", "torch.serialization", "load"),
        ("danger_torch_hub", "torch.hub", "load"),
        ("danger_torch_jit", "torch.jit", "load"),
        (
            "danger_torch_jit_exec",
            "torch.jit.unsupported_tensor_ops",
            "execWrapper",
        ),
        (
            "danger_torch_inductor",
            "torch._inductor.codecache",
            "compile_file",
        ),
        ("danger_torch_collect_env", "torch.utils.collect_env", "run"),
        (
            "danger_torch_bottleneck",
            "torch.utils.bottleneck.__main__",
            "run_cprofile",
        ),
        (
            "danger_torch_config",
            "torch.utils._config_module",
            "ConfigModule",
        ),
        (
            "danger_torch_decoder",
            "torch.utils.data.datapipes.utils.decoder",
            "basichandlers",
        ),
        (
            "danger_torch_fx",
            "torch.fx.graph_module",
            "reduce_graph_module",
        ),
        (
            "danger_torch_cpp",
            "torch.utils.cpp_extension",
            "load_inline",
        ),
        (
            "danger_numpy_runstring",
            "numpy.testing._private.utils",
            "runstring",
        ),
        ("danger_numpy_f2py", "numpy.f2py.crackfortran", "getlincoef"),
        (
            "danger_numpy_distutils",
            "numpy.distutils.exec_command",
            "exec_command",
        ),
        ("danger_importlib", "importlib", "import_module"),
        ("danger_pkgutil", "pkgutil", "resolve_name"),
        ("danger_zipimport", "zipimport", "zipimporter"),
        ("danger_pip", "pip", "main"),
        ("danger_ensurepip", "ensurepip", "_run_pip"),
        ("danger_venv", "venv", "create"),
        ("danger_setuptools", "setuptools", "setup"),
        ("danger_distutils", "distutils.file_util", "write_file"),
        ("danger_ctypes", "ctypes", "CDLL"),
        ("danger_socket", "socket", "create_connection"),
        ("danger_ssl", "ssl", "get_server_certificate"),
        ("danger_urllib", "urllib.request", "urlopen"),
        ("danger_http", "http.client", "HTTPSConnection"),
        ("danger_requests", "requests.api", "get"),
        ("danger_aiohttp", "aiohttp", "request"),
        ("danger_imaplib", "imaplib", "IMAP4_stream"),
        ("danger_smtplib", "smtplib", "SMTP"),
        ("danger_ftplib", "ftplib", "FTP"),
        ("danger_xmlrpc", "xmlrpc.client", "ServerProxy"),
        ("danger_shutil", "shutil", "rmtree"),
        ("danger_tempfile", "tempfile", "NamedTemporaryFile"),
        ("danger_pathlib", "pathlib", "os"),
        ("danger_io", "_io", "FileIO"),
        ("danger_logging", "logging", "FileHandler"),
        ("danger_logging_config", "logging.config", "listen"),
        ("danger_sqlite", "sqlite3", "connect"),
        ("danger_tarfile", "tarfile", "open"),
        ("danger_glob", "glob", "glob"),
        ("danger_linecache", "linecache", "getlines"),
        ("danger_timeit", "timeit", "timeit"),
        ("danger_cprofile", "cProfile", "run"),
        ("danger_profile", "profile", "run"),
        ("danger_pdb", "pdb", "run"),
        ("danger_bdb", "bdb", "Bdb"),
        ("danger_trace", "trace", "Trace"),
        ("danger_doctest", "doctest", "debug_script"),
        ("danger_unittest", "unittest", "main"),
        (
            "danger_test",
            "test.support.script_helper",
            "assert_python_ok",
        ),
        ("danger_pydoc", "pydoc", "pipepager"),
        ("danger_idlelib", "idlelib.run", "Executive"),
        ("danger_lib2to3", "lib2to3.pgen2.grammar", "Grammar"),
        ("danger_uuid", "uuid", "_get_command_stdout"),
        ("danger_osx_support", "_osx_support", "_read_output"),
        ("danger_aix_support", "_aix_support", "_read_cmd_output"),
        ("danger_pyrepl", "_pyrepl.pager", "pipe_pager"),
        ("danger_platform", "platform", "popen"),
        ("danger_inspect", "inspect", "getattr_static"),
        ("danger_gc", "gc", "get_objects"),
        ("danger_signal", "signal", "signal"),
        ("danger_threading", "threading", "Thread"),
        ("danger_atexit", "atexit", "register"),
        ("danger_sys_setprofile", "sys", "setprofile"),
        ("danger_itemgetter", "operator", "itemgetter"),
        ("danger_reduce", "functools", "reduce"),
        ("danger_newobj", "copyreg", "__newobj__"),
    ];
    let case = |&(case, module, name): &(&'static str, &str, &str)| {
        let asm = proto(2)
            .danger(&format!("{module}.{name}"))
            .global(module, name);
        asm.args("id").raw(REDUCE).stop().torch(case)
    };
    DANGERS.iter().map(case).collect()
}
