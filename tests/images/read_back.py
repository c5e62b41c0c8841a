"""Reads what the tests write, by tifffile, NumPy and Pillow, and holds it against what the names say.

    pip install numpy tifffile imagecodecs pillow
    BUNDLE_IMAGES=/tmp/images cargo test --test suite images::
    python tests/images/read_back.py /tmp/images
"""

import re
import sys
from pathlib import Path

import numpy
import tifffile
from PIL import Image

from make import values

NAME = re.compile(r"(\w+)\.(\w+)\.t(\d+)z(\d+)c(\d+)\.(\d+)x(\d+)\.(\w+)")


def expected(dtype, lengths, axes):
    return values(dtype, axes, dict(zip("TZCYX", lengths)))


def near(found, wanted):
    assert abs(float(found) / wanted - 1) < 1e-6, (found, wanted)


def tiff(path, what, dtype, lengths):
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej and len(file.series) == 1
        series = file.series[0]
        axes = "".join(axis for axis, length in zip("TZC", lengths) if length > 1) + "YX"
        assert series.axes == axes, (series.axes, axes)
        array = series.asarray()
        assert array.dtype == dtype and file.byteorder == "<"
        numpy.testing.assert_array_equal(array, expected(dtype, lengths, "TZCYX").reshape(array.shape))
        # Page by page too, as those do that know no ImageJ.
        pages = numpy.stack([page.asarray() for page in file.pages]).reshape(array.shape)
        numpy.testing.assert_array_equal(array, pages)
        # ImageJ takes the other planes from behind the first, whatever their directories say.
        first = file.pages[0].dataoffsets[0]
        for index, page in enumerate(file.pages):
            assert page.dataoffsets == (first + index * page.nbytes,)
        meta, tags = file.imagej_metadata, file.pages[0].tags
        assert meta["images"] == len(file.pages)
        assert ("XResolution" in tags) == (what == "cal")
        if what == "cal":
            near(tags["XResolution"].value[1] / tags["XResolution"].value[0], 0.065)
            near(tags["YResolution"].value[1] / tags["YResolution"].value[0], 0.13)
            assert meta["unit"] == "micron" and meta["spacing"] == 0.5 and meta["finterval"] == 2.5


def npy(path, dtype, lengths):
    array = numpy.load(path, allow_pickle=False)
    mapped = numpy.load(path, mmap_mode="r")
    named = [axis for axis, length in zip("TZC", lengths) if length > 1]
    if lengths[2] > 1 and lengths[0] == lengths[1] == 1:
        named = ["T", "C"]
    whole = expected(dtype, lengths, "TZCYX")
    assert array.dtype == dtype and array.ndim == len(named) + 2, array.shape
    numpy.testing.assert_array_equal(array.ravel(), whole.ravel())
    numpy.testing.assert_array_equal(array, mapped)
    # The file is the one that numpy.save would have written.
    again = path.with_suffix(".again")
    with again.open("wb") as file:
        numpy.save(file, array)
    assert again.read_bytes() == path.read_bytes(), path
    again.unlink()


def png(path, dtype, lengths):
    if dtype == "uint16" and lengths[2] == 3:
        # Pillow has no such mode.
        import imagecodecs

        array = imagecodecs.png_decode(path.read_bytes())
    else:
        array = numpy.asarray(Image.open(path))
    array = array.reshape(*array.shape[:2], -1).transpose(2, 0, 1)
    assert array.dtype.itemsize >= numpy.dtype(dtype).itemsize
    numpy.testing.assert_array_equal(array, expected(dtype, lengths, "TZCYX")[0, 0])


def huge(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and file.is_imagej and len(file.pages) == 1300
        series = file.series[0]
        assert series.axes == "TYX" and series.shape == (1300, 1024, 2048), series
        mapped = tifffile.memmap(path, mode="r")
        assert (mapped[1299] == file.pages[1299].asarray()).all()


def main(folder):
    count = 0
    for path in sorted(Path(folder).iterdir()):
        if path.name == "five_gib.tif":
            huge(path)
            count += 1
            continue
        what, dtype, *lengths, ending = NAME.fullmatch(path.name).groups()
        lengths = [int(length) for length in lengths]
        if ending.startswith("tif"):
            tiff(path, what, dtype, lengths)
        else:
            {"npy": npy, "png": png}[ending](path, dtype, lengths)
        count += 1
    assert count > 100, count
    print(f"{count} files are read as they were written")


if __name__ == "__main__":
    main(sys.argv[1])
