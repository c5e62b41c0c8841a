"""Writes classical models as skl2onnx exports them, and what scikit-learn and ONNX Runtime say of some rows.

    python make_models.py FOLDER [few]

Every estimator that is supported, alone and behind every scaler; labels as strings and integers; float and double;
probabilities as a matrix, as maps and as columns; operator sets old and new. With `few`, a handful of them: the fixtures. models.json says of
each file what it must give.
"""

import itertools
import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

warnings.simplefilter("ignore")
NAMES = ["mean_intensity", "area", "std_intensity"]
random = np.random.RandomState(11)
X = np.round(random.normal([50.0, 300.0, 8.0], [12.0, 80.0, 3.0], (120, 3)), 3).astype(np.float32).astype(float)
score = (X - X.mean(0)) / X.std(0) @ [1.0, -0.5, 0.8] + random.normal(0, 0.3, 120)
LABELS = {
    "pi": np.where(score > 0, "piPOS", "piNEG"),
    "two": (score > 0).astype(int),
    "three": np.digitize(score, [-0.6, 0.6]),
    "odd": np.where(score > 0, 7, -3),
    "names": np.array(["alive", "dead", "debris"])[np.digitize(score, [-0.6, 0.6])],
}
ROWS = X[::8]
TREE = dict(max_depth=4, random_state=1)
CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=300),
    "ovr": LogisticRegression(multi_class="ovr", max_iter=300),
    "multinomial": LogisticRegression(multi_class="multinomial", max_iter=300),
    "liblinear": LogisticRegression(solver="liblinear"),
    "tree": DecisionTreeClassifier(**TREE),
    "extra_tree": ExtraTreeClassifier(**TREE),
    "forest": RandomForestClassifier(n_estimators=7, **TREE),
    "extra_trees": ExtraTreesClassifier(n_estimators=7, **TREE),
}
SCALERS = {
    "none": None,
    "standard": StandardScaler(),
    "standard_mean": StandardScaler(with_std=False),
    "robust": RobustScaler(),
    "max_abs": MaxAbsScaler(),
    "min_max": MinMaxScaler(),
    "min_max_clip": MinMaxScaler((-1, 2), clip=True),
    "normalizer": Normalizer(),
    "normalizer_l1": Normalizer("l1"),
    "normalizer_max": Normalizer("max"),
}
ZIPMAPS = {"matrix": False, "maps": True, "columns": "columns"}
OPSETS = [(1, 12), (2, 15), (3, 17), (3, 21)]
FEW = {
    ("logistic", "standard", "pi", "float", "matrix", (1, 12)),
    ("logistic", "standard", "two", "double", "maps", (3, 21)),
    ("logistic", "min_max_clip", "three", "double", "columns", (3, 17)),
    ("ovr", "robust", "names", "float", "columns", (3, 21)),
    ("ovr", "normalizer", "names", "double", "matrix", (1, 12)),
    ("multinomial", "max_abs", "pi", "double", "matrix", (3, 17)),
    ("multinomial", "normalizer_l1", "odd", "float", "maps", (3, 17)),
    ("liblinear", "normalizer_l1", "three", "double", "maps", (3, 21)),
    ("tree", "min_max", "pi", "float", "columns", (3, 21)),
    ("forest", "none", "pi", "float", "matrix", (1, 12)),
    ("forest", "standard", "names", "double", "maps", (3, 17)),
    ("extra_trees", "robust", "odd", "float", "maps", (3, 21)),
}


def exported(few):
    """(name, estimator, model in ONNX)"""
    kinds = {"float": FloatTensorType, "double": DoubleTensorType}
    parts = itertools.product(CLASSIFIERS, SCALERS, LABELS, kinds, ZIPMAPS, OPSETS)
    for classifier, scaler, labels, kind, zipmap, opset in parts:
        if few and (classifier, scaler, labels, kind, zipmap, opset) not in FEW:
            continue
        last, first = CLASSIFIERS[classifier], SCALERS[scaler]
        estimator = (make_pipeline(first, last) if first else last).fit(X, LABELS[labels])
        try:
            model = convert_sklearn(
                estimator,
                initial_types=[("X", kinds[kind]([None, 3]))],
                options={id(estimator): {"zipmap": ZIPMAPS[zipmap]}},
                target_opset={"": opset[1], "ai.onnx.ml": opset[0]},
            )
        except NotImplementedError:
            continue  # skl2onnx has no normalizer of the largest value in double precision
        if zipmap == "maps":
            onnx.helper.set_model_props(model, {"feature_names": ",".join(NAMES)})
        yield f"{classifier}_{scaler}_{labels}_{kind}_{zipmap}_{opset[0]}_{opset[1]}", estimator, model


