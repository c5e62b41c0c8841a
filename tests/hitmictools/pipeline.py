"""HiTMicTools itself, on a bundle of ours, with its own classes of models and with ours: the results are compared.

usage: pipeline.py FOLDER, the folder that holds HiTMicTools' package

Ends with 1 at the first difference. Each line that is printed is something that was found equal.
"""

import inspect
import itertools
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile

import joblib
import numpy as np
import pandas as pd
import tifffile
import torch
import yaml

SOURCE = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(SOURCE))

import model_bundle  # noqa: E402
from model_bundle import hitmictools as ours  # noqa: E402
from HiTMicTools import build_pipeline, model_bundler  # noqa: E402
from HiTMicTools.pipelines import base_pipeline as theirs  # noqa: E402
from HiTMicTools.pipelines import get_pipeline  # noqa: E402

RODS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "rods"
PIPELINE = "ASCT_focusrestore"
#: What pipelines add to every call.
CALL = {"buffer_steps": 4, "buffer_dim": -1, "sw_batch_size": 1}
#: The two commands that run an analysis.
THEIRS = [
    "-c",
    "import sys; from HiTMicTools.build_pipeline import build_and_run_pipeline as run; run(*sys.argv[1:])",
    "{config}",
    "{worklist}",
]
OURS = ["-m", "model_bundle.hitmictools", "run", "--device", "cpu", "-c", "{config}", "-w", "{worklist}"]
#: How far numbers of images may be apart, as a share of the largest.
CLOSE = 1e-5


def equal(what, found, expected):
    if found != expected:
        sys.exit(f"DIFFERENT {what}: {found!r}, HiTMicTools: {expected!r}")


def close(what, found, expected, share=CLOSE):
    """Returns how far apart they are, as a share of the largest."""
    equal(f"{what}, shape and type", (found.shape, found.dtype), (expected.shape, expected.dtype))
    apart = np.abs(found.astype(float) - expected).max() / np.abs(expected).max()
    if not apart <= share:
        sys.exit(f"DIFFERENT {what}: {apart:.1e} of the largest number apart")
    return apart


def bundle_config(folder):
    """The example's config, with a classifier of the features that the pipeline measures."""
    config = yaml.safe_load((RODS / "config_model_bundle.yml").read_text())
    estimator = joblib.load(RODS / config["pi_classification"]["model_path"])
    names = estimator.steps[0][1].feature_names_in_
    names[names == "std_intensity"] = "roi_std_dev"
    joblib.dump(estimator, folder / "pi.pkl")
    config["pi_classification"]["model_path"] = str(folder / "pi.pkl")
    for model in config.values():
        for name in ("model_path", "model_metadata", "config_path"):
            if name in model:
                model[name] = str(RODS / model[name])
    path = folder / "config_model_bundle.yml"
    path.write_text(yaml.safe_dump(config))
    return path


class Loader(theirs.BasePipeline):
    """HiTMicTools' loader, for all models but the detectors, whose own packages the example's checkpoints are not for."""

    required_models = get_pipeline(PIPELINE).required_models

    def analyse_image(self, *args, **kwargs):
        raise NotImplementedError


def loaded(bundle, folder):
    loader = Loader(str(folder), str(folder / "log"))
    loader.load_model_bundle(str(bundle))
    return loader


def check_bundles(config, folder):
    """Our bundle is loaded by HiTMicTools as its own is, with the weights of the files."""
    os.chdir(folder)
    packed = model_bundle.create_model_bundle(str(config), str(folder / "ours.zip"), auto_date=False)
    own = model_bundler.create_model_bundle(str(config), str(folder / "theirs.zip"), auto_date=False)
    equal("create_model_bundle's value", packed, str(folder / "ours.zip"))
    models, expected = loaded(packed, folder), loaded(own, folder)
    sources = yaml.safe_load(config.read_text())
    tensors = 0
    for key, name, network in [
        ("bf_focus", "bf_focus_restorer", "model"),
        ("fl_focus", "fl_focus_restorer", "model"),
        ("segmentation", "image_segmentator", "model"),
        ("cell_classifier", "object_classifier", "classifier"),
    ]:
        weights = torch.load(sources[key]["model_path"])
        for model in (models, expected):
            state = getattr(getattr(model, name), network).state_dict()
            equal(f"{key}'s tensors", set(state), set(weights))
            for tensor, values in weights.items():
                equal(f"{key}.{tensor}", torch.equal(state[tensor], values), True)
        tensors += len(weights)
        settings = [vars(getattr(model, name)) for model in (models, expected)]
        plain = [{k: v for k, v in s.items() if isinstance(v, (int, float, str, dict))} for s in settings]
        equal(f"{key}'s settings", *plain)
    equal(
        "the PI features", list(models.pi_classifier.feature_names_in_), list(expected.pi_classifier.feature_names_in_)
    )
    tracker = [model._load_tracker_config_from_zip(path) for model, path in [(models, packed), (expected, own)]]
    equal("the tracker's settings", *tracker)
    print(f"bundle: loaded by HiTMicTools; {tensors} tensors are those of the files; settings as in its own bundle")
    return packed


def check_signatures():
    """Our classes take HiTMicTools' arguments, in its order."""
    count = 0
    for name, methods in {
        "FocusRestorer": ["__init__", "predict", "cleanup"],
        "Segmentator": ["__init__", "predict", "cleanup"],
        "CellClassifier": ["__init__", "classify_rois", "cleanup"],
        "PIClassifier": ["__init__", "predict"],
    }.items():
        for method in methods:
            found, expected = (
                [(p.name, p.kind) for p in inspect.signature(getattr(getattr(m, name), method)).parameters.values()]
                for m in (ours, theirs)
            )
            equal(f"the arguments of {name}.{method}", found, expected)
            count += len(expected) - 1
    print(f"arguments: {count}, in the same order")


def networks():
    """The metadata of each network, and its class there."""
    graphs = {
        "bf_focus_v3": "NAFNet",
        "fl_focus_v3": "NAFNet",
        "unet_segm": "monai_unet",
        "resnet_classifier": "FlexResNet",
    }
    for name, graph in graphs.items():
        args = json.loads((RODS / "metadata" / f"{name}.json").read_text())["model_args"]
        yield name, lambda graph=graph, args=args: getattr(theirs, graph)(**args)


def check_images():
    """FocusRestorer and Segmentator, on the example's frames."""
    graphs = dict(networks())
    bf, fl = (tifffile.imread(RODS / f"frames/{name}.tif").astype(np.float32) for name in ("bf", "fl"))
    worst, count = 0, 0
    scalings = [
        ("range01", {"pmin": 1.0, "pmax": 99.8}),
        ("range01", {}),
        ("range01", {"clip": False, "pmin": 5, "pmax": 95}),
        ("zscore", {}),
        ("combined", {}),
        ("fixed_range", {"bit_depth": 12}),
    ]
    calls = [{}, {"mode": "gaussian"}, {"padding_mode": "reflect"}, {"rescale": False}]
    for (scaling, args), call, (name, image) in itertools.product(
        scalings, calls, [("bf_focus_v3", bf), ("fl_focus_v3", fl[0])]
    ):
        made = [
            module.FocusRestorer(
                str(RODS / f"models/{name}.pth"),
                graphs[name](),
                patch_size=64,
                overlap_ratio=0.25,
                scale_method=scaling,
                scaler_args=dict(args),
                compile_mode=False,
            )
            for module in (ours, theirs)
        ]
        found, expected = (model.predict(image, batch_size=1, **CALL, **call) for model in made)
        worst = max(worst, close(f"FocusRestorer {name} {scaling} {args} {call}", found, expected))
        count += 1
    made = [
        module.FocusRestorer(str(RODS / "models/bf_focus_v3.pth"), graphs["bf_focus_v3"](), 64, 0.25)
        for module in (ours, theirs)
    ]
    for image in (bf[0], bf[:, None], bf[:1].astype(np.uint16), bf[:1].astype(float), torch.from_numpy(bf[:1])):
        found, expected = (model.predict(image, False, 1, False, True) for model in made)
        worst = max(worst, close(f"FocusRestorer of {image.dtype} {image.shape}", found, expected))
        count += 1
    found, expected = (model.predict(bf[:1], batch_size=1, return_tensor=True) for model in made)
    equal(
        "FocusRestorer's tensor",
        (type(found), found.dtype, found.shape),
        (type(expected), expected.dtype, expected.shape),
    )
    print(f"FocusRestorer: {count} cases, at most {worst:.1e} of the largest number apart")
    worst, count = 0, 0
    for scaling, call in itertools.product([*scalings, ("none", {})], [{}, {"mode": "gaussian"}, {"sigmoid": False}]):
        made = [
            module.Segmentator(
                str(RODS / "models/unet_segm.pth"),
                graphs["unet_segm"](),
                64,
                0.25,
                scaling[0],
                scaler_args=dict(scaling[1]),
            )
            for module in (ours, theirs)
        ]
        found, expected = (model.predict(bf, **CALL, **call) for model in made)
        worst = max(worst, close(f"Segmentator {scaling} {call}", found, expected))
        count += 1
    print(f"Segmentator: {count} cases, at most {worst:.1e} of the largest number apart")


