"""Facts about scaling, windows and regions of interest, and whole tasks with tiny networks.

usage: make.py FOLDER (with tests/networks on the path)

`facts.json` has what can be said in numbers. `cases.json` lists the tasks: a network (`NAME.safetensors`, its arguments
in `networks`), arguments, the shape and type of the input, what came out; both are in `NAME.npy`.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from make_fixtures import FlexResNet, NAFNet
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers.utils import _get_scan_interval
from monai.networks.nets import UNet
from torch.nn import functional as F

import peer

random = np.random.default_rng(1)
torch.manual_seed(1)

METHODS = [
    ("range01", {}),
    ("range01", {"pmin": 0.0, "pmax": 100.0, "clip": False}),
    ("range01", {"pmin": 33.3, "pmax": 50.0}),
    ("range01", {"pmin": 25.0}),
    ("zscore", {}),
    ("combined", {}),
    ("combined", {"pmin": 5, "pmax": 95.5, "clip": False}),
    ("fixed_range", {"bit_depth": 12}),
    ("fixed_range", {"bit_depth": 32}),
]


def picture(shape, kind="uint16"):
    """Spots on an uneven background, never twice the same."""
    *_, high, wide = shape
    y, x = np.mgrid[:high, :wide]
    image = 900 + 4 * y + 3 * x + 400 * np.sin(x / 3 + y / 5) * random.random(shape) + random.normal(0, 40, shape)
    image[random.random(shape) > 0.98] *= 2.5
    if kind == "uint8":
        return np.clip(image / 14, 0, 255).astype(kind)
    if kind == "int16":
        return (image - 1200).astype(kind)
    return (image / 700 - 1).astype(kind) if kind == "float32" else image.astype(kind)


def number(tensor):
    return float(tensor) if tensor is not None else None


def scaling():
    """What an image's scaling is, and what its first numbers become."""
    sizes = [(1, 1), (1, 50), (50, 1), (2, 2), (7, 5), (33, 18), (40, 41)]
    for kind in ("uint8", "uint16", "int16", "float32"):
        for size in sizes:
            image = picture(size, kind)
            results = []
            for method, args in METHODS:
                scaler = peer.Scaler(method, **args)
                if image.size == 1 and method in ("zscore", "combined"):
                    continue  # PyTorch's deviation of one number is NaN
                first = scaler.scale(peer.images(image)[None, None])[0, 0, 0, :4]
                parts = {name: number(getattr(scaler, name)) for name in ("low", "high", "mean", "std")}
                results.append({"method": method, "args": args, **parts, "first": first.tolist()})
            yield {"kind": kind, "size": size, "image": image.astype(float).ravel().tolist(), "results": results}


def windows():
    """Where windows start along a side, and what is put before it where it is shorter."""
    for length in [1, 2, 5, 15, 16, 17, 24, 31, 32, 33, 50, 64, 100, 232]:
        for side in (1, 2, 7, 16, 32, 49, 64):
            for overlap in (0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 0.99):
                whole = max(length, side)
                step = _get_scan_interval([whole], [side], 1, [overlap])
                starts = [int(part.start) for (part,) in dense_patch_slices([whole], [side], step)]
                yield [length, side, overlap, starts]


def reflections():
    """Which pixel of a line stands where once it is padded to a side, by PyTorch where it does that."""
    for length in range(1, 20):
        for side in range(length + 1, 41, 3):
            before = (side - length) // 2
            places = peer.mirrored(length, before, side - length - before)
            if side - length - before < length:
                line = torch.arange(length, dtype=torch.float32)[None, None]
                padded = F.pad(line, (before, side - length - before), mode="reflect")
                assert padded[0, 0].tolist() == places.tolist()
            yield [length, side, places.tolist()]


