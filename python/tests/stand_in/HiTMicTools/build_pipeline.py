"""Runs the stand-in of a pipeline, its analysis in another process."""

import concurrent.futures
from pathlib import Path

import numpy
import yaml

from HiTMicTools.pipelines import base_pipeline


def build_and_run_pipeline(config_file, worklist=None):
    config = yaml.safe_load(Path(config_file).read_text())
    folder = Path(config["input_data"]["input_folder"])
    assert Path(worklist).read_text() == "image.npy\n"
    pipeline = base_pipeline.Pipeline()
    pipeline.load_model_bundle(config["models"]["model_collection"])
    print(type(pipeline.bf_focus).__module__)
    # HiTMicTools' are of 64 bits.
    labels = numpy.load(folder / "labels.npy").astype(int)
    with concurrent.futures.ProcessPoolExecutor(max_workers=1) as executor:
        analysis = executor.submit(pipeline.analyse_image, folder, labels)
        assert analysis.result() > 0
