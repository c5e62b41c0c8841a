"""What the operations and the models answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from .errors import _text

__all__ = [
    "Archive",
    "BuildResult",
    "Cells",
    "CheckResult",
    "CheckedModel",
    "DiffResult",
    "LockResult",
    "ModelDiff",
    "Predictions",
    "Problem",
    "Verification",
]


@dataclass(frozen=True)
class Archive:
    """The finished ZIP: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def _of(cls, report: Optional[Mapping[str, Any]]) -> Optional[Archive]:
        return None if report is None else cls(report["size"], report["sha256"])


@dataclass(frozen=True)
class LockResult:
    """What became of a lock."""

    #: The lockfile.
    path: Path
    #: Whether it was written.
    written: bool
    #: Whether it is, or was, as the config and its files say.
    up_to_date: bool
    #: How many models it has.
    models: int
    #: What changed, file by file: the ``plan`` of docs/json.md.
    plan: Dict[str, Any] = field(repr=False)
    #: What is odd: a line, and below it the place and what to do.
    warnings: Tuple[str, ...] = field(repr=False)

    @classmethod
    def _of(cls, report: Mapping[str, Any], warnings: List[Tuple[str, str]]) -> LockResult:
        plan = report["plan"]
        return cls(
            path=Path(report["lock"]),
            written=report["written"],
            up_to_date=report["written"] or plan["lock"]["status"] == "up_to_date",
            models=report["models"],
            plan=plan,
            warnings=tuple(_text(*warning) for warning in warnings),
        )


@dataclass(frozen=True)
class BuildResult:
    """What was built."""

    #: ``built``, ``up_to_date``, or after a dry run ``planned``.
    outcome: str
    #: The ZIP.
    path: Path
    #: Its size and digest, if they are known.
    archive: Optional[Archive]
    #: The lockfile.
    lock: Path
    #: How many models the bundle has.
    models: int
    #: What was or is to be done, file by file, and why: the ``plan`` of docs/json.md.
    plan: Dict[str, Any] = field(repr=False)
    #: What is odd: a line, and below it the place and what to do.
    warnings: Tuple[str, ...] = field(repr=False)

    @classmethod
    def _of(cls, report: Mapping[str, Any], warnings: List[Tuple[str, str]]) -> BuildResult:
        return cls(
            outcome=report["outcome"],
            path=Path(report["output"]),
            archive=Archive._of(report["archive"]),
            lock=Path(report["lock"]),
            models=report["models"],
            plan=report["plan"],
            warnings=tuple(_text(*warning) for warning in warnings),
        )


@dataclass(frozen=True)
class Verification:
    """Whether a bundle is what it should be. It is true if nothing differs."""

    #: The ZIP.
    path: Path
    #: What the answer rests on: ``lock``, ``sha256``, or ``none``: self-consistent, origin unproven.
    anchor: str
    #: ``canonical`` or ``foreign``.
    layout: str
    entries: int
    size: int
    #: Of the whole file, if it was computed.
    sha256: Optional[str]
    #: Everything that is not as it should be, a sentence each.
    differences: Tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.differences

    @classmethod
    def _of(cls, report: Mapping[str, Any], differences: List[str]) -> Verification:
        return cls(
            path=Path(report["bundle"]),
            anchor=report["anchor"]["kind"],
            layout=report["layout"],
            entries=report["entries"],
            size=report["size"],
            sha256=report["sha256"],
            differences=tuple(differences),
        )


@dataclass(frozen=True)
class Problem:
    """Something that is wrong or odd, and where."""

    #: ``error`` or ``warning``.
    severity: str
    message: str
    #: What stands at its place.
    label: Optional[str]
    #: What to do about it.
    help: Optional[str]
    #: The key of the model that it is about.
    model: Optional[str]
    file: str
    #: From 1.
    line: Optional[int]
    column: Optional[int]
    #: As the command prints it.
    report: str = field(repr=False)


