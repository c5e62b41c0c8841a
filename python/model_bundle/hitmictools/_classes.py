"""HiTMicTools' classes of models."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._arrays import stack, unstacked
from .._models import how, rows_of
from ..errors import InputError, MissingFileError
from ._graphs import arguments

PathLike = Union[str, "os.PathLike[str]"]


class ArgumentError(InputError, AssertionError):
    """An argument that HiTMicTools' class refuses too, with an ``AssertionError``."""


class MissingWeightsError(MissingFileError, AssertionError):
    """There are no weights: HiTMicTools' classes say so with the one error or the other."""


class NoObjectError(InputError, RuntimeError):
    """A label image without an object: HiTMicTools fails with a ``RuntimeError`` of PyTorch, and means a ``ValueError``."""


_settings: Dict[str, Any] = {"device": "auto", "precision": None, "threads": None}


def configure(
    *, device: str = "auto", precision: Optional[str] = None, threads: Optional[int] = None
) -> None:
    """Says what models that are made from now on run on, as :meth:`model_bundle.ImageModel.predict` is told.

    Without a ``precision``, a model with ``half_precision`` keeps its numbers in float16 where the device has it, and in
    float32 where not.
    """
    how(device, precision, threads)
    _settings.update(device=device, precision=precision, threads=threads)


#: What HiTMicTools' classes ask of MONAI's ``SlidingWindowInferer`` unless they are told otherwise.
_asked: Dict[str, Dict[str, Any]] = {
    "bf_focus": {"mode": "constant", "padding_mode": "constant"},
    "segmentation": {"mode": "constant", "padding_mode": "reflect"},
}


