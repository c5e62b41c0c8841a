"""Writes fitted estimators in every form that labs keep them, and what scikit-learn predicts with them.

    python make_fixtures.py FOLDER

Called by make_fixtures.sh once for each version of scikit-learn; the files are named after the version. Every model is
small: three features, trees of a few nodes. FOLDER/VERSION.json says of each file what it is and what it predicts.
"""

import json
import pathlib
import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

warnings.simplefilter("ignore")
VERSION = ".".join(sklearn.__version__.split(".")[:2])
SINCE = tuple(int(part) for part in VERSION.split("."))
NAMES = ["mean_intensity", "area", "std_intensity"]
random = np.random.RandomState(7)
X = np.round(random.normal([50.0, 300.0, 8.0], [12.0, 80.0, 3.0], (60, 3)), 3)
TABLE = pd.DataFrame(X, columns=NAMES)
score = (X - X.mean(0)) / X.std(0) @ [1.0, -0.5, 0.8] + random.normal(0, 0.3, 60)
TWO = np.where(score > 0, "piPOS", "piNEG")
THREE = np.digitize(score, [-0.6, 0.6])
ROWS = X[:5]


def models():
    """name -> (estimator, whether it was fitted to a table with names)"""
    tree = dict(max_depth=3, random_state=1)
    forest = dict(n_estimators=2, max_depth=3, random_state=1)
    fitted = {
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE, TWO),
        "forest": RandomForestClassifier(**forest).fit(X, THREE),
    }
    if SINCE >= (1, 2):
        newton = LogisticRegression(solver="newton-cholesky")
        fitted["newton"] = newton.fit(X / 100, THREE)
    if SINCE not in [(1, 0), (1, 3), (1, 6)]:
        return fitted
    fitted.update(
        {
            "standard": StandardScaler().fit(TABLE),
            "standard_mean_only": StandardScaler(with_std=False).fit(X),
            "standard_f32": StandardScaler().fit(X.astype(np.float32)),
            "minmax": MinMaxScaler().fit(X),
            "minmax_clip": MinMaxScaler((-1, 2), clip=True).fit(X[10:20]),
            "maxabs": MaxAbsScaler().fit(X),
            "robust": RobustScaler().fit(X),
            "robust_scale_only": RobustScaler(with_centering=False).fit(X),
            "normalizer": Normalizer().fit(X),
            "normalizer_l1": Normalizer("l1").fit(X),
            "normalizer_max": Normalizer("max").fit(X),
            "softmax": LogisticRegression().fit(X / 100, THREE),
            "softmax_of_two": LogisticRegression(multi_class="multinomial").fit(X / 100, TWO),
            "ovr": LogisticRegression(multi_class="ovr").fit(X / 100, THREE),
            "liblinear": LogisticRegression(solver="liblinear", fit_intercept=False).fit(X / 100, THREE),
            "bools": LogisticRegression().fit(X / 100, TWO == "piPOS"),
            "floats": LogisticRegression().fit(X / 100, THREE.clip(0, 1).astype(float)),
            "objects": LogisticRegression().fit(X / 100, TWO.astype(object)),
            "tree": DecisionTreeClassifier(**tree).fit(TABLE, TWO),
            "tree_leaves": DecisionTreeClassifier(max_leaf_nodes=5, random_state=1).fit(X, THREE),
            "tree_pruned": DecisionTreeClassifier(ccp_alpha=0.02, random_state=1).fit(X, THREE),
            "tree_weighted": DecisionTreeClassifier(class_weight="balanced", **tree).fit(X, THREE),
            "stump": DecisionTreeClassifier(max_depth=1, random_state=1).fit(X, TWO),
            "extra_tree": ExtraTreeClassifier(**tree).fit(X, THREE),
            "extra_trees": ExtraTreesClassifier(**forest).fit(TABLE, TWO),
            "forest_objects": RandomForestClassifier(oob_score=False, **forest).fit(TABLE, TWO.astype(object)),
            "passthrough": Pipeline(
                [("scale", RobustScaler()), ("none", "passthrough"), ("tree", DecisionTreeClassifier(**tree))]
            ).fit(TABLE, TWO),
            "nested": make_pipeline(
                make_pipeline(MinMaxScaler(), StandardScaler()), RandomForestClassifier(**forest)
            ).fit(TABLE, TWO),
        }
    )
    if SINCE >= (1, 3):
        missing = X.copy()
        missing[::4, 1] = np.nan
        label = np.where(np.isnan(missing[:, 1]), 2, THREE % 2)
        fitted["tree_missing"] = DecisionTreeClassifier(max_depth=4, random_state=1).fit(missing, label)
    turned = make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE, THREE)
    turned[0].mean_ = turned[0].mean_.astype(">f8")
    turned[0].scale_ = np.repeat(turned[0].scale_, 2)[::2]
    turned[1].coef_ = np.asfortranarray(turned[1].coef_)
    fitted["turned"] = turned
    return fitted


def written(name, model):
    """(file's ending, how to write it), every form for a few models, one for the others"""
    yield "joblib", lambda path: joblib.dump(model, path)
    if name in ["pipeline", "turned", "tree"] and SINCE in [(1, 0), (1, 6)]:
        for protocol in range(6):
            yield f"p{protocol}.pkl", lambda path, p=protocol: path.write_bytes(pickle.dumps(model, p))
        for protocol in [2, 5]:
            yield f"p{protocol}.joblib", lambda path, p=protocol: joblib.dump(model, path, protocol=p)
    elif name in ["pipeline", "forest"]:
        yield "pkl", lambda path: path.write_bytes(pickle.dumps(model))
    if name in ["forest_objects", "pipeline"] and SINCE in [(1, 0), (1, 6)]:
        for method in ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"]:
            yield f"{method}.joblib", lambda path, m=method: joblib.dump(model, path, compress=(m, 3))


def predictions(name, model):
    scaled = name in "newton softmax softmax_of_two ovr liblinear bools floats objects".split()
    rows = ROWS / 100 if scaled else ROWS
    if name == "tree_missing":
        rows = rows.copy()
        rows[1, 1] = rows[3, 2] = np.nan
    said = {
        "class": type(model).__name__,
        "features": getattr(model, "n_features_in_", None),
        "feature_names": [str(f) for f in getattr(model, "feature_names_in_", [])] or None,
        "rows": [[None if np.isnan(x) else float(x) for x in row] for row in rows],
    }
    if hasattr(model, "predict"):
        said["predict"] = [x.item() if hasattr(x, "item") else x for x in model.predict(rows)]
        said["predict_proba"] = model.predict_proba(rows).tolist()
    else:
        said["transform"] = model.transform(rows).tolist()
    return said


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    facts = {}
    for name, model in models().items():
        said = predictions(name, model)
        said["files"] = []
        for ending, write in written(name, model):
            path = folder / f"{VERSION}_{name}.{ending}"
            write(path)
            said["files"].append(path.name)
        facts[name] = said
    text = json.dumps({"version": sklearn.__version__, "numpy": np.__version__, "models": facts}, indent=1)
    (folder / f"{VERSION}.json").write_text(text + "\n")


main()
