"""What filled columns of real tables look like, in one figure.

    PYTHONPATH=. python experiments/real_tables_figure.py --folder FOLDER

FOLDER holds adult, beijing, california and shoppers as in
experiments/fidelity.py. `--rows` complete rows of each get gaps (MAR,
`fidelity.holes`), and every method fills them `--draws` times through the
command that people type. These tables stay under `--work`, so that the figure
is drawn again at once; without that folder they are filled anew. A panel shows
the cells of one column that were gaps, as a method fills them, behind an
outline (of a scatter: over grey points) of what they truly are. Writes `--out`.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from experiments import records
from experiments.fidelity import fill, holes, sample

FLAGS = flags.FLAGS
TRUTH = "truth"
# Of Okabe and Ito's colours, which all eyes tell apart.
GREY, OURS, MICE, INK = "#b5b5b5", "#56a0d3", "#e69f00", "#222222"
TITLES = {"r-cart": "mice, cart", "r-default": "mice, default"}
SCHOOLING = (
    "Preschool,1st-4th,5th-6th,7th-8th,9th,10th,11th,12th,HS-grad,Some-college,"
    "Assoc-voc,Assoc-acdm,Bachelors,Masters,Prof-school,Doctorate"
).split(",")


class Row(NamedTuple):
    """A column that tells, and how it is shown.

    Attributes:
      table: of the folder.
      column: of the table.
      label: left of the row.
      bins: levels, or edges of numbers; bins are shown equally wide.
      ticks: places, counted in bins (of a scatter: on its axis), and labels.
      against: another column, to be the horizontal axis of a scatter.
      limits: of a scatter's axes, as `Axes.axis` takes them.
    """

    table: str
    column: str
    label: str
    bins: Sequence = ()
    ticks: Sequence[tuple[float, str]] = ()
    against: str = ""
    limits: Sequence[float] = ()


ROWS = (
    Row(
        "adult",
        "hours_per_week",
        "working hours\na week",
        np.arange(0.5, 81, 2),
        ((9.75, "20"), (19.75, "40"), (29.75, "60")),
    ),
    Row(
        "adult",
        "capital_gain",
        "capital gain",
        (-np.inf, -0.5, 0.5, 2500, 5000, 10000, 20000, np.inf),
        ((0.5, "<0"), (1.5, "0"), (4, "5000")),
    ),
    Row(
        "adult",
        "education",
        "education,\n16 levels",
        SCHOOLING,
        ((0.5, "least"), (15, "most")),
    ),
    Row(
        "beijing",
        "hour",
        "hour of the day",
        np.arange(-0.5, 24),
        ((0.5, "0"), (12.5, "12"), (23.5, "23")),
    ),
    Row(
        "shoppers",
        "ExitRates in %",
        "rate of exits",
        np.arange(-0.0025, 0.21, 0.005),
        ((0.5, "0"), (20.5, "0.1"), (40.5, "0.2")),
    ),
    Row(
        "california",
        "median_house_value",
        "house value\nby income",
        ticks=((2, "2"), (6, "6"), (10, "10")),
        against="median_income",
        limits=(0, 11, -50e3, 650e3),
    ),
)


def shares(values: pd.Series, bins: Sequence) -> np.ndarray:
    """Percent of values `[k]` in each bin; numbers beyond go to the ends."""
    if isinstance(bins[0], str):
        return np.array([100 * np.mean(values == level) for level in bins])
    inner = np.asarray(bins, float)[1:-1]
    place = np.searchsorted(inner, values.to_numpy(float), "right")
    return 100 * np.bincount(place, minlength=len(bins) - 1) / len(values)


def telling_seed(truth: pd.DataFrame, names: Sequence[str], rate: float) -> int:
    """The first seed with which all these columns get gaps."""
    for seed in itertools.count(1):
        if holes(truth, seed, "mar", rate)[list(names)].isna().any().all():
            return seed


def tables(name: str, methods: Sequence[str]) -> dict[str, list[pd.DataFrame]]:
    """The truth, `gaps`, and what each method fills, from `--work` or anew."""
    kept = pathlib.Path(FLAGS.work) / f"{name}_{FLAGS.rows}_{FLAGS.rate:g}"
    kept.mkdir(parents=True, exist_ok=True)
    if not (kept / "gaps.csv").exists():
        truth, _ = sample(FLAGS.folder, name, FLAGS.rows, 1)
        needed = [row.column for row in ROWS if row.table == name]
        seed = telling_seed(truth, needed, FLAGS.rate)
        truth.to_csv(kept / "truth.csv", index=False)
        gaps = holes(truth, seed, "mar", FLAGS.rate)
        gaps.to_csv(kept / "gaps.csv", index=False)
    found = {
        part: [pd.read_csv(kept / f"{part}.csv")] for part in (TRUTH, "gaps")
    }
    for method in methods:
        files = [kept / f"{method}_{k}.csv" for k in range(FLAGS.draws)]
        if not all(file.exists() for file in files):
            _fill(method, kept / "gaps.csv", files)
        found[method] = [pd.read_csv(file) for file in files]
    return found


def _fill(method: str, gaps: pathlib.Path, files: Sequence[pathlib.Path]):
    """Fills a CSV and keeps the filled tables as files."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "in.csv"
        path.write_bytes(gaps.read_bytes())
        filled, seconds = fill(method, path, len(files), 1, FLAGS.timeout)
    print(gaps.parent.name, method, round(seconds), "seconds", flush=True)
    for table, file in zip(filled, files, strict=True):
        table.to_csv(file, index=False)