@contextlib.contextmanager
def asking(asked: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """While this lasts, models are made that ask for that by themselves: arguments of MONAI's ``SlidingWindowInferer``,
    by ``KEY`` of the classes."""
    own = dict(_asked)
    _asked.update({key: dict(arguments) for key, arguments in asked.items()})
    try:
        yield
    finally:
        _asked.clear()
        _asked.update(own)


#: Arguments of MONAI's ``SlidingWindowInferer`` that say how it goes about its work, and change no number.
_WITHOUT_EFFECT = {
    "batch_size",
    "buffer_dim",
    "buffer_steps",
    "cache_roi_weight_map",
    "cpu_thresh",
    "cval",
    "device",
    "progress",
    "sw_batch_size",
    "sw_device",
}

#: Those that change numbers.
_WITH_EFFECT = {"mode", "padding_mode", "sigma_scale", "with_coord"}


def _check_compile_mode(mode: Union[str, bool]) -> None:
    if mode not in ("default", "reduce-overhead", "max-autotune", False):
        raise InputError(
            f"compile_mode: expected 'default', 'reduce-overhead', 'max-autotune' or False, found {mode!r}"
        )


def _check_scaling(method: str, args: Mapping[str, Any]) -> None:
    """What HiTMicTools' ``FocusRestorer`` asserts of ``scaler_args``. What else is wrong is found when they are read."""
    if method == "fixed_range" and "bit_depth" not in args:
        raise ArgumentError("scaler_args: expected a bit_depth for the method fixed_range")
    if method in ("range01", "combined") and {"pmin", "pmax"} <= set(args):
        if not 0 <= args["pmin"] < args["pmax"] <= 100:
            raise ArgumentError(
                f"scaler_args: expected 0 <= pmin < pmax <= 100, found {args['pmin']!r} and {args['pmax']!r}"
            )


class _Given:
    """A model of a file of weights. The weights are kept: a pickle of it, for another process, holds them."""

    KEY: ClassVar[str]

    def __init__(
        self,
        model_path: PathLike,
        metadata: Optional[Dict[str, Any]],
        inferer_args: Optional[Dict[str, Any]],
        model_args: Optional[Dict[str, Any]],
    ) -> None:
        path = os.fspath(model_path)
        try:
            with open(path, "rb") as file:
                weights = file.read()
        except FileNotFoundError as error:
            raise MissingWeightsError(f"there are no weights at {path}") from error
        text = None if metadata is None else json.dumps(metadata)
        self._made_of = (self.KEY, os.path.basename(path), weights, text, inferer_args, model_args)
        self._how = how(**_settings)
        self._open()

    def _open(self) -> None:
        self._core = _core.Model.given(*self._made_of)

    def __getstate__(self) -> Dict[str, Any]:
        state = dict(self.__dict__)
        del state["_core"]
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def cleanup(self) -> None:
        """Does nothing: memory of a frame is given back when the frame is done."""


class _OfFrames(_Given):
    """What turns images into images."""

    GRAPH: ClassVar[str]
    METHODS: ClassVar[Tuple[str, ...]]

    def __init__(
        self,
        model_path: PathLike,
        model_graph: Any,
        patch_size: int,
        overlap_ratio: float,
        scale_method: str,
        half_precision: bool,
        scaler_args: Optional[Mapping[str, Any]],
        compile_mode: Union[str, bool],
    ) -> None:
        _check_compile_mode(compile_mode)
        if not isinstance(patch_size, int) or patch_size <= 0:
            raise ArgumentError("patch_size must be a positive integer")
        if not isinstance(overlap_ratio, float) or not 0 <= overlap_ratio < 1:
            raise ArgumentError("overlap_ratio must be a float, at least 0 and below 1")
        if scale_method not in self.METHODS:
            known = ", ".join(self.METHODS)
            raise ArgumentError(f"scale_method: expected one of {known}, found {scale_method!r}")
        self.patch_size = patch_size
        self.overlap_ratio = overlap_ratio
        self.scale_method = scale_method
        self.half_precision = half_precision
        self._asks = _asked[self.KEY]
        inferer_args: Dict[str, Any] = {
            "patch_size": patch_size,
            "overlap_ratio": overlap_ratio,
            "scale_method": scale_method,
            "half_precision": bool(half_precision),
        }
        # HiTMicTools puts the method and its device into the caller's own dictionary.
        scaling = {
            name: value
            for name, value in (scaler_args or {}).items()
            if name not in ("scale_method", "device", "dtype")
        }
        if scaling:
            inferer_args["scaler_args"] = scaling
        metadata = {"model_args": arguments(model_graph, self.GRAPH)}
        super().__init__(model_path, metadata, inferer_args, None)

    def _predict(
        self, image: Any, is_3D: bool, raw: bool, inferer: Mapping[str, Any]
    ) -> NDArray[np.float32]:
        if hasattr(image, "detach"):
            image = image.detach().cpu().numpy()
        images, axes = stack(image, "the image")
        if axes == 3 and is_3D:
            # A volume's slices are channels there.
            images = images[:, 0][np.newaxis]
        gaussian = self._gaussian({**self._asks, **inferer}, min(images.shape[-2:]))
        result = self._core.predict(images, self._how, raw, gaussian, None)
        if axes == 3 and is_3D:
            volume: NDArray[np.float32] = result[0]
            return volume
        return unstacked(result, axes)

    def _gaussian(self, inferer: Mapping[str, Any], side: int) -> bool:
        """Whether arguments of the sliding window ask for Gaussian weights. ``side`` is the image's smaller one.

        Those that would change numbers in a way that is not computed here are refused.
        """
        unknown = set(inferer) - _WITHOUT_EFFECT - _WITH_EFFECT
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.predict() got an unexpected keyword argument {min(unknown)!r}"
            )
        mode, padding = inferer["mode"], inferer["padding_mode"]
        if mode not in ("constant", "gaussian"):
            raise InputError(f"mode: expected 'constant' or 'gaussian', found {mode!r}")
        if mode == "gaussian" and inferer.get("sigma_scale", 0.125) != 0.125:
            raise InputError(f"sigma_scale: expected 0.125, found {inferer['sigma_scale']!r}")
        if inferer.get("with_coord", False):
            raise InputError(f"with_coord: expected False, found {inferer['with_coord']!r}")
        # Only images that are smaller than a window are padded.
        if padding != "reflect" and side < self.patch_size:
            raise InputError(
                f"padding_mode: expected 'reflect' for an image smaller than a window of {self.patch_size}, "
                f"found {padding!r}"
            )
        return bool(mode == "gaussian")


