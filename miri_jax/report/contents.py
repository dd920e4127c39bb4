"""What the page of a dataset holds: its template, pictures and facts.

`contents_of` is the one place that looks at a dataset's class.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from miri_jax.data import AmputatedTable, Dataset, FileTable, ImageSet
from miri_jax.data.plans import plans_of
from miri_jax.notes import Note
from miri_jax.report import wording
from miri_jax.report.checked import (
    check_rows,
    check_verdict,
    check_warnings,
    warnings_of_cells,
)
from miri_jax.report.curves import curves_of
from miri_jax.report.drawing import bars
from miri_jax.report.facts import (
    MAX_PATTERNS,
    View,
    gap_patterns,
    sample_rows,
    views_of_file,
    views_of_numbers,
)
from miri_jax.report.little import little_of_file
from miri_jax.report.partners import partners_of
from miri_jax.report.sections import sections_of
from miri_jax.report.telling import Prediction, predict_gaps, too_few
from miri_jax.report.text import full_name, quoted, shorten
from miri_jax.report.warnings import named_by_rules, warnings_of

# Only pictures of a run that comes from no file need Matplotlib, which takes
# most of a second to load.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What stands for a check where there was none.
NO_CHECK = {"columns": {}}
# Of a longer table a random part is shown.
MAX_ROWS = 200_000


class Contents(NamedTuple):
    """What a page is made of.

    Attributes:
      template: its file in templates/.
      figures: by the name of their file; None where there is nothing to draw.
      facts: what the template reads, beside the summary and the pictures.
    """

    template: str
    figures: "dict[str, Figure | None]"
    facts: dict[str, Any]


@functools.singledispatch
def contents_of(
    dataset: Any,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> Contents:
    """The contents of a page, by the class of the dataset.

    Args:
      dataset: see `write_report`, as are the others.
      draws: filled.
      trace: measured over the iterations.
      summary: of the run.

    Raises:
      TypeError: if pages of such datasets are unknown.
    """
    raise TypeError(f"no report is known of a {type(dataset).__name__}")


@contents_of.register
def _contents_of_images(
    dataset: ImageSet,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> Contents:
    from miri_jax.report import figures

    del summary  # the template reads it
    pictures = {
        "images": figures.images_picture(dataset, draws),
        "trace": figures.trace_picture(trace),
    }
    facts = {
        **_facts_of_check(NO_CHECK),
        "shape": dataset.m.shape,
        "draws": len(draws),
        "truth_known": dataset.truth is not None,
    }
    return Contents("images.html", pictures, facts)


@contents_of.register
def _contents_of_numbers(
    dataset: AmputatedTable,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> Contents:
    """Of a table that comes from no file."""
    from miri_jax.report import figures

    part, draws = _part_of(dataset, draws)
    views = views_of_numbers(part, draws)
    check = summary.get("check", NO_CHECK)
    pictures = {
        "pairs": figures.pairs_picture(part, draws[0]),
        "columns": figures.columns_picture(views),
        "trace": figures.trace_picture(trace),
    }
    facts = {
        **_facts_of_table(dataset, part, views, summary["notes"]),
        **_facts_of_check(check),
        "truth_known": dataset.truth is not None,
    }
    return Contents("numbers.html", pictures, facts)


@contents_of.register
def _contents_of_file(
    dataset: FileTable,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> Contents:
    """Of a file: what can be said without the truth."""
    part, draws = _part_of(dataset, draws)
    views = views_of_file(part, draws)
    facts = {
        **_facts_of_table(dataset, part, views, summary["notes"]),
        "title": _title(summary),
        "draws": len(draws),
        "truth_known": False,
    }
    if not summary["realised_rate"]:
        return Contents("complete.html", {}, facts)
    check = summary.get("check", NO_CHECK)
    found = predict_gaps(part, views, draws[0])
    notes = wording.note_lines(summary["notes"], views)
    grave = [note for note in notes if note.weight == "beware"]
    notes = [note for note in notes if note.weight == "said"]
    named = named_by_rules(views)
    warnings = [
        *map(_sentence, summary.get("changes", ())),
        *map(_sentence, grave),
        *summary.get("filling", ()),
        *check_warnings(check),
        *warnings_of(views, found, named),
    ]
    sections = sections_of(
        views,
        plans_of(dataset.table),
        partners_of(views),
        summary["method"],
        named,
    )
    checked = check["columns"]
    sections = [
        one._replace(
            beware=[
                *map(_sentence, filter(_about(one.view), grave)),
                *one.beware,
                *(
                    warnings_of_cells(name, checked[name])
                    if (name := one.view.name) in checked
                    else ()
                ),
            ]
        )
        for one in sections
    ]
    facts |= {
        "notes": notes,
        **_facts_of_gaps(views, found),
        **_facts_of_check(check),
        "complete_rows": wording.complete_rows(dataset.gaps()),
        "warnings": warnings,
        "usable": wording.usable(len(warnings), len(notes), check),
        "sections": sections,
        "pointed": {
            one.view.number: max(
                len(one.beware), sum(quoted(one.view) in w for w in warnings)
            )
            for one in sections
        },
        "some_stay": any(one.stays for one in sections),
        "curves": curves_of(trace),
        "little": wording.little_verdict(little_of_file(part, views)),
    }
    return Contents("file.html", {}, facts)


def _title(summary: Mapping[str, Any]) -> str:
    name = summary.get("input")
    return (
        f"Imputation report: {shorten(name)}" if name else "Imputation report"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _about(view: View) -> Callable[[Note], bool]:
    """Whether a note is of a column."""
    return lambda note: (
        note.column is not None and str(note.column) == str(view.name)
    )


def _part_of(
    dataset: Dataset, draws: Sequence[np.ndarray]
) -> tuple[Dataset, Sequence[np.ndarray]]:
    """Of a long table a random part."""
    n = len(dataset.m)
    if n <= MAX_ROWS:
        return dataset, draws
    rows = np.sort(sample_rows(np.arange(n), MAX_ROWS))
    return dataset.take(rows), [draw[rows] for draw in draws]


def _facts_of_table(
    dataset: Dataset,
    part: Dataset,
    views: Sequence[View],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What all pages of tables read."""
    shown = len(part.m)
    return {
        "rows_shown": shown if shown < len(dataset.m) else None,
        "complete_rows": "",
        "notes": wording.note_lines(notes, views),
        "views": views,
        "gaps": [view for view in views if view.missing.any()],
    }


