"""What PyTorch and MONAI compute: small random networks, an input of each, and the output in double precision.

usage: make_forward.py FOLDER                   writes forward.json, forward.safetensors and a few ONNX exports
       make_forward.py --onnx FOLDER [NAME]...  writes the matrix of ONNX exports (exporters, opsets, axes), or only those
                                                whose names begin with a NAME

`MODEL_BUNDLE_ONNX=FOLDER cargo test --test suite onnx_networks` checks what the second form writes.

Weights and inputs are numbers that half precision has, so that every format holds them exactly; eps, slopes and the
like are those that single precision has.
"""

import io
import json
import logging
import pathlib
import sys
import warnings

import numpy
import onnx
import torch
from monai.networks.nets import UNet
from safetensors.torch import save_file

from make_fixtures import FlexResNet, NAFNet

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)
torch.set_num_threads(1)

# The exports that are kept.
KEPT = (
    "nafnet_5_script16",
    "nafnet_6_dynamo18",
    "nafnet_10_script11",
    "monai_unet_0_script11",
    "monai_unet_1_dynamo18",
    "monai_unet_8_script12",
    "monai_unet_8_script20",
    "monai_unet_9_dynamo18",
    "monai_unet_10_script17",
    "monai_unet_25_script17",
    "monai_unet_28_script17",
    "monai_unet_30_script11",
    "monai_unet_31_dynamo18",
    "flexresnet_1_script13",
    "flexresnet_1_dynamo18",
    "flexresnet_12_script17",
)

BUILD = {"NAFNet": NAFNet, "MONAI UNet": UNet, "FlexResNet": FlexResNet}


def nafnets():
    def args(width, middle, down, up, image=1):
        return dict(img_channel=image, width=width, middle_blk_num=middle, enc_blk_nums=down, dec_blk_nums=up)

    yield args(3, 0, [], []), [5, 7]
    yield args(4, 2, [], [], 2), [6, 5]
    yield args(12, 1, [], [], 3), [4, 9]
    yield args(3, 1, [1], [1]), [8, 6]
    yield args(4, 1, [0], [2], 3), [7, 9]
    yield args(5, 0, [2], [0], 2), [1, 1]
    yield args(3, 1, [1, 1], [1, 1]), [12, 8]
    yield args(3, 0, [1, 0], [0, 1], 2), [9, 13]
    yield args(4, 2, [0, 2], [1, 0]), [3, 5]
    yield args(2, 1, [1, 1, 1], [1, 1, 1]), [16, 8]
    yield args(3, 1, [0, 1, 0], [1, 0, 1], 2), [11, 17]


def unets():
    def args(size=(12, 8), **changes):
        plain = dict(spatial_dims=2, in_channels=1, out_channels=1, channels=[2, 3, 4], strides=[2, 2])
        return {**plain, **changes}, list(size)

    for units in range(5):
        yield args(num_res_units=units)
    acts = ["RELU", "LEAKYRELU", "ELU", "GELU", "SWISH", "MISH", "TANH", "SIGMOID", None]
    acts += [["LEAKYRELU", {"negative_slope": 0.2}], ["ELU", {"alpha": 1.5}], ["GELU", {"approximate": "tanh"}]]
    for act in acts + [["SWISH", {"alpha": 1.5}]]:
        yield args(act=act, num_res_units=1)
    yield args(act=["PRELU", {"num_parameters": 4}], channels=[4, 4], strides=[2], out_channels=4, num_res_units=2)
    yield args(act=["PRELU", {"num_parameters": 4}], channels=[4, 4], strides=[2], out_channels=3)
    norms = [None, "BATCH", ["GROUP", {"num_groups": 1}], ["INSTANCE", {"affine": True}], ["INSTANCE", {"eps": 0.01}]]
    norms += [["INSTANCE", {"track_running_stats": True}], ["BATCH", {"affine": False, "eps": 0.25}]]
    norms += [["INSTANCE", {"affine": True, "track_running_stats": True, "eps": 1e-3}]]
    norms += [["BATCH", {"track_running_stats": False}], ["BATCH", {"affine": False, "track_running_stats": False}]]
    for norm in norms:
        yield args(norm=norm, num_res_units=1)
    for affine in (True, False):
        norm = ["GROUP", {"num_groups": 2, "affine": affine}]
        yield args(norm=norm, channels=[2, 4, 6], out_channels=2, num_res_units=2)
        yield args(norm=norm, channels=[2, 4, 6], out_channels=3)
    for order in ["NDA", "ADN", "AND", "DAN", "NA", "AN", "A", "N", "D", "", "NANA"]:
        yield args(adn_ordering=order, norm=["INSTANCE", {"affine": True}], num_res_units=1)
    for kernel in [1, 5, 7, [3, 5], [1, 7]]:
        yield args(kernel_size=kernel, num_res_units=2, channels=[2, 3], strides=[2])
        yield args(up_kernel_size=kernel, num_res_units=1, channels=[2, 3], strides=[2])
    yield args(kernel_size=[5, 1], up_kernel_size=[1, 3])
    yield args(bias=False, num_res_units=2)
    for strides in [[1, 1], [1, 2], [3, 2], [[2, 1], [1, 2]], [[2, 3], 2]]:
        yield args((12, 18), strides=strides, num_res_units=2)
        yield args((12, 18), strides=strides)
    yield args(channels=[2, 2, 2], strides=[1, 1], in_channels=2, num_res_units=2)
    yield args((16, 8), channels=[2, 3, 2, 4], strides=[2, 2, 2], num_res_units=1)
    yield args(channels=[3, 2], strides=[2], in_channels=3, out_channels=4, num_res_units=2)
    yield args((7, 9), channels=[2, 3], strides=[2], in_channels=2, out_channels=2)
    yield args((8, 8), dropout=0.5, num_res_units=1)


