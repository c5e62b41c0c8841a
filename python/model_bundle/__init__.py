"""Model bundles for microscopy: build, verify, check and run them.

The command ``bundle`` and this module are one program: what the functions do is described in ``docs/python.md``, and
beside each command in ``bundle --help``.
"""

from ._models import Bundle, CellModel, ImageModel, Model, TableModel, load
from ._operations import BundleWarning, build, check, create_model_bundle, diff, lock, verify
from ._results import (
    Archive,
    BuildResult,
    Cells,
    CheckedModel,
    CheckResult,
    DiffResult,
    LockResult,
    ModelDiff,
    Predictions,
    Problem,
    Verification,
)
from .errors import (
    ConfigError,
    DeviceError,
    Error,
    FileError,
    InputError,
    MissingFileError,
    NoModelError,
    RefusedError,
    StaleError,
)

__all__ = [
    "Archive",
    "BuildResult",
    "Bundle",
    "BundleWarning",
    "CellModel",
    "Cells",
    "CheckResult",
    "CheckedModel",
    "ConfigError",
    "DeviceError",
    "DiffResult",
    "Error",
    "FileError",
    "ImageModel",
    "InputError",
    "LockResult",
    "MissingFileError",
    "Model",
    "ModelDiff",
    "NoModelError",
    "Predictions",
    "Problem",
    "RefusedError",
    "StaleError",
    "TableModel",
    "Verification",
    "build",
    "check",
    "create_model_bundle",
    "diff",
    "load",
    "lock",
    "verify",
]
