"""The names with which pipelines make models; each fails unless it was replaced."""

import numpy


class _Own:
    def __init__(self, *args, **kwargs):
        raise AssertionError(f"{type(self).__name__} was not replaced")


class FocusRestorer(_Own): ...


class Segmentator(_Own): ...


class CellClassifier(_Own): ...


class PIClassifier(_Own): ...


class NAFNet(_Own): ...


class FlexResNet(_Own): ...


class monai_unet(_Own): ...


class Pipeline:
    """Makes its models as pipelines do, by the names of this module."""

    def load(self, folder, config, read):
        def network(key, graph):
            args = read(folder / config[key]["model_metadata"])["model_args"]
            return str(folder / config[key]["model_path"]), graph(**args)

        path, graph = network("bf_focus", NAFNet)
        args = config["bf_focus"]["inferer_args"]
        self.bf_focus = FocusRestorer(path, model_graph=graph, compile_mode=False, **args)
        path, graph = network("segmentation", monai_unet)
        args = config["segmentation"]["inferer_args"]
        self.segmentator = Segmentator(path, model_graph=graph, compile_mode=False, **args)
        path, graph = network("cell_classifier", FlexResNet)
        args = config["cell_classifier"]["model_args"]
        self.classifier = CellClassifier(path, model_graph=graph, compile_mode=False, **args)
        self.pi = PIClassifier(str(folder / config["pi_classification"]["model_path"]))

    def analyse(self, folder):
        image = numpy.load(folder / "bf.npy")
        restored = self.bf_focus.predict(
            image, batch_size=1, buffer_steps=4, buffer_dim=-1, sw_batch_size=1
        )
        numpy.save(folder / "restored.npy", restored)
        segments = self.segmentator.predict(image, buffer_steps=4, buffer_dim=-1, sw_batch_size=1)
        numpy.save(folder / "segments.npy", segments)
        labels, source = numpy.load(folder / "labels.npy"), numpy.load(folder / "input.npy")
        classes, _ = self.classifier.classify_rois(labels[:1], source[:1])
        (folder / "classes.txt").write_text("\n".join(classes))
        return len(self.pi.feature_names_in_)
