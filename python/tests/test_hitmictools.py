"""HiTMicTools' classes: its arguments in, its results out; and its pipelines with them."""

import csv
import inspect
import json
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from model_bundle import InputError
from model_bundle.hitmictools import (
    CellClassifier,
    FlexResNet,
    FocusRestorer,
    NAFNet,
    PIClassifier,
    Segmentator,
    UNet,
    configure,
    replaced,
)

STAND_IN = pathlib.Path(__file__).parent / "stand_in"

#: What HiTMicTools' pipelines add to every call.
PIPELINE = {"buffer_steps": 4, "buffer_dim": -1, "sw_batch_size": 1}


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu():
    configure(device="cpu")
    yield
    configure()


def network(rods, name):
    return json.loads((rods / "metadata" / f"{name}.json").read_text())["model_args"]


@pytest.fixture(scope="module")
def bf_focus(rods):
    return FocusRestorer(
        str(rods / "models/bf_focus_v3.pth"),
        model_graph=NAFNet(**network(rods, "bf_focus_v3")),
        patch_size=64,
        overlap_ratio=0.25,
        scale_method="range01",
        half_precision=False,
        scaler_args={"pmin": 1.0, "pmax": 99.8},
        compile_mode=False,
    )


@pytest.fixture(scope="module")
def fl_focus(rods):
    return FocusRestorer(
        str(rods / "models/fl_focus_v3.pth"),
        NAFNet(**network(rods, "fl_focus_v3")),
        64,
        0.25,
        "fixed_range",
        scaler_args={"bit_depth": 12},
    )


@pytest.fixture(scope="module")
def segmentator(rods):
    return Segmentator(
        rods / "models/unet_segm.pth",
        UNet(**network(rods, "unet_segm")),
        64,
        0.25,
    )


@pytest.fixture(scope="module")
def classifier(rods):
    return CellClassifier(
        str(rods / "models/resnet_classifier.pth"),
        FlexResNet(**network(rods, "resnet_classifier")),
        min_size=32,
        classes={0: "single-cell", 1: "clump", 2: "noise", 3: "off-focus", 4: "joint-cell"},
        batch_size=512,
    )


def test_focus_is_restored_as_there(bf_focus, frames):
    expected = frames.expected("bf_focus")
    # A channel of a stack [T, Z, C, H, W], as pipelines hand it over.
    stack = np.zeros((3, 1, 2, *frames.bf.shape[1:]), np.float32)
    stack[:, 0, 1] = frames.bf
    found = bf_focus.predict(stack[:, 0, 1], batch_size=1, mode="gaussian", **PIPELINE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0.01)
    one = bf_focus.predict(frames.bf[2], mode="gaussian")
    np.testing.assert_allclose(one, expected[2], rtol=1e-5, atol=0.01)
    four = bf_focus.predict(frames.bf[:, np.newaxis])
    assert four.shape == (3, 1, *frames.bf.shape[1:])
    raw = bf_focus.predict(frames.bf, rescale=False)
    assert raw.max() < 10 < found.max()


def test_windows_count_the_same_unless_a_gaussian_is_asked_for(fl_focus, frames):
    """As MONAI's inferer does. Numbers are scaled one by one here, so that each window can be run on its own."""
    image = frames.fl[0, :64, :112]
    left, right = (fl_focus.predict(image[:, at : at + 64]) for at in (0, 48))
    mean = np.concatenate([left[:, :48], (left[:, 48:] + right[:, :16]) / 2, right[:, 16:]], axis=1)
    np.testing.assert_allclose(fl_focus.predict(image), mean, rtol=1e-5, atol=0.01)
    weighted = fl_focus.predict(image, mode="gaussian")
    np.testing.assert_allclose(weighted[:, :48], mean[:, :48], rtol=1e-5, atol=0.01)
    assert np.abs(weighted - mean)[:, 48:64].max() > 1
    # Nothing of the one call is left in the next.
    np.testing.assert_allclose(fl_focus.predict(image), mean, rtol=1e-5, atol=0.01)


def test_a_volume_s_slices_are_channels(bf_focus, frames):
    flat = bf_focus.predict(frames.bf)
    np.testing.assert_array_equal(bf_focus.predict(frames.bf, is_3D=True), flat)


