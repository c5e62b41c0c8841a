"""Bundles that are open, and their models."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arrays import stack, unstacked
from ._operations import check as _check
from ._operations import verify as _verify
from ._results import Cells, CheckResult, Predictions, Verification
from .errors import InputError

__all__ = ["Bundle", "CellModel", "ImageModel", "Model", "Progress", "TableModel", "load"]

PathLike = Union[str, "os.PathLike[str]"]

#: Called with the number of steps that are done and of all of them. What it raises stops the work.
Progress = Callable[[int, int], object]

PRECISIONS = ("f32", "f16")


def how(device: str, precision: Optional[str], threads: Optional[int]) -> "_core.How":
    """How a model is run, for the extension module."""
    if precision is not None and precision not in PRECISIONS:
        raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    if threads is not None and not 1 <= threads <= 1024:
        raise InputError(f"threads: expected a number from 1 to 1024, found {threads}")
    half = None if precision is None else precision == "f16"
    return {"device": device, "half": half, "threads": threads}


class Model:
    """A model of a bundle. Which of its methods it has depends on what it is for.

    Its weights are read and checked, and put on a device, when it first runs; another ``device``, ``precision`` or
    number of ``threads`` puts it there anew. One model may be used by several threads, which take turns, and in
    processes that were forked, where it is opened again.
    """

    def __init__(self, core: "_core.Model", key: str, bundle: Bundle) -> None:
        self._core = core
        self._bundle = bundle
        task, network, metadata = core.facts()
        #: Its key, such as ``bf_focus``.
        self.key = key
        #: ``focus``, ``segmentation``, ``classification``, ``table``, or ``none`` for a model that is not run.
        self.task = task
        #: What kind of network or estimator it is.
        self.network = network
        #: Its JSON metadata.
        self.metadata: Dict[str, Any] = {} if metadata is None else json.loads(metadata)
        inferer_args, model_args = core.arguments()
        #: The arguments in the bundle's config, if it has any.
        self.inferer_args = inferer_args
        self.model_args = model_args

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}: {self.network}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        return (_model_of, (self._bundle, self.key))

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Only models of images and of tables predict."""
        raise self._not_for("predict")

    def classify(self, *args: Any, **kwargs: Any) -> Any:
        """Only classifiers of cells classify."""
        raise self._not_for("classify")

    def _not_for(self, method: str) -> Exception:
        try:
            # A model that is not run says why.
            self._core.check()
        except Exception as error:
            return error
        return InputError(f"`{self.key}` is for {self.task}, which has no `{method}`")


def _model_of(bundle: Bundle, key: str) -> Model:
    return bundle[key]


