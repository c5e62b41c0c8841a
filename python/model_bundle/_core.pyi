"""The extension module: see ``python/src``. What people call is in ``model_bundle``."""

from os import PathLike
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypedDict, Union, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bundle",
    "Model",
    "build",
    "check",
    "diff",
    "is_lent",
    "lock",
    "run_command",
    "verify",
]

_Path = Union[str, PathLike[str]]
_Reported = Tuple[str, List[Tuple[str, str]]]
_Told = Tuple[str, List[str]]

class BuildOptions(TypedDict):
    config: _Path
    output: Optional[_Path]
    auto_date: Optional[bool]
    locked: bool
    dry_run: bool
    force: bool
    check_architecture: bool
    lenient: bool

class How(TypedDict):
    device: str
    half: Optional[bool]
    threads: Optional[int]

def run_command(arguments: Sequence[str]) -> int: ...
def lock(config: _Path, check: bool, check_architecture: bool) -> _Reported: ...
def build(options: BuildOptions) -> _Reported: ...
def verify(bundle: _Path, lock: Optional[_Path], sha256: Optional[str]) -> _Told: ...
def check(
    target: _Path, pipeline: Optional[str], analysis: Optional[_Path], allowed: Sequence[str]
) -> _Reported: ...
def diff(old: _Path, new: _Path) -> _Told: ...
def is_lent(array: NDArray[Any]) -> bool: ...

@final
class Bundle:
    def __new__(cls, path: _Path, sha256: Optional[str]) -> Bundle: ...
    def keys(self) -> List[str]: ...
    def model(self, key: str) -> Model: ...
    def config(self) -> Dict[str, Any]: ...
    def tracker(self) -> Optional[Dict[str, Any]]: ...

@final
class Model:
    @staticmethod
    def given(
        key: str,
        name: str,
        weights: bytes,
        metadata: Optional[str],
        inferer_args: Optional[Dict[str, Any]],
        model_args: Optional[Dict[str, Any]],
    ) -> Model: ...
    def facts(self) -> Tuple[str, str, Optional[str]]: ...
    def arguments(self) -> Tuple[Optional[Dict[str, Any]], Optional[Dict[str, Any]]]: ...
    def check(self) -> None: ...
    def predict(
        self,
        images: NDArray[Any],
        how: How,
        raw: bool,
        gaussian: Optional[bool],
        progress: Optional[Callable[[int, int], object]],
    ) -> NDArray[np.float32]: ...
    def classify(
        self,
        labels: NDArray[Any],
        images: NDArray[Any],
        how: How,
        progress: Optional[Callable[[int, int], object]],
    ) -> Tuple[
        NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], List[str]
    ]: ...
    def rows(self) -> Tuple[Optional[List[str]], int, List[str]]: ...
    def columns(self, names: Sequence[str]) -> List[int]: ...
    def predict_rows(
        self, rows: NDArray[np.float64]
    ) -> Tuple[NDArray[np.int64], NDArray[np.float64]]: ...
