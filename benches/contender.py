"""PyTorch or onnxruntime runs a network in rounds, for networks.py: the questions and answers of shared/rounds.rs.

usage: contender.py torch|channels_last|onnxruntime NETWORK.onnx INPUT.f32 CHANNELS SIDE THREADS

PyTorch takes the checkpoint (`.pth`) and the metadata (`.json`) beside the ONNX file. It can be asked one thing more:
`frame WINDOWS IN.tif OUT.tif` does to an image file what HiTMicTools does, so many windows at a time.
"""

import json
import sys
import time
from pathlib import Path

import numpy

# The windows' overlap, as the config for `bundle run` has it.
OVERLAP = 0.25


class OnnxRuntime:
    def __init__(self, network: Path, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.name = f"onnxruntime {onnxruntime.__version__}"

    def __call__(self, images: numpy.ndarray) -> numpy.ndarray:
        return self.session.run(None, {self.input: images})[0]


def torch_network(network: Path):
    """The network that the metadata declares, with the weights of the checkpoint beside it."""
    import torch
    from make_fixtures import NAFNet
    from monai.networks.nets import UNet

    metadata = json.loads(network.with_suffix(".json").read_text())
    made = {"NAFNet": NAFNet, "MonaiUnet": UNet}[metadata["model_type"]](**metadata["model_args"])
    made.load_state_dict(torch.load(network.with_suffix(".pth"), map_location="cpu", weights_only=True))
    return made.eval(), metadata["model_type"]


class Torch:
    def __init__(self, network: Path, side: int, threads: int, channels_last: bool):
        import peer
        import torch

        torch.set_num_threads(threads)
        self.torch, self.peer, self.side = torch, peer, side
        self.network, self.kind = torch_network(network)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = self.network.to(memory_format=self.format)
        self.name = f"PyTorch {torch.__version__}" + (", channels_last" if channels_last else "")

    def run(self, images):
        return self.network(images.to(memory_format=self.format))

    def __call__(self, images: numpy.ndarray) -> numpy.ndarray:
        with self.torch.inference_mode():
            return self.run(self.torch.from_numpy(images)).contiguous().numpy()

    def frame(self, windows: int, source: str, target: str):
        """Reads, scales, cuts, runs, blends and writes one frame."""
        import tifffile

        task = self.peer.focus if self.kind == "NAFNet" else self.peer.segment
        stack = tifffile.imread(source)[None, None]
        with self.torch.inference_mode():
            result = task(self.network, stack, self.side, OVERLAP, windows=windows)
        tifffile.imwrite(target, result[0, 0], compression=None)


def main():
    kind, network, source, channels, side, threads = sys.argv[1:]
    network, channels, side, threads = Path(network), int(channels), int(side), int(threads)
    images = numpy.fromfile(source, dtype="<f4").reshape(-1, channels, side, side)
    if kind == "onnxruntime":
        contender = OnnxRuntime(network, threads)
    else:
        contender = Torch(network, side, threads, kind == "channels_last")
    print(contender.name, flush=True)
    for question in sys.stdin:
        what, count, *paths = question.split(maxsplit=3)
        begun = time.perf_counter()
        if what == "frame":
            contender.frame(int(count), *(path.strip() for path in paths))
        else:
            result = contender(images[: int(count)])
        taken = time.perf_counter() - begun
        if what == "write":
            result.astype("<f4").tofile(paths[0].strip())
        print(taken, flush=True)


if __name__ == "__main__":
    main()
