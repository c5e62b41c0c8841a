"""The names with which pipelines make models; and a pipeline that makes and calls them as HiTMicTools' do."""

import json
import tempfile
import zipfile
from pathlib import Path

import numpy
import yaml

from HiTMicTools.model_components.windows import (
    CellClassifier,
    FlexResNet,
    FocusRestorer,
    NAFNet,
    PIClassifier,
    Segmentator,
)
from HiTMicTools.model_components.windows import UNet as monai_unet

#: What pipelines add to every call.
CALL = {"buffer_steps": 4, "buffer_dim": -1, "sw_batch_size": 1}


class Pipeline:
    """Makes its models by the names of this module, from an unpacked bundle that is removed then."""

    def load_model_bundle(self, path):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as bundle:
            bundle.extractall(folder)
            config = yaml.safe_load(Path(folder, "config.yml").read_text())
            for key in ("bf_focus", "fl_focus", "segmentation", "cell_classifier"):
                settings = config[key]
                metadata = json.loads(Path(folder, settings["model_metadata"]).read_text())
                weights = str(Path(folder, settings["model_path"]))
                self._load(key, weights, metadata["model_args"], settings)
            weights = str(Path(folder, config["pi_classification"]["model_path"]))
            self.pi_classifier = PIClassifier(weights)

    def _load(self, key, weights, network, settings):
        classes = {
            "bf_focus": (FocusRestorer, NAFNet),
            "fl_focus": (FocusRestorer, NAFNet),
            "segmentation": (Segmentator, monai_unet),
            "cell_classifier": (CellClassifier, FlexResNet),
        }
        model, graph = classes[key]
        arguments = settings.get("inferer_args") or settings["model_args"]
        setattr(
            self, key, model(weights, model_graph=graph(**network), compile_mode=False, **arguments)
        )

    def analyse_image(self, folder, labels):
        """Channels of ``image.npy``, ``[T, Z, C, H, W]``, are restored in place; a frame at a time is classified."""
        folder = Path(folder)
        image = numpy.load(folder / "image.npy")
        image[:, 0, 0] = self.bf_focus.predict(image[:, 0, 0], rescale=False, batch_size=1, **CALL)
        image[:, 0, 1] = self.fl_focus.predict(
            image[:, 0, 1], batch_size=1, padding_mode="reflect", **CALL
        )
        numpy.save(folder / "restored.npy", image)
        numpy.save(folder / "segments.npy", self.segmentation.predict(image[:, 0, 0], **CALL))
        found = [
            self.cell_classifier.classify_rois(labels[at : at + 1], image[at : at + 1, 0, 0])
            for at in range(len(image))
        ]
        names = [name for classes, _ in found for name in classes]
        (folder / "classes.txt").write_text("\n".join(names))
        return len(self.pi_classifier.feature_names_in_)