class ImageModel(Model):
    """A model that turns images into images: focus restoration, segmentation."""

    def predict(
        self,
        array: ArrayLike,
        *,
        device: str = "auto",
        precision: str = "f32",
        rescale: bool = True,
        threads: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> NDArray[np.float32]:
        """Runs the model on images.

        Parameters
        ----------
        array
            ``[H, W]``, ``[T, H, W]`` or ``[T, C, H, W]``, of any type of real numbers. Each frame is scaled on its
            own, as HiTMicTools does. An array of unsigned 8, 16 or 32 bits, signed 16 or 32 bits or float32 whose
            planes ``[H, W]`` are contiguous is not copied; of others of these types, a plane at a time is. What
            becomes of other types is said in docs/python.md.
        device
            ``auto`` (a GPU if there is one), ``cpu``, ``gpu``, ``gpu:1``, a PCI id or part of a GPU's name.
        precision
            ``f32``, or ``f16`` on a GPU: how numbers are kept between ops.
        rescale
            Whether a restored image gets its input's range of numbers back. Pipelines leave it out for brightfield.
            It says nothing for a segmentation, which gives probabilities.
        threads
            Of the CPU; by default as many as this process may use.
        progress
            Called with the number of windows that are done and of all of them, about twenty times a second.

        Returns
        -------
        ndarray of float32
            With the axes of the input. A network with several outputs gives ``[C, H, W]`` for ``[H, W]``, and
            ``[T, C, H, W]`` for ``[T, H, W]``.

        Raises
        ------
        InputError
            If the network does not take such an array, or a number is not finite.
        DeviceError
            If there is no such device, or it fails.
        KeyboardInterrupt
            Soon after Ctrl-C.
        """
        images, axes = stack(array, "the image")
        raw = not rescale and self.task == "focus"
        result = self._core.predict(images, how(device, precision, threads), raw, None, progress)
        return unstacked(result, axes)


class CellModel(Model):
    """A model that classifies the objects of label images."""

    def classify(
        self,
        labels: ArrayLike,
        image: ArrayLike,
        *,
        device: str = "auto",
        precision: str = "f32",
        threads: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Cells:
        """Classifies every object of a label image.

        Parameters
        ----------
        labels
            ``[H, W]`` or ``[T, H, W]``: 0 outside, and the same whole number for all pixels of an object. Labels are
            looked up in each frame on its own.
        image
            The image of the same shape. Its numbers are not scaled, as in HiTMicTools.
        device, precision, threads, progress
            As for :meth:`ImageModel.predict`; steps are objects, and nobody knows how many there will be: the
            second number is 0.

        Returns
        -------
        Cells
            A row for each object, by frame and ascending label.
        """
        masks, axes = stack(labels, "the label image")
        images, image_axes = stack(image, "the image")
        if axes == 4 or masks.shape != images.shape:
            raise InputError(
                "expected a label image [H, W] or [T, H, W] and an image of its shape, found "
                f"{list(np.shape(labels))} and {list(np.shape(image))}"
            )
        frame, label, index, probabilities, classes = self._core.classify(
            masks, images, how(device, precision, threads), progress
        )
        return Cells(frame, label, index, probabilities, tuple(classes))


class TableModel(Model):
    """A model that classifies rows of features: PI classification."""

    def __init__(self, core: "_core.Model", key: str, bundle: Bundle) -> None:
        super().__init__(core, key, bundle)
        self._known: Optional[Tuple[Optional[Tuple[str, ...]], int, Tuple[str, ...]]] = None

    def _rows(self) -> Tuple[Optional[Tuple[str, ...]], int, Tuple[str, ...]]:
        if self._known is None:
            features, width, classes = self._core.rows()
            names = None if features is None else tuple(features)
            self._known = (names, width, tuple(classes))
        return self._known

    @property
    def features(self) -> Optional[Tuple[str, ...]]:
        """The names of the features, in the order of a row, if the model knows them."""
        return self._rows()[0]

    @property
    def classes(self) -> Tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self._rows()[2]

    def predict(self, table: Any) -> Predictions:
        """Classifies the rows of a table.

        ``table`` is a pandas DataFrame, or anything with ``columns`` and ``to_numpy``, of which the features are taken
        by name, wherever they stand; or an array ``[n, features]`` with the features in the model's order.

        Raises
        ------
        InputError
            If a column is missing, or a cell is no number that the model takes.
        """
        return Predictions(*rows_of(self._core, table), self.classes)


def rows_of(core: "_core.Model", table: Any) -> Tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class of each row of a table, and the probabilities of all classes, ``[n, k]``."""
    _, width, classes = core.rows()
    if hasattr(table, "columns") and hasattr(table, "to_numpy"):
        places = core.columns([str(name) for name in table.columns])
        table = table.iloc[:, places] if hasattr(table, "iloc") else table.to_numpy()[:, places]
        table = table.to_numpy()
    try:
        rows = np.ascontiguousarray(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the table: expected numbers, found others: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != width:
        raise InputError(f"the table: expected [n, {width}], found {list(rows.shape)}")
    labels, probabilities = core.predict_rows(rows.reshape(-1))
    return labels, probabilities.reshape(len(rows), len(classes))


_CLASSES = {
    "focus": ImageModel,
    "segmentation": ImageModel,
    "classification": CellModel,
    "table": TableModel,
}


class Bundle(Mapping[str, Model]):
    """A bundle that is open: a mapping of model keys to models. :func:`load` opens one."""

    def __init__(
        self, path: PathLike, sha256: Optional[str] = None, allow_globals: Iterable[str] = ()
    ) -> None:
        #: The ZIP.
        self.path = os.path.abspath(path)
        self._sha256 = sha256
        self._allowed = tuple(allow_globals)
        self._core = _core.Bundle(path, sha256)
        self._models: Dict[str, Model] = {}

    def __getitem__(self, key: str) -> Model:
        if key not in self._models:
            core = self._core.model(key)
            kind = _CLASSES.get(core.facts()[0], Model)
            self._models[key] = kind(core, key, self)
        return self._models[key]

    def __contains__(self, key: object) -> bool:
        return key in self._core.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._core.keys())

    def __len__(self) -> int:
        return len(self._core.keys())

    def __repr__(self) -> str:
        return f"<Bundle {self.path}: {', '.join(self)}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        return (type(self), (self.path, self._sha256, self._allowed))

    def verify(self, *, lock: Optional[PathLike] = None) -> Verification:
        """Compares every byte of the file with a lock, the digest with which it was opened, or the lock inside it."""
        return _verify(self.path, lock=lock, sha256=self._sha256)

    def check(self, *, pipeline: Optional[str] = None) -> CheckResult:
        """Checks the weights and their pickles, and whether the bundle serves a pipeline of HiTMicTools."""
        return _check(self.path, pipeline=pipeline, allow_globals=self._allowed)

    @property
    def config(self) -> Dict[str, Any]:
        """``config.yml``: what HiTMicTools reads, ``_bundle_metadata`` included."""
        return self._core.config()

    @property
    def metadata(self) -> Dict[str, Dict[str, Any]]:
        """The JSON metadata of each model, by its key."""
        return {key: model.metadata for key, model in self.items()}

    @property
    def tracker(self) -> Optional[Dict[str, Any]]:
        """btrack's settings, if the bundle has any."""
        return self._core.tracker()


def load(path: PathLike, sha256: Optional[str] = None, allow_globals: Iterable[str] = ()) -> Bundle:
    """Opens a bundle. Its models are read when they first run.

    ``sha256`` is the digest that the file must have: given by whoever made the bundle, it proves that this is theirs.
    ``allow_globals`` are pickle globals that you know and trust, for :meth:`Bundle.check`: models are run without
    unpickling anything, and a pickle that names something harmful is not run all the same.

    Raises
    ------
    MissingFileError
        If there is no such file.
    RefusedError
        If it is no bundle, or not the one that has the digest.
    """
    return Bundle(path, sha256, allow_globals)
