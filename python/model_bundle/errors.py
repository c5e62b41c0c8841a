"""What goes wrong, in the words of the command ``bundle``."""

from __future__ import annotations

from typing import List, Optional

__all__ = [
    "ConfigError",
    "DeviceError",
    "Error",
    "FileError",
    "InputError",
    "MissingFileError",
    "NoModelError",
    "RefusedError",
    "StaleError",
]


def _text(message: str, report: str) -> str:
    """The message in one line, then what the command prints below it."""
    lines: List[str] = report.rstrip().splitlines()
    while lines and not lines[0].strip():
        del lines[0]
    # A long message is wrapped there.
    if lines and lines[0].lstrip().startswith(("×", "⚠")):
        del lines[0]
        while lines and lines[0].startswith("  │ "):
            del lines[0]
    return "\n".join([message, *lines])


class Error(Exception):
    """The base of all errors of this package.

    ``message`` is one line, ``report`` the text that the command prints. ``str`` gives the message, and below it the
    places and the next step from the report.
    """

    message: str
    report: str

    def __init__(self, message: str = "", report: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.report = message if report is None else report

    def __str__(self) -> str:
        return _text(self.message, self.report)


class ConfigError(Error, ValueError):
    """A config, or an option, that cannot be used."""


class RefusedError(Error, ValueError):
    """The contents of a bundle, or of weights, are at fault: damaged, dangerous, or not what they are said to be."""


class StaleError(RefusedError):
    """A locked build was asked for, and the lock is not up to date, or the ZIP would not be the one that it pins."""


class NoModelError(Error, KeyError):
    """The bundle has no such model."""


class InputError(Error, ValueError):
    """An image, a label image or a table that the model does not take."""


class MissingFileError(Error, FileNotFoundError):
    """A file that is not there."""


class FileError(Error, OSError):
    """A file that cannot be read or written."""


class DeviceError(Error, RuntimeError):
    """A device that is not there, or that failed."""
