"""How time grows with files and with destinations, as PNG and SVG. Needs requirements-bench.txt."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
# Text stays text, and the same figures give the same SVG.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 11})

from matplotlib import pyplot as plt  # noqa: E402 - the back end is chosen first

from .destinations import Destinations  # noqa: E402
from .throughput import Burst  # noqa: E402

# On a ground of their own, so that they are read on a light page and on a dark one. The colours are told apart by
# colour-blind people (Okabe and Ito), and the lines by their marks besides.
GROUND, INK, GRID = "#ffffff", "#222222", "#d8d8d8"
WORKFLOW, COPIES, BARE = "#0072b2", "#d55e00", "#009e73"

Line = tuple[str, str, str, Sequence[float]]


def draw(bursts: Sequence[Burst], destinations: Sequence[Destinations], folder: Path) -> list[Path]:
    """Writes the pictures into ``folder``, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if bursts:
        lines = [
            ("workflow, upload to COMPLETED", WORKFLOW, "o", [burst.completed.seconds for burst in bursts]),
            ("the same copies, plain boto3", COPIES, "s", [burst.plain_copies.seconds for burst in bursts]),
            ("as many bare executions", BARE, "^", [burst.bare_executions.seconds for burst in bursts]),
        ]
        title = f"Time for a burst of files, to {bursts[0].destinations} destinations each"
        drawn += _draw("growth-files", title, "files", [burst.files for burst in bursts], lines, folder)
    if destinations:
        lines = [
            ("workflow, upload to COMPLETED", WORKFLOW, "o", [found.seconds for found in destinations]),
            ("the same copies, plain boto3", COPIES, "s", [found.plain_copies for found in destinations]),
        ]
        numbers = [found.destinations for found in destinations]
        drawn += _draw("growth-destinations", "Time for one file, median", "destinations", numbers, lines, folder)
    return drawn


def _draw(name: str, title: str, what: str, at: Sequence[int], lines: Sequence[Line], folder: Path) -> list[Path]:
    figure, axes = plt.subplots(figsize=(7.5, 4.5), facecolor=GROUND, layout="constrained")
    axes.set_facecolor(GROUND)
    for label, colour, mark, values in lines:
        axes.plot(at, values, color=colour, marker=mark, linewidth=2, label=label)
    axes.set_title(title, color=INK, loc="left")
    axes.set_xlabel(what, color=INK)
    axes.set_ylabel("seconds", color=INK)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.tick_params(colors=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, labelcolor=INK)
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=144, facecolor=GROUND, metadata={"Date": None} if path.suffix == ".svg" else {})
    plt.close(figure)
    description = f"Seconds against the number of {what}. Lines: {'; '.join(label for label, *_ in lines)}."
    drawn = paths[-1].read_text(encoding="utf-8")
    paths[-1].write_text(described(drawn, title, description), encoding="utf-8")
    return paths


def described(svg: str, title: str, description: str) -> str:
    """Add a title and a description, which Matplotlib leaves out, as the first elements of an SVG document."""
    start, bracket, rest = svg.partition("<svg ")
    attributes, end, rest = rest.partition(">")
    names = f"\n <title>{escape(title)}</title>\n <desc>{escape(description)}</desc>"
    return f"{start}{bracket}{attributes}{end}{names}{rest}"
