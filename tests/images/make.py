"""Writes tests/fixtures/images anew: images of every kind that is read, made by tifffile, imagecodecs and NumPy.

    pip install numpy tifffile imagecodecs
    python tests/images/make.py

A name says what is in the file: WHAT.DTYPE.tTzZcC.HxW.ENDING, with `cal` in WHAT where pixels are 0.13 by 0.065 um, slices
0.5 um and frames 2.5 s apart. Every pixel is a function of its type and place (`values`), which tests/suite/images.rs has
too.
"""

import itertools
import shutil
import sys
from pathlib import Path

import imagecodecs
import numpy
import tifffile

OUT = Path(__file__).parent.parent / "fixtures" / "images"


def values(dtype, axes, lengths):
    """An array with axes such as `TCYX`, of the lengths {"T": 3, ...}; S, the samples of RGB, counts on behind C."""
    at = {"T": 0, "Z": 0, "C": 0}
    for axis, name in enumerate(axes):
        shape = [1] * len(axes)
        shape[axis] = -1
        at[name] = numpy.arange(lengths[name], dtype="i8").reshape(shape)
    c = at["C"] * lengths.get("S", 1) + at.get("S", 0)
    y, x = at["Y"], at["X"]
    v = at["T"] * 7919 + at["Z"] * 977 + c * 131 + y * 17 + x * 3 + (x * y) % 11
    v = numpy.broadcast_to(v, [lengths[name] for name in axes])
    kind = numpy.dtype(dtype).str[1:]
    number = {
        "b1": lambda: v % 3 == 0,
        "u1": lambda: v % 251,
        "i1": lambda: v % 251 - 125,
        "u2": lambda: v * 97 % 65521,
        "i2": lambda: v * 97 % 65521 - 32000,
        "u4": lambda: v * 16777259 % 4294967291,
        "i4": lambda: v * 16777259 % 4294967291 - 2147483000,
        "u8": lambda: v * 16777259 % 4294967291,
        "i8": lambda: v * 16777259 % 4294967291 - 2147483000,
        "f2": lambda: v % 500 * 0.25,
        "f4": lambda: v * 0.25 - 100,
        "f8": lambda: v * 0.1,
    }[kind]()
    return numpy.ascontiguousarray(number.astype(dtype))


def name(what, dtype, lengths, ending):
    t, z, c = (lengths.get(axis, 1) for axis in "TZC")
    c *= lengths.get("S", 1)
    kind = numpy.dtype(dtype).name
    return OUT / f"{what}.{kind}.t{t}z{z}c{c}.{lengths['Y']}x{lengths['X']}.{ending}"


def sizes(axes, **given):
    common = {"T": 3, "Z": 2, "C": 2, "S": 3, "Y": 7, "X": 9}
    return {axis: given.get(axis, common[axis]) for axis in axes}


def tiff(what, dtype, axes, ending="tif", lengths=None, **options):
    lengths = lengths or sizes(axes)
    options.setdefault("photometric", "rgb" if "S" in axes else "minisblack")
    tifffile.imwrite(name(what, dtype, lengths, ending), values(dtype, axes, lengths), **options)


def types():
    for kind in ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", "u8", "i8"]:
        tiff("little", "<" + kind, "YX", byteorder="<")
        tiff("big", ">" + kind, "YX", byteorder=">")


def compressions():
    wide = sizes("YX", Y=33, X=40)
    kinds = itertools.cycle(["u1", "u2", "f4", "i2"])
    forms = {"strips": {"rowsperstrip": 5}, "tiles": {"tile": (16, 16)}}
    orders = {"little": "<", "big": ">"}
    for compression in [None, "lzw", "adobe_deflate", "deflate", "packbits"]:
        for (form, chunk), (order, sign) in itertools.product(forms.items(), orders.items()):
            what = f"{compression or 'plain'}_{form}_{order}"
            tiff(what, sign + next(kinds), "YX", lengths=wide, compression=compression, byteorder=sign, **chunk)
    chunks = itertools.cycle(forms.items())
    for compression, (order, sign) in itertools.product(["lzw", "adobe_deflate"], orders.items()):
        for kind, predictor in [("u1", 2), ("u2", 2), ("u4", 2), ("u8", 2), ("f2", 3), ("f4", 3), ("f8", 3)]:
            form, chunk = next(chunks)
            what = f"predictor{predictor}_{compression}_{form}_{order}"
            tiff(what, sign + kind, "YX", lengths=wide, compression=compression, predictor=predictor, byteorder=sign, **chunk)


