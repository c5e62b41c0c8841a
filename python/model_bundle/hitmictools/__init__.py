"""HiTMicTools' classes of models, run here: any GPU, or the CPU, and no PyTorch.

:class:`FocusRestorer`, :class:`Segmentator`, :class:`CellClassifier` and :class:`PIClassifier` take the arguments of
HiTMicTools' classes of these names and give their results. ``model_graph`` is a network of HiTMicTools or MONAI, or
:class:`NAFNet`, :class:`UNet` or :class:`FlexResNet` of this module, which take the same arguments and only remember
them.

``python -m model_bundle.hitmictools run -c config.yml -w worklist.txt`` runs HiTMicTools' own pipelines with them.
"""

from ._classes import CellClassifier, FocusRestorer, PIClassifier, Segmentator, configure
from ._graphs import FlexResNet, NAFNet, UNet
from ._run import replaced, run

__all__ = [
    "CellClassifier",
    "FlexResNet",
    "FocusRestorer",
    "NAFNet",
    "PIClassifier",
    "Segmentator",
    "UNet",
    "configure",
    "replaced",
    "run",
]
