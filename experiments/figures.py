"""Figures of the papers, from results/*.jsonl and a few fits.

    PYTHONPATH=. python experiments/figures.py

Writes to docs/: `figure1.png`, density of the toy as each method imputes it,
and `figure1d.png`, MMD and MI over iterations (Figure 1); `uci_mcar.png`,
`uci_mar.png` and `uci_mnar.png`, MMD on the UCI tables at each rate (Figures 2
and 4, and the MAR figure of the slides). `--nofits` leaves out the first, which
fits. `generation.png` is Figure 1 of the MissDiff paper, fidelity of generated
rows over the share of gaps.
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import gaussian_kde

from experiments import benchmark, diffusion_tables, records, tables

FLAGS = flags.FLAGS
# One colour a method, whatever else is shown.
COLOURS = (
    "#d62728 #1f77b4 #2ca02c #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf"
    " #ff7f0e #aec7e8 #98df8a #c5b0d5 #c49c94 #ffbb78 #dbdb8d"
).split()
LIMIT = 4.2  # of the toy's axes


def main(argv: list[str]) -> None:
    """Draws what can be drawn."""
    del argv
    results, docs = pathlib.Path(FLAGS.results), pathlib.Path(FLAGS.docs)
    docs.mkdir(parents=True, exist_ok=True)
    rows = records.read(results / "toy.jsonl")
    found = tables.of_cells(results)
    for mechanism in ("mcar", "mar", "mnar"):
        figure = bars(found, mechanism, FLAGS.bars)
        if figure is not None:
            _save(figure, docs / f"uci_{mechanism}.png")
    _save(traces(rows), docs / "figure1d.png")
    made = diffusion_tables.cells(results)
    _save(fidelity(made), docs / "generation.png")
    if FLAGS.fits:
        _save(densities(FLAGS.methods), docs / "figure1.png")


def bars(
    found: tables.Found, mechanism: str, shown: Sequence[str]
) -> Figure | None:
    """MMD of methods on every table, a panel a rate.

    Args:
      found: see `tables.by_cell`.
      mechanism: of the mask.
      shown: the methods, in their order.

    Returns:
      The figure, or None where there is nothing to show.
    """
    cells = [
        cell
        for cell in found
        if cell[0] == mechanism and cell[2] != "toy" and cell[3] in shown
    ]
    if not cells:
        return None
    rates = sorted({cell[1] for cell in cells})
    names = list(dict.fromkeys(cell[2] for cell in cells))
    methods = [name for name in shown if name in {cell[3] for cell in cells}]
    figure = Figure(figsize=(12, 0.6 + 2.6 * len(rates)), layout="constrained")
    panels = figure.subplots(len(rates), 1, squeeze=False, sharex=True)[:, 0]
    for axes, rate in zip(panels, rates, strict=True):
        _panel(axes, found, mechanism, rate, names, methods)
    panels[-1].set_xticks(range(len(names)), names)
    figure.legend(
        handles=[Patch(color=colour(name), label=name) for name in methods],
        loc="outside upper center",
        ncols=min(len(methods), 8),
        frameon=False,
    )
    return figure


def _panel(
    axes: Axes,
    found: tables.Found,
    mechanism: str,
    rate: float,
    names: Sequence[str],
    methods: Sequence[str],
) -> None:
    """Groups of bars on a logarithmic axis, with deviations over masks."""
    groups = [
        [key for key in methods if (mechanism, rate, name, key) in found]
        for name in names
    ]
    width = min(0.84 / max(len(group) for group in groups), 0.2)
    low, high = np.inf, 0.0
    for place, (name, group) in enumerate(zip(names, groups, strict=True)):
        for k, method in enumerate(group):
            some = found[mechanism, rate, name, method].values()
            values = [row["mmd"] for row in some]
            mean = np.mean(values)
            axes.bar(
                place + (k - (len(group) - 1) / 2) * width,
                mean,
                width,
                yerr=np.std(values),
                error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
                color=colour(method),
            )
            low, high = min(low, mean), max(high, mean)
    # Tables differ by a factor of a hundred: a linear axis would hide most.
    axes.set_yscale("log")
    axes.set_ylim(low / 1.5, 1.5 * high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(f"MMD, {round(100 * rate)} % {mechanism.upper()}")
    axes.grid(axis="y", which="major", linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.spines[["top", "right"]].set_visible(False)


def colour(method: str) -> str:
    """The same for a method in every figure; miri's is red."""
    known = list(benchmark.METHODS)
    place = known.index(method) if method in known else sum(method.encode())
    return COLOURS[place % len(COLOURS)]


