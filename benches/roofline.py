"""Draws docs/roofline.svg: how fast ops and networks run on the CPU, beside what the machine can do.

usage: roofline.py MEASURED.json OUT.svg

MEASURED.json is what `networks.sh --json` keeps (all parts of it). Needs no package. The picture has its own colours for dark pages.
"""

import json
import math
import statistics
import sys
from pathlib import Path

WIDTH, LEAST_HEIGHT = 860, 480
# Of an entry of the list beside the picture.
ENTRY = 34
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 44, 52

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .faint { fill: #59636e; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .roof { stroke: #1f2328; stroke-width: 2; fill: none; }
  .op { fill: #ffffff; stroke: #0969da; stroke-width: 2; }
  .network { fill: #bc4c00; stroke: #bc4c00; stroke-width: 2; }
  .page { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .faint { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .roof { stroke: #f0f6fc; }
    .op { fill: #0d1117; stroke: #4493f8; }
    .network { fill: #f0883e; stroke: #f0883e; }
    .page { fill: #0d1117; }
  }
"""


class Axis:
    """A logarithmic axis from one pixel to another."""

    def __init__(self, low: float, high: float, first: float, last: float):
        self.low, self.high, self.first, self.last = low, high, first, last

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Powers of two."""
        exponents = range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)
        return [2.0**exponent for exponent in exponents]


def points(measured: dict) -> list[dict]:
    """Name, FLOP a byte, GFLOP/s, kind."""
    found = []
    for op in measured["ops"]:
        # Of a function each number counts as one operation, however many it takes: there is no roof for that. Networks
        # are taken from their own rounds.
        if op["name"].startswith(("GELU", "NAFNet of", "UNet")):
            continue
        found.append({"name": op["name"], "x": op["flop"] / op["bytes"], "y": op["flop"] / op["seconds"] / 1e9, "kind": "op"})
    for name, network in measured["networks"].items():
        needs, count = network["needs"], max(network["rounds"], key=int)
        ours = next(iter(network["rounds"][count].values()))
        speed = needs["flop"] * int(count) / statistics.median(ours) / 1e9
        found.append({"name": f"{name}, {count} windows", "x": needs["flop"] / needs["bytes"], "y": speed, "kind": "network"})
    return found


def machine(measured: dict) -> tuple[float, float]:
    """GFLOP/s and GB/s: the best that was seen."""
    needs = [network["needs"] for network in measured["networks"].values()]
    return max(each["peak"] for each in needs + measured["ops"]), max(each["copy"] for each in needs)


# Where a number may stand beside its dot, best first.
BESIDE = [(0, -9), (0, 19), (11, 4), (-11, 4), (11, -8), (-11, -8), (11, 16), (-11, 16)]


def numbered(dots: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A place for each dot's number that no dot and no other number has, as far as there is one."""
    taken = [(left, top + 4) for left, top in dots]
    placed = []
    for left, top in dots:
        places = [(left + right, top + down) for right, down in BESIDE]
        free = lambda place: all(abs(place[0] - x) >= 13 or abs(place[1] - y) >= 12 for x, y in taken if (x, y) != (left, top + 4))
        placed.append(next(filter(free, places), places[0]))
        taken.append(placed[-1])
    return placed


def drawing(measured: dict) -> tuple[int, list[str]]:
    """The picture's height, and its parts."""
    peak, copy = machine(measured)
    all_points = sorted(points(measured), key=lambda point: -point["y"])
    height = max(LEAST_HEIGHT, TOP + 24 + (len(all_points) + 1) * ENTRY)
    lowest = min(point["x"] for point in all_points), min(point["y"] for point in all_points)
    highest = max(point["x"] for point in all_points)
    x = Axis(min(lowest[0], 1) / 1.5, max(highest, 2 * peak / copy) * 1.5, LEFT, WIDTH - RIGHT)
    y = Axis(min(lowest[1], x.low * copy) / 1.3, peak * 1.6, height - BOTTOM, TOP)
    about = measured["machine"]
    lines = [f'<rect class="page" width="{WIDTH}" height="{height}"/>']
    lines.append(f'<text class="title" x="{LEFT}" y="22">bundle on {about["processor"]}, {about["threads"]} threads</text>')
    for tick in x.ticks():
        lines.append(f'<path class="grid" d="M{x.at(tick):.1f} {y.last:.1f}V{y.first:.1f}"/>')
        lines.append(f'<text class="faint" x="{x.at(tick):.1f}" y="{y.first + 18:.1f}" text-anchor="middle">{tick:g}</text>')
    for tick in (tick for tick in y.ticks() if tick < peak):
        lines.append(f'<path class="grid" d="M{x.first:.1f} {y.at(tick):.1f}H{x.last:.1f}"/>')
        lines.append(f'<text class="faint" x="{x.first - 8:.1f}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    lines.append(f'<text x="{(x.first + x.last) / 2:.1f}" y="{height - 12}" text-anchor="middle">FLOP a byte that chains of ops read and write</text>')
    lines.append(f'<text transform="translate(16 {(y.first + y.last) / 2:.1f}) rotate(-90)" text-anchor="middle">GFLOP/s</text>')
    # The bandwidth's line begins where it enters the frame.
    start = max(x.low, y.low / copy)
    ridge = peak / copy
    lines.append(f'<path class="roof" d="M{x.at(start):.1f} {y.at(start * copy):.1f}L{x.at(ridge):.1f} {y.at(peak):.1f}H{x.last:.1f}"/>')
    lines.append(f'<text class="faint" x="{x.last:.1f}" y="{y.at(peak) - 8:.1f}" text-anchor="end">multiply-adds on registers: {peak:.0f} GFLOP/s</text>')
    lines.append(f'<text class="faint" x="{x.first + 6:.1f}" y="{y.at(peak) - 8:.1f}">slope: copying memory, {copy:.0f} GB/s</text>')
    dots = [(x.at(point["x"]), y.at(point["y"])) for point in all_points]
    for number, (point, dot, place) in enumerate(zip(all_points, dots, numbered(dots)), 1):
        lines.append(f'<circle class="{point["kind"]}" cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="4"/>')
        lines.append(f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="middle">{number}</text>')
        top = TOP + 12 + number * ENTRY
        lines.append(f'<circle class="{point["kind"]}" cx="{x.last + 22:.1f}" cy="{top - 4:.1f}" r="4"/>')
        lines.append(f'<text x="{x.last + 46:.1f}" y="{top:.1f}" text-anchor="end">{number}</text>')
        lines.append(f'<text x="{x.last + 52:.1f}" y="{top:.1f}">{point["name"]}</text>')
        part = f'{point["y"]:.0f} GFLOP/s, {100 * point["y"] / min(peak, point["x"] * copy):.0f} % of the roof'
        lines.append(f'<text class="faint" x="{x.last + 52:.1f}" y="{top + 15:.1f}">{part}</text>')
    return height, lines


def picture(measured: dict) -> str:
    """The SVG file."""
    height, lines = drawing(measured)
    size = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    title = "<title>Speed of ops and networks on the CPU against the machine's peak and memory bandwidth</title>"
    return "\n".join([f"<svg {size}>", title, f"<style>{STYLE}</style>", *lines, "</svg>", ""])


def main():
    measured = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(picture(measured))


if __name__ == "__main__":
    main()