def colours():
    wide = {"S": 3, "Y": 33, "X": 40}
    for what, axes, options in [
        ("rgb_chunky", "YXS", {"compression": "lzw", "predictor": 2, "rowsperstrip": 5}),
        ("rgb_chunky_tiles", "YXS", {"compression": "adobe_deflate", "tile": (16, 32)}),
        ("rgb_planar", "SYX", {"planarconfig": "separate", "rowsperstrip": 7}),
        ("rgb_planar_tiles", "SYX", {"planarconfig": "separate", "compression": "lzw", "predictor": 2, "tile": (16, 16)}),
    ]:
        for kind in ["u1", "u2"]:
            tiff(what, "<" + kind, axes, lengths=wide, **options)
    tiff("rgb_float", ">f4", "YXS", lengths=wide, compression="adobe_deflate", predictor=3, byteorder=">")
    rgba = values("u1", "YXS", {"S": 4, "Y": 33, "X": 40})
    tifffile.imwrite(name("rgba", "u1", wide, "tif"), rgba, photometric="rgb", extrasamples=["unassalpha"])
    samples = values("u2", "YXS", {"S": 5, "Y": 7, "X": 9})
    tifffile.imwrite(name("five_samples", "u2", {"S": 5, "Y": 7, "X": 9}, "tif"), samples, photometric="minisblack", planarconfig="contig")
    colours = numpy.tile(numpy.arange(256, dtype="u2") * 257, (3, 1))
    tiff("palette", "u1", "YX", photometric="palette", colormap=colours)
    tiff("white_is_zero", "u1", "YX", photometric="miniswhite")


def stacks():
    size = {"resolution": (1 / 0.065, 1 / 0.13)}
    world = {"unit": "um", "finterval": 2.5, "spacing": 0.5}
    for axes in ["YX", "TYX", "ZYX", "CYX", "TCYX", "TZYX", "ZCYX", "TZCYX"]:
        for order in "<>":
            what = f"imagej_cal_{axes.lower()}_{'little' if order == '<' else 'big'}"
            tiff(what, order + "u2", axes, imagej=True, metadata={"axes": axes, **world}, byteorder=order, **size)
    for kind in ["u1", "f4"]:
        tiff("imagej_cal_one_directory", ">" + kind, "TZCYX", imagej=True, metadata={"axes": "TZCYX", **world}, byteorder=">", truncate=True, **size)
    tiff("imagej_rgb", "u1", "TYXS", imagej=True, metadata={"axes": "TYXS"})
    tiff("imagej_rgb_one_directory", "u1", "TZYXS", imagej=True, metadata={"axes": "TZYXS"}, truncate=True)
    tiff("imagej_lzw", "u2", "TCYX", imagej=True, metadata={"axes": "TCYX"}, compression="lzw")
    lines = "ImageJ=1.53t\nimages=6\nslices=6\nloop=false\n"
    six = sizes("ZYX", Z=6)
    tiff("imagej_no_hyperstack", "u1", "ZYX", lengths=six, metadata=None, description=lines, rowsperstrip=3)
    # Written by Micro-Manager: slices run fastest.
    lines = "ImageJ=1.48\nimages=12\nchannels=2\nslices=2\nframes=3\norder=zct\n"
    tiff("imagej_zct", "u2", "TCZYX", metadata=None, description=lines)

    for big in [False, True]:
        for order in "<>":
            what = f"{'bigtiff' if big else 'pages'}_{'little' if order == '<' else 'big'}"
            tiff(what, order + "f4", "TYX", metadata=None, bigtiff=big, byteorder=order, rowsperstrip=2)
    tiff("tifffile_tyx", "u2", "TYX")
    tiff("tifffile_tcyx", "u2", "TCYX")
    tiff("tifffile_tzcyx", "u1", "TZCYX")
    tiff("tifffile_axes", "u2", "CZTYX", metadata={"axes": "CZTYX"})
    tiff("tifffile_truncated", "u2", "TCYX", truncate=True)
    tiff("tifffile_rgb", "u1", "TYXS")
    path = name("thumbnails", "u2", sizes("TYX"), "tif")
    with tifffile.TiffWriter(path) as writer:
        for frame in values("u2", "TYX", sizes("TYX")):
            writer.write(frame, metadata=None)
            writer.write(frame[::2, ::2], subfiletype=1, metadata=None)


