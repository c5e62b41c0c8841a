"""Models give what HiTMicTools gives, whatever array they are given."""

import concurrent.futures
import csv
import multiprocessing
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import model_bundle
from model_bundle import InputError, _core


def close(found, expected, rtol, atol):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def test_restorers_give_hitmictools_numbers(bundle, frames):
    close(bundle["bf_focus"].predict(frames.bf), frames.expected("bf_focus"), 1e-5, 0.01)
    close(
        bundle["fl_focus"].predict(frames.fl, device="cpu", threads=1),
        frames.expected("fl_focus"),
        1e-5,
        0.01,
    )


def test_a_segmenter_gives_hitmictools_probabilities(bundle, frames):
    expected = frames.expected("segmentation")
    found = bundle["segmentation"].predict(frames.bf, device="cpu")
    close(found, expected, 0, 1e-5)
    # There is nothing to scale back.
    raw = bundle["segmentation"].predict(frames.bf, device="cpu", rescale=False)
    np.testing.assert_array_equal(raw, found)


def test_without_rescaling_the_network_s_own_range_stays(bundle, frames):
    model = bundle["fl_focus"]
    raw = model.predict(frames.fl[0], device="cpu", rescale=False)
    back = model.predict(frames.fl[0], device="cpu")
    # A fixed range of 12 bits.
    np.testing.assert_allclose(raw * np.float32(4095), back, rtol=1e-6)


def test_the_result_has_the_axes_of_the_input(bundle, frames):
    model = bundle["bf_focus"]
    whole = model.predict(frames.bf, device="cpu")
    one = model.predict(frames.bf[1], device="cpu")
    np.testing.assert_array_equal(one, whole[1])
    both = np.stack([frames.bf, frames.bf[::-1]], axis=1)[:2]
    channels = model.predict(both, device="cpu")
    assert channels.shape == both.shape
    np.testing.assert_array_equal(channels[:, 0], whole[:2])
    np.testing.assert_array_equal(channels[0, 1], whole[2])
    assert model.predict(frames.bf[:0], device="cpu").shape == (0, *frames.bf.shape[1:])


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda x: np.asfortranarray(x), id="columns first"),
        pytest.param(lambda x: np.ascontiguousarray(x.T).T, id="turned"),
        pytest.param(lambda x: np.repeat(x, 2, axis=1)[:, ::2], id="every second row"),
        pytest.param(lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1], id="upside down"),
        pytest.param(lambda x: x.astype(">u2"), id="big-endian"),
        pytest.param(lambda x: x.astype(">f8"), id="big-endian float64"),
        pytest.param(lambda x: x.astype(np.int16), id="int16"),
        pytest.param(lambda x: x.astype(np.uint32), id="uint32"),
        pytest.param(lambda x: x.astype(np.int32), id="int32"),
        pytest.param(lambda x: x.astype(np.uint64), id="uint64"),
        pytest.param(lambda x: x.astype(np.int64), id="int64"),
        pytest.param(lambda x: x.astype(np.float32), id="float32"),
        pytest.param(lambda x: x.astype(np.float64), id="float64"),
        pytest.param(lambda x: x.astype(np.longdouble), id="long double"),
        pytest.param(lambda x: x.tolist(), id="list"),
        pytest.param(
            lambda x: np.rec.fromarrays([np.zeros(x.shape, "u1"), x])["f1"], id="unaligned"
        ),
    ],
)
def test_the_same_numbers_give_the_same_result_however_they_lie(bundle, frames, given):
    image = frames.bf[0, :80, :90]
    model = bundle["bf_focus"]
    array = given(image)
    before = np.array(array, copy=True)
    found = model.predict(array, device="cpu")
    np.testing.assert_array_equal(found, model.predict(image, device="cpu"))
    np.testing.assert_array_equal(np.asarray(array), before)


def test_truth_values_small_integers_and_halves_are_what_they_say(bundle):
    model = bundle["bf_focus"]
    mask = np.arange(80 * 80).reshape(80, 80) % 7 == 0
    as_numbers = model.predict(mask.astype(np.uint8), device="cpu")
    np.testing.assert_array_equal(model.predict(mask, device="cpu"), as_numbers)
    small = (np.arange(80 * 80).reshape(80, 80) % 251 - 125).astype(np.int8)
    for kind in (np.int16, np.float16, np.float32):
        found = model.predict(small.astype(kind), device="cpu")
        np.testing.assert_array_equal(model.predict(small, device="cpu"), found)


