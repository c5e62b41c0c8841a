"""What a network is built from: given as such, or found in a module of PyTorch."""

from __future__ import annotations

import inspect
from typing import Any, Dict, List, Sequence, Tuple

from ..errors import InputError


class Graph:
    """The arguments of a network, in the place of the network."""

    def __init__(self, arguments: Dict[str, Any]) -> None:
        self.model_args = arguments

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.model_args.items())
        return f"{type(self).__name__}({given})"


class NAFNet(Graph):
    """The arguments of HiTMicTools' ``NAFNet``."""

    def __init__(
        self,
        img_channel: int = 3,
        width: int = 16,
        middle_blk_num: int = 1,
        enc_blk_nums: Sequence[int] = (),
        dec_blk_nums: Sequence[int] = (),
    ) -> None:
        super().__init__(
            {
                "img_channel": img_channel,
                "width": width,
                "middle_blk_num": middle_blk_num,
                "enc_blk_nums": list(enc_blk_nums),
                "dec_blk_nums": list(dec_blk_nums),
            }
        )


#: The arguments of ``monai.networks.nets.UNet``, in their order.
_UNET = (
    "spatial_dims",
    "in_channels",
    "out_channels",
    "channels",
    "strides",
    "kernel_size",
    "up_kernel_size",
    "num_res_units",
    "act",
    "norm",
    "dropout",
    "bias",
    "adn_ordering",
)


class UNet(Graph):
    """The arguments of MONAI's ``UNet``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        signature = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in _UNET]
        )
        super().__init__(dict(signature.bind_partial(*args, **kwargs).arguments))


class FlexResNet(Graph):
    """The arguments of HiTMicTools' ``FlexResNet``; those of MONAI's ``ResidualUnit`` are among them."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        min_size: int = 32,
        initial_filters: int = 64,
        num_blocks: int = 2,
        use_global_pool: bool = True,
        **residual_unit_kwargs: Any,
    ) -> None:
        super().__init__(
            {
                "num_classes": num_classes,
                "in_channels": in_channels,
                "min_size": min_size,
                "initial_filters": initial_filters,
                "num_blocks": num_blocks,
                "use_global_pool": use_global_pool,
                **residual_unit_kwargs,
            }
        )


def arguments(model_graph: Any, expected: str) -> Dict[str, Any]:
    """What the network ``model_graph`` is built from. ``expected`` is the name of its class."""
    found = type(model_graph).__name__
    if model_graph is None:
        raise InputError(
            f"model_graph: expected a {expected}, found None: a module that was pickled as a whole is not loaded here"
        )
    if found != expected:
        raise InputError(f"model_graph: expected a {expected}, found a {found}")
    if isinstance(model_graph, Graph):
        return dict(model_graph.model_args)
    try:
        return _OF_MODULES[expected](model_graph)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise InputError(
            f"model_graph: this {expected} is not built as HiTMicTools and MONAI build it ({error}): "
            f"give model_bundle.hitmictools.{expected} with its arguments instead"
        ) from error


def _nafnet(module: Any) -> Dict[str, Any]:
    return {
        "img_channel": module.intro.in_channels,
        "width": module.intro.out_channels,
        "middle_blk_num": len(module.middle_blks),
        "enc_blk_nums": [len(blocks) for blocks in module.encoders],
        "dec_blk_nums": [len(blocks) for blocks in module.decoders],
    }


def _unet(module: Any) -> Dict[str, Any]:
    found = {name: getattr(module, name) for name in _UNET if name != "spatial_dims"}
    return {"spatial_dims": module.dimensions, **{name: _plain(x) for name, x in found.items()}}


def _plain(value: Any) -> Any:
    """Names of layers and the like as a config has them."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


#: What a ``ResidualUnit`` with MONAI's defaults consists of.
_USUAL = {
    "ADN",
    "AdaptiveAvgPool2d",
    "Conv2d",
    "Convolution",
    # Only in training.
    "Dropout",
    "Flatten",
    "Identity",
    "InstanceNorm2d",
    "LazyLinear",
    "Linear",
    "PReLU",
    "ResidualUnit",
    "Sequential",
}


def _flexresnet(module: Any) -> Dict[str, Any]:
    layers: List[Any] = list(module.features)
    odd = {type(part).__name__ for part in module.features.modules()} - _USUAL
    if odd:
        raise TypeError(f"it has {', '.join(sorted(odd))}")
    if any(getattr(part, "eps", 1e-5) != 1e-5 for part in module.features.modules()):
        raise TypeError("its norms have an eps of their own")
    units, last = layers[:-1], type(layers[-1]).__name__

    def channels(unit: Any) -> Tuple[int, int]:
        first = unit.conv.unit0.conv
        return first.in_channels, first.out_channels

    return {
        "num_classes": module.classifier[0].out_features,
        "in_channels": channels(units[0])[0],
        "min_size": module.min_size,
        "initial_filters": channels(units[0])[1],
        "num_blocks": len(units),
        "use_global_pool": last == "AdaptiveAvgPool2d",
    }


_OF_MODULES = {"NAFNet": _nafnet, "UNet": _unet, "FlexResNet": _flexresnet}
