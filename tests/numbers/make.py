"""The example's weights in other formats and precisions, and what PyTorch in float32 makes of them.

usage: make.py FOLDER RODS (with tests/networks and tests/tasks on the path)

`crop.npy` is a part of a frame of the example at RODS; `focus-KIND.npy` is what its network with weights rounded to KIND
makes of it, with the example's arguments, and `segmentation.npy` is that of its segmenter.
"""

import pathlib
import sys

import numpy as np
import tifffile
import torch
from make_fixtures import NAFNet
from monai.networks.nets import UNet

import peer

WINDOWS = {"patch_size": 64, "overlap_ratio": 0.25}
KINDS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def weights(rods, name):
    return torch.load(rods / "models" / f"{name}.pth", weights_only=True)


def main(folder, rods):
    folder, rods = pathlib.Path(folder), pathlib.Path(rods)
    crop = tifffile.imread(rods / "frames/bf.tif")[1, 60:140, 100:196]
    np.save(folder / "crop.npy", crop)
    state = weights(rods, "bf_focus_v3")
    for name, kind in (("bf16", torch.bfloat16), ("f64", torch.float64)):
        torch.save({key: tensor.to(kind) for key, tensor in state.items()}, folder / f"bf_focus_v3_{name}.pth")
    network = NAFNet(img_channel=1, width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]).eval()
    for name, kind in KINDS.items():
        network.load_state_dict({key: tensor.to(kind).float() for key, tensor in state.items()})
        result = peer.focus(network, crop[None, None], **WINDOWS)
        np.save(folder / f"focus-{name}.npy", result[0, 0])
    network = UNet(spatial_dims=2, in_channels=1, out_channels=1, channels=[8, 16, 32], strides=[2, 2], num_res_units=2)
    network.load_state_dict(weights(rods, "unet_segm"))
    np.save(folder / "segmentation.npy", peer.segment(network.eval(), crop[None, None], **WINDOWS)[0, 0])


main(*sys.argv[1:])
