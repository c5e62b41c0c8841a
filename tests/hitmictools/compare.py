"""Runs HiTMicTools' bundler and ours on one config, and compares what they packed as parsed values.

usage: compare.py MODEL_BUNDLER.py BUNDLE CONFIG.yml [--keep ZIP [--leave NAME]]

Then the steps of HiTMicTools' loader are taken with our ZIP. A difference that is not one of those we mean to make,
or a step that fails, ends the program with 1.

With --keep, HiTMicTools' ZIP is kept as a fixture, and beside it, as JSON, what PyYAML reads in its YAML files;
with --leave, its temporary folder already holds a file of that name, as after a run that was killed.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

import yaml

# What moves into the arguments if it stands beside them.
MOVED = {"scaler_args": "inferer_args", "classes": "model_args"}

# What HiTMicTools' loader looks up in a model's settings and metadata, each or fails.
NETWORKS = {
    "bf_focus": "inferer_args",
    "fl_focus": "inferer_args",
    "segmentation": "inferer_args",
    "cell_classifier": "model_args",
}
LOADED = [*NETWORKS, "pi_classification", "oof_detector", "sc_segmenter"]


def typed(value):
    """A value with the type of each part spelt out; floats as their bits. As in tests/pyyaml/check.py."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": "nan" if math.isnan(value) else struct.pack(">d", value).hex()}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, list):
        return {"list": [typed(item) for item in value]}
    if isinstance(value, dict):
        return {"map": [[typed(key), typed(item)] for key, item in value.items()]}
    raise TypeError(type(value))


def leaves(value, path=()):
    """Every value that holds no other, by its path; an empty list or map is such a value."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


class Table:
    """What was compared, and how it went."""

    def __init__(self):
        self.rows = []
        self.meant = []
        self.wrong = []

    def compare(self, what, theirs, ours, meant):
        """Compares two values leaf by leaf; `meant` names the reason for a difference that we mean to make."""
        before = len(self.meant), len(self.wrong)
        theirs, ours = dict(leaves(theirs)), dict(leaves(ours))
        absent = object()
        paths = list(dict.fromkeys([*theirs, *ours]))
        for path in paths:
            a, b = theirs.get(path, absent), ours.get(path, absent)
            if absent not in (a, b) and typed(a) == typed(b):
                continue
            show = lambda x: "nothing" if x is absent else repr(x)
            text = f"{what}: {'.'.join(map(str, path))}: {show(a)} there, {show(b)} here"
            reason = meant(path, None if a is absent else a, None if b is absent else b)
            if reason:
                self.meant.append(f"{text} ({reason})")
            else:
                self.wrong.append(text)
        self.row(what, len(paths), len(self.meant) - before[0], len(self.wrong) - before[1])

    def check(self, what, right, complaint=""):
        """Counts one check."""
        if not right:
            self.wrong.append(f"{what}: {complaint}")
        self.row(what, 1, 0, int(not right))

    def row(self, *row):
        """Adds to the row of that name."""
        for position, (what, *numbers) in enumerate(self.rows):
            if what == row[0]:
                sums = [a + b for a, b in zip(numbers, row[1:])]
                self.rows[position] = (what, *sums)
                return
        self.rows.append(row)

    def print(self, config):
        """Prints all of it."""
        print(f"{config}\n  {'compared':<44}{'values':>8}{'meant':>8}{'wrong':>8}")
        for what, *numbers in self.rows:
            print(f"  {what:<44}" + "".join(f"{number:>8}" for number in numbers))
        for text in self.meant:
            print(f"  meant  {text}")
        for text in self.wrong:
            print(f"  WRONG  {text}")


def workplace(config, folder):
    """A folder with links to what stands beside the config, and copies of what a bundler might replace."""
    folder.mkdir()
    for entry in config.parent.iterdir():
        if entry.is_dir():
            (folder / entry.name).symlink_to(entry)
        elif not entry.name.endswith((".lock", ".zip", ".sha256")):
            shutil.copy(entry, folder / entry.name)
    return folder


def build_theirs(bundler, config, folder, leave):
    """HiTMicTools' ZIP; its bundler takes paths relative to the working directory, and works in a folder there."""
    folder = workplace(config, folder)
    if leave:
        stray = folder / "temp_model_bundle" / "models" / leave
        stray.parent.mkdir(parents=True)
        stray.write_text("left by a run that was killed\n")
    script = "import runpy, sys; runpy.run_path(sys.argv[1])['create_model_bundle'](sys.argv[2], 'theirs.zip', False)"
    subprocess.run([sys.executable, "-c", script, bundler, config.name], cwd=folder, check=True)
    return folder / "theirs.zip"