def test_a_contiguous_array_is_not_copied():
    for kind in ("u1", "u2", "i2", "u4", "i4", "f4"):
        stack = np.zeros((3, 2, 8, 9), kind)
        assert _core.is_lent(stack)
        # Channels of a stack, as pipelines hand them over, lie apart; their planes are whole.
        assert _core.is_lent(stack[:, 1:2])
        assert not _core.is_lent(stack[..., ::2])
        assert not _core.is_lent(np.asfortranarray(stack))
    from model_bundle._arrays import stack as as_taken

    image = np.zeros((8, 9), np.uint16)
    assert np.shares_memory(as_taken(image, "it")[0], image)
    mask = np.zeros((8, 9), bool)
    assert np.shares_memory(as_taken(mask, "it")[0], mask)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(5), r"expected \[H, W\], \[T, H, W\] or \[T, C, H, W\], found \[5\]"),
        (np.zeros((2, 2), complex), "expected an array of numbers, found complex128"),
        (np.full((2, 2), "a"), "expected an array of numbers, found <U1"),
        (np.full((2, 2), 2**40), "expected integers that fit into 32 bits, found 1099511627776"),
        (np.full((64, 64), np.nan), "row 0, column 0 is NaN: expected a finite number"),
        (np.zeros((0, 4), np.uint8), "found 0 x 4"),
        (np.full((64, 64), 1e300), "expected a finite number"),
    ],
)
def test_what_no_model_takes_is_refused_in_words(bundle, array, says):
    with pytest.raises(InputError, match=says):
        bundle["bf_focus"].predict(array, device="cpu")


def test_cells_are_classified_as_hitmictools_does(bundle, frames, rods):
    cells = bundle["cell_classifier"].classify(frames.labels, frames.classifier_input, device="cpu")
    with open(rods / "expected/cell_classifier.csv", newline="") as file:
        expected = list(csv.DictReader(file))
    assert len(cells) == len(expected)
    assert cells.frame.tolist() == [int(row["frame"]) for row in expected]
    assert cells.label.tolist() == [int(row["label"]) for row in expected]
    assert cells.class_name.tolist() == [row["class"] for row in expected]
    wanted = [[float(row[f"p{i}"]) for i in range(5)] for row in expected]
    np.testing.assert_allclose(cells.probabilities, wanted, rtol=0, atol=1e-5)
    assert cells.classes[0] == "single-cell"

    one = bundle["cell_classifier"].classify(
        frames.labels[1].astype(float), frames.classifier_input[1], device="cpu"
    )
    np.testing.assert_array_equal(one.label, cells.label[cells.frame == 1])
    with pytest.raises(InputError, match="an image of its shape"):
        bundle["cell_classifier"].classify(frames.labels, frames.classifier_input[0])
    with pytest.raises(InputError, match="found 0.5 at position 0"):
        bundle["cell_classifier"].classify(np.full((8, 8), 0.5), np.zeros((8, 8)), device="cpu")


def test_tables_are_classified_as_scikit_learn_does(bundle, rods):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(rods / "frames/pi_features.csv")
    expected = pandas.read_csv(rods / "expected/pi_classification_logreg.csv")
    model = bundle["pi_classification"]
    found = model.predict(table)
    assert found.label.tolist() == expected["predicted"].tolist()
    wanted = expected["p_piPOS"].to_numpy()
    np.testing.assert_allclose(found.probability_of("piPOS"), wanted, rtol=1e-12)
    # By name, wherever columns stand; by place in an array.
    turned = table[table.columns[::-1]].assign(more="x")
    np.testing.assert_array_equal(model.predict(turned).probabilities, found.probabilities)
    rows = table[list(model.features)].to_numpy()
    np.testing.assert_array_equal(model.predict(rows).probabilities, found.probabilities)
    with pytest.raises(InputError, match=f"no `{model.features[0]}`"):
        model.predict(table.drop(columns=model.features[0]))
    with pytest.raises(InputError, match=r"expected \[n, \d+\], found \[3, 2\]"):
        model.predict(np.zeros((3, 2)))
    with pytest.raises(InputError, match="expected numbers"):
        model.predict(table.assign(**{model.features[0]: "high"}))
    assert len(model.predict(rows[:0])) == 0