def test_segments_are_as_there(segmentator, frames):
    found = segmentator.predict(frames.bf, **PIPELINE)
    np.testing.assert_allclose(found, frames.expected("segmentation"), rtol=0, atol=1e-5)
    numbers = segmentator.predict(frames.bf, sigmoid=False)
    np.testing.assert_allclose(1 / (1 + np.exp(-numbers.astype(float))), found, rtol=0, atol=1e-6)
    assert segmentator.predict(frames.bf[:1]).shape == (1, *frames.bf.shape[1:])


def test_cells_are_classified_as_there(classifier, frames, rods):
    with open(rods / "expected/cell_classifier.csv", newline="") as file:
        expected = [row for row in csv.DictReader(file) if row["frame"] == "1"]
    names, labels = classifier.classify_rois(frames.labels[1:2], frames.classifier_input[1:2])
    assert (names.dtype, labels.dtype) == (np.dtype(object), np.dtype(np.int64))
    assert names.tolist() == [row["class"] for row in expected]
    assert labels.tolist() == [int(row["label"]) for row in expected]
    numbers, _ = classifier.classify_rois(
        frames.labels[1], frames.classifier_input[1], output_type="class-index"
    )
    assert [classifier.classes[int(number)] for number in numbers] == names.tolist()
    with pytest.raises(RuntimeError, match="no object") as raised:
        classifier.classify_rois(np.zeros_like(frames.labels[0]), frames.classifier_input[0])
    assert isinstance(raised.value, ValueError)
    with pytest.raises(AssertionError, match="same shape"):
        classifier.classify_rois(frames.labels[0], frames.classifier_input)
    with pytest.raises(InputError, match="a frame at a time"):
        classifier.classify_rois(frames.labels, frames.classifier_input)


def test_classes_without_a_name_are_numbered(rods, frames, classifier):
    made = CellClassifier(
        str(rods / "models/resnet_classifier.pth"),
        FlexResNet(**network(rods, "resnet_classifier")),
        min_size=32,
        classes={0: "cell", 7: "other"},
    )
    numbers, _ = classifier.classify_rois(
        frames.labels[0], frames.classifier_input[0], output_type="class-index"
    )
    names, _ = made.classify_rois(frames.labels[0], frames.classifier_input[0])
    expected = ["cell" if number == 0 else f"Unknown_Class_{number}" for number in numbers]
    assert names.tolist() == expected
    assert len(set(expected)) > 1


def test_arguments_are_those_of_hitmictools():
    """By position too. Read in HiTMicTools 0.5, and compared with it by `tests/hitmictools/pipeline.sh`."""
    expected = {
        FocusRestorer.predict: "image is_3D batch_size return_tensor rescale kwargs",
        Segmentator.predict: "image is_3D batch_size sigmoid kwargs",
        CellClassifier.classify_rois: "labeled_image source_image output_type",
        PIClassifier.predict: "X",
    }
    for method, names in expected.items():
        assert " ".join(list(inspect.signature(method).parameters)[1:]) == names


def test_rows_are_classified_as_there(rods):
    pandas = pytest.importorskip("pandas")
    model = PIClassifier(str(rods / "models/pi_model_20251218.pkl"))
    table = pandas.read_csv(rods / "frames/pi_features.csv")
    expected = pandas.read_csv(rods / "expected/pi_classification_logreg.csv")
    found = model.predict(table[model.feature_names_in_])
    assert isinstance(found, np.ndarray)
    assert found.tolist() == expected["predicted"].tolist()
    assert model.predict(table[model.feature_names_in_].to_numpy()).tolist() == found.tolist()
    assert model.model_type == "sklearn"
    with pytest.raises(ValueError, match="expected a file of the type"):
        PIClassifier("model.txt")


