"""What the page says where words depend on numbers; the rest is in templates.

Text is plain: the templates escape it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from miri_jax.notes import Note, percent
from miri_jax.report.facts import (
    DAY,
    View,
    draw_spread,
    gap_correlation,
)
from miri_jax.report.little import McarTest
from miri_jax.report.telling import MIN_CLASS, Prediction, told_before
from miri_jax.report.text import (
    DASH,
    counted,
    listed,
    number_text,
    quoted,
    shorten,
    value_text,
)

MEANING = {
    "mmd": "distance between the filled and the true table's distribution; 0"
    " is best",
    "mi": "how well one can tell which cells were filled: 0 for the truth where"
    " gaps are completely at random, by chance less; more where other columns"
    " tell of the gaps. Mutual information of filled table and mask, in nats,"
    " on held-out rows",
    "mi_error": "how far chance moves that: its standard error",
    "conditional_mi": "how much filled cells tell of their having been gaps,"
    " beyond what the rest of their row tells: 0 is right, by chance it is a"
    " little less; few gaps tell little. Conditional mutual information in"
    " nats, summed over columns, on held-out rows",
    "conditional_mi_error": "how far chance moves that: its standard error",
    "mi_entropy": "the most that there would be to tell: the entropies of the"
    " columns of the mask, summed, in nats",
    "psnr": "peak signal-to-noise ratio of whole images in dB; higher is"
    " better",
    "ssim": "structural similarity of whole images, at most 1",
    "swd": "sliced Wasserstein distance between true and filled images, times"
    " 1000: how much the filled images, as a set, differ from true ones; 0 is"
    " best",
    "psnr_of_mean": "psnr of the mean of all draws",
    "ssim_of_mean": "ssim of the mean of all draws",
    "rmse": "root mean squared error of the missing cells, in standard"
    " deviations of their column",
    "mae": "mean absolute error of the missing cells, likewise",
    "rmse_all": "root mean squared error over all cells, raw scale",
    "mae_all": "mean absolute error over all cells, raw scale",
    "rmse_of_mean": "rmse of the mean of all draws",
    "mae_of_mean": "mae of the mean of all draws",
}
KINDS = {
    "real": "number",
    "integer": "whole number",
    "datetime": "time",
    "ordinal": "ordered levels",
    "boolean": "yes or no",
    "categorical": "levels",
    "id": "id, not used",
}


def complete_rows(missing: np.ndarray) -> str:
    """How many columns have gaps, and how many rows have none."""
    complete = ~missing.any(axis=1)
    gaps = int(missing.any(axis=0).sum())
    verb = "is" if complete.sum() == 1 else "are"
    rows = (
        f"{counted(complete.sum(), 'row')} ({percent(complete.mean())}) {verb}"
        " complete, and an analysis of these alone would lose what the others"
        " tell."
        if complete.any()
        else "no row is complete."
    )
    return f"There are gaps in {counted(gaps, 'column')}; {rows}"


def note_lines(notes: Sequence[str], views: Sequence[View]) -> list[Note]:
    """All notes, each once and on one line, columns in the page's quotes."""
    lines = []
    for note in map(Note.of, dict.fromkeys(notes)):
        line = str(note)
        for view in views:
            line = line.replace(repr(view.name), quoted(view))
        lines.append(note.reworded(shorten(line, 1000)))
    return lines


def usable(warnings: int, notes: int, check: Mapping[str, Any]) -> str:
    """Whether the table can be used, as far as can be seen."""
    if warnings:
        told = (
            f"Not before you have read the {counted(warnings, 'point')} below"
            " that may change what you conclude."
        )
    else:
        told = "As far as can be seen, yes."
    if notes:
        also = "" if not warnings else "also "
        told += f" See {also}{counted(notes, 'note')} on how it was read."
    if not check["columns"]:
        return told + (
            " How near the filled cells are to the true ones was not tried."
        )
    return told + (
        " Known cells were hidden and filled again; how well is told below."
    )


def strongest_pair(views: Sequence[View]) -> str:
    """The two columns whose gaps go together most, or most exclude another."""
    shown, correlation = gap_correlation(views)
    if len(shown) < 2:
        return ""
    i, j = np.triu_indices(len(shown), 1)
    k = np.argmax(np.abs(correlation[i, j]))
    pair = f"{quoted(shown[i[k]])} and {quoted(shown[j[k]])}"
    value = round(correlation[i[k], j[k]], 2) + 0.0
    return f"The strongest: {pair}, {value:.2f}."


def verdict(found: Sequence[Prediction]) -> str:
    """Whether other columns tell where gaps are."""
    if not found:
        return (
            f"No column has {MIN_CLASS} gaps and as many values: too few to"
            " tell."
        )
    told = list(filter(told_before, sorted(found, key=lambda p: -p.before)))
    if not told:
        return (
            "The other columns do not tell where the gaps are, as would be the"
            " case if cells were lost completely at random (MCAR). Gaps that"
            " depend on the lost values themselves cannot be ruled out by any"
            " data."
        )
    names = listed([f"{quoted(p.view)} ({p.before:.2f})" for p in told])
    return (
        "Not completely: the other columns tell, by their values or their"
        f" gaps, where the gaps are in {names}; 0.5 would be guessing, 1 is"
        " certain. An analysis of complete rows only may be biased. Imputation"
        " uses what these columns tell (MAR); where they have gaps in the same"
        " rows, as after a dropout, it has less to go by. Gaps that depend on"
        " the lost values themselves (MNAR) cannot be seen in any data, so ask"
        " how the data came about."
    )


def little_verdict(test: McarTest | None) -> str:
    """What Little's test finds."""
    if test is None:
        return (
            "There are too few columns of numbers, or patterns of gaps, for"
            " Little's test of whether gaps are completely at random."
        )
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    means = (
        "so small a p speaks against it"
        if test.p < 0.05
        else "it finds nothing that speaks against it"
    )
    return (
        "Little's test of the claim that gaps are completely at random:"
        f" chi-square {number_text(test.statistic)} on {test.df} degrees of"
        f" freedom, {p}; {means}. It compares the means of"
        f" {test.columns} columns of numbers over {test.patterns} patterns of"
        " gaps with those of a normal distribution fitted to the observed"
        " cells; columns of levels are left out, and columns with heavy tails"
        " enter as ranks. With thousands of rows it finds differences too small"
        " to matter."
    )


def range_text(view: View) -> str:
    """What was observed of a column: how many levels, or from where to where.

    Of an id, and where there is nothing, a dash.
    """
    if view.levels is not None:
        return counted(len(view.levels), "level")
    if not len(view.observed):
        return DASH
    low, high = view.observed.min(), view.observed.max()
    return f"{value_text(view, low)} to {value_text(view, high)}"


def spread_text(view: View) -> str:
    """How far the draws of a cell are apart, see `facts.draw_spread`."""
    if len(view.imputed) < 2 or not view.missing.any():
        return DASH
    value = draw_spread(view)
    if view.levels is not None:
        return percent(value, 0)
    if view.kind != "datetime":
        return number_text(value, 3)
    units = {"days": DAY, "hours": 3600, "minutes": 60, "seconds": 1}
    name = next((k for k, v in units.items() if value >= v), "seconds")
    return f"{number_text(value / units[name], 3)} {name}"
