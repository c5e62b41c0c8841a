"""Times a `bundle` binary against its peers on files of random float32, in interleaved rounds, and prints medians.

Called by packing.sh. Every round runs each contender once, in turn, on the same files, which are in the page cache;
what a contender wrote is removed, and the disk synced, before the next one starts.

On a virtual machine whose host takes free memory back (a balloon with free page reporting), whoever fills the page cache
just then pays for it, a second or more for 2 GiB. So whoever writes waits `SETTLE` seconds before the clock starts: by
then the host has taken what it takes, and every contender pays the same.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
import zipfile
from pathlib import Path

import numpy

from rounds import interleave, peak_anonymous, seconds, silent, table, warm

MIB = 1 << 20
SETTLE = 2.5


class Project:
    """A folder of models and a config that names them."""

    def __init__(self, folder: Path, sizes: list[int]):
        self.folder = folder
        self.models = folder / "models"
        self.zip = folder / "model_collection.zip"
        self.copy = folder / "copy"
        self.cache = folder / "cache"
        shutil.rmtree(folder, ignore_errors=True)
        self.models.mkdir(parents=True)
        generator = numpy.random.default_rng(7)
        config = ["[bundle]", "auto_date = false"]
        for index, size in enumerate(sizes):
            with open(self.models / f"model{index}.pth", "wb") as file:
                for start in range(0, size, 64 * MIB):
                    count = min(64 * MIB, size - start) // 4
                    file.write(generator.standard_normal(count, dtype="float32").tobytes())
            config += [f"[m{index}]", f'bundle_name = "Model{index}"', f'model_path = "models/model{index}.pth"']
        (folder / "bundle.toml").write_text("\n".join(config) + "\n")
        rules = ["rule copy", "  command = cp $in $out"]
        for index in range(len(sizes)):
            rules += [f"build out/model{index}.pth: copy models/model{index}.pth"]
        (folder / "build.ninja").write_text("\n".join(rules) + "\n")
        self.files = sorted(str(path) for path in self.models.iterdir())
        self.size = sum(sizes)

    def clean(self):
        for path in [self.zip, self.folder / "bundle.lock", self.folder / "model_collection.zip.sha256"]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)
        os.sync()
        self.settle()

    def settle(self):
        """Waits for the host, and reads the sources into the cache, where they may have been dropped meanwhile."""
        time.sleep(SETTLE)
        self.warm()

    def warm(self):
        for name in self.files:
            warm(Path(name))

    def peak(self, command: list[str]) -> float:
        return peak_anonymous(command, self.folder, BUNDLE_CACHE_DIR=str(self.cache))


class Bench:
    def __init__(self, binary: str):
        self.binary = binary

    def run(self, project: Project, command: list[str]) -> float:
        """Seconds that a command takes."""
        return seconds(command, project.folder, BUNDLE_CACHE_DIR=str(project.cache))

    def build(self, project: Project) -> float:
        return self.run(project, [self.binary, "build", "-q"])

    def cold_build(self, project: Project) -> float:
        project.clean()
        return self.build(project)

    def copy(self, project: Project) -> float:
        project.clean()
        return self.run(project, ["sh", "-c", "cp -r models copy && sync"])

    def b3sum_sources(self, project: Project) -> float:
        return self.run(project, ["b3sum", *project.files])

    def python(self, project: Project) -> float:
        """What HiTMicTools' bundler spends its time on: zipfile with ZIP_DEFLATED at its default level."""
        project.clean()
        start = time.perf_counter()
        with zipfile.ZipFile(project.folder / "model_collection.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
            for name in project.files:
                bundle.write(name, os.path.basename(name))
        return time.perf_counter() - start

    def verify(self, project: Project) -> float:
        return self.run(project, [self.binary, "verify", "-q", str(project.zip), "--lock", "bundle.lock"])

    def b3sum_zip(self, project: Project) -> float:
        return self.run(project, ["b3sum", str(project.zip)])

    def ninja(self, project: Project) -> float:
        return self.run(project, ["ninja", "--quiet"])

    def settle(self, project: Project):
        """Builds until nothing is left to do, with everything older than its record."""
        self.build(project)
        time.sleep(2.5)
        self.build(project)
        self.ninja(project)


PYTHON_ZIP = """
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as bundle:
    for name in sys.argv[2:]:
        bundle.write(name, os.path.basename(name))
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python-rounds", type=int, default=7)
    parser.add_argument("--skip-growth", action="store_true")
    parser.add_argument("--skip-python", action="store_true", help="no rounds of Python's zipfile, which takes a minute and more each")
    arguments = parser.parse_args()
    bench = Bench(arguments.binary)

    sizes = [size * MIB for size in (100, 200, 300, 400, 448, 300, 300)]
    project = Project(arguments.folder / "seven", sizes)
    print(f"Seven files of random float32, {project.size / 2**30:.2f} GiB, {os.cpu_count()} cores.")
    project.warm()

    times = interleave(arguments.rounds, {
        "bundle build, cold": lambda: bench.cold_build(project),
        "cp + sync": lambda: bench.copy(project),
        "b3sum of the files": lambda: bench.b3sum_sources(project),
    })
    table("Cold build, fsync included", times)

    if not arguments.skip_python:
        times = interleave(arguments.python_rounds, {
            "bundle build, cold": lambda: bench.cold_build(project),
            "Python zipfile, ZIP_DEFLATED": lambda: bench.python(project),
        })
        table("Cold build against what labs use today", times)

    project.clean()
    bench.settle(project)
    times = interleave(arguments.rounds * 5, {
        "bundle build, up to date": lambda: bench.build(project),
        "ninja, up to date": lambda: bench.ninja(project),
    }, note=silent)
    table("Nothing to do", times, 1e-3, "ms")

    def one_changed() -> float:
        with open(project.models / "model0.pth", "r+b") as file:
            file.write(os.urandom(4096))
        os.sync()
        project.settle()
        return bench.build(project)

    times = interleave(arguments.rounds, {
        "bundle build, one of seven changed (100 MiB)": one_changed,
        "cp + sync of all": lambda: copy_beside(bench, project),
    })
    table("One changed model", times)

    times = interleave(arguments.rounds, {
        "bundle verify --lock": lambda: bench.verify(project),
        "b3sum of the ZIP": lambda: bench.b3sum_zip(project),
    })
    table("Verify", times, digits=3)

    memory(bench, project)
    if not arguments.skip_growth:
        shutil.rmtree(project.folder)
        growth(bench, arguments.folder)


def copy_beside(bench: Bench, project: Project) -> float:
    """Copies the models without touching the built bundle."""
    shutil.rmtree(project.copy, ignore_errors=True)
    os.sync()
    project.settle()
    return bench.run(project, ["sh", "-c", "cp -r models copy && sync"])


def memory(bench: Bench, project: Project):
    rows = {}
    project.clean()
    rows["bundle build, cold"] = project.peak([bench.binary, "build", "-q"])
    time.sleep(2.5)
    bench.build(project)
    rows["bundle build, up to date"] = project.peak([bench.binary, "build", "-q"])
    rows["bundle verify"] = project.peak([bench.binary, "verify", "-q", str(project.zip), "--lock", "bundle.lock"])
    rows["b3sum"] = project.peak(["b3sum", str(project.zip)])
    out = str(project.folder / "python.zip")
    rows["Python zipfile"] = project.peak([sys.executable, "-c", PYTHON_ZIP, out, *project.files[:1]])
    os.remove(out)
    print("\n### Peak anonymous memory\n\n| | MiB |\n|---|---|")
    for name, mib in rows.items():
        print(f"| {name} | {mib:.1f} |")


def growth(bench: Bench, folder: Path):
    print("\n### Growth\n\n| files | GiB | cold build | cp + sync | up to date | verify | b3sum of the ZIP | build's peak MiB |\n|---|---|---|---|---|---|---|---|")
    for count, total in [(7, 0.1), (70, 0.1), (700, 0.1), (7, 1), (7, 8)]:
        size = int(total * 2**30 / count) // 4096 * 4096
        project = Project(folder / "growth", [size] * count)
        project.warm()
        times = interleave(3, {
            "cp": lambda: bench.copy(project),
            "build": lambda: bench.cold_build(project),
            "verify": lambda: bench.verify(project),
            "b3sum": lambda: bench.b3sum_zip(project),
        })
        time.sleep(2.5)
        bench.build(project)
        fresh = statistics.median(bench.build(project) for _ in range(15))
        project.clean()
        peak = project.peak([bench.binary, "build", "-q"])
        row = {name: statistics.median(values) for name, values in times.items()}
        print(f"| {count} | {total} | {row['build']:.2f} s | {row['cp']:.2f} s | {fresh * 1e3:.1f} ms | {row['verify']:.3f} s | {row['b3sum']:.3f} s | {peak:.1f} |", flush=True)
        shutil.rmtree(project.folder)


if __name__ == "__main__":
    main()