def check_cells():
    """CellClassifier, and PIClassifier."""
    graph = dict(networks())["resnet_classifier"]
    names = {0: "single-cell", 1: "clump", 2: "noise", 3: "off-focus", 4: "joint-cell"}
    labels = tifffile.imread(RODS / "frames/labels.tif").astype(int)
    image = np.load(RODS / "frames/classifier_input.npy")
    count = 0
    for classes, batch, kind, dims in itertools.product(
        [names, {0: "cell"} | {4: "other"}], [7, 512], ["class-str", "class-index"], [np.s_[:1], 1]
    ):
        made = [
            module.CellClassifier(
                str(RODS / "models/resnet_classifier.pth"), graph(), min_size=32, classes=classes, batch_size=batch
            )
            for module in (ours, theirs)
        ]
        (found, at), (expected, at_theirs) = (m.classify_rois(labels[dims], image[dims], kind) for m in made)
        equal("labels of cells", (at.tolist(), at.dtype), (at_theirs.tolist(), at_theirs.dtype))
        equal("classes of cells", (found.tolist(), found.dtype), (expected.tolist(), expected.dtype))
        count += len(at)
    table = pd.read_csv(RODS / "frames/pi_features.csv")
    path = str(RODS / "models/pi_model_20251218.pkl")
    made = [module.PIClassifier(path) for module in (ours, theirs)]
    equal("PI features", *(m.feature_names_in_.tolist() for m in made))
    equal("PI features' type", *(type(m.feature_names_in_) for m in made))
    found, expected = (m.predict(table[m.feature_names_in_]) for m in made)
    equal("PI classes", found.tolist(), expected.tolist())
    print(f"CellClassifier: {count} cells, PIClassifier: {len(found)} rows, all classes equal")


def raised(act):
    try:
        act()
    except Exception as error:
        return error
    return None


def check_refusals():
    """What HiTMicTools refuses is refused, with an exception that its callers catch."""
    graphs = dict(networks())
    usual = {"patch_size": 64, "overlap_ratio": 0.25}
    bad = [
        {"patch_size": 0},
        {"patch_size": 64.0},
        {"overlap_ratio": 1.0},
        {"overlap_ratio": 0},
        {"scale_method": "equalise"},
        {"scale_method": "fixed_range", "scaler_args": {}},
        {"scaler_args": {"pmin": 99, "pmax": 1}},
        {"compile_mode": "fast"},
        {"model_path": "nothing.pth"},
        {"half": True},
    ]
    image = np.zeros((1, 64, 64), np.float32)
    for name, network in [("FocusRestorer", "bf_focus_v3"), ("Segmentator", "unet_segm")]:
        graph, weights = graphs[network], str(RODS / f"models/{network}.pth")
        for change in bad:
            args = {"model_path": weights, **usual, **change}
            made = [raised(lambda m=m: getattr(m, name)(model_graph=graph(), **args)) for m in (ours, theirs)]
            # A Segmentator leaves it to the scaler.
            equal(f"{name} {change} is refused", made[0] is None, made[1] is None)
            kind = type(made[1]) if made[1] is not None else type(None)
            if not isinstance(made[0], kind) and kind is not Exception:
                sys.exit(f"DIFFERENT {name} {change}: {made[0]!r}, HiTMicTools: {made[1]!r}")
    for path in ("model.txt", "nothing.pkl"):
        made = [raised(lambda m=m: m.PIClassifier(path)) for m in (ours, theirs)]
        equal(f"PIClassifier {path}", isinstance(made[0], type(made[1])), True)
    made = [
        m.CellClassifier(str(RODS / "models/resnet_classifier.pth"), graphs["resnet_classifier"](), min_size=32)
        for m in (ours, theirs)
    ]
    empty = np.zeros((1, 64, 64), int)
    found = [raised(lambda m=m: m.classify_rois(empty, image)) for m in made]
    equal("no objects", isinstance(found[0], type(found[1])), True)
    found = [raised(lambda m=m: m.classify_rois(empty[0], image)) for m in made]
    equal("images of two shapes", isinstance(found[0], type(found[1])), True)
    for path, output in (("nothing.yml", "a.zip"), ("config_model_bundle.yml", "a.tar")):
        found = [raised(lambda m=m: m.create_model_bundle(path, output)) for m in (model_bundle, model_bundler)]
        equal(f"create_model_bundle {path} {output}", isinstance(found[0], type(found[1])), True)
    made = [m.Segmentator(weights, graph(), **usual) for m in (ours, theirs)]
    found = [raised(lambda m=m: m.predict(image, window=3)) for m in made]
    equal("an unknown keyword", *(type(error) for error in found))
    print(f"refusals: {2 * len(bad) + 7}, of the same kinds")