def _facts_of_check(check: Mapping[str, Any]) -> dict[str, Any]:
    """How well known cells were filled again, where that was asked."""
    if not check["columns"]:
        return {"check": None}
    return {
        "check": check,
        "check_rows": check_rows(check, len(check["columns"])),
        "check_ranks": [
            (name, bars(np.array(one["ranks"])))
            for name, one in check["columns"].items()
            if "ranks" in one
        ],
        "check_verdict": check_verdict(check),
    }


def _facts_of_gaps(
    views: Sequence[View], found: Sequence[Prediction]
) -> dict[str, Any]:
    """Where gaps are and how well they can be told."""
    gaps = [view for view in views if view.missing.any()]
    shown, share, total = [], 0.0, 0
    if gaps:
        patterns, counts = gap_patterns(gaps)
        total = len(counts)
        share = counts[:MAX_PATTERNS].sum() / counts.sum()
        shown = [
            (
                int(count),
                ", ".join(full_name(v) for v, m in zip(gaps, row) if m),
            )
            for row, count in zip(patterns, counts[:MAX_PATTERNS])
        ]
    few = sum(map(too_few, gaps))
    return {
        "patterns": total,
        "patterns_shown": shown,
        "patterns_share": share,
        "pattern_rows": len(views[0].missing),
        "strongest_pair": wording.strongest_pair(gaps),
        "found": found,
        "verdict": wording.verdict(found),
        "chance": 2 * max((p.error for p in found), default=0.0),
        "few": few,
        "not_drawn": len(gaps) - few - len(found),
    }