def ome():
    for order in itertools.permutations("TZC"):
        axes = "".join(order) + "YX"
        world = {"PhysicalSizeX": 65, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.13, "PhysicalSizeZ": 0.5, "TimeIncrement": 2500, "TimeIncrementUnit": "ms"}
        tiff(f"ome_cal_{axes.lower()}", "u2", axes, "ome.tif", metadata={"axes": axes, **world}, ome=True)
    tiff("ome_yx", "f4", "YX", "ome.tif", ome=True)
    tiff("ome_rgb", "u1", "TYXS", "ome.tif", metadata={"axes": "TYXS"}, ome=True)
    tiff("ome_big", ">f4", "TCYX", "ome.tif", metadata={"axes": "TCYX"}, ome=True, bigtiff=True, byteorder=">", compression="adobe_deflate", predictor=3)
    # Pages in the opposite order, as TiffData says.
    lengths = sizes("TCYX")
    data = "".join(
        f'<TiffData FirstT="{t}" FirstC="{c}" IFD="{5 - 2 * t - c}"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>'
        for t in range(3) for c in range(2)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint16" SizeX="9" SizeY="7" SizeC="2" SizeZ="1" SizeT="3">{data}</Pixels></Image></OME>'
    )
    reverse = values("u2", "TCYX", lengths).reshape(6, 7, 9)[::-1]
    tifffile.imwrite(name("ome_tiffdata", "u2", lengths, "ome.tif"), reverse, metadata=None, description=xml, photometric="minisblack")


def npy():
    for kind in ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]:
        lengths = sizes("TYX")
        numpy.save(name("c", kind, lengths, "npy"), values(kind, "TYX", lengths))
    for axes in ["YX", "TYX", "TCYX", "TZCYX"]:
        lengths = sizes(axes)
        array = values("f4", axes, lengths)
        what = axes.lower()
        numpy.save(name(f"{what}_c", "f4", lengths, "npy"), array)
        numpy.save(name(f"{what}_fortran", "f4", lengths, "npy"), numpy.asfortranarray(array))
        numpy.save(name(f"{what}_fortran_big", ">u2", lengths, "npy"), numpy.asfortranarray(values(">u2", axes, lengths)))
    numpy.save(name("big", ">f8", sizes("TYX"), "npy"), values(">f8", "TYX", sizes("TYX")))


def png():
    for kind in ["u1", "u2"]:
        for what, axes, samples in [("grey", "YX", 1), ("rgb", "YXS", 3)]:
            lengths = sizes(axes)
            name(what, kind, lengths, "png").write_bytes(imagecodecs.png_encode(values(kind, axes, lengths)))
        # An alpha behind the channels is left out.
        for what, samples in [("grey_alpha", 2), ("rgb_alpha", 4)]:
            lengths = {"S": samples - 1, "Y": 7, "X": 9}
            pixels = values(kind, "YXS", {**lengths, "S": samples})
            name(what, kind, lengths, "png").write_bytes(imagecodecs.png_encode(pixels))


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for make in [types, compressions, colours, stacks, ome, npy, png]:
        make()
    files = list(OUT.iterdir())
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files)} bytes", file=sys.stderr)
