"""Arrays as the extension module takes them: of one of six number types, in this machine's byte order, of four axes."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

#: What is taken as it is.
TAKEN = tuple(np.dtype(name) for name in ("u1", "u2", "i2", "u4", "i4", "f4"))


def native(array: ArrayLike, what: str) -> NDArray[Any]:
    """The array with numbers that are taken.

    unsigned 8, 16 and 32 bits, signed 16 and 32 bits, float32
        as they are: neither copied nor converted, in whatever order they lie in memory
    bool
        0 and 1, without a copy
    int8
        converted to int16
    64-bit integers
        converted to 32 bits, if they fit
    float16, float64, long double
        converted to float32
    the other byte order
        converted to this machine's
    """
    found = np.asarray(array)
    if found.dtype == np.bool_:
        return found.view(np.uint8)
    kind, size = found.dtype.kind, found.dtype.itemsize
    if kind not in "iuf":
        raise InputError(f"{what}: expected an array of numbers, found {found.dtype}")
    wanted = found.dtype.newbyteorder("=")
    if kind == "f" and size != 4:
        wanted = np.dtype(np.float32)
    elif kind == "i" and size == 1:
        wanted = np.dtype(np.int16)
    elif size == 8:
        wanted = np.dtype(np.int32 if kind == "i" else np.uint32)
        limits = np.iinfo(wanted)
        if found.size and (found.min() < limits.min or found.max() > limits.max):
            number = found.min() if found.min() < limits.min else found.max()
            raise InputError(f"{what}: expected integers that fit into 32 bits, found {number}")
    with np.errstate(over="ignore"):
        converted = found.astype(wanted, copy=False)
    # What stands at odd addresses, in a column of records for instance.
    return converted if converted.flags.aligned else converted.copy()


def stack(array: ArrayLike, what: str) -> Tuple[NDArray[Any], int]:
    """The array as ``[T, C, H, W]``, and how many axes it had: 2 is ``[H, W]``, 3 is ``[T, H, W]``."""
    found = native(array, what)
    if found.ndim > 2 and found.shape[-1] <= 8 and min(found.shape[-3:-1]) >= 16:
        # As `bundle run` refuses such files: no camera makes frames so few pixels wide.
        raise InputError(
            f"{what}: an image of shape {list(found.shape)} has its channels or colours last; put them in front of the "
            "rows with `numpy.moveaxis(array, -1, -3)`, or make it grey with `array[..., :3].mean(axis=-1)`"
        )
    if found.ndim == 2:
        return found[np.newaxis, np.newaxis], 2
    if found.ndim == 3:
        return found[:, np.newaxis], 3
    if found.ndim == 4:
        return found, 4
    shape = list(found.shape)
    raise InputError(f"{what}: expected [H, W], [T, H, W] or [T, C, H, W], found {shape}")


def unstacked(result: NDArray[np.float32], axes: int) -> NDArray[np.float32]:
    """A result ``[T, C, H, W]`` with the axes that its input had, and its channels if there are several."""
    if axes == 2:
        result = result[0]
        return result[0] if result.shape[0] == 1 else result
    if axes == 3 and result.shape[1] == 1:
        return result[:, 0]
    return result
