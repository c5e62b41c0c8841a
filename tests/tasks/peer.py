"""What HiTMicTools computes around a network, said with PyTorch and MONAI in float32 on the CPU.

The facts are those of HiTMicTools' `ImageScaler`, `FocusRestorer`, `Segmentator`, `CellClassifier` and
`dynamic_resize_roi`; windows are MONAI's own. One thing is more than theirs: where PyTorch refuses to reflect, because
the padding reaches the image's side, the image is reflected again and again.
"""

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from torch.nn import functional as F

torch.set_num_threads(1)
EPS = torch.finfo(torch.float32).eps


def percentile(image, share):
    """Of each image [N, C, H, W]: first down each column, then across the columns."""
    return torch.quantile(torch.quantile(image, share / 100, dim=2, keepdim=True), share / 100, dim=3, keepdim=True)


class Scaler:
    """Scales images [N, C, H, W], each channel by itself, and remembers how."""

    def __init__(self, method="range01", pmin=None, pmax=None, clip=True, bit_depth=None):
        self.method, self.clip = method, clip
        self.pmin, self.pmax = (1, 99.8) if pmin is None or pmax is None else (pmin, pmax)
        self.most = None if bit_depth is None else 2**bit_depth - 1
        self.low = self.high = self.mean = self.std = None

    def to_range(self, image):
        self.low, self.high = percentile(image, self.pmin), percentile(image, self.pmax)
        image = (image - self.low) / (self.high - self.low + EPS)
        return torch.clamp(image, 0, 1) if self.clip else image

    def to_score(self, image):
        self.mean, self.std = image.mean(dim=(2, 3), keepdim=True), image.std(dim=(2, 3), keepdim=True)
        return (image - self.mean) / (self.std + 1e-6)

    def scale(self, image):
        if self.method in ("range01", "combined"):
            image = self.to_range(image)
        if self.method in ("zscore", "combined"):
            image = self.to_score(image)
        return image / self.most if self.method == "fixed_range" else image

    def back(self, image):
        if self.method in ("zscore", "combined"):
            image = image * self.std + self.mean
        if self.method in ("range01", "combined"):
            image = image * (self.high - self.low) + self.low
        return image * self.most if self.method == "fixed_range" else image


def mirrored(length, before, after):
    """The row that stands at each place of `before + length + after` rows; a single row is repeated."""
    period = max(2 * (length - 1), 1)
    places = np.arange(-before, length + after) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros_like(places)


def windowed(image, network, side, overlap, mode, windows=4):
    """Runs a network on the windows of images [N, C, H, W], so many at a time, and blends."""
    size = image.shape[2:]
    missing = [max(side - length, 0) for length in size]
    before = [part // 2 for part in missing]
    if any(part >= length for part, length in zip(missing, size)):
        rows, columns = (torch.from_numpy(mirrored(n, b, m - b)) for n, b, m in zip(size, before, missing))
        image = image[:, :, rows][:, :, :, columns]
    # Reflects itself where the image is smaller, but not too small.
    inferer = SlidingWindowInferer(side, sw_batch_size=windows, overlap=overlap, mode=mode, padding_mode="reflect")
    result = inferer(image, network)
    if result.shape[2:] == size:
        return result
    return result[:, :, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]


def images(stack):
    return torch.from_numpy(np.asarray(stack).astype(np.float32))


@torch.no_grad()
def focus(network, stack, patch_size, overlap_ratio, scale_method="range01", scaler_args={}, rescale=True, windows=4):
    """[T, C, H, W] -> the same. A network of one channel takes each channel on its own."""
    image = images(stack)
    single = next(network.parameters()).shape[1] == 1
    run = (lambda x: network(x.flatten(0, 1)[:, None]).unflatten(0, x.shape[:2])[:, :, 0]) if single else network
    scaler = Scaler(scale_method, **scaler_args)
    result = windowed(scaler.scale(image), run, patch_size, overlap_ratio, "gaussian", windows)
    return (scaler.back(result) if rescale else result).numpy()


@torch.no_grad()
def segment(network, stack, patch_size, overlap_ratio, scale_method="range01", scaler_args={}, windows=4):
    """[T, C, H, W] -> [T, classes, H, W]"""
    scaled = Scaler(scale_method, **scaler_args).scale(images(stack))
    return torch.sigmoid(windowed(scaled, network, patch_size, overlap_ratio, "constant", windows)).numpy()


def region(labels, image, label, side):
    """The object of a label as a square: zero outside it, shrunk if it does not fit, in the middle."""
    rows, columns = (np.flatnonzero((labels == label).any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    roi = images(np.where(labels[box] == label, image[box], 0))
    high, wide = roi.shape
    if max(high, wide) > side:
        shrink = side / max(high, wide)
        size = (max(1, int(high * shrink)), max(1, int(wide * shrink)))
        roi = F.interpolate(roi[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    down, right = side - roi.shape[0], side - roi.shape[1]
    return F.pad(roi, (right // 2, right - right // 2, down // 2, down - down // 2))


@torch.no_grad()
def classify(network, labels, image, side):
    """The labels of one frame in ascending order, and the probabilities of their classes."""
    found = [label for label in np.unique(labels) if label]
    rois = torch.stack([region(labels, image, label, side) for label in found])[:, None]
    return found, torch.softmax(network(rois), dim=1).numpy()