def test_arguments_that_would_change_numbers_are_refused(bf_focus, segmentator, frames):
    image = frames.bf[0]
    bf_focus.predict(image, mode="gaussian", sigma_scale=0.125, progress=False, cval=0.0)
    segmentator.predict(image, mode="constant", padding_mode="constant")
    with pytest.raises(ValueError, match="mode: expected 'constant' or 'gaussian', found 'mean'"):
        bf_focus.predict(image, mode="mean")
    with pytest.raises(ValueError, match="sigma_scale: expected 0.125, found 0.2"):
        bf_focus.predict(image, mode="gaussian", sigma_scale=0.2)
    with pytest.raises(ValueError, match="with_coord: expected False"):
        segmentator.predict(image, with_coord=True)
    # HiTMicTools' restorer pads with zeros unless it is told, its segmentator reflects.
    with pytest.raises(ValueError, match="padding_mode: expected 'reflect'"):
        bf_focus.predict(image[:40, :40])
    assert bf_focus.predict(image[:40, :40], padding_mode="reflect").shape == (40, 40)
    assert segmentator.predict(image[:40, :40]).shape == (40, 40)
    with pytest.raises(
        TypeError, match=r"predict\(\) got an unexpected keyword argument 'batchsize'"
    ):
        bf_focus.predict(image, batchsize=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"patch_size": 64.0}, "patch_size must be a positive integer"),
        ({"overlap_ratio": 1.0}, "overlap_ratio must be"),
        ({"scale_method": "eq"}, "scale_method: expected one of range01"),
        ({"scale_method": "fixed_range"}, "bit_depth"),
        ({"scaler_args": {"pmin": 99, "pmax": 1}}, "0 <= pmin < pmax <= 100"),
        ({"compile_mode": "fast"}, "compile_mode: expected 'default'"),
        ({"scaler_args": {"pmim": 1}}, "pmim"),
        ({"model_graph": None}, "expected a NAFNet, found None"),
        ({"model_graph": UNet(2, 1, 1, (8, 16), (2,))}, "expected a NAFNet, found a UNet"),
        ({"model_graph": NAFNet(1, 99, 1, [1], [1])}, "weights are not"),
        ({"model_path": "none.pth"}, "no weights at none.pth"),
    ],
)
def test_what_is_wrong_is_said_when_the_model_is_made(rods, arguments, says):
    usual = {
        "model_path": rods / "models/bf_focus_v3.pth",
        "model_graph": NAFNet(**network(rods, "bf_focus_v3")),
        "patch_size": 64,
        "overlap_ratio": 0.25,
    }
    kinds = (ValueError, FileNotFoundError)
    with pytest.raises(kinds, match=says):
        FocusRestorer(**{**usual, **arguments})


def test_networks_of_pytorch_say_what_they_are_built_from():
    """Modules have these attributes: HiTMicTools' NAFNet and FlexResNet, and MONAI's UNet."""
    from model_bundle.hitmictools._graphs import arguments

    class Part:
        def __init__(self, **attributes):
            self.__dict__.update(attributes)

    NAFNet_ = type("NAFNet", (Part,), {})
    found = arguments(
        NAFNet_(
            intro=Part(in_channels=1, out_channels=8),
            middle_blks=[0],
            encoders=[[0], [0, 0]],
            decoders=[[0, 0], [0]],
        ),
        "NAFNet",
    )
    assert found == NAFNet(1, 8, 1, [1, 2], [2, 1]).model_args
    UNet_ = type("UNet", (Part,), {})
    given = UNet(2, 1, 1, (8, 16), (2,), 3, 3, 2, "PRELU", "INSTANCE", 0.0, True, "NDA").model_args
    module = UNet_(dimensions=2, **{name: x for name, x in given.items() if name != "spatial_dims"})
    assert {**arguments(module, "UNet"), "channels": (8, 16), "strides": (2,)} == given
    with pytest.raises(InputError, match="give model_bundle.hitmictools.UNet"):
        arguments(UNet_(), "UNet")


def test_networks_of_monai_say_what_they_are_built_from(rods, segmentator, frames):
    nets = pytest.importorskip("monai.networks.nets")
    given = network(rods, "unet_segm")
    model = Segmentator(rods / "models/unet_segm.pth", nets.UNet(**given), 64, 0.25)
    image = frames.bf[0]
    np.testing.assert_array_equal(model.predict(image), segmentator.predict(image))