class FocusRestorer(_OfFrames):
    """Restores the focus of images.

    The arguments are HiTMicTools'. ``compile_mode`` has no effect; for ``half_precision`` see :func:`configure`.
    """

    KEY = "bf_focus"
    GRAPH = "NAFNet"
    METHODS = ("range01", "zscore", "combined", "fixed_range")

    def __init__(
        self,
        model_path: PathLike,
        model_graph: Any,
        patch_size: int,
        overlap_ratio: float,
        scale_method: str = "range01",
        half_precision: bool = False,
        scaler_args: Optional[Mapping[str, Any]] = None,
        compile_mode: Union[str, bool] = False,
    ) -> None:
        _check_scaling(scale_method, scaler_args or {})
        super().__init__(
            model_path,
            model_graph,
            patch_size,
            overlap_ratio,
            scale_method,
            half_precision,
            scaler_args,
            compile_mode,
        )

    def predict(
        self,
        image: Any,
        is_3D: bool = False,
        batch_size: Optional[int] = None,
        return_tensor: bool = False,
        rescale: bool = True,
        **kwargs: Any,
    ) -> Any:
        """The restored image: ``[H, W]``, ``[T, H, W]`` or ``[T, C, H, W]``, float32.

        With ``is_3D`` an image of three axes is ``[C, H, W]``. With ``return_tensor`` the result is a tensor of
        PyTorch, on the CPU. ``batch_size`` has no effect. ``kwargs`` are those of MONAI's ``SlidingWindowInferer``:
        windows that overlap count the same, as there, unless ``mode="gaussian"`` is given.
        """
        result = self._predict(image, is_3D, not rescale, kwargs)
        if not return_tensor:
            return result
        return importlib.import_module("torch").from_numpy(result)


class Segmentator(_OfFrames):
    """Segments images.

    The arguments are HiTMicTools'. ``compile_mode`` has no effect; for ``half_precision`` see :func:`configure`.
    """

    KEY = "segmentation"
    GRAPH = "UNet"
    METHODS = ("range01", "zscore", "combined", "fixed_range", "none")

    def __init__(
        self,
        model_path: PathLike,
        model_graph: Any,
        patch_size: int,
        overlap_ratio: float,
        scale_method: str = "range01",
        half_precision: bool = False,
        scaler_args: Optional[Mapping[str, Any]] = None,
        compile_mode: Union[str, bool] = False,
    ) -> None:
        super().__init__(
            model_path,
            model_graph,
            patch_size,
            overlap_ratio,
            scale_method,
            half_precision,
            scaler_args,
            compile_mode,
        )

    def predict(
        self,
        image: Any,
        is_3D: bool = False,
        batch_size: Optional[int] = None,
        sigmoid: bool = True,
        **kwargs: Any,
    ) -> NDArray[np.float32]:
        """Probabilities, or without ``sigmoid`` what the network gives, with the axes of the image, float32.

        Several output channels give ``[C, H, W]`` for ``[H, W]``, and ``[T, C, H, W]`` for ``[T, H, W]``. ``kwargs``
        are those of MONAI's ``SlidingWindowInferer``.
        """
        return self._predict(image, is_3D, not sigmoid, kwargs)


