"""Times `bundle check` of checkpoints (audit, CRCs and tensor digest) against b3sum and picklescan, and prints medians.

Called by weights.sh. Every round runs each contender once, in turn, on the same file, which is in the page cache.
"""

import argparse
import os
import statistics
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

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


def run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak_anonymous(command: list[str]) -> float:
    """The most anonymous memory that a command holds, in MiB, looked at every millisecond."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            break
        time.sleep(0.001)
    assert process.wait() == 0
    return peak / 1024


def table(title: str, commands: dict[str, list[str]], rounds: int):
    times = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            times[name].append(run(command))
        latest = ", ".join(f"{name} {values[-1]:.3f}" for name, values in times.items())
        print(f"  round {number + 1}/{rounds}: {latest}", file=sys.stderr)
    first = next(iter(times))
    print(f"\n### {title} ({rounds} rounds)\n\n| | median | min to max | its time / `{first}`'s | peak anonymous memory |\n|---|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times[first]))
        peak = peak_anonymous(commands[name])
        print(f"| {name} | {statistics.median(values):.3f} s | {min(values):.3f} to {max(values):.3f} | {ratio:.2f} | {peak:.0f} MiB |", flush=True)


def warm(path: Path):
    with open(path, "rb") as file:
        while file.read(16 * MIB):
            pass


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
        table(title, commands, arguments.rounds)
        path.unlink()


if __name__ == "__main__":
    main()
