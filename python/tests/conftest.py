"""The example bundle, built once, and its frames."""

import os
import pathlib

import numpy as np
import pytest
import tifffile

import model_bundle

RODS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "rods"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests neither use nor leave what the program knows of files."""
    os.environ["BUNDLE_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def rods():
    """The folder of the example."""
    return RODS


@pytest.fixture(scope="session")
def zip_path(tmp_path_factory):
    """The example's ZIP, from its committed lock."""
    path = tmp_path_factory.mktemp("bundle") / "rods.zip"
    built = model_bundle.build(RODS / "bundle.toml", path, auto_date=False, locked=True)
    assert (built.outcome, built.path, built.models) == ("built", path, 7)
    return path


@pytest.fixture(scope="session")
def bundle(zip_path):
    return model_bundle.load(zip_path)


@pytest.fixture(scope="session")
def frames():
    """Images of the example by name, and what HiTMicTools gives for them."""

    class Frames:
        bf = tifffile.imread(RODS / "frames/bf.tif")
        fl = tifffile.imread(RODS / "frames/fl.tif")
        labels = tifffile.imread(RODS / "frames/labels.tif")
        classifier_input = np.load(RODS / "frames/classifier_input.npy")

        @staticmethod
        def expected(name):
            return np.load(RODS / "expected" / f"{name}.npy")

    return Frames