def flexresnets():
    def args(size, **changes):
        return {**dict(num_classes=3, min_size=8, initial_filters=2), **changes}, list(size)

    for blocks in (1, 2, 3):
        yield args((8, 8), num_blocks=blocks)
        yield args((8, 8), num_blocks=blocks, use_global_pool=False, in_channels=2)
    yield args((5, 7))
    yield args((3, 8), use_global_pool=False)
    yield args((11, 14))
    yield args((7, 7), min_size=7, use_global_pool=False, last_conv_only=True)
    yield args((8, 8), last_conv_only=True, in_channels=2)
    yield args((8, 8), norm="BATCH", act="RELU", num_classes=1)
    yield args((8, 8), norm=["GROUP", {"num_groups": 2}], bias=False, adn_ordering="ADN")


def randomise(net, generator):
    """Weights that leave no layer at what it is made with."""
    for name, tensor in net.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        last = name.rsplit(".", 1)[-1]
        if last == "running_var":
            value = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif last in ("beta", "gamma", "bias", "running_mean"):
            value = noise * 0.4
        elif tensor.dim() > 1:
            value = noise * (1.5 / tensor[0].numel() ** 0.5)
        elif ".adn.A" in name:
            value = 0.05 + 0.4 * torch.rand(tensor.shape, generator=generator)
        else:
            value = 1 + noise * 0.3
        tensor.copy_(value.half())
    for module in net.modules():
        for name in ("eps", "negative_slope", "alpha"):
            if hasattr(module, name):
                setattr(module, name, float(numpy.float32(getattr(module, name))))


def made(kind, args, size, seed):
    generator = torch.Generator().manual_seed(seed)
    net = BUILD[kind](**args).eval()
    channels = args.get("img_channel", args.get("in_channels", 1))
    image = torch.rand(1, channels, *size, generator=generator).half()
    with torch.no_grad():
        net(image.float())  # lazy layers become what they are
        randomise(net, generator)
    output = run(net, image)
    return net.float(), image, output


def run(net, image):
    with torch.no_grad():
        return net.double()(image.double())[0]


def cases():
    for kind, list_of in [("NAFNet", nafnets), ("MONAI UNet", unets), ("FlexResNet", flexresnets)]:
        for index, (args, size) in enumerate(list_of()):
            yield kind, args, size, index


def forward(folder):
    about, tensors = [], {}
    for seed, (kind, args, size, _) in enumerate(cases()):
        net, image, output = made(kind, args, size, seed)
        state = {name: x.half() if x.is_floating_point() else x for name, x in net.state_dict().items()}
        state |= {"input": image[0], "output": output}
        tensors |= {f"{seed}.{name}": tensor.contiguous().clone() for name, tensor in state.items()}
        about.append({"kind": kind, "args": args, "size": size})
    lines = ",\n".join(json.dumps(case) for case in about)
    (folder / "forward.json").write_text(f"[\n{lines}\n]\n")
    save_file(tensors, folder / "forward.safetensors")
    print(len(about), "cases,", (folder / "forward.safetensors").stat().st_size, "bytes")


def export(net, image, path, dynamo, opset, dynamic):
    buffer = io.BytesIO()
    names = dict(input_names=["x"], output_names=["y"])
    sides = {"batch": [0], "sides": [0, 2, 3]}.get(dynamic, [])
    if dynamo:
        shapes = {axis: torch.export.Dim.AUTO for axis in sides}
        shapes = (shapes,) if sides else None
        program = torch.onnx.export(net, (image,), dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False, **names)
        program.save(str(path), external_data=False)
        bare(path)
        return
    axes = {"x": {axis: f"d{axis}" for axis in sides}} if sides else None
    torch.onnx.export(net, (image,), buffer, dynamo=False, opset_version=opset, dynamic_axes=axes, **names)
    path.write_bytes(buffer.getvalue())


def bare(path):
    """Takes away where in the source each node comes from, which is most of the file."""
    model = onnx.load(path)
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(model, path)


def matrix(folder, only):
    for seed, (kind, args, size, index) in enumerate(cases()):
        for dynamo, opset, dynamic in variants(index):
            exporter = "dynamo" if dynamo else "script"
            name = f"{kind.replace(' ', '_')}_{index}_{exporter}{opset}_{dynamic}".lower()
            if only and not name.startswith(only):
                continue
            net, image, output = made(kind, args, size, seed)
            try:
                export(net, image.float(), folder / f"{name}.onnx", dynamo, opset, dynamic)
            except Exception as error:
                print(name, "cannot be exported:", type(error).__name__, str(error).strip()[:90].replace("\n", " "))
                continue
            save_file({"input": image[0].contiguous(), "output": output.contiguous()}, folder / f"{name}.safetensors")


def variants(index):
    """All opsets of a few networks, and one or two of every other, so that each is met by every kind of layer."""
    script, axes = range(11, 21), ["batch", "sides", "fixed"]
    if index < 2 or index == 8:
        for opset in script:
            yield False, opset, axes[(opset + index) % 3]
        for opset in (18, 19, 20):
            yield True, opset, axes[(opset + index) % 3]
        return
    yield False, 11 + index % 10, axes[index % 3]
    yield False, 17, axes[(index + 1) % 3]
    yield True, 18, axes[(index + 2) % 3]


if __name__ == "__main__":
    if sys.argv[1] == "--onnx":
        target = pathlib.Path(sys.argv[2])
        target.mkdir(parents=True, exist_ok=True)
        matrix(target, tuple(sys.argv[3:]))
    else:
        target = pathlib.Path(sys.argv[1])
        forward(target)
        (target / "onnx").mkdir(exist_ok=True)
        matrix(target / "onnx", KEPT)
