"""Runs the stand-in of a pipeline, its analysis in another process."""

import concurrent.futures
import json
import pathlib
import tempfile
import zipfile

import yaml

from HiTMicTools.pipelines import base_pipeline


def build_and_run_pipeline(config_file, worklist=None):
    config = json.loads(pathlib.Path(config_file).read_text())
    assert pathlib.Path(worklist).read_text() == "bf.npy\n"
    pipeline = base_pipeline.Pipeline()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(config["bundle"]) as bundle:
        bundle.extractall(folder)
        folder = pathlib.Path(folder)

        def read(path):
            return json.loads(path.read_text())

        pipeline.load(folder, yaml.safe_load((folder / "config.yml").read_text()), read)
    print(type(pipeline.bf_focus).__module__)
    with concurrent.futures.ProcessPoolExecutor(max_workers=1) as executor:
        analysis = executor.submit(pipeline.analyse, pathlib.Path(config["folder"]))
        assert analysis.result() > 0
