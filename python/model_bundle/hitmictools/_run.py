"""HiTMicTools' own pipelines, with the classes of this package in the place of its own."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from types import ModuleType
from typing import Dict, Iterator, List, Optional

from ..errors import Error
from ._classes import CellClassifier, FocusRestorer, PIClassifier, Segmentator, configure
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


@contextlib.contextmanager
def replaced() -> Iterator[None]:
    """While this lasts, HiTMicTools' pipelines make their models with the classes of this package.

    The names are replaced in the memory of this process, in ``HiTMicTools.pipelines.base_pipeline``; no file of
    HiTMicTools is touched. Models that were made keep running here after it has ended, and in other processes.
    """
    pipelines = _module("HiTMicTools.pipelines.base_pipeline")
    missing = [name for name in _IN_PLACE if not hasattr(pipelines, name)]
    if missing:
        raise HiTMicToolsError(
            f"{pipelines.__name__} has no {', '.join(missing)}: this version of HiTMicTools makes its models elsewhere"
        )
    own = {name: getattr(pipelines, name) for name in _IN_PLACE}
    for name, ours in _IN_PLACE.items():
        setattr(pipelines, name, ours)
    try:
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
