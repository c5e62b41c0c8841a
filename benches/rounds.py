"""What the benches share: contenders run in turn, tables of medians with their spread, peak memory. Needs no package."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def interleave(rounds: int, contenders: dict, note=print) -> dict[str, list[float]]:
    """Seconds of each contender, a function that returns them, in each round."""
    times = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender())
        latest = ", ".join(f"{name} {values[-1]:.3f}" for name, values in times.items())
        note(f"  round {number + 1}/{rounds}: {latest}", file=sys.stderr)
    return times


def silent(*_, **__):
    """A `note` that says nothing."""


def table(title: str, times: dict[str, list[float]], unit: float = 1.0, suffix: str = "s", digits: int = 2, more: dict | None = None):
    """Prints medians with their spread, and each contender's ratio to the first, round by round.

    `more` are further columns: a title, and what each contender has there.
    """
    more = more or {}
    first = next(iter(times))
    titles = ["", "median", "min to max", f"its time / `{first}`'s", *more]
    print(f"\n### {title}\n\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|".replace("|  |", "| |"))
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times[first]))
        median, low, high = (f"{x / unit:.{digits}f}" for x in (statistics.median(values), min(values), max(values)))
        cells = [name, f"{median} {suffix}", f"{low} to {high}", f"{ratio:.2f}", *(column[name] for column in more.values())]
        print(f"| {' | '.join(cells)} |", flush=True)


def seconds(command: list[str], folder: Path | None = None, **variables: str) -> float:
    """Seconds that a command takes, in a folder, with more variables in its environment."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=dict(os.environ, **variables), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak_anonymous(command: list[str], folder: Path | None = None, **variables: str) -> float:
    """The most anonymous memory that a command holds, in MiB, looked at every millisecond."""
    process = subprocess.Popen(command, cwd=folder, env=dict(os.environ, **variables), stdout=subprocess.DEVNULL)
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


def warm(path: Path):
    """Reads a file, so that it is in the page cache."""
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass
