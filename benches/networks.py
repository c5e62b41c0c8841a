"""Times bundle's CPU executor beside PyTorch and onnxruntime (and tract and burn), in interleaved rounds, and prints medians.

Called by networks.sh. Each contender is a process that is kept and asked for one timed round after another, on the same
windows and with the same number of threads; the results of all are compared first, so that the same work is timed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
import tifffile

import roofline
from rounds import interleave, silent, table

SIDE, CHANNELS = 256, 1
BATCHES = (1, 4, 16)
MODELS = {"nafnet_w32": "bf_focus", "monai_unet": "segmentation"}

# Two programs that add in another order differ by this part of the largest number.
APART = 2e-5

# A pause before each timed round, in which the threads of the others go to sleep.
PAUSE = 0.2


class Contender:
    """A program that answers questions, a line each: the protocol of shared/rounds.rs."""

    def __init__(self, command: list, environment: dict | None = None):
        command = [str(word) for word in command]
        environment = dict(os.environ, **(environment or {}))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.name = self.process.stdout.readline().strip()
        if not self.name:
            raise RuntimeError(f"{' '.join(command)}: it does not start")

    def ask(self, question: str) -> float:
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"{self.name}, {question}: {answer or 'it has ended'}")
        return float(answer)

    def time(self, question: str) -> float:
        time.sleep(PAUSE)
        return self.ask(question)

    def end(self) -> float:
        """Ends it, and gives the most memory it had resident, in MiB."""
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / 1024


def run(command: list) -> tuple[float, float]:
    """Seconds from a command's start to its end, and the most memory it had resident, in MiB."""
    begun = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}: exit status {process.returncode}")
    return taken, usage.ru_maxrss / 1024


def apart(found: numpy.ndarray, wanted: numpy.ndarray) -> float:
    """The largest difference, in parts of the largest number that is wanted."""
    if found.shape != wanted.shape or not numpy.isfinite(found).all():
        return float("inf")
    return float(numpy.abs(found - wanted).max() / numpy.abs(wanted).max())


def compare(name: str, found: numpy.ndarray, wanted: numpy.ndarray):
    difference = apart(found, wanted)
    print(f"  {name}: within {difference:.1e} of the largest", file=sys.stderr)
    if not difference <= APART:
        sys.exit(f"{name}: {difference:.1e} from the first contender's result, more than {APART}: not the same work")


def picture(side: int) -> numpy.ndarray:
    """A frame as a camera sees rods: dark cells on an uneven background, with noise."""
    random = numpy.random.default_rng(3)
    y, x = numpy.mgrid[:side, :side].astype(numpy.float32)
    image = 1800 + 300 * numpy.sin(x / side * 3) + 200 * numpy.cos(y / side * 2)
    for _ in range(side * side // 4000):
        row, column, angle = random.uniform(0, side), random.uniform(0, side), random.uniform(0, numpy.pi)
        box = numpy.s_[max(int(row) - 20, 0) : int(row) + 20, max(int(column) - 20, 0) : int(column) + 20]
        down, right = y[box] - row, x[box] - column
        along, across = down * numpy.sin(angle) + right * numpy.cos(angle), down * numpy.cos(angle) - right * numpy.sin(angle)
        image[box] -= 900 * numpy.exp(-((along / 11) ** 4) - (across / 4) ** 2)
    image += random.normal(0, 40, image.shape)
    return numpy.clip(image, 0, 65535).astype(numpy.uint16)


class Both:
    """Prints, and keeps what it printed."""

    def __init__(self):
        self.kept = []

    def write(self, text: str):
        self.kept.append(text)
        sys.__stdout__.write(text)

    def flush(self):
        sys.__stdout__.flush()


def into_page(page: Path, tables: str, picture: Path | None, rounds: Path | None):
    """Puts the tables of this run where those of the last one stood, with links to what else it wrote."""
    if picture:
        tables += "\n### Against what the machine can do\n\nThe roof is the lower of multiply-adds on registers alone and of copying memory; what lies in a cache may be above it.\n"
        tables += f"\n![Ops and networks against the machine's peak and memory bandwidth]({os.path.relpath(picture, page.parent)})\n"
    if rounds:
        tables += f"\n[All rounds]({os.path.relpath(rounds, page.parent)}).\n"
    begin, end = "<!-- networks.sh writes from here -->\n", "<!-- to here -->\n"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n{tables.strip()}\n\n{end}{after}")


class Bench:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.here = Path(__file__).resolve().parent
        self.root = self.here.parent
        self.work: Path = arguments.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.threads = str(arguments.threads)
        self.measured = {"machine": machine(arguments.threads), "networks": {}, "frames": {}}

    def python(self, kind: str, network: str, source: Path) -> Contender:
        folders = [self.root / "tests/tasks", self.root / "tests/networks"]
        path = os.pathsep.join(str(folder) for folder in folders)
        command = [sys.executable, self.here / "contender.py", kind, self.arguments.networks / f"{network}.onnx", source]
        return Contender([*command, CHANNELS, SIDE, self.threads], {"PYTHONPATH": path})

    def contenders(self, network: str, source: Path) -> dict[str, Contender]:
        folder = self.arguments.networks
        bundle = [self.arguments.rounds_binary, folder / f"{network}.pth", source, CHANNELS, SIDE, self.threads]
        started = [Contender(bundle)]
        started += [self.python(kind, network, source) for kind in ("onnxruntime", "torch", "channels_last")]
        for peer in self.arguments.rust_peer:
            # Says burn how many threads to make.
            environment = {"RAYON_NUM_THREADS": self.threads}
            started.append(Contender([peer, folder / f"{network}.onnx", source, CHANNELS, SIDE, self.threads], environment))
        return {contender.name: contender for contender in started}

    def cut(self) -> Path:
        """A file of windows, as many as the largest batch has."""
        source = self.work / "windows.f32"
        frame = picture(SIDE * 4).astype(numpy.float32)
        tiles = frame.reshape(4, SIDE, 4, SIDE).swapaxes(1, 2).reshape(max(BATCHES), CHANNELS, SIDE, SIDE)
        ((tiles - frame.min()) / (frame.max() - frame.min())).astype("<f4").tofile(source)
        return source

    def windows(self, network: str):
        """Batches of windows, without file work."""
        source = self.cut()
        needs = [self.arguments.rounds_binary, "needs", self.arguments.networks / f"{network}.pth", str(SIDE), self.threads]
        needs = json.loads(subprocess.run(needs, check=True, stdout=subprocess.PIPE).stdout)
        contenders = self.contenders(network, source)
        self.same_results(network, contenders)
        rounds = {}
        for count in BATCHES:
            times = {name: contender_time(contender, count) for name, contender in contenders.items()}
            times = interleave(self.arguments.rounds, times, note=silent)
            speed = {name: f"{needs['flop'] * count / statistics.median(values) / 1e9:.1f}" for name, values in times.items()}
            plural = "window" if count == 1 else "windows"
            title = f"{network}, {count} {plural} of {SIDE}x{SIDE} ({self.arguments.rounds} rounds)"
            table(title, times, 1e-3, "ms", 1, more={"GFLOP/s": speed})
            rounds[count] = times
        for contender in contenders.values():
            contender.end()
        self.measured["networks"][network] = {"needs": needs, "rounds": rounds}

    def same_results(self, network: str, contenders: dict[str, Contender]):
        """All give the same for all batches, which warms them too; who cannot run the network is named and left out."""
        wanted = None
        for name, contender in list(contenders.items()):
            path = self.work / "result.f32"
            try:
                for count in BATCHES:
                    contender.ask(f"write {count} {path}")
            except RuntimeError as error:
                if name == next(iter(contenders)):
                    raise
                print(f"\n{network}: {error}")
                contenders.pop(name).end()
                continue
            found = numpy.fromfile(path, "<f4")
            wanted = found if wanted is None else wanted
            compare(f"{network}, {name}", found, wanted)

    def frame(self, network: str):
        """A whole frame, from file to file: reading, scaling, windows, network, blending, writing."""
        side = self.arguments.side
        source, ours, theirs = (self.work / name for name in ("frame.tif", "ours.tif", "theirs.tif"))
        tifffile.imwrite(source, picture(side))
        for name in (f"{network}{kind}" for network in MODELS for kind in (".pth", ".json")):
            shutil.copyfile(self.arguments.networks / name, self.work / name)
        shutil.copyfile(self.here / "networks.toml", self.work / "bundle.toml")
        command = [self.arguments.bundle, "run", "-q", self.work / "bundle.toml", MODELS[network], "-i", source, "-o", ours]
        command += ["--device", "cpu", "--threads", self.threads]
        _, our_memory = run(command)
        trials = {}
        for windows in (1, 4):
            torch = self.python("torch", network, self.cut())
            taken = torch.ask(f"frame {windows} {source} {theirs}")
            trials[windows] = (taken, torch.end())
            print(f"  {network}: PyTorch takes {taken:.2f} s with {windows} windows at a time", file=sys.stderr)
        best = min(trials, key=lambda windows: trials[windows][0])
        compare(f"{network}, frame", tifffile.imread(ours), tifffile.imread(theirs))
        torch = self.python("torch", network, self.cut())
        name = f"PyTorch and MONAI, {best} at a time"
        times = {
            "bundle run": lambda: paused(lambda: run(command)[0]),
            name: lambda: torch.time(f"frame {best} {source} {theirs}"),
        }
        torch.ask("time 1")
        times = interleave(self.arguments.frame_rounds, times)
        torch.end()
        memory = {"bundle run": f"{our_memory:.0f} MiB", name: f"{trials[best][1]:.0f} MiB"}
        table(f"{network}, a frame of {side}x{side}, file to file ({self.arguments.frame_rounds} rounds)", times, digits=2, more={"peak resident memory": memory})
        self.measured["frames"][network] = {"side": side, "rounds": times, "trials": trials, "memory": {"bundle": our_memory, "PyTorch": trials[best][1]}}

    def start(self):
        """From the start of the process to its end, one small frame of each example model."""
        rods, bundle = self.root / "examples/rods", self.work / "rods.zip"
        build = [self.arguments.bundle, "build", "-q", "-c", rods / "bundle.toml", "-o", bundle, "--no-auto-date", "--locked"]
        subprocess.run([str(word) for word in build], check=True, stdout=subprocess.DEVNULL)
        small = self.work / "small"
        small.mkdir(exist_ok=True)
        for name in ("bf", "fl", "labels"):
            tifffile.imwrite(small / f"{name}.tif", tifffile.imread(rods / f"frames/{name}.tif")[0, :64, :64])
        numpy.save(small / "clear.npy", numpy.load(rods / "frames/classifier_input.npy").reshape(-1, 200, 232)[0, :64, :64])
        inputs = {
            "bf_focus": ["-i", small / "bf.tif", "-o", small / "out.tif"],
            "fl_focus": ["-i", small / "fl.tif", "-o", small / "out.tif"],
            "segmentation": ["-i", small / "bf.tif", "-o", small / "out.tif"],
            "cell_classifier": ["-i", small / "clear.npy", "--labels", small / "labels.tif", "-o", small / "out.csv"],
            "pi_classification": ["-i", rods / "frames/pi_features.csv", "-o", small / "out.csv"],
        }
        command = [self.arguments.bundle, "run", "-q", bundle]
        options = ["--device", "cpu", "--threads", self.threads]
        times = {model: (lambda words=words, model=model: run([*command, model, *words, *options])[0]) for model, words in inputs.items()}
        for once in times.values():
            once()
        times = interleave(self.arguments.start_rounds, times, note=silent)
        table(f"From start to end, a frame of 64x64 ({self.arguments.start_rounds} rounds)", times, 1e-3, "ms", 1)
        self.measured["start"] = times

    def ops(self):
        """Single ops, for the roofline."""
        lines = subprocess.run([self.arguments.kernels_binary, self.threads, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.measured["ops"] = [json.loads(line) for line in lines.splitlines()]
        print("\n### Single ops, eight in a row, best of seven\n\n| op | ms | GFLOP/s | of the peak |\n|---|---|---|---|")
        for op in self.measured["ops"]:
            speed = op["flop"] / op["seconds"] / 1e9
            print(f"| {op['name']} | {op['seconds'] * 1e3:.2f} | {speed:.0f} | {100 * speed / op['peak']:.0f} % |")


def contender_time(contender: Contender, count: int):
    return lambda: contender.time(f"time {count}")


def paused(timed) -> float:
    time.sleep(PAUSE)
    return timed()


def machine(threads: int) -> dict:
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def main():
    parser = argparse.ArgumentParser(prog="benches/networks.sh", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", help=argparse.SUPPRESS)
    parser.add_argument("rounds_binary", help=argparse.SUPPRESS)
    parser.add_argument("kernels_binary", help=argparse.SUPPRESS)
    parser.add_argument("networks", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rust-peer", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=9, help="of batches of windows")
    parser.add_argument("--frame-rounds", type=int, default=3)
    parser.add_argument("--start-rounds", type=int, default=25)
    parser.add_argument("--side", type=int, default=2048, help="of the frame")
    parser.add_argument("--only", choices=["windows", "frame", "start", "ops"], action="append", help="measure this alone (again for more)")
    parser.add_argument("--json", type=Path, help="keep all that was measured in this file")
    parser.add_argument("--page", type=Path, help="put the tables into this page, between its two marks")
    parser.add_argument("--roofline", type=Path, help="draw ops and networks against what the machine can do")
    arguments = parser.parse_args()
    sys.stdout = printed = Both()
    parts = arguments.only or ["windows", "frame", "start", "ops"]
    bench = Bench(arguments)
    about = bench.measured["machine"]
    print("{processor}, {cores} cores, {memory}, {system}, Python {python}; {threads} threads; load {load:.1f} at the start.".format(**about))
    for network in MODELS:
        if "windows" in parts:
            bench.windows(network)
        if "frame" in parts:
            bench.frame(network)
    if "start" in parts:
        bench.start()
    if "ops" in parts:
        bench.ops()
    if arguments.json:
        arguments.json.write_text(json.dumps(bench.measured, indent=1) + "\n")
    if arguments.roofline:
        arguments.roofline.write_text(roofline.picture(bench.measured))
    if arguments.page:
        into_page(arguments.page, "".join(printed.kept), arguments.roofline, arguments.json)


if __name__ == "__main__":
    main()