def picture(
    rows: Sequence[Row],
    found: dict[str, dict[str, list[pd.DataFrame]]],
    methods: Sequence[str],
) -> Figure:
    """A row a column of some table, a column of panels a method.

    Args:
      rows: what is shown.
      found: of each table what `tables` gives.
      methods: in their order; the truth is shown first.
    """
    shown = (TRUTH, *methods)
    figure = Figure(
        figsize=(1.32 * len(shown) + 1.1, len(rows) + 0.6),
        layout="constrained",
    )
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.03)
    grid = figure.subplots(
        len(rows), len(shown), sharex="row", sharey="row", squeeze=False
    )
    for panels, row in zip(grid, rows, strict=True):
        of = found[row.table]
        gone = of["gaps"][0][row.column].isna()
        cells = lambda method: pd.concat([t[gone] for t in of[method]])
        for axes, method in zip(panels, shown, strict=True):
            draw = scatter if row.against else bars
            draw(axes, row, cells(TRUTH), cells(method), colour(method))
        _dress(panels, row)
    for axes, method in zip(grid[0], shown, strict=True):
        axes.set_title(TITLES.get(method, method), fontsize=9.5, color=INK)
    figure.align_ylabels(grid[:, 0])
    note = (
        "Cells that were gaps. Colour: as filled; outline, grey points: as they"
        " truly are. Heights in per cent, on a square-root scale."
    )
    figure.supxlabel(note, fontsize=7.5, color="#555555")
    return figure


def colour(method: str) -> str:
    """Grey for the truth, one for methods of R, one for all others."""
    if method == TRUTH:
        return GREY
    return MICE if method.startswith("r-") else OURS


def bars(
    axes: Axes, row: Row, truth: pd.DataFrame, filled: pd.DataFrame, shade: str
) -> None:
    """Shares of the filled cells, and the outline of the true ones'."""
    axes.stairs(shares(filled[row.column], row.bins), fill=True, color=shade)
    axes.stairs(shares(truth[row.column], row.bins), color=INK, linewidth=0.7)
    # The root shows what is rare beside heaps; a heap in a wrong place is cut.
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.set_ylim(0, 1.8 * shares(truth[row.column], row.bins).max())


def scatter(
    axes: Axes, row: Row, truth: pd.DataFrame, filled: pd.DataFrame, shade: str
) -> None:
    """Filled cells over the true ones, as many of each."""
    some = filled[: len(truth)]
    dots = dict(s=2.5, linewidths=0)
    axes.scatter(truth[row.against], truth[row.column], color=GREY, **dots)
    if shade != GREY:
        axes.scatter(some[row.against], some[row.column], color=shade, **dots)
    axes.axis(row.limits)


def _dress(panels: Sequence[Axes], row: Row) -> None:
    """Axes that say little: numbers at the first panel, lines below all."""
    for axes in panels:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set(color="#999999", linewidth=0.6)
        axes.tick_params(labelsize=7, width=0.6, colors="#666666", pad=1.5)
        axes.tick_params(length=2, left=False, labelbottom=axes is panels[0])
        axes.set_xticks(*zip(*row.ticks))
    # Unlike set_yticks, these leave the limits as they are.
    heights = (0, 250e3, 500e3) if row.against else (1, 5, 20, 50)
    panels[0].yaxis.set_major_locator(FixedLocator(heights))
    label = lambda y, _: f"{y / 1000:g}k" if row.against and y else f"{y:g}"
    panels[0].yaxis.set_major_formatter(label)
    panels[0].set_ylabel(
        row.label, fontsize=8.5, color=INK, rotation=0, ha="right", va="center"
    )


def main(argv: list[str]) -> None:
    """Fills what is not there yet, and draws."""
    del argv
    names = dict.fromkeys(row.table for row in ROWS)
    found = {name: tables(name, FLAGS.methods) for name in names}
    out = pathlib.Path(FLAGS.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture(ROWS, found, FLAGS.methods).savefig(out, dpi=200)
    print(out)


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("folder", "~/real_tables", "Holds NAME.csv.gz.")
    flags.DEFINE_list(
        "methods",
        ["miri", "chained", "gaussian", "r-cart"],
        "Methods, in their order.",
    )
    flags.DEFINE_integer("rows", 2000, "Rows to fill.")
    flags.DEFINE_integer("draws", 5, "Filled tables, all of which bars show.")
    flags.DEFINE_float("rate", 0.25, "Share of gaps in a column with gaps.")
    flags.DEFINE_float("timeout", 900, "Seconds for a command.")
    flags.DEFINE_string("work", "runs/real_tables", "Where tables are kept.")
    flags.DEFINE_string("out", "docs/real_tables.png", "The figure.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