@dataclass(frozen=True)
class CheckedModel:
    """A model, and what its weights are. What is not known is ``None``."""

    key: str
    #: The container of the weights.
    format: Optional[str]
    architecture: Optional[str]
    architecture_args: Optional[Dict[str, Any]]
    #: How many tensors.
    tensors: int
    parameters: Optional[int]
    #: Every pickle global that the file names.
    globals: Tuple[str, ...]
    errors: int
    warnings: int


@dataclass(frozen=True)
class CheckResult:
    """What was found. It is true if there is no error; warnings do not count."""

    path: Path
    models: Tuple[CheckedModel, ...]
    problems: Tuple[Problem, ...]
    #: The models that the pipeline which was asked about leaves unused.
    unused: Tuple[str, ...]

    def __bool__(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)

    @classmethod
    def _of(cls, report: Mapping[str, Any], texts: List[Tuple[str, str]]) -> CheckResult:
        def model(found: Mapping[str, Any]) -> CheckedModel:
            return CheckedModel(**{**found, "globals": tuple(found["globals"])})

        return cls(
            path=Path(report["target"]),
            models=tuple(model(found) for found in report["models"]),
            problems=tuple(
                Problem(**found, report=text) for found, (_, text) in zip(report["problems"], texts)
            ),
            unused=tuple((report["pipeline"] or {"unused": []})["unused"]),
        )


@dataclass(frozen=True)
class ModelDiff:
    """What other bytes mean for a model's weights."""

    model: str
    #: ``same_tensors`` (saved again), ``tensors``, ``other_tensors``, ``bytes`` or ``unreadable``.
    verdict: str
    #: More of it, as docs/json.md describes for ``diff``: which tensors, and how far they are apart.
    details: Dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class DiffResult:
    """How two bundles or locks differ. It is true if they do."""

    old: Path
    new: Path
    #: A sentence each.
    changes: Tuple[str, ...]
    #: The models whose weights are other bytes.
    weights: Tuple[ModelDiff, ...]

    def __bool__(self) -> bool:
        return bool(self.changes or self.weights)

    @classmethod
    def _of(cls, report: Mapping[str, Any], changes: List[str]) -> DiffResult:
        def weights(found: Mapping[str, Any]) -> ModelDiff:
            details = {key: found[key] for key in found if key not in ("model", "verdict")}
            return ModelDiff(found["model"], found["verdict"], details)

        return cls(
            old=Path(report["old"]),
            new=Path(report["new"]),
            changes=tuple(changes),
            weights=tuple(weights(found) for found in report["weights"]),
        )


@dataclass(frozen=True, eq=False)
class Cells:
    """Classified objects, by frame and ascending label: ``n`` of them, of ``k`` classes."""

    #: The frame of each, from 0: ``[n]``.
    frame: NDArray[np.int64]
    #: The label of each: ``[n]``.
    label: NDArray[np.int64]
    #: The number of the most probable class of each: ``[n]``.
    class_index: NDArray[np.int64]
    #: The probability of each class: ``[n, k]``.
    probabilities: NDArray[np.float32]
    #: The names of the classes, in the order of the probabilities.
    classes: Tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def class_name(self) -> NDArray[np.object_]:
        """The name of the most probable class of each: ``[n]``."""
        return np.array(self.classes, dtype=object)[self.class_index]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Classified rows: ``n`` of them, of ``k`` classes."""

    #: The number of the class of each: ``[n]``.
    class_index: NDArray[np.int64]
    #: The probability of each class: ``[n, k]``.
    probabilities: NDArray[np.float64]
    #: The labels, in the order of the probabilities.
    classes: Tuple[str, ...]

    def __len__(self) -> int:
        return len(self.class_index)

    @property
    def label(self) -> NDArray[np.object_]:
        """The label of each: ``[n]``."""
        return np.array(self.classes, dtype=object)[self.class_index]

    def probability_of(self, label: str) -> NDArray[np.float64]:
        """How probable that label is for each: ``[n]``."""
        return self.probabilities[:, self.classes.index(label)]