def write_image(path, first):
    """Two channels of the example's frames, as a microscope's software writes them."""
    frames = np.stack(
        [tifffile.imread(RODS / f"frames/{name}.tif")[:, :200, first : first + 200] for name in ("bf", "fl")], axis=1
    )
    times = np.repeat(np.arange(len(frames)) * 600_000.0, 2)
    metadata = {
        "axes": "TCYX",
        "PhysicalSizeX": 0.65,
        "PhysicalSizeY": 0.65,
        "AcquisitionDate": "2025-12-18T09:30:00",
        "Channel": {"Name": ["BF", "PI"]},
        "Plane": {"DeltaT": times.tolist(), "DeltaTUnit": ["ms"] * len(times)},
    }
    tifffile.imwrite(path, frames, ome=True, photometric="minisblack", metadata=metadata)


def run(folder, name, command, setup, bundle):
    """Runs an analysis in a process of its own, and returns the folder with what it wrote."""
    output = folder / name
    config = {
        "input_data": {
            "input_folder": str(folder / "images"),
            "output_folder": str(output),
            "file_list": None,
            "file_type": ".tiff",
            "file_pattern": "",
            "export_labelled_masks": True,
            "export_aligned_image": True,
        },
        "pipeline_setup": {
            "name": PIPELINE,
            "num_workers": 2,
            "reference_channel": 0,
            "pi_channel": 1,
            "tracking": False,
            **setup,
        },
        "models": {"model_collection": bundle},
    }
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump(config))
    command = [part.format(config=path, worklist=folder / "worklist.txt") for part in command]
    ran = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"},
    )
    if ran.returncode != 0 or "Error processing" in ran.stderr + ran.stdout:
        sys.exit(f"{name} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-6000:]}")
    return output


def check_pipeline(folder, bundle, setup):
    """HiTMicTools' pipeline with its own classes, and with ours."""
    title = ", ".join(f"{name}: {value}" for name, value in setup.items())
    name = "_".join(str(value) for value in setup.values())
    expected = run(folder, f"theirs_{name}", THEIRS, setup, bundle)
    found = run(folder, f"ours_{name}", OURS, setup, bundle)
    kinds = ("*.csv", "*.tiff")
    files = [sorted(path.name for kind in kinds for path in f.glob(kind)) for f in (found, expected)]
    equal("the files that were written", *files)
    worst, rows, pixels = 0, 0, 0
    for file in files[0]:
        if file.endswith(".csv"):
            tables = [pd.read_csv(f / file, index_col=0) for f in (found, expected)]
            equal(f"{file}, columns and rows", *((list(t.columns), len(t)) for t in tables))
            equal(f"{file} has rows", len(tables[0]) > 0, True)
            rows += len(tables[0])
            for column in tables[0]:
                one, other = (t[column] for t in tables)
                if other.dtype.kind == "f":
                    scale = max(np.abs(other).max(), 1e-9)
                    apart = np.abs(one - other).max() / scale
                    equal(f"{file} {column}, not numbers", one.isna().tolist(), other.isna().tolist())
                    if not apart <= 1e-4:
                        sys.exit(f"DIFFERENT {file} {column}: {apart:.1e} of the largest apart")
                    worst = max(worst, apart)
                else:
                    equal(f"{file} {column}", one.tolist(), other.tolist())
        else:
            images = [tifffile.imread(f / file).astype(int) for f in (found, expected)]
            equal(f"{file}, shape", images[0].shape, images[1].shape)
            apart = np.abs(images[0] - images[1])
            # Bytes that were rounded down may fall to the other side.
            most = 1 if file.endswith("_transformed.tiff") else 0
            equal(f"{file}, numbers further apart than {most}", int((apart > most).sum()), 0)
            pixels += apart.size
    print(
        f"pipeline ({title}): {rows} rows of tables, classes and texts equal, numbers at most {worst:.1e} of a column's largest apart; {pixels} pixels of images equal"
    )


def main():
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        (folder / "images").mkdir()
        bundle = check_bundles(bundle_config(folder), folder)
        check_signatures()
        ours.configure(device="cpu")
        check_images()
        check_cells()
        check_refusals()
        images = [folder / "images" / f"movie{number}.ome.tiff" for number in range(2)]
        for number, image in enumerate(images):
            write_image(image, 32 * number)
        (folder / "worklist.txt").write_text("".join(f"{image}\n" for image in images))
        usual = {"method": "basicpy_fl", "align_frames": False, "focus_correction": True, "parallel_processing": False}
        for change in (
            {},
            {"parallel_processing": True},
            {"focus_correction": False},
            {"align_frames": True},
            {"method": "basicpy"},
        ):
            check_pipeline(folder, bundle, {**usual, **change})


if __name__ == "__main__":
    main()
