"""What PyTorch and MONAI make of network arguments: tensors, sizes that run, what is refused.

usage: make_fixtures.py FOLDER [METADATA.json WEIGHTS.pth]...

Without pairs, the trained networks in FOLDER stay as they were recorded.

Tensors are written in state-dict order, each as "K SUFFIX D,D,...": the name is the first K characters of the name
before it, then SUFFIX. Buffers have a "*" before K.
"""

import json
import pathlib
import sys
import warnings

import torch
from monai.networks.blocks import ResidualUnit
from monai.networks.nets import UNet
from torch import nn

warnings.simplefilter("ignore")
torch.manual_seed(0)
torch.set_num_threads(1)


# NAFNet ("Simple Baselines for Image Restoration", 2022), with the module names of its authors' release.


class ChannelNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = 1e-6

    def forward(self, x):
        apart = x - x.mean(1, keepdim=True)
        scaled = apart / (apart.pow(2).mean(1, keepdim=True) + self.eps).sqrt()
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]


def gate(x):
    a, b = x.chunk(2, 1)
    return a * b


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        point = lambda a, b: nn.Conv2d(a, b, 1)
        self.conv1 = point(c, 2 * c)
        self.conv2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.conv3 = point(c, c)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), point(c, c))
        self.conv4 = point(c, 2 * c)
        self.conv5 = point(c, c)
        self.norm1 = ChannelNorm(c)
        self.norm2 = ChannelNorm(c)
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x):
        y = gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(y * self.sca(y))
        return x + self.gamma * self.conv5(gate(self.conv4(self.norm2(x))))


class NAFNet(nn.Module):
    def __init__(self, img_channel=3, width=16, middle_blk_num=1, enc_blk_nums=[], dec_blk_nums=[]):
        super().__init__()
        blocks = lambda c, n: nn.Sequential(*(Block(c) for _ in range(n)))
        down, up = range(len(enc_blk_nums)), range(len(dec_blk_nums))
        bottom = width << len(enc_blk_nums)
        self.intro = nn.Conv2d(img_channel, width, 3, padding=1)
        self.ending = nn.Conv2d(width, img_channel, 3, padding=1)
        self.encoders = nn.ModuleList(blocks(width << i, enc_blk_nums[i]) for i in down)
        self.decoders = nn.ModuleList(blocks(bottom >> i + 1, dec_blk_nums[i]) for i in up)
        self.middle_blks = blocks(bottom, middle_blk_num)
        pixels = lambda c: nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2))
        self.ups = nn.ModuleList(pixels(bottom >> i) for i in up)
        self.downs = nn.ModuleList(nn.Conv2d(width << i, width << i + 1, 2, 2) for i in down)

    def forward(self, image):
        high, wide = image.shape[2:]
        side = 1 << len(self.encoders)
        image = nn.functional.pad(image, (0, -wide % side, 0, -high % side))
        x = self.intro(image)
        kept = []
        for encoder, down in zip(self.encoders, self.downs):
            kept.append(encoder(x))
            x = down(kept[-1])
        x = self.middle_blks(x)
        for up, decoder in zip(self.ups, self.decoders):
            x = decoder(up(x) + kept.pop())
        return (self.ending(x) + image)[:, :, :high, :wide]


class FlexResNet(nn.Module):
    """The classifier of HiTMicTools: residual units, a pool or none, one linear layer."""

    def __init__(self, num_classes, in_channels=1, min_size=32, initial_filters=64, num_blocks=2, use_global_pool=True, **unit):
        super().__init__()
        sides = [in_channels] + [initial_filters << i for i in range(num_blocks)]
        units = [
            ResidualUnit(
                spatial_dims=2,
                in_channels=sides[i],
                out_channels=sides[i + 1],
                kernel_size=3,
                strides=1 if i else 2,
                subunits=3 if i else 2,
                **unit,
            )
            for i in range(num_blocks)
        ]
        self.features = nn.Sequential(*units, nn.AdaptiveAvgPool2d(1) if use_global_pool else nn.Flatten())
        self.classifier = nn.Sequential(nn.LazyLinear(num_classes))
        self.min_size = min_size

    def forward(self, x):
        right, below = (max(0, self.min_size - side) for side in (x.shape[3], x.shape[2]))
        return self.classifier(self.features(nn.functional.pad(x, (0, right, 0, below))).flatten(1))


def packed(tensors, buffers=()):
    lines, before = [], ""
    for name, shape in tensors:
        same = 0
        while same < min(len(name), len(before)) and name[same] == before[same]:
            same += 1
        star = "*" if name in buffers else ""
        lines.append(f"{star}{same} {name[same:]} {','.join(map(str, shape))}".rstrip())
        before = name
    return lines


