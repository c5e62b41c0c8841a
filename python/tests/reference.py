"""Runs every model of a complete bundle source in Python, and compares with its reference results.

usage: reference.py FOLDER [--device DEVICE]

FOLDER holds `config_model_bundle.yml` with its files, `frames/` and `expected/`, as examples/rods does; results for larger objects
(`cell_classifier_large.csv`) and for other containers of the same weights are compared where they are there. Prints a
line for each comparison; ends with 1 if one is off.
"""

import argparse
import csv
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import tifffile

import model_bundle


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    off = 0

    def say(what, apart, most):
        nonlocal off
        wrong = not apart <= most
        off += wrong
        print(f"{what:<34} apart {apart:.3g}, at most {most:g}  {'OFF' if wrong else 'ok'}")

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "source"
        shutil.copytree(given.folder, folder)
        path = model_bundle.create_model_bundle(
            folder / "config_model_bundle.yml", folder / "out.zip", auto_date=False
        )
        bundle = model_bundle.load(path)
        bf, fl = (tifffile.imread(folder / "frames" / name) for name in ("bf.tif", "fl.tif"))
        for key, image, most in [
            ("bf_focus", bf, 0.05),
            ("fl_focus", fl, 0.05),
            ("segmentation", bf, 1e-4),
        ]:
            expected = np.load(folder / "expected" / f"{key}.npy")
            found = bundle[key].predict(image, device=given.device)
            say(key, np.abs(found - expected).max(), most)
        source = np.load(folder / "frames" / "classifier_input.npy")
        for name, table, images in [
            ("labels.tif", "cell_classifier.csv", source),
            ("large_labels.tif", "cell_classifier_large.csv", source[0]),
        ]:
            if not (folder / "expected" / table).exists():
                continue
            labels = tifffile.imread(folder / "frames" / name)
            cells = bundle["cell_classifier"].classify(labels, images, device=given.device)
            with open(folder / "expected" / table, newline="") as file:
                rows = list(csv.DictReader(file))
            names = [row["class"] for row in rows]
            say(f"classes of {name}", sum(a != b for a, b in zip(cells.class_name, names)), 0)
            wanted = [[float(row[f"p{i}"]) for i in range(len(cells.classes))] for row in rows]
            say(f"probabilities of {name}", np.abs(cells.probabilities - wanted).max(), 1e-4)
        with open(folder / "expected" / "pi_classification_logreg.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        table = np.loadtxt(folder / "frames" / "pi_features.csv", delimiter=",", skiprows=1)
        found = bundle["pi_classification"].predict(table)
        wanted = np.array([float(row["p_piPOS"]) for row in rows])
        say("p_piPOS", np.abs(found.probability_of("piPOS") - wanted).max(), 1e-12)
        labels = [row["predicted"] for row in rows]
        say("labels of rows", sum(a != b for a, b in zip(found.label, labels)), 0)
    sys.exit(bool(off))


if __name__ == "__main__":
    main()