def build_ours(bundle, config, folder):
    """Our ZIP."""
    folder = workplace(config, folder)
    environment = os.environ | {"BUNDLE_CACHE_DIR": str(folder / "cache")}
    command = [bundle, "build", "-q", "-c", config.name, "-o", "ours.zip", "--no-auto-date"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder / "ours.zip"


def meant_in_config(source):
    """Judges a difference in config.yml."""

    def judge(path, theirs, ours):
        if path == ("_bundle_metadata", "creation_date") and theirs and ours:
            return "date"
        if path[:2] == ("_bundle_metadata", "about") and theirs is None:
            return "about"
        key, *rest = path
        model = source.get(key, {})
        if rest == ["model_path"] and theirs and ours:
            kept = pathlib.PurePath(model["model_path"]).suffix
            if ours == str(pathlib.PurePath(theirs).with_suffix(kept)):
                return "kept extension"
        if theirs is None and ours is None:
            return "a null is left out"
        if type(theirs) is int and type(ours) is float and theirs == ours:
            return "integer where the loader needs a float"
        for name, table in MOVED.items():
            if rest[:2] == [table, name] and theirs is None and name in model:
                value = model[name]
                for step in rest[2:]:
                    value = value[step]
                return "moved to where the loader reads it" if value == ours else None
        return None

    return judge


def never(_path, _theirs, _ours):
    return None


def compare_files(theirs, ours, source, table, leave):
    """Compares everything in the two ZIPs."""
    config = {"theirs": yaml.safe_load(theirs.read("config.yml")), "ours": yaml.safe_load(ours.read("config.yml"))}
    table.compare("config.yml", config["theirs"], config["ours"], meant_in_config(source))
    order = [[key for key in config[which] if key != "_bundle_metadata"] for which in ("theirs", "ours")]
    table.check("order of the models", order[0] == order[1], f"{order[0]} there, {order[1]} here")
    left = {"config.yml", "config_tracker.yml", f"models/{leave}"}
    right = {"config.yml", "config_tracker.yml", "bundle.lock"}
    for key, model in config["theirs"].items():
        if key == "_bundle_metadata":
            continue
        name, own = model["model_metadata"], config["ours"][key]["model_metadata"]
        table.compare("metadata", json.loads(theirs.read(name)), json.loads(ours.read(own)), never)
        name, own = model["model_path"], config["ours"][key]["model_path"]
        same = theirs.read(name) == ours.read(own) == pathlib.Path(source[key]["model_path"]).read_bytes()
        table.check("weights, byte for byte", same, key)
        left |= {model["model_metadata"], model["model_path"]}
        right |= {config["ours"][key]["model_metadata"], own}
    compare_trackers(theirs, ours, source, table)
    extra = set(theirs.namelist()) - left
    table.check("their names are accounted for", not extra, sorted(extra))
    extra = {name for name in ours.namelist() if not name.startswith("tests/")} - right
    table.check("our names are accounted for", not extra, sorted(extra))


def compare_trackers(theirs, ours, source, table):
    """Compares the tracker's settings; JSON that they copied under the name of YAML is read as JSON."""
    if "tracker" not in source:
        return
    path = source["tracker"]["config_path"]
    copied, made = theirs.read("config_tracker.yml"), ours.read("config_tracker.yml")
    if path.endswith(".json"):
        text = dict(leaves(yaml.safe_load(copied)))
        by_json = json.loads(copied)
        for place, value in leaves(by_json):
            if typed(text[place]) != typed(value):
                name = ".".join(map(str, place))
                table.meant.append(f"config_tracker.yml: {name}: {text[place]!r} there, {value!r} here (JSON as YAML)")
        table.compare("config_tracker.yml", by_json, yaml.safe_load(made), never)
    else:
        table.check("config_tracker.yml, byte for byte", copied == made, "differs")
        table.compare("config_tracker.yml", yaml.safe_load(copied), yaml.safe_load(made), never)


def load(path, source, table):
    """What HiTMicTools' loader does with our ZIP, up to the making of the networks; nothing is unpickled as it does."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        for item in ("config.yml", "models/", "metadata/"):
            table.check("loader: parts", any(name.startswith(item) for name in names), item)
        if "tracker" in source:
            with archive.open("config_tracker.yml") as tracker:
                motion = yaml.safe_load(tracker)["motion_model"]
                numbers = [x for name in "AHPRG" for x in motion[name]["matrix"]]
                table.check("loader: tracker", all(isinstance(x, (int, float)) for x in numbers), "matrices")
        archive.extractall(folder)
        with open(os.path.join(folder, "config.yml")) as file:
            config = yaml.safe_load(file)
        for key, model in config.items():
            if key not in LOADED:
                continue
            weights = os.path.join(folder, model["model_path"])
            table.check("loader: weights", os.path.isfile(weights), key)
            if key != "pi_classification":
                with open(os.path.join(folder, model["model_metadata"])) as file:
                    metadata = json.load(file)
                table.check("loader: metadata", isinstance(metadata, dict), key)
            if key in NETWORKS:
                table.check("loader: arguments", isinstance(model[NETWORKS[key]], dict), key)
                if "model_metadata" in source[key]:
                    table.check("loader: model_args", isinstance(metadata["model_args"], dict), key)
            if weights.endswith(".pth"):
                load_checkpoint(weights, source[key]["model_path"], table)


def load_checkpoint(packed, original, table):
    """Compares the tensors of a packed checkpoint with the source's, if PyTorch is there."""
    try:
        import torch
    except ImportError:
        return
    # RF-DETR's checkpoints hold their training arguments.
    torch.serialization.add_safe_globals([argparse.Namespace])
    try:
        expected = torch.load(original, map_location="cpu", weights_only=True)
    except Exception:
        # Fixtures have files that are no checkpoints.
        return table.row("torch.load: source is no checkpoint", 1, 0, 0)
    found = torch.load(packed, map_location="cpu", weights_only=True)
    tensors = lambda tree: {path: x for path, x in leaves(tree) if torch.is_tensor(x)}
    expected, found = tensors(expected), tensors(found)
    table.check("torch.load: names of tensors", list(expected) == list(found), original)
    for path, tensor in expected.items():
        table.check("torch.load: tensors", torch.equal(tensor, found[path]), path)


def keep(theirs, target):
    """Keeps their ZIP and PyYAML's reading of its YAML."""
    shutil.copy(theirs, target)
    with zipfile.ZipFile(theirs) as archive:
        files = [name for name in ("config.yml", "config_tracker.yml") if name in archive.namelist()]
        lines = [f"{json.dumps(name)}: {json.dumps(typed(yaml.safe_load(archive.read(name))), ensure_ascii=False)}" for name in files]
    target.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bundler", type=pathlib.Path)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--leave", help="a file's name")
    options = parser.parse_args()
    bundler, bundle, config = (path.resolve(strict=True) for path in (options.bundler, options.bundle, options.config))
    kept = options.keep and options.keep.resolve()
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        theirs = build_theirs(bundler, config, folder / "theirs", options.leave)
        ours = build_ours(bundle, config, folder / "ours")
        os.chdir(config.parent)
        source = yaml.safe_load(config.read_bytes())
        with zipfile.ZipFile(theirs) as a, zipfile.ZipFile(ours) as b:
            table.check("our ZIP: every CRC", b.testzip() is None, "damaged")
            compare_files(a, b, source, table, options.leave)
        load(ours, source, table)
        if kept:
            keep(theirs, kept)
    table.print(options.config)
    sys.exit(bool(table.wrong))


main()