def described(net):
    buffers = {name for name, _ in net.named_buffers()}
    shapes = [(name, tuple(tensor.shape)) for name, tensor in net.state_dict().items()]
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "tensors": packed(shapes, buffers),
    }


def answer(net, channels, high, wide):
    """The size that comes out, or 0 where the network fails."""
    try:
        with torch.no_grad():
            return list(net(torch.rand(1, channels, high, wide)).shape[2:])
    except (RuntimeError, ValueError):
        return 0


def unet(args, sizes=True):
    net = UNet(**args).eval()
    case = {"args": args, **described(net)}
    if sizes:
        top = 1
        for stride in args["strides"][: len(args["channels"]) - 1]:
            top *= max(stride) if isinstance(stride, list) else stride
        sides = sorted({1, 2, 3, *(n for k in (1, 2, 3) for n in (k * top - 1, k * top, k * top + 1) if n > 0)})
        squares = [[n, n] for n in sides]
        extra = [[2 * top, 3 * top], [4 * top, 2 * top + top // 2], [top, 2 * top]]
        case["sizes"] = [[hw, answer(net, args["in_channels"], *hw)] for hw in squares + extra]
    return case


def unets():
    def args(**changes):
        plain = dict(spatial_dims=2, in_channels=1, out_channels=1, channels=[4, 8, 16], strides=[2, 2])
        return {**plain, **changes}

    yield args()
    for units in range(5):
        yield args(num_res_units=units)
    for act in ["PRELU", "RELU", "LEAKYRELU", "ELU", "GELU", "SWISH", "MISH", "TANH", "SIGMOID", "", None, "prelu", " Relu "]:
        yield args(act=act, num_res_units=1)
    yield args(act=["PRELU", {"init": 0.1}])
    yield args(act=["prelu", {"num_parameters": 1, "init": 1}], num_res_units=2)
    yield args(act=["PRELU", {"num_parameters": 8}], channels=[8, 8, 8], out_channels=8, num_res_units=2)
    yield args(act=["PRELU", {"num_parameters": 8}], channels=[8, 8], strides=[2], out_channels=3)
    yield args(act=["LEAKYRELU", {"negative_slope": 0.2, "inplace": True}])
    yield args(act=["ELU", {"alpha": 2, "inplace": False}])
    yield args(act=["GELU", {"approximate": "tanh"}])
    yield args(act=["SWISH", {"alpha": 1.5}])
    yield args(act=["MISH", {"inplace": True}])
    yield args(act=["TANH", {}])
    for units in (0, 2):
        yield args(norm="INSTANCE", num_res_units=units)
        yield args(norm="batch", num_res_units=units)
        yield args(norm=["GROUP", {"num_groups": 1}], num_res_units=units)
        yield args(norm=None, num_res_units=units)
        yield args(norm=["INSTANCE", {"affine": True}], num_res_units=units)
        yield args(norm=["INSTANCE", {"affine": True, "track_running_stats": True, "eps": 1e-3}], num_res_units=units)
        yield args(norm=["BATCH", {"affine": False}], num_res_units=units)
        yield args(norm=["BATCH", {"track_running_stats": False, "momentum": None}], num_res_units=units)
    yield args(norm="")
    yield args(norm=["INSTANCE", {"track_running_stats": True, "momentum": 0.5}], num_res_units=1)
    yield args(norm=["BATCH", {"affine": False, "track_running_stats": False}])
    yield args(norm=["GROUP", {"num_groups": 4}])
    yield args(norm=["GROUP", {"num_groups": 4, "affine": False}], out_channels=4, num_res_units=1)
    yield args(norm=["group", {"num_groups": 4, "eps": 1}], out_channels=8, num_res_units=2)
    for order in ["NDA", "ADN", "AND", "DAN", "NA", "AN", "A", "N", "D", "", "nda", "NANA", "ANDA"]:
        yield args(adn_ordering=order, norm="BATCH", num_res_units=1)
    yield args(adn_ordering="AN", norm=["GROUP", {"num_groups": 2}], dropout=0.2)
    for kernel in [1, 3, 5, 7, [3, 5], [1, 7]]:
        yield args(kernel_size=kernel, num_res_units=2)
        yield args(up_kernel_size=kernel, num_res_units=1)
    yield args(kernel_size=[5, 1], up_kernel_size=[1, 3])
    yield args(kernel_size=1, up_kernel_size=1, strides=[1, 1], num_res_units=1)
    yield args(bias=False)
    yield args(bias=False, num_res_units=2, norm="BATCH")
    for strides in [[1, 1], [1, 2], [2, 1], [3, 2], [2, 3], [4, 1], [[2, 1], [1, 2]], [[1, 1], 2], [2, 2, 2], [[2, 3], 2]]:
        yield args(strides=strides, num_res_units=2)
        yield args(strides=strides)
    yield args(channels=[4, 4, 4], strides=[1, 1], in_channels=4, num_res_units=2)
    yield args(channels=[4, 4, 4], strides=[1, 2], in_channels=4, out_channels=4, num_res_units=1)
    yield args(channels=[16, 8, 4], num_res_units=1)
    yield args(channels=[4, 8], strides=[2])
    yield args(channels=[4, 8], strides=[1], num_res_units=1)
    yield args(channels=[4, 6, 8, 10, 12, 14], strides=[2, 1, 2, 1, 2], num_res_units=1)
    yield args(in_channels=3, out_channels=4, num_res_units=2)
    yield args(in_channels=2, out_channels=5)
    for dropout in [0, 0.0, 0.5, 1, None, "dropout", "", ["DROPOUT", {"p": 0.3}], ["alphadropout", {"p": 0.1, "inplace": True}]]:
        yield args(dropout=dropout, num_res_units=1)
    yield args(act=None, norm=None, dropout=None)


def refused_unets():
    def args(**changes):
        plain = dict(spatial_dims=2, in_channels=1, out_channels=1, channels=[4, 8, 16], strides=[2, 2])
        return {key: value for key, value in {**plain, **changes}.items() if value != "absent"}

    for name in ["spatial_dims", "in_channels", "out_channels", "channels", "strides"]:
        yield args(**{name: "absent"})
        yield args(**{name: None})
    yield args(dimensions=2)
    yield args(spatial_dims="absent", dimensions=2)
    yield args(spatial_dims=2.0)
    yield args(in_channels=1.0)
    yield args(out_channels="1")
    yield args(channels=[4.0, 8, 16])
    yield args(channels=[4])
    yield args(channels=[])
    yield args(channels=8)
    yield args(strides=[2])
    yield args(strides=[2.0, 2])
    yield args(strides=[0, 2])
    yield args(kernel_size=2)
    yield args(kernel_size=0)
    yield args(kernel_size=[3])
    yield args(kernel_size=[3, 3, 3])
    yield args(kernel_size=[3, 4])
    yield args(kernel_size="3")
    yield args(up_kernel_size=4)
    yield args(up_kernel_size=[3])
    yield args(num_res_units=2.0)
    yield args(num_res_units="2")
    yield args(num_res_units=None)
    yield args(act="PRELUU")
    yield args(act="none")
    yield args(act=["PRELU"])
    yield args(act=["PRELU", "x"])
    yield args(act=["PRELU", {"slope": 1}])
    yield args(act=["PRELU", {"num_parameters": 4}])
    yield args(act=["RELU", {"alpha": 1}])
    yield args(act=["TANH", {"inplace": True}])
    yield args(act=["GELU", {"approximate": "fast"}])
    yield args(act=3)
    yield args(norm="INSTANCES")
    yield args(norm="GROUP")
    yield args(norm=["GROUP", {"num_groups": 3}])
    yield args(norm=["GROUP", {"num_groups": 4}], num_res_units=1)
    yield args(norm=["GROUP", {"num_groups": 2.0}])
    yield args(norm=["INSTANCE", {"num_groups": 2}])
    yield args(norm=["BATCH", {"epsilon": 1}])
    yield args(norm=["BATCH", {"num_features": 4}])
    yield args(norm=["BATCH", {"eps": "1e-5"}])
    yield args(dropout=1.5)
    yield args(dropout=-0.1)
    yield args(dropout="half")
    yield args(dropout=["DROPOUT", {"q": 1}])
    yield args(adn_ordering="NDB")
    yield args(adn_ordering=None)
    yield args(instance_norm=True)
    yield args(norms="BATCH")


def flexresnets():
    yield dict(num_classes=5)
    yield dict(num_classes=2, initial_filters=4, num_blocks=1)
    yield dict(num_classes=3, initial_filters=4, num_blocks=4)
    yield dict(num_classes=3, initial_filters=4, in_channels=4, num_blocks=2)
    yield dict(num_classes=3, initial_filters=4, in_channels=3, use_global_pool=False)
    yield dict(num_classes=3, initial_filters=4, min_size=33, use_global_pool=False)
    yield dict(num_classes=3, initial_filters=4, min_size=1, num_blocks=1, use_global_pool=False, norm="BATCH")
    yield dict(num_classes=1, initial_filters=4, act="RELU", norm="BATCH", dropout=0.3)
    yield dict(num_classes=1, initial_filters=4, norm=["GROUP", {"num_groups": 2}], bias=False, adn_ordering="ADN")
    yield dict(num_classes=1, initial_filters=4, last_conv_only=True, dropout_dim=2, norm=None)
    yield dict(num_classes=1, initial_filters=4, act=None, dilation=1, padding=1)


def refused_flexresnets():
    yield dict()
    yield dict(num_classes=2, kernel_size=3)
    yield dict(num_classes=2, strides=1)
    yield dict(num_classes=2, out_channels=8)
    yield dict(num_classes=2, num_block=2)
    yield dict(num_classes=2, num_blocks=2.0)
    yield dict(num_classes=2.0)
    yield dict(num_classes=2, initial_filters=4.0)
    yield dict(num_classes=2, initial_filters=4, dilation=2)
    yield dict(num_classes=2, initial_filters=4, padding=2)
    yield dict(num_classes=2, initial_filters=4, norm=["GROUP", {"num_groups": 3}])


def nafnets():
    yield dict()
    yield dict(img_channel=1, width=8, middle_blk_num=0)
    yield dict(img_channel=1, width=3, middle_blk_num=2, enc_blk_nums=[1], dec_blk_nums=[2])
    yield dict(img_channel=2, width=4, enc_blk_nums=[1, 0, 2], dec_blk_nums=[0, 1, 1])
    yield dict(img_channel=1, width=2, middle_blk_num=1, enc_blk_nums=[1, 1, 1, 3], dec_blk_nums=[1, 1, 1, 1])
    yield dict(img_channel=1, width=32, middle_blk_num=1, enc_blk_nums=[1, 1, 1], dec_blk_nums=[1, 1, 1])


def refused_nafnets():
    yield dict(width=16.0)
    yield dict(width="16")
    yield dict(width=None)
    yield dict(middle_blk_num=1.0)
    yield dict(enc_blk_nums=1, dec_blk_nums=1)
    yield dict(enc_blk_nums=[1.0], dec_blk_nums=[1])
    yield dict(enc_blk_nums=[1, 1], dec_blk_nums=[1])
    yield dict(enc_blk_num=[1], dec_blk_nums=[1])
    yield dict(in_channels=1)


def refusal(build, args, channels, size):
    """What the class, or a first run of what it made, fails with."""
    try:
        net = build(**args).eval()
        with torch.no_grad():
            net(torch.rand(1, args.get(channels, 3 if channels == "img_channel" else 1), size, size))
    except Exception as error:
        return {"args": args, "error": f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"}
    raise SystemExit(f"{build.__name__} takes {args}")


def built(build, cases, channels, sizes):
    for args in cases:
        net = build(**args).eval()
        inputs = args.get(channels, 3 if channels == "img_channel" else 1)
        outputs = [list(net(torch.rand(1, inputs, size, size)).shape[1:]) for size in sizes(args)]
        yield {"args": args, **described(net), "outputs": outputs}


def published(metadata, weights):
    about = json.loads(pathlib.Path(metadata).read_text())
    build = {"NAFNet": NAFNet, "MonaiUnet": UNet, "FlexResNet": FlexResNet}[about["model_type"]]
    net = build(**about["model_args"]).eval()
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net.load_state_dict(state)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in state.items()]
    case = {"file": pathlib.Path(weights).name, "args": about["model_args"], **described(net)}
    buffers = {name for name, _ in net.named_buffers()}
    assert case["tensors"] == packed(shapes, buffers), weights
    return about["model_type"], case


def main(folder, *pairs):
    loaded = [published(*pair) for pair in zip(pairs[::2], pairs[1::2])]

    def trained(kind, name):
        path = pathlib.Path(folder) / f"{name}.json"
        if not pairs and path.exists():
            return json.loads(path.read_text())["published"]
        return [case for found, case in loaded if found == kind]
    networks = {
        "nafnet": {
            "made": list(built(NAFNet, nafnets(), "img_channel", lambda _: [13, 32])),
            "refused": [refusal(NAFNet, args, "img_channel", 32) for args in refused_nafnets()],
            "published": trained("NAFNet", "nafnet"),
        },
        "monai_unet": {
            "made": [unet(args) for args in unets()],
            "refused": [refusal(UNet, args, "in_channels", 32) for args in refused_unets()],
            "published": trained("MonaiUnet", "monai_unet"),
        },
        "flexresnet": {
            "made": list(built(FlexResNet, flexresnets(), "in_channels", lambda args: [args.get("min_size", 32)])),
            "refused": [refusal(FlexResNet, args, "in_channels", 32) for args in refused_flexresnets()],
            "published": trained("FlexResNet", "flexresnet"),
        },
    }
    for name, cases in networks.items():
        lines = [f'"{key}": [\n' + ",\n".join(json.dumps(x, separators=(",", ":")) for x in cases[key]) + "\n]" for key in cases]
        path = pathlib.Path(folder) / f"{name}.json"
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(path.name, {key: len(x) for key, x in cases.items()}, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