def test_progress_is_told_to_its_end_and_may_stop_the_work(bundle, frames):
    told = []
    bundle["bf_focus"].predict(
        frames.bf, device="cpu", progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    done, total = told[-1]
    assert done == total > 0

    def stop(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        bundle["bf_focus"].predict(np.tile(frames.bf, (200, 1, 1)), device="cpu", progress=stop)
    # What was stopped leaves nothing behind.
    np.testing.assert_array_equal(
        bundle["bf_focus"].predict(frames.bf[0], device="cpu"),
        bundle["bf_focus"].predict(frames.bf, device="cpu")[0],
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_ctrl_c_stops_the_work(bundle, frames):
    many = np.tile(frames.bf, (2000, 1, 1))
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        bundle["bf_focus"].predict(many, device="cpu")
    timer.join()


def test_other_threads_run_meanwhile(bundle, frames):
    count = 0
    ended = threading.Event()

    def counting():
        nonlocal count
        while not ended.is_set():
            count += 1
            time.sleep(0.001)

    thread = threading.Thread(target=counting)
    thread.start()
    try:
        before = count
        bundle["bf_focus"].predict(np.tile(frames.bf, (5, 1, 1)), device="cpu")
        during = count - before
    finally:
        ended.set()
        thread.join()
    assert during > 0


def test_threads_take_turns_with_one_model(bundle, frames):
    model, images = bundle["bf_focus"], [frames.bf[0, :70, :70], frames.bf[1, :90, :80]]
    expected = [model.predict(image, device="cpu") for image in images]
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda i: model.predict(images[i % 2], device="cpu"), range(12)))
    for number, result in enumerate(found):
        np.testing.assert_array_equal(result, expected[number % 2])


def in_process(model, image):
    return model.predict(image, device="cpu")


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_models_go_to_other_processes(bundle, frames, start):
    model, image = bundle["bf_focus"], frames.bf[0, :70, :70]
    expected = model.predict(image, device="cpu")
    with multiprocessing.get_context(start).Pool(1) as pool:
        found = pool.apply_async(in_process, (model, image)).get(timeout=120)
    np.testing.assert_array_equal(found, expected)
    again = pickle.loads(pickle.dumps(model))
    assert (again.key, again.task) == ("bf_focus", "focus")


def test_a_bundle_is_a_mapping_that_knows_what_it_holds(bundle, zip_path):
    keys = ["bf_focus", "fl_focus", "segmentation", "cell_classifier", "pi_classification"]
    assert list(bundle) == [*keys, "oof_detector", "sc_segmenter"]
    assert len(bundle) == 7 and "bf_focus" in bundle and "tracker" not in bundle
    assert [bundle[key].task for key in keys] == [
        "focus",
        "focus",
        "segmentation",
        "classification",
        "table",
    ]
    assert bundle["bf_focus"] is bundle["bf_focus"]
    assert bundle["bf_focus"].inferer_args["patch_size"] == 64
    assert bundle["cell_classifier"].model_args["classes"][1] == "clump"
    assert bundle["bf_focus"].metadata["model_args"]["img_channel"] == 1
    assert bundle.metadata["bf_focus"] == bundle["bf_focus"].metadata
    assert bundle.config["_bundle_metadata"]["about"]["license"] == "CC0-1.0"
    assert bundle.config["bf_focus"]["model_path"] == "models/NAFNet-bf_focus_restoration.pth"
    assert bundle.tracker["motion_model"]["measurements"] == 3
    assert bundle.verify() and bundle.verify().anchor == "none"


def test_a_digest_proves_the_origin(zip_path):
    digest = model_bundle.verify(zip_path, sha256="0" * 64).sha256
    anchored = model_bundle.load(zip_path, sha256=digest.upper())
    assert anchored.verify().anchor == "sha256"
    with pytest.raises(model_bundle.RefusedError, match=f"SHA-256 is {digest}, expected 0000"):
        model_bundle.load(zip_path, sha256="0" * 64)
    with pytest.raises(model_bundle.ConfigError):
        model_bundle.load(zip_path, sha256="none")


def test_models_say_what_they_are_not_for(bundle, frames):
    with pytest.raises(model_bundle.RefusedError, match="`oof_detector` .* is not run"):
        bundle["oof_detector"].predict(frames.bf)
    with pytest.raises(InputError, match="has no `classify`"):
        bundle["bf_focus"].classify(frames.labels, frames.bf)
    with pytest.raises(
        model_bundle.NoModelError, match="has no model `bf_focs`\n.*did you mean `bf_focus`"
    ):
        bundle["bf_focs"]
    with pytest.raises(model_bundle.DeviceError):
        bundle["bf_focus"].predict(frames.bf[0], device="no such card")
    with pytest.raises(InputError, match="precision: expected one of f32, f16"):
        bundle["bf_focus"].predict(frames.bf[0], precision="f64")