def predicted(model, image):
    return model.predict(image)


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_models_go_to_the_processes_of_a_pipeline(bf_focus, frames, start):
    image = frames.bf[0, :70, :70]
    expected = bf_focus.predict(image)
    with multiprocessing.get_context(start).Pool(1) as pool:
        found = pool.apply_async(predicted, (bf_focus, image)).get(timeout=120)
    np.testing.assert_array_equal(found, expected)
    assert pickle.loads(pickle.dumps(bf_focus)).patch_size == 64


def test_pipelines_run_with_these_classes(zip_path, bf_focus, fl_focus, frames, tmp_path):
    """HiTMicTools' stand-in makes models as its pipelines do, from the unpacked bundle that it then removes."""
    image = np.stack([frames.bf, frames.fl], axis=1)[:, np.newaxis].astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "labels.npy", frames.labels)
    config = tmp_path / "run.yml"
    settings = {
        "input_data": {"input_folder": str(tmp_path)},
        "models": {"model_collection": str(zip_path)},
    }
    config.write_text(json.dumps(settings))
    worklist = tmp_path / "files.txt"
    worklist.write_text("image.npy\n")
    command = [sys.executable, "-m", "model_bundle.hitmictools", "run", "--device", "cpu"]
    command += ["-c", str(config), "-w", str(worklist)]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(STAND_IN)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "model_bundle.hitmictools" in ran.stdout
    found = np.load(tmp_path / "restored.npy")
    expected = bf_focus.predict(frames.bf, rescale=False)
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[:, 0, 1], fl_focus.predict(frames.fl), rtol=1e-5, atol=0.01)
    segments = np.load(tmp_path / "segments.npy")
    assert segments.shape == frames.bf.shape
    assert 0 <= segments.min() < 0.5 < segments.max() <= 1
    classes = (tmp_path / "classes.txt").read_text().split()
    assert len(classes) == sum(len(np.unique(labels)) - 1 for labels in frames.labels)


def test_without_hitmictools_a_run_says_so(tmp_path):
    command = [sys.executable, "-m", "model_bundle.hitmictools", "run", "-c", "run.yml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: HiTMicTools.pipelines.base_pipeline cannot be imported")


def test_names_are_put_back(monkeypatch):
    monkeypatch.syspath_prepend(str(STAND_IN))
    import HiTMicTools.pipelines.base_pipeline as pipelines

    own = pipelines.FocusRestorer
    with replaced():
        assert pipelines.FocusRestorer is FocusRestorer
    assert pipelines.FocusRestorer is own
    monkeypatch.delattr(pipelines, "NAFNet")
    with pytest.raises(ImportError, match="has no NAFNet"):
        with replaced():
            pass


def test_models_ask_for_the_windows_that_the_installed_hitmictools_asks_for(
    monkeypatch, rods, fl_focus, frames
):
    monkeypatch.syspath_prepend(str(STAND_IN))
    import HiTMicTools.pipelines.base_pipeline as pipelines
    from HiTMicTools.model_components import windows

    own, inferer = windows.FocusRestorer.predict, windows.SlidingWindowInferer

    def of_another_version(self, image, **kwargs):
        own(self, image, mode="gaussian", **kwargs)

    def restored():
        with replaced():
            model = pipelines.FocusRestorer(
                str(rods / "models/fl_focus_v3.pth"),
                pipelines.NAFNet(**network(rods, "fl_focus_v3")),
                64,
                0.25,
                "fixed_range",
                scaler_args={"bit_depth": 12},
            )
        return model.predict(image)

    image = frames.fl[0]
    np.testing.assert_array_equal(restored(), fl_focus.predict(image))
    monkeypatch.setattr(windows.FocusRestorer, "predict", of_another_version)
    np.testing.assert_array_equal(restored(), fl_focus.predict(image, mode="gaussian"))
    assert windows.SlidingWindowInferer is inferer
    # What was asked for in there is forgotten.
    plain = FocusRestorer(
        str(rods / "models/fl_focus_v3.pth"), NAFNet(**network(rods, "fl_focus_v3")), 64, 0.25
    )
    np.testing.assert_array_equal(plain.predict(image), plain.predict(image, mode="constant"))
    monkeypatch.setattr(windows.FocusRestorer, "predict", lambda self, image, **kwargs: image)
    with pytest.raises(ImportError, match="FocusRestorer cuts no windows"):
        restored()
