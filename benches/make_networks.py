"""Two networks of the size that labs use, with weights from a seed: checkpoint, metadata and ONNX of each.

usage: make_networks.py FOLDER (with tests/networks on the path)
"""

import json
import sys
from pathlib import Path

import torch
from make_fixtures import NAFNet
from monai.networks.nets import UNet

NETWORKS = {
    "nafnet_w32": ("NAFNet", NAFNet, {"img_channel": 1, "width": 32, "middle_blk_num": 1, "enc_blk_nums": [1, 1, 1], "dec_blk_nums": [1, 1, 1]}),
    "monai_unet": (
        "MonaiUnet",
        UNet,
        {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2], "num_res_units": 2},
    ),
}


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for name, (kind, network, arguments) in NETWORKS.items():
        made = network(**arguments).eval()
        # A new NAFNet's blocks give what they were given: their results are multiplied by zero.
        for part, tensor in made.named_parameters():
            if part.endswith(("beta", "gamma")):
                torch.nn.init.normal_(tensor, std=0.1)
        torch.save(made.state_dict(), folder / f"{name}.pth")
        (folder / f"{name}.json").write_text(json.dumps({"model_type": kind, "model_args": arguments}, indent=2))
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        torch.onnx.export(made, torch.zeros(1, 1, 256, 256), folder / f"{name}.onnx", input_names=["x"], output_names=["y"], dynamic_axes=axes, dynamo=False)


if __name__ == "__main__":
    main()
