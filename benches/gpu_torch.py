"""PyTorch on a GPU does what gpu.sh has `bundle` do, checked against the same results, and prints one beside the other.

usage: gpu_torch.py FOLDER ROUNDS DEVICE (with tests/tasks and tests/networks on the path)

FOLDER is gpu.sh's: networks, frames, the CPU's results, and `measured`: model, precision, side, microseconds a frame.
Frames are read, scaled, cut, run, blended on the device, scaled back and written, one after another.
"""

import itertools
import statistics
import sys
import time
from pathlib import Path

import numpy
import torch

import peer
from contender import OVERLAP, torch_network

SIDE = 256
NETWORKS = {"bf_focus": "nafnet_w32", "segmentation": "monai_unet"}

# Precision, TF32, compiled, channels_last.
VARIANTS = [
    *itertools.product(["f32"], [False, True], [False], [False, True]),
    *itertools.product(["f32"], [False, True], [True], [True]),
    *itertools.product(["f16"], [False], [False, True], [True]),
]

# How far results may be from the CPU's, in parts of the largest number; TF32 keeps 10 bits of a product's factors.
TOLERANCES = {("f32", False): 2e-5, ("f32", True): 5e-3, ("f16", False): 5e-3}


class Work:
    def __init__(self, folder: Path, model: str, device: str):
        self.folder, self.model, self.device = folder, model, torch.device(device)
        self.network = torch_network(folder / f"{NETWORKS[model]}.onnx")[0].to(device)

    def prepare(self, precision: str, tf32: bool, compiled: bool, channels_last: bool):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        kind = torch.float16 if precision == "f16" else torch.float32
        form = torch.channels_last if channels_last else torch.contiguous_format
        network = self.network.to(dtype=kind, memory_format=form)
        network = torch.compile(network) if compiled else network
        self.run = lambda images: network(images.to(kind, memory_format=form)).float()

    def frame(self, pixels: numpy.ndarray, windows: int) -> numpy.ndarray:
        """A frame, [height, width], on the device from scaling to the end; so many windows at a time."""
        image = torch.from_numpy(pixels.astype(numpy.float32)).to(self.device)[None, None]
        scaler = peer.Scaler()
        mode = "gaussian" if self.model == "bf_focus" else "constant"
        result = peer.windowed(scaler.scale(image), self.run, SIDE, OVERLAP, mode, windows)
        result = scaler.back(result) if self.model == "bf_focus" else torch.sigmoid(result)
        return result[0, 0].cpu().numpy()

    def seconds_per_frame(self, frames: numpy.ndarray, windows: int) -> float:
        begun = time.perf_counter()
        with open(self.folder / "torch.raw", "wb") as out:
            for pixels in frames:
                self.frame(pixels, windows).tofile(out)
        return (time.perf_counter() - begun) / len(frames)


def apart(found: numpy.ndarray, wanted: numpy.ndarray) -> float:
    difference = numpy.abs(found - wanted).max() / numpy.abs(wanted).max()
    return float(difference) if numpy.isfinite(found).all() else float("inf")


def name(precision: str, tf32: bool, compiled: bool, channels_last: bool) -> str:
    words = [precision, "TF32" if tf32 else "", "compiled" if compiled else "eager", "channels_last" if channels_last else ""]
    return ", ".join(word for word in words if word)


def main():
    folder, rounds, device = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    measured = [line.split() for line in (folder / "measured").read_text().splitlines()]
    ours = {(model, precision, int(side)): int(time) / 1e6 for model, precision, side, time in measured}
    sides = sorted({side for _, _, side in ours})
    about = torch.cuda.get_device_name() + f", CUDA {torch.version.cuda}" if device == "cuda" else "the CPU"
    print(f"PyTorch {torch.__version__} on {about}\n")
    print("| model | frame | PyTorch | windows at a time | median | min to max | its time / bundle's, same precision | apart |")
    print("|---|---|---|---|---|---|---|---|")
    good = True
    for model, variant in itertools.product(NETWORKS, VARIANTS):
        precision, tf32, *_ = variant
        work = Work(folder, model, device)
        work.prepare(*variant)
        for side in sides:
            frames = numpy.load(folder / f"frames_{side}.npy", mmap_mode="r")
            with torch.inference_mode():
                # The first run compiles and chooses algorithms; the better number of windows at a time counts.
                trials = {}
                for windows in (1, 4, 16) if side > SIDE else (1,):
                    found = work.frame(frames[0], windows)
                    trials[windows] = work.seconds_per_frame(frames[:2], windows)
                best = min(trials, key=trials.get)
                times = [work.seconds_per_frame(frames, best) for _ in range(rounds)]
            difference = apart(found, numpy.load(folder / f"cpu_{model}.npy")) if side == sides[-1] else 0.0
            good &= difference <= TOLERANCES[precision, tf32]
            median = statistics.median(times)
            beside = ours.get((model, precision, side))
            ratio = f"{median / beside:.2f}" if beside else "-"
            shown = f"{difference:.1e}" if side == sides[-1] else "-"
            spread = f"{min(times) * 1e3:.2f} to {max(times) * 1e3:.2f}"
            cells = [model, f"{side} x {side}", name(*variant), best, f"{median * 1e3:.2f} ms", spread, ratio, shown]
            print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
