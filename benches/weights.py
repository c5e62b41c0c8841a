"""Times `bundle check` of checkpoints (audit, CRCs and tensor digest) against b3sum and picklescan, and prints medians.

Called by weights.sh. Every round runs each contender once, in turn, on the same file, which is in the page cache.
"""

import argparse
import os
import struct
import zipfile
from functools import partial
from pathlib import Path

from rounds import interleave, peak_anonymous, seconds, table, warm

MIB = 1 << 20


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers(values) -> bytes:
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"


def tensor(key: str, shape, strides) -> bytes:
    """The opcodes of a float32 tensor that fills a storage, as `torch.save` writes them."""
    count = 1
    for size in shape:
        count *= size
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    ordered = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + numbers(shape) + numbers(strides) + b"\x89" + ordered + b"tR"


def checkpoint(path: Path, shapes, transposed: bool = False):
    """A checkpoint of random numbers, in the ZIP layout; needs no PyTorch."""
    entries, storages = b"", []
    for index, shape in enumerate(shapes):
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        size = 4 * strides[0] * shape[0]
        if transposed:
            shape, strides = shape[::-1], strides[::-1]
        entries += text(f"layer{index}.weight") + tensor(str(index), shape, strides)
        storages.append(size)
    data = b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u."
    noise = os.urandom(16 * MIB)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        out.writestr(f"{path.stem}/data.pkl", data)
        out.writestr(f"{path.stem}/byteorder", "little")
        for index, size in enumerate(storages):
            with out.open(f"{path.stem}/data/{index}", "w", force_zip64=True) as member:
                for start in range(0, size, len(noise)):
                    member.write(noise[: min(len(noise), size - start)])
        out.writestr(f"{path.stem}/version", "3\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", help="the program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picklescan", help="the program, if it is to be timed")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        ("2 GiB in 500 tensors", "many", [[1024, 1024]] * 488 + [[1024, 2048]] * 12, False),
        ("2 GiB in one tensor", "one", [[512, MIB]], False),
        ("1 GiB, one matrix, transposed", "transposed", [[16384, 16384]], True),
    ]
    print(f"Random float32, {os.cpu_count()} cores.")
    for title, name, shapes, transposed in files:
        path = folder / f"{name}.pth"
        checkpoint(path, shapes, transposed)
        warm(path)
        config = folder / f"{name}.toml"
        config.write_text(f'[model]\nbundle_name = "Model"\nmodel_path = "{path.name}"\n')
        check = [arguments.bundle, "check", "-q", str(config)]
        commands = {"bundle check": check, "b3sum": ["b3sum", str(path)]}
        if arguments.picklescan:
            commands["picklescan"] = [arguments.picklescan, "-p", str(path)]
        times = interleave(arguments.rounds, {name: partial(seconds, command) for name, command in commands.items()})
        peaks = {name: f"{peak_anonymous(command):.0f} MiB" for name, command in commands.items()}
        table(f"{title} ({arguments.rounds} rounds)", times, digits=3, more={"peak anonymous memory": peaks})
        path.unlink()


if __name__ == "__main__":
    main()
