"""HiTMicTools' own pipelines, with the classes of this package in the place of its own."""

from __future__ import annotations

import argparse
import inspect
import contextlib
import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from ..errors import Error
from ._classes import CellClassifier, FocusRestorer, PIClassifier, Segmentator, asking, configure
from ._graphs import FlexResNet, NAFNet, UNet

#: What stands for which name in the module where HiTMicTools' pipelines make their models.
_IN_PLACE: Dict[str, type] = {
    "FocusRestorer": FocusRestorer,
    "Segmentator": Segmentator,
    "CellClassifier": CellClassifier,
    "PIClassifier": PIClassifier,
    "NAFNet": NAFNet,
    "FlexResNet": FlexResNet,
    "monai_unet": UNet,
}


class HiTMicToolsError(Error, ImportError):
    """HiTMicTools is not installed, or is a version that makes its models elsewhere."""


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise HiTMicToolsError(
            f"{name} cannot be imported: {error}; install HiTMicTools into this environment"
        ) from error


class _Asked(Exception):
    """Carries what HiTMicTools' class asks of MONAI's ``SlidingWindowInferer``."""


def _asks(theirs: Any) -> Dict[str, Any]:
    """The arguments that HiTMicTools' class gives MONAI's ``SlidingWindowInferer`` by itself.

    Versions of HiTMicTools differ in them. The class is asked: an object that was never made, and has no network, is
    given an image, and what it wants to make of windows is caught.
    """
    module = sys.modules[theirs.__module__]
    own = getattr(module, "SlidingWindowInferer", None)
    if own is None:
        raise _elsewhere(f"{module.__name__} has no SlidingWindowInferer")

    def ask(*positional: Any, **arguments: Any) -> None:
        named = dict(zip(inspect.signature(own).parameters, positional))
        raise _Asked({**named, **arguments})

    probe = object.__new__(theirs)
    probe.__dict__.update(
        device="cpu",
        half_precision=False,
        model=None,
        overlap_ratio=0.0,
        patch_size=8,
        scale_method="none",
        scaler=SimpleNamespace(scale_image=lambda image: image),
    )
    vars(module)["SlidingWindowInferer"] = ask
    found: Dict[str, Any] = {"mode": "constant", "padding_mode": "constant"}
    try:
        theirs.predict(probe, np.zeros((1, 1, 8, 8), np.float32), batch_size=1)
    except _Asked as asked:
        known = ("mode", "padding_mode", "sigma_scale", "with_coord")
        found.update({name: value for name, value in asked.args[0].items() if name in known})
        return found
    except Exception as error:
        raise _elsewhere(f"{theirs.__name__} cuts no windows ({error!r})") from error
    finally:
        vars(module)["SlidingWindowInferer"] = own
    raise _elsewhere(f"{theirs.__name__} cuts no windows")


def _elsewhere(what: str) -> HiTMicToolsError:
    return HiTMicToolsError(f"{what}: this version of HiTMicTools is none that is known here")


@contextlib.contextmanager
def replaced() -> Iterator[None]:
    """While this lasts, HiTMicTools' pipelines make their models with the classes of this package.

    The names are replaced in the memory of this process, in ``HiTMicTools.pipelines.base_pipeline``; no file of
    HiTMicTools is touched. Models that were made keep running here after it has ended, and in other processes.
    """
    pipelines = _module("HiTMicTools.pipelines.base_pipeline")
    missing = [name for name in _IN_PLACE if not hasattr(pipelines, name)]
    if missing:
        raise _elsewhere(f"{pipelines.__name__} has no {', '.join(missing)}")
    own = {name: getattr(pipelines, name) for name in _IN_PLACE}
    windowed = {"FocusRestorer": FocusRestorer, "Segmentator": Segmentator}
    # One that stands there already asks what it was told.
    asked = {ours.KEY: _asks(own[name]) for name, ours in windowed.items() if own[name] is not ours}
    for name, ours in _IN_PLACE.items():
        setattr(pipelines, name, ours)
    try:
        with asking(asked):
            yield
    finally:
        for name, theirs in own.items():
            setattr(pipelines, name, theirs)


def run(config: str, worklist: Optional[str] = None) -> None:
    """Runs the analysis of HiTMicTools' run config ``config``, on the files that a worklist names if one is given."""
    with replaced():
        _module("HiTMicTools.build_pipeline").build_and_run_pipeline(config, worklist)


def main(arguments: Optional[List[str]] = None) -> None:
    """``python -m model_bundle.hitmictools``"""
    parser = argparse.ArgumentParser(
        prog="python -m model_bundle.hitmictools",
        description="Runs HiTMicTools' pipelines with the models of model_bundle.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run", help="run an analysis")
    command.add_argument("-c", "--config", required=True, help="HiTMicTools' run config")
    command.add_argument(
        "-w", "--worklist", help="a text file with the path of an image in each line"
    )
    command.add_argument("--device", default="auto", help="as for `bundle run` (default: auto)")
    command.add_argument(
        "--precision",
        choices=["f32", "f16"],
        help="instead of what a model's half_precision asks for",
    )
    command.add_argument("--threads", type=int, help="of the CPU, in each process")
    given = parser.parse_args(arguments)
    try:
        configure(device=given.device, precision=given.precision, threads=given.threads)
        run(given.config, given.worklist)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