def separate():
    """A model with an input for each feature."""
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS["pi"])
    inputs = [(name, FloatTensorType([None, 1])) for name in NAMES]
    options = {id(estimator): {"zipmap": False}}
    return "separate_inputs", estimator, convert_sklearn(estimator, initial_types=inputs, options=options)


def handmade():
    """Trees that skl2onnx does not write: every mode, values as tensors, missing values, base values."""
    modes = ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"]
    for index, (mode, transform) in enumerate(itertools.product(modes, ["NONE", "LOGISTIC", "SOFTMAX"])):
        for double, one in itertools.product([False, True], [False, True]):
            if one and transform == "SOFTMAX":
                continue  # ONNX Runtime does nothing then, and it is refused
            value = [float(X[10, 0]), 0.0, float(X[10, 1]), 0.0, 0.0]
            kinds = [f"BRANCH_{mode}", "LEAF", f"BRANCH_{mode}", "LEAF", "LEAF"]
            leaves = [1, 3, 4]
            votes = [(leaf, 0) for leaf in leaves] if one else list(itertools.product(leaves, [0, 1, 2]))
            weights = random.normal(0.2, 0.4, len(votes)).astype(np.float32).tolist()
            if index % 2:
                weights = np.abs(weights).tolist()
            base = ([] if index % 3 else [0.25] if one else [0.25, -0.125, 0.5])
            attributes = dict(
                nodes_treeids=[0] * 5,
                nodes_nodeids=range(5),
                nodes_featureids=[0, 0, 1, 0, 0],
                nodes_modes=kinds,
                nodes_truenodeids=[1, 0, 3, 0, 0],
                nodes_falsenodeids=[2, 0, 4, 0, 0],
                nodes_missing_value_tracks_true=[1, 0, 0, 0, 0],
                class_treeids=[0] * len(votes),
                class_nodeids=[leaf for leaf, _ in votes],
                class_ids=[id for _, id in votes],
                post_transform=transform,
            )
            numbers = dict(nodes_values=value, class_weights=weights, base_values=base)
            for name, values in numbers.items():
                if double and values:
                    tensor = helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)
                    attributes[f"{name}_as_tensor"] = tensor
                elif values:
                    attributes[name] = values
            attributes["classlabels_int64s" if one else "classlabels_strings"] = [0, 1] if one else ["a", "b", "c"]
            node = helper.make_node(
                "TreeEnsembleClassifier", ["X"], ["label", "p"], domain="ai.onnx.ml", **attributes
            )
            kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
            label = TensorProto.INT64 if one else TensorProto.STRING
            graph = helper.make_graph(
                [node],
                "trees",
                [helper.make_tensor_value_info("X", kind, [None, 3])],
                [
                    helper.make_tensor_value_info("label", label, [None]),
                    helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2 if one else 3]),
                ],
            )
            opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
            model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
            name = f"trees_{mode}_{transform}_{'double' if double else 'float'}_{'one' if one else 'three'}"
            yield name, None, model


def run(model, rows):
    """(labels, probabilities) of ONNX Runtime; nothing for doubles that skl2onnx gives to operators of floats."""
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
    except Exception as error:
        assert "tensor(double)" in str(error)
        return None
    inputs = session.get_inputs()
    table = rows.astype({"tensor(float)": np.float32, "tensor(double)": np.float64}[inputs[0].type])
    parts = [table] if len(inputs) == 1 else np.hsplit(table, len(inputs))
    label, *p = session.run(None, {i.name: part for i, part in zip(inputs, parts)})
    if isinstance(p[0], list):
        p = [np.array([list(row.values()) for row in p[0]])]
    p = np.stack(p, axis=1) if len(p) > 1 else p[0]
    return {"labels": [str(x) for x in label], "probabilities": p.tolist()}


def said(name, estimator, model):
    """What the file must give."""
    rows = ROWS.copy()
    if estimator is None:
        rows[3, 0] = np.nan
    facts = {
        "file": f"{name}.onnx",
        "rows": [[None if np.isnan(x) else x for x in row] for row in rows.tolist()],
        "features": NAMES if "_maps_" in name or name == "separate_inputs" else None,
        "onnxruntime": run(model, rows),
    }
    if estimator is not None:
        facts["sklearn"] = {
            "labels": [str(x) for x in estimator.predict(rows)],
            "probabilities": estimator.predict_proba(rows).tolist(),
        }
    return facts


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    few = sys.argv[2:] == ["few"]
    facts = []
    made = list(handmade())
    for name, estimator, model in itertools.chain(exported(few), [separate()], made[:: 7 if few else 1]):
        facts.append(said(name, estimator, model))
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    versions = {m.__name__: m.__version__ for m in [onnx, onnxruntime, np]}
    text = json.dumps({"versions": versions, "models": facts})
    (folder / "models.json").write_text(text + "\n")
    print(f"{len(facts)} models")


main()