def weights():
    """The importance map's first row, middle row and diagonal."""
    for side in [1, 2, 3, 5, 7, 16, 31, 32, 64, 100, 256]:
        found = compute_importance_map((side, side), mode="gaussian")
        yield [side, found[0].tolist(), found[side // 2].tolist(), found.diagonal().tolist()]


def objects():
    """A label image with small and large, touching, broken and cut objects."""
    labels = np.zeros((60, 90), np.uint32)
    y, x = np.mgrid[:60, :90]
    spots = {1: (8, 10, 5, 3), 3: (20, 60, 12, 25), 4: (50, 5, 8, 9), 70000: (30, 30, 20, 4), 2**32 - 1: (57, 88, 9, 9)}
    for label, (row, column, high, wide) in spots.items():
        labels[((y - row) / high) ** 2 + ((x - column) / wide) ** 2 <= 1] = label
    labels[0, 89] = 12
    labels[2:4, 20:23] = 9
    labels[40, 70:80] = 9
    labels[59, 20:79] = 5
    return labels


def rois():
    labels = objects()
    image = picture(labels.shape)
    found = [int(label) for label in np.unique(labels) if label]
    squares = {side: [peer.region(labels, image, label, side).ravel().tolist() for label in found] for side in (9, 16)}
    return {
        "size": labels.shape,
        "labels": labels.ravel().tolist(),
        "image": image.ravel().tolist(),
        "found": found,
        "squares": [[side, squares[side]] for side in squares],
    }


def save(tensors, path):
    """Writes safetensors of float32 and int64."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        part = tensor.numpy().tobytes()
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def shaken(network):
    """Weights of no special values, and norms that do something."""
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor + 0.2 * torch.randn_like(tensor))
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(1 + tensor.abs())
    return network.eval()


NETWORKS = {
    "restore": ("NAFNet", {"img_channel": 1, "width": 4, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}),
    "restore_two": ("NAFNet", {"img_channel": 2, "width": 2, "middle_blk_num": 1, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
    "segment": ("MonaiUnet", {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [3, 5], "strides": [2], "num_res_units": 1}),
    "segment_two": (
        "MonaiUnet",
        {"spatial_dims": 2, "in_channels": 2, "out_channels": 3, "channels": [2, 4, 6], "strides": [2, 2], "norm": "BATCH", "act": "RELU"},
    ),
    "classify": ("FlexResNet", {"num_classes": 4, "min_size": 16, "initial_filters": 3, "num_blocks": 2}),
}
CLASSES = {"NAFNet": NAFNet, "MonaiUnet": UNet, "FlexResNet": FlexResNet}

# Name, task, network, input (shape and type, or an image), arguments.
CASES = [
    ("focus-series", "focus", "restore", ((3, 1, 37, 45), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-raw", "focus", "restore", ((1, 1, 37, 45), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25, "rescale": False}),
    ("focus-apart", "focus", "restore", ((1, 1, 33, 50), "uint8"), {"patch_size": 16, "overlap_ratio": 0.0}),
    ("focus-tenth", "focus", "restore", ((1, 1, 35, 21), "float32"), {"patch_size": 20, "overlap_ratio": 0.1}),
    ("focus-half", "focus", "restore", ((1, 1, 30, 41), "int16"), {"patch_size": 16, "overlap_ratio": 0.5}),
    ("focus-three-quarters", "focus", "restore", ((1, 1, 30, 26), "uint16"), {"patch_size": 16, "overlap_ratio": 0.75}),
    ("focus-odd", "focus", "restore", ((1, 1, 30, 26), "uint16"), {"patch_size": 13, "overlap_ratio": 0.3}),
    ("focus-zscore", "focus", "restore", ((2, 1, 20, 33), "float32"), {"patch_size": 16, "overlap_ratio": 0.25, "scale_method": "zscore"}),
    (
        "focus-combined",
        "focus",
        "restore",
        ((1, 1, 20, 33), "uint16"),
        {"patch_size": 16, "overlap_ratio": 0.25, "scale_method": "combined", "scaler_args": {"pmin": 2.5, "pmax": 97.5, "clip": False}},
    ),
    (
        "focus-fixed",
        "focus",
        "restore",
        ((1, 1, 20, 33), "uint16"),
        {"patch_size": 16, "overlap_ratio": 0.25, "scale_method": "fixed_range", "scaler_args": {"bit_depth": 12}},
    ),
    ("focus-wide", "focus", "restore", ((1, 1, 20, 33), "uint8"), {"patch_size": 16, "overlap_ratio": 0.25, "scaler_args": {"pmin": 0, "pmax": 100}}),
    ("focus-half-given", "focus", "restore", ((1, 1, 20, 33), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25, "scaler_args": {"pmin": 40.0}}),
    ("focus-pixel", "focus", "restore", ((1, 1, 1, 1), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-row", "focus", "restore", ((1, 1, 1, 50), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-column", "focus", "restore", ((1, 1, 50, 2), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-small", "focus", "restore", ((2, 1, 5, 7), "float32"), {"patch_size": 32, "overlap_ratio": 0.5}),
    ("focus-smaller", "focus", "restore", ((1, 1, 25, 20), "uint8"), {"patch_size": 32, "overlap_ratio": 0.25}),
    ("focus-constant", "focus", "restore", (np.full((1, 1, 20, 20), 77, np.uint8), None), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-channels", "focus", "restore", ((2, 3, 18, 22), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("focus-together", "focus", "restore_two", ((2, 2, 18, 22), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("segment-series", "segment", "segment", ((2, 1, 37, 45), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("segment-none", "segment", "segment", ((1, 1, 20, 33), "float32"), {"patch_size": 16, "overlap_ratio": 0.5, "scale_method": "none"}),
    ("segment-small", "segment", "segment", ((1, 1, 3, 20), "uint8"), {"patch_size": 16, "overlap_ratio": 0.0}),
    ("segment-together", "segment", "segment_two", ((2, 2, 21, 17), "uint16"), {"patch_size": 16, "overlap_ratio": 0.25}),
    ("segment-combined", "segment", "segment", ((1, 1, 18, 33), "int16"), {"patch_size": 16, "overlap_ratio": 0.6, "scale_method": "combined"}),
]


def main(folder):
    folder = pathlib.Path(folder)
    for old in [*folder.glob("*.npy"), *folder.glob("*.safetensors"), *folder.glob("*.json")]:
        old.unlink()
    dense = {"separators": (",", ":")}
    facts = {
        "scaling": list(scaling()),
        "windows": list(windows()),
        "reflections": list(reflections()),
        "weights": list(weights()),
        "rois": rois(),
    }
    (folder / "facts.json").write_text(json.dumps(facts, **dense) + "\n")
    networks = {}
    for name, (kind, args) in NETWORKS.items():
        networks[name] = shaken(make(kind, args))
        save(networks[name].state_dict(), folder / f"{name}.safetensors")
    cases = []
    for name, task, network, (shape, kind), args in CASES:
        image = shape if kind is None else picture(shape, kind)
        result = getattr(peer, task)(networks[network], image, **args)
        assert np.isfinite(result).all(), name
        np.save(folder / f"{name}-in.npy", image)
        np.save(folder / f"{name}-out.npy", result)
        cases.append({"name": name, "task": task, "network": network, "args": args})
    labels = objects()
    image = picture(labels.shape, "float32")
    # Shrunk to 12 or less, object 9 vanishes: of zeros PyTorch's float32 itself is off by 5e-5, since norms divide by next to nothing.
    for side in (16, 24, 13):
        found, shares = peer.classify(networks["classify"], labels, image, side)
        cases.append({"name": f"classify-{side}", "task": "classify", "network": "classify", "min_size": side})
        cases[-1] |= {"labels": [int(label) for label in found], "probabilities": shares.tolist()}
    np.save(folder / "classify-labels.npy", labels)
    np.save(folder / "classify-in.npy", image)
    made = {name: {"kind": kind, "args": args} for name, (kind, args) in NETWORKS.items()}
    lines = ",\n".join(json.dumps(case, **dense) for case in cases)
    (folder / "cases.json").write_text(f'{{"networks": {json.dumps(made, **dense)},\n"cases": [\n{lines}\n]}}\n')
    print(len(cases), "cases,", sum(file.stat().st_size for file in folder.iterdir()), "bytes")


@torch.no_grad()
def make(kind, args):
    network = CLASSES[kind](**args)
    if kind == "FlexResNet":
        network(torch.zeros(1, 1, 16, 16))
    return network


with torch.no_grad():
    main(*sys.argv[1:])
