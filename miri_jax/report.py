"""report.html: one self-contained page that says what a run did."""

import base64
import html
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from miri_jax.data import Dataset
from miri_jax.writers import write_atomically

OBSERVED, IMPUTED, TRUE = "#4c566a", "#d08770", "#5e81ac"
MAX_COLUMNS = 12
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #2e3440; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .9rem .2rem 0; text-align: right;
  border-bottom: 1px solid #e5e9f0 }
td:first-child, th:first-child { text-align: left }
td.note { text-align: left; color: #4c566a }
img { max-width: 100%; height: auto } p, figcaption { color: #4c566a }
figure { margin: 1rem 0 }
"""
MEANING = {
    "mmd": "distance between the filled and the true table's distribution; 0"
    " is best",
    "mi": "mutual information of filled table and mask in nats, on held-out"
    " rows: how well one can tell which cells were filled; lower is better",
    "mi_error": "standard error of mi",
    "mi_entropy": "entropy of the mask: what mi comes to where gaps are filled"
    " with the mean",
    "mi_floor": "what the columns without gaps tell about the mask by"
    " themselves: no imputation can bring mi below it",
    "rmse": "error of the missing cells, in deviations of their column",
    "mae": "absolute error of the missing cells, in deviations",
    "rmse_all": "error over all cells, raw scale",
    "mae_all": "absolute error over all cells, raw scale",
    "rmse_of_mean": "rmse of the mean of all draws",
    "mae_of_mean": "mae of the mean of all draws",
}


def write_report(
    folder: pathlib.Path,
    dataset: Dataset,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> str:
    """Writes report.html and its pictures.

    Args:
      folder: the run's folder; pictures go to pictures/ below it.
      dataset: the table with gaps.
      draws: filled tables `[n, d]`, raw scale.
      trace: the lines of metrics.jsonl.
      summary: what summary.json will hold.

    Returns:
      The page's address, a file:// URI.
    """
    (folder / "pictures").mkdir(exist_ok=True)
    pictures = {
        "pairs": pairs_picture(dataset, draws[0]),
        "columns": columns_picture(dataset, draws[0]),
        "trace": trace_picture(trace),
    }
    embedded = {}
    for name, figure in pictures.items():
        if figure is None:
            continue
        png = _png(figure)
        path = folder / "pictures" / f"{name}.png"
        write_atomically(path, lambda p: pathlib.Path(p).write_bytes(png))
        embedded[name] = base64.b64encode(png).decode()
    path = folder / "report.html"
    page = _page(dataset, summary, embedded)
    write_atomically(path, lambda p: pathlib.Path(p).write_text(page, "utf-8"))
    return path.absolute().as_uri()


def pairs_picture(dataset: Dataset, filled: np.ndarray) -> Figure | None:
    """Density of the first two columns: true, filled by mean, filled (Fig. 1).

    Only where the truth is known and there are just two columns.
    """
    if dataset.truth is None or dataset.m.shape[1] != 2:
        return None
    mean_fill = dataset.restore(np.zeros(dataset.m.shape))
    panels = {
        "truth": dataset.truth,
        "filled with the mean": mean_fill,
        "filled by this run": filled,
    }
    figure, axes = _panels(3, 3, (3.3, 3.6), sharex=True, sharey=True)
    low, high = dataset.truth.min(axis=0), dataset.truth.max(axis=0)
    bins = [np.linspace(low[k], high[k], 61) for k in range(2)]
    counts = {k: np.histogram2d(*v.T, bins=bins)[0] for k, v in panels.items()}
    # One scale for all, set by the truth, so that panels can be compared.
    top = counts["truth"].max()
    for axis, (title, count) in zip(axes.flat, counts.items()):
        axis.pcolormesh(*bins, count.T, cmap="magma", vmin=0, vmax=top)
        axis.set_title(title)
        axis.set_xlabel(dataset.columns[0])
    axes.flat[0].set_ylabel(dataset.columns[1])
    return figure


def columns_picture(dataset: Dataset, filled: np.ndarray) -> Figure | None:
    """Histograms of observed and imputed values, column by column."""
    shown = _shown_columns(dataset)
    if not shown:
        return None
    figure, axes = _panels(len(shown), 3, (3.4, 2.1))
    for axis, j in zip(axes.flat, shown):
        _histograms(axis, dataset, filled, j)
    axes.flat[0].legend(frameon=False, fontsize=8)
    return figure


def trace_picture(trace: Sequence[dict[str, Any]]) -> Figure | None:
    """Loss, MMD and MI over iterations; what was not measured is left out."""
    names = [
        name
        for name in ("loss", "mmd", "mi")
        if sum(name in row for row in trace) > 1
    ]
    if not names:
        return None
    figure, axes = _panels(len(names), 3, (3.4, 2.6))
    labels = {"mi": "mutual information (nats)", "mmd": "MMD to the truth"}
    for axis, name in zip(axes.flat, names):
        rows = [row for row in trace if name in row]
        axis.plot(
            [row["iteration"] for row in rows],
            [row[name] for row in rows],
            color=TRUE,
            marker="o",
            markersize=3,
        )
        axis.set_title(labels.get(name, f"training {name}"), fontsize=10)
        axis.set_xlabel("iteration")
        values = [row[name] for row in rows]
        axis.set_ylim(min(0, *values), 1.08 * max(1e-3, *values))
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _panels(
    count: int, columns: int, size: tuple[float, float], **shared: bool
) -> tuple[Figure, np.ndarray]:
    """A figure of `count` panels of `size` (width, height) in inches.

    Margins are set by hand: a layout found by trial takes as long as drawing.
    """
    width, height = min(count, columns), -(-count // columns)
    figure = Figure(figsize=(size[0] * width, size[1] * height))
    axes = figure.subplots(height, width, squeeze=False, **shared)
    left, right, top, bottom = 0.6, 0.15, 0.35, 0.55
    inner = size[0] - left - right, size[1] - top - bottom
    figure.subplots_adjust(
        left=left / figure.get_figwidth(),
        right=1 - right / figure.get_figwidth(),
        top=1 - top / figure.get_figheight(),
        bottom=bottom / figure.get_figheight(),
        wspace=(left + right) / inner[0],
        hspace=(top + bottom) / inner[1],
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def _histograms(
    axis: Any, dataset: Dataset, filled: np.ndarray, j: int
) -> None:
    m, values = dataset.m[:, j], filled[:, j]
    bins = np.histogram_bin_edges(values, bins=40)
    groups = [("observed", values[m], OBSERVED, True)]
    if dataset.truth is not None:
        hidden = dataset.truth[~m, j]
        groups.append(("true, hidden", hidden, TRUE, False))
    groups.append(("imputed", values[~m], IMPUTED, False))
    for label, sample, colour, solid in groups:
        if len(sample):
            weights = np.full(len(sample), 1 / len(sample))
            axis.hist(
                sample,
                bins,
                weights=weights,
                label=label,
                color=colour,
                histtype="stepfilled" if solid else "step",
                alpha=0.35 if solid else 1,
                linewidth=1.4,
            )
    # A name may hold a dollar, which would start mathematics.
    title = dataset.columns[j].replace("$", r"\$")
    axis.set_title(title[:40], fontsize=10)
    axis.set_yticks([])
    axis.locator_params(axis="x", nbins=4)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _shown_columns(dataset: Dataset) -> list[int]:
    """The columns with the most gaps, in the order of the table."""
    missing = np.sum(~dataset.m, axis=0)
    most = np.argsort(-missing, kind="stable")[:MAX_COLUMNS]
    return sorted(int(j) for j in most if missing[j])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _page(
    dataset: Dataset, summary: dict[str, Any], pictures: dict[str, str]
) -> str:
    left_out = int(np.sum(~dataset.m.all(axis=0))) - MAX_COLUMNS
    more = (
        f" The {MAX_COLUMNS} columns with the most gaps; {left_out} more have"
        " gaps."
        if left_out > 0
        else ""
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Imputation report</title><style>{STYLE}</style>",
        "<h1>Imputation report</h1>",
        _introduction(summary),
        "<h2>How good is it?</h2>",
        _metrics_table(summary["metrics"]),
        ""
        if dataset.truth is not None
        else "<p>There is no truth to compare with, so no error can be"
        " given; mutual information needs none.</p>",
        _picture(
            pictures.get("pairs"),
            "True and filled table",
            "Density of the rows. All panels share one scale.",
        ),
        _picture(
            pictures.get("trace"),
            "Over the iterations",
            "Iteration 0 is the table that the fit started from.",
        ),
        _picture(
            pictures.get("columns"),
            "Observed and imputed values",
            "Share of the values in each bin. Where gaps depend on other"
            " columns, imputed values may rightly differ from observed"
            " ones." + more,
        ),
        "<h2>Gaps by column</h2>",
        _gaps_table(dataset),
        _colophon(summary),
    ]
    return "".join(parts) + "</html>"


def _introduction(summary: dict[str, Any]) -> str:
    results = ", ".join(
        f"<a href='{html.escape(name)}'>{html.escape(name)}</a>"
        for name in summary["results"]
    )
    notes = "".join(
        f"<li>{html.escape(note)}</li>" for note in summary["notes"]
    )
    return (
        f"<p>{summary['rows']} rows, {summary['columns']} columns,"
        f" {summary['realised_rate']:.1%} of the cells missing, filled by"
        f" <b>{html.escape(summary['method'])}</b>"
        f" ({summary['draws']} draw{'s' * (summary['draws'] > 1)})."
        f" Result: {results}. Observed cells are as they came.</p>"
        + (f"<ul>{notes}</ul>" if notes else "")
    )


def _picture(png: str | None, title: str, caption: str) -> str:
    """A heading and a picture in base64; nothing where there is none."""
    if png is None:
        return ""
    return (
        f"<h2>{title}</h2><figure><img alt='{title}' src='data:image/png;"
        f"base64,{png}'><figcaption>{caption}</figcaption></figure>"
    )


def _colophon(summary: dict[str, Any]) -> str:
    versions = (f"{k} {v}" for k, v in summary["versions"].items())
    made_with = f"{', '.join(versions)}; {summary['device']}."
    return f"<h2>Made with</h2><p>{html.escape(made_with)}</p>"


def _metrics_table(metrics: dict[str, float]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value:.4g}</td>"
        f"<td class='note'>{MEANING.get(name, '')}</td></tr>"
        for name, value in metrics.items()
    )
    return f"<table>{rows}</table>"


def _gaps_table(dataset: Dataset) -> str:
    """Gaps of the file's own columns where there is a file."""
    names, missing = dataset.columns, dataset.gaps().sum(axis=0)
    if dataset.table is not None:
        names = tuple(column.name for column in dataset.table.columns)
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{count}</td>"
        f"<td>{count / len(dataset.m):.1%}</td></tr>"
        for name, count in zip(names, missing)
    )
    return (
        "<table><tr><th>column</th><th>missing</th><th>share</th></tr>"
        f"{rows}</table>"
    )