class CellClassifier(_Given):
    """Classifies the objects of label images. The arguments are HiTMicTools'; ``device`` and ``compile_mode`` have no
    effect (see :func:`configure`)."""

    KEY = "cell_classifier"

    def __init__(
        self,
        model_path: PathLike,
        model_graph: Any,
        min_size: Optional[int] = None,
        device: Any = None,
        classes: Optional[Mapping[int, str]] = None,
        batch_size: int = 1024,
        compile_mode: Union[str, bool] = False,
    ) -> None:
        _check_compile_mode(compile_mode)
        if min_size is not None and (not isinstance(min_size, int) or min_size <= 0):
            raise ArgumentError("min_size must be None or a positive integer")
        if classes is not None and not isinstance(classes, dict):
            raise ArgumentError("classes must be None or a dictionary")
        self.min_size = min_size
        self.classes = classes
        self.batch_size = batch_size
        network = arguments(model_graph, "FlexResNet")
        model_args: Dict[str, Any] = {"batch_size": batch_size}
        if min_size is not None:
            model_args["min_size"] = min_size
        if classes is not None:
            every = range(network["num_classes"])
            model_args["classes"] = {at: classes.get(at, f"Unknown_Class_{at}") for at in every}
        super().__init__(model_path, {"model_args": network}, None, model_args)

    def classify_rois(
        self, labeled_image: Any, source_image: Any, output_type: str = "class-str"
    ) -> Tuple[NDArray[Any], NDArray[np.int64]]:
        """The class of each object, and its label: ``[n]`` each, by ascending label.

        Both images are ``[H, W]`` or ``[1, H, W]``. ``class-str`` gives the names of the classes, ``class-index``
        their numbers.

        Raises
        ------
        NoObjectError
            If there is no object. It is a ``ValueError`` and a ``RuntimeError``.
        """
        if output_type not in ("class-str", "class-index"):
            raise InputError(
                f"output_type: expected 'class-str' or 'class-index', found {output_type!r}"
            )
        labels, label_axes = stack(labeled_image, "the label image")
        images, axes = stack(source_image, "the image")
        if labels.shape != images.shape or label_axes != axes:
            raise ArgumentError(
                f"the images must have the same shape: {list(np.shape(labeled_image))} and "
                f"{list(np.shape(source_image))}"
            )
        if axes == 4 or len(images) != 1:
            raise InputError(
                f"expected images [H, W] or [1, H, W], found {list(np.shape(source_image))}: give a frame at a time "
                "(batch_size=1 in a pipeline)"
            )
        _, label, index, _, names = self._core.classify(labels, images, self._how, None)
        if len(label) == 0:
            raise NoObjectError("there is no object in the label image")
        if output_type == "class-index":
            return index, label
        return np.array(names, dtype=object)[index], label


class PIClassifier:
    """Classifies rows of features: scikit-learn's estimators, and ONNX models."""

    def __init__(self, model_path: PathLike) -> None:
        #: As given.
        self.model_path = model_path
        extension = os.path.splitext(os.fspath(model_path))[1].lower()
        if extension not in (".pkl", ".joblib", ".onnx"):
            raise InputError(
                f"{os.fspath(model_path)}: expected a file of the type .pkl, .joblib or .onnx"
            )
        #: ``sklearn`` or ``onnx``.
        self.model_type = "onnx" if extension == ".onnx" else "sklearn"
        self._rows = _Rows(model_path)
        names, _, classes = self._rows._core.rows()
        self._classes: NDArray[Any] = np.array(classes, dtype=object)
        if self.model_type == "sklearn" and all(_is_integer(name) for name in classes):
            self._classes = np.array([int(name) for name in classes])
        #: The names of the features: an array of scikit-learn's, a list of an ONNX model's, empty if it has none.
        self.feature_names_in_: Union[NDArray[Any], List[str]] = (
            list(names or ()) if self.model_type == "onnx" else np.array(names or (), dtype=object)
        )

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of each row, ``piNEG`` or ``piPOS``: ``[n]``.

        ``X`` is a pandas DataFrame, whose columns are taken by name if the model knows names, or ``[n, features]``.
        """
        labels, _ = rows_of(self._rows._core, X)
        return self._classes[labels]


class _Rows(_Given):
    """What classifies rows."""

    KEY = "pi_classification"

    def __init__(self, model_path: PathLike) -> None:
        super().__init__(model_path, None, None, None)


def _is_integer(text: str) -> bool:
    return text.lstrip("-").isdecimal()
