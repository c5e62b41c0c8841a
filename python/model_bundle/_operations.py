"""``lock``, ``build``, ``verify``, ``check``, ``diff``, and HiTMicTools' ``create_model_bundle``."""

from __future__ import annotations

import json
import os
import warnings as python_warnings
from typing import Iterable, Optional, Union

from . import _core
from ._results import BuildResult, CheckResult, DiffResult, LockResult, Verification
from .errors import MissingFileError, StaleError

__all__ = [
    "BundleWarning",
    "build",
    "check",
    "create_model_bundle",
    "diff",
    "lock",
    "verify",
]

PathLike = Union[str, "os.PathLike[str]"]


class BundleWarning(UserWarning):
    """Something that was packed, and is odd."""


def lock(config: PathLike, *, check: bool = False, check_architecture: bool = True) -> LockResult:
    """Brings the lock beside a config up to date, as ``bundle lock`` does.

    With ``check`` nothing is written, and ``up_to_date`` says whether the lock is. Without ``check_architecture``
    weights that do not fit their declared network are only warned of; the audit of pickles is never left out.
    """
    report, warnings = _core.lock(config, check, check_architecture)
    return LockResult._of(json.loads(report), warnings)


def build(
    config: PathLike,
    output: Optional[PathLike] = None,
    *,
    auto_date: Optional[bool] = None,
    locked: bool = False,
    dry_run: bool = False,
    force: bool = False,
    check_architecture: bool = True,
) -> BuildResult:
    """Brings the lock and the ZIP up to date, as ``bundle build`` does.

    ``auto_date`` puts the date of the lock into the ZIP's name; by default as the config says. ``locked`` is for
    CI: a lock that is not up to date is no longer written but raised as :class:`~model_bundle.errors.StaleError`.
    ``force`` replaces an output that is no bundle.
    """
    return _build(
        {
            "config": config,
            "output": output,
            "auto_date": auto_date,
            "locked": locked,
            "dry_run": dry_run,
            "force": force,
            "check_architecture": check_architecture,
            "lenient": False,
        }
    )


def _build(options: "_core.BuildOptions") -> BuildResult:
    text, warnings = _core.build(options)
    report = json.loads(text)
    result = BuildResult._of(report, warnings)
    if report["outcome"] == "stale":
        raise StaleError(
            f"{result.lock} is not up to date: run `bundle lock` and commit the result"
        )
    if report["outcome"] == "not_reproduced":
        expected, found = report["expected"], report["found"]
        raise StaleError(
            f"{result.path} would not be what {result.lock} pins: expected {expected['size']} bytes, "
            f"sha256 {expected['sha256']}, found {found['size']} bytes, sha256 {found['sha256']}"
        )
    return result


def verify(
    bundle: PathLike, *, lock: Optional[PathLike] = None, sha256: Optional[str] = None
) -> Verification:
    """Compares every byte of a bundle with a lock, or with the lock inside it, as ``bundle verify`` does.

    A ``lock`` or the ``sha256`` of the file that came another way than the bundle proves where it is from; without
    either it is only shown to be consistent with itself. What differs is no error but in the answer, which is then
    false.
    """
    report, differences = _core.verify(bundle, lock, sha256)
    return Verification._of(json.loads(report), differences)


def check(
    target: PathLike,
    *,
    pipeline: Optional[str] = None,
    analysis: Optional[PathLike] = None,
    allow_globals: Iterable[str] = (),
) -> CheckResult:
    """Checks a config or a bundle: its arguments, its weights and their pickles, as ``bundle check`` does.

    ``pipeline`` is the name of the HiTMicTools pipeline that it must serve, ``analysis`` the path of its run config;
    ``allow_globals`` are pickle globals that you trust. What is wrong is no error but in the answer, which is then
    false.
    """
    report, texts = _core.check(target, pipeline, analysis, list(allow_globals))
    return CheckResult._of(json.loads(report), texts)


def diff(old: PathLike, new: PathLike) -> DiffResult:
    """Compares two bundles or lockfiles, down to the tensors, as ``bundle diff`` does."""
    report, changes = _core.diff(old, new)
    return DiffResult._of(json.loads(report), changes)


def create_model_bundle(
    models_info_path: PathLike, output_bundle_path: PathLike, auto_date: bool = True
) -> str:
    """HiTMicTools' function of this name: a bundle of the models that a YAML file names.

    The ZIP is written to ``output_bundle_path``, over whatever is there; with ``auto_date`` its name gets the date of
    the lock, which is written beside the YAML as ``bundle build`` does. The path of the ZIP is returned.

    What HiTMicTools packs is packed. What is odd about it, such as arguments that its loader will not take, is said
    as a :class:`BundleWarning`.

    Raises
    ------
    FileNotFoundError
        If the YAML file, or the weights of a model, are not there.
    ValueError
        If the output does not end in ``.zip``, the YAML or a metadata file cannot be read as such, or the audit of a
        pickle finds what may do harm when it is loaded: it is named with what allows it.
    """
    if not os.path.exists(models_info_path):
        message = f"there is no config at {os.fspath(models_info_path)}"
        raise MissingFileError(message)
    result = _build(
        {
            "config": models_info_path,
            "output": output_bundle_path,
            "auto_date": auto_date,
            "locked": False,
            "dry_run": False,
            "force": True,
            "check_architecture": False,
            "lenient": True,
        }
    )
    for text in result.warnings:
        python_warnings.warn(text, BundleWarning, stacklevel=2)
    return str(result.path)