def densities(methods: Sequence[str]) -> Figure:
    """The toy as each method imputes it.

    Args:
      methods: to fit, to the toy with mask 1.
    """
    cell = benchmark.Cell("toy", "mcar", 0.3, 1, "", 1)
    dataset = benchmark.load(cell, "")
    count = len(methods) + 1
    across = min(4, count)
    down = -(-count // across)
    figure = Figure(figsize=(3.0 * across, 3.1 * down))
    grid = figure.add_gridspec(
        down,
        across,
        left=0.03,
        right=0.98,
        bottom=0.09 / down,
        top=1 - 0.17 / down,
        wspace=0.16,
        hspace=0.22,
    )
    title = "blue: imputed, with its MMD; red: the truth"
    figure.suptitle(title, fontsize=10, y=1 - 0.02 / down)
    places = [(i, j) for i in range(down) for j in range(across)]
    truth = np.asarray(dataset.truth)
    pairs = [("truth", truth, None)]
    for method in methods:
        cell = cell._replace(method=method)
        (filled,), _ = benchmark.imputations(cell, dataset)
        distance = dataset.compare(filled)["mmd"]
        print(f"{method}: mmd {distance:.4f}", flush=True)
        pairs.append((method, filled, distance))
    for place, (method, filled, distance) in zip(places, pairs):
        title = method if distance is None else f"{method}, {distance:.3f}"
        _density(figure, grid[place], title, filled, truth)
    return figure


def _density(
    figure: Figure,
    place,
    title: str,
    filled: np.ndarray,
    truth: np.ndarray,
) -> None:
    """A plane of density with the truth's contours, and both marginals."""
    inner = place.subgridspec(
        2, 2, height_ratios=(1, 4), width_ratios=(4, 1), wspace=0, hspace=0.02
    )
    plane = figure.add_subplot(inner[1, 0])
    top = figure.add_subplot(inner[0, 0], sharex=plane)
    side = figure.add_subplot(inner[1, 1], sharey=plane)
    line = np.linspace(-LIMIT, LIMIT, 90)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    # The square root shows the thin ridges that a wrong fill leaves.
    density = lambda x: np.sqrt(_mixture(x, grid))
    plane.contourf(line, line, density(filled), 14, cmap="Blues")
    plane.contour(
        line, line, density(truth), 4, colors="#d62728", linewidths=0.7
    )
    for axes, j in ((top, 0), (side, 1)):
        for x, shade in ((filled, "#1f77b4"), (truth, "#d62728")):
            height = gaussian_kde(x[:, j], 0.12)(line)
            pair = (line, height) if j == 0 else (height, line)
            axes.plot(*pair, color=shade, linewidth=1)
        axes.axis("off")
    plane.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT))
    plane.set(xticks=(-2, 2), yticks=(-2, 2))
    top.set_title(title, fontsize=11)


def _mixture(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Kernel density of `[n, 2]` on a grid `[k, k, 2]`, by axes."""
    width = 0.22
    near = lambda line, values: np.exp(
        -0.5 * ((line[:, None] - values[None, :]) / width) ** 2
    )
    return near(grid[:, 0, 1], x[:, 1]) @ near(grid[0, :, 0], x[:, 0]).T


def traces(rows: Sequence[dict]) -> Figure:
    """MMD and MI over iterations, means over the masks of the last runs.

    Args:
      rows: lines of `toy_numbers.py`.
    """
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    marks = {"miri": "-", "miri_paper": "--"}
    last = {
        (row["method"], row["mask_seed"]): row
        for row in rows
        if row["dataset"] == "toy" and "mmd_trace" in row
    }
    other = axes.twinx()
    for method, style in marks.items():
        some = [row for (name, _), row in last.items() if name == method]
        if not some:
            continue
        for on, key, shade in (
            (axes, "mmd_trace", "#1f77b4"),
            (other, "mi_trace", "#ff7f0e"),
        ):
            length = min(len(row[key]) for row in some)
            mean = np.mean([row[key][:length] for row in some], axis=0)
            on.plot(mean, style, color=shade, linewidth=1.3)
        axes.plot([], [], style, color="#333333", label=method)
    axes.set_yscale("log")
    other.set_yscale("symlog", linthresh=0.01)  # around 0 it is noise
    other.axhline(0, color="#ff7f0e", linewidth=0.4)
    axes.set_xlabel("iterations")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    other.set_ylim(bottom=-0.01)
    other.set_yticks((0, 0.01, 0.1), ("0", "0.01", "0.1"))
    other.minorticks_off()
    axes.set_ylabel("MMD", color="#1f77b4")
    other.set_ylabel("MI, nats", color="#ff7f0e")
    axes.legend(frameon=False, fontsize=9)
    return figure


def fidelity(cells: Mapping[tuple, Sequence[dict]]) -> Figure:
    """SDMetrics of generated rows over the share of gaps, a panel a mechanism.

    Args:
      cells: see `diffusion_tables.cells`, of which those of `network` are
        drawn: the mean over masks, and a band of one deviation.
    """
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    panels = {"mcar_row": "by row", "mcar_column": "by column", "mcar": "MCAR"}
    marks = {
        "missdiff": ("MissDiff", "#d62728"),
        "delete": ("complete rows", "#1f77b4"),
        "mean": ("means filled in", "#2ca02c"),
        "gaussian": ("gaussian", "#7f7f7f"),
    }
    every = figure.subplots(1, len(panels), sharey=True)
    for axes, (mechanism, title) in zip(every, panels.items()):
        for method, (label, shade) in marks.items():
            scores = {
                rate: [100 * row["sdmetrics"] for row in some]
                for (name, *of, rate, what), some in cells.items()
                if (name, *of, what) == ("network", mechanism, method)
                and all(row["sdmetrics"] for row in some)
            }
            rates, each = list(scores), list(scores.values())
            mean = np.array([np.mean(some) for some in each])
            wide = np.array([np.std(some) for some in each])
            at = [100 * rate for rate in rates]
            axes.plot(at, mean, "o-", color=shade, label=label, markersize=3)
            axes.fill_between(
                at, mean - wide, mean + wide, color=shade, alpha=0.2, lw=0
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("gaps, %")
        axes.spines[["top", "right"]].set_visible(False)
    every[0].set_ylabel("SDMetrics, %")
    every[0].legend(frameon=False, fontsize=8)
    return figure


def _save(figure: Figure, path: pathlib.Path) -> None:
    figure.savefig(path, dpi=110)
    print(path)


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("results", "results", "The folder of results.")
    flags.DEFINE_string("docs", "docs", "Where the pictures go.")
    flags.DEFINE_bool("fits", True, "Whether to draw Figure 1, which fits.")
    flags.DEFINE_list(
        "methods", list(benchmark.METHODS)[:-1], "Methods of Figure 1."
    )
    flags.DEFINE_list("bars", list(benchmark.METHODS), "Methods of the bars.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
