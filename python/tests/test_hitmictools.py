"""HiTMicTools' classes: its arguments in, its results out; and its pipelines with them."""

import csv
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
    found = bf_focus.predict(stack[:, 0, 1], batch_size=1, padding_mode="reflect", **PIPELINE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0.01)
    np.testing.assert_allclose(bf_focus.predict(frames.bf[2]), expected[2], rtol=1e-5, atol=0.01)
    four = bf_focus.predict(frames.bf[:, np.newaxis])
    assert four.shape == (3, 1, *frames.bf.shape[1:])
    raw = bf_focus.predict(frames.bf, rescale=False)
    assert raw.max() < 10 < found.max()


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
    with pytest.raises(ValueError, match="no object"):
        classifier.classify_rois(np.zeros_like(frames.labels[0]), frames.classifier_input[0])
    with pytest.raises(AssertionError, match="same shape"):
        classifier.classify_rois(frames.labels[0], frames.classifier_input)
    with pytest.raises(InputError, match="a frame at a time"):
        classifier.classify_rois(frames.labels, frames.classifier_input)


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
    with pytest.raises(ValueError, match="mode: expected 'gaussian', found 'constant'"):
        bf_focus.predict(image, mode="constant")
    with pytest.raises(ValueError, match="padding_mode: expected 'reflect'"):
        bf_focus.predict(image[:40, :40], padding_mode="circular")
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


def test_pipelines_run_with_these_classes(zip_path, frames, tmp_path):
    """HiTMicTools' stand-in makes models as its pipelines do, from the unpacked bundle that it then removes."""
    config = tmp_path / "run.json"
    np.save(tmp_path / "bf.npy", frames.bf)
    np.save(tmp_path / "labels.npy", frames.labels)
    np.save(tmp_path / "input.npy", frames.classifier_input)
    config.write_text(json.dumps({"bundle": str(zip_path), "folder": str(tmp_path)}))
    worklist = tmp_path / "files.txt"
    worklist.write_text("bf.npy\n")
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
    np.testing.assert_allclose(found, frames.expected("bf_focus"), rtol=1e-5, atol=0.01)
    segments = np.load(tmp_path / "segments.npy")
    np.testing.assert_allclose(segments, frames.expected("segmentation"), rtol=0, atol=1e-5)
    assert (tmp_path / "classes.txt").read_text().split()[0] == "single-cell"


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
