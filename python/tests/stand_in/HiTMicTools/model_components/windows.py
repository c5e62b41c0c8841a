"""Stands in for HiTMicTools' classes that cut windows: what each asks of MONAI, and nothing behind it."""


def SlidingWindowInferer(**_):
    raise AssertionError("the stand-in cuts no windows")


class _Own:
    def __init__(self, *args, **kwargs):
        raise AssertionError(f"{type(self).__name__} was not replaced")


class FocusRestorer(_Own):
    def predict(
        self, image, is_3D=False, batch_size=None, return_tensor=False, rescale=True, **kwargs
    ):
        range(0, len(image), batch_size)
        SlidingWindowInferer(roi_size=self.patch_size, overlap=self.overlap_ratio, **kwargs)


class Segmentator(_Own):
    def predict(self, image, is_3D=False, batch_size=None, sigmoid=True, **kwargs):
        self.scaler.scale_image(image)
        SlidingWindowInferer(
            roi_size=self.patch_size, overlap=self.overlap_ratio, padding_mode="reflect", **kwargs
        )


class CellClassifier(_Own): ...


class PIClassifier(_Own): ...


class NAFNet(_Own): ...


class FlexResNet(_Own): ...


class UNet(_Own): ...
