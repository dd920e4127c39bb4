"""report.html: one self-contained page on what a run did; docs/report.md.

Of a file it tells what can be told without the truth: where the gaps are and
whether they are random, how imputed values differ from observed ones and draws
from each other, and what to beware of.

    contents      what a page holds, by the class of its dataset
    page          templates/ filled with it, pictures embedded
    wording       sentences that depend on numbers; the others are in templates/
    warnings      rules that warn
    checked       what overimputation shows
    sections      what is told of each column
    drawing       its pictures, as paths of SVG
    scales        axes on which no column is one bar
    partners      the column that goes with another most
    curves        what was measured over the iterations
    figures       pictures of images, and of tables that come from no file
    telling       whether a classifier can tell where gaps are
    little        Little's test
    text          names and numbers as text
    facts         columns as they are compared
    filling       what a filling lost
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from miri_jax.data import Dataset
from miri_jax.report.contents import contents_of
from miri_jax.report.filling import filling_warnings
from miri_jax.report.page import embed_all, render, write_page


def write_report(
    folder: pathlib.Path,
    dataset: Dataset,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> str:
    """Writes report.html and its pictures.

    Args:
      folder: the run's folder; pictures, where there are any, go to pictures/
        below it.
      dataset: the table, or the images, with gaps.
      draws: filled tables `[n, d]`, raw scale, or images `[n, h, w, 3]` uint8.
      trace: the lines of metrics.jsonl.
      summary: what summary.json will hold.

    Returns:
      The page's address, a file:// URI.
    """
    template, figures, facts = contents_of(dataset, draws, trace, summary)
    pictures = embed_all(folder / "pictures", figures)
    path = folder / "report.html"
    write_page(
        path, render(template, summary=summary, pictures=pictures, **facts)
    )
    return path.absolute().as_uri()


__all__ = ["filling_warnings", "write_report"]
