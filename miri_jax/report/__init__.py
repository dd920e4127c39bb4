"""report.html: one self-contained page that says what a run did.

Of a file it says what can be said without the truth: where the gaps are and
whether they are random, how imputed values differ from observed ones and draws
from each other, and what to beware of.
"""

import base64
import html
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from miri_jax.data import Dataset, ImageSet
from miri_jax.report import figures as pictures
from miri_jax.report.facts import (
    MIN_CLASS,
    TELLING,
    McarTest,
    level_shares,
    listed,
    little_of_file,
    number_text,
    predict_gaps,
    quoted,
    spread,
    too_few,
    value_text,
    views_of,
    warnings_of,
)
from miri_jax.report.figures import (
    DAY,
    IMPUTED,
    MAX_COLUMNS,
    MAX_MATRIX,
    MAX_PATTERNS,
    OBSERVED,
    Prediction,
    View,
    shorten,
    with_gaps,
)
from miri_jax.runtime.files import write_atomically

# CSS pixels of an inch of a figure: 10.2 of them are the page's width.
PIXELS = 94
MAX_LEVELS = 10
# Of a longer table a random part is shown.
MAX_ROWS = 200_000
STYLE = f"""
body {{ font: 16px/1.5 system-ui, sans-serif; color: #2e3440;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: break-word }}
h1 {{ font-size: 1.6rem; margin-bottom: 0 }} h2 {{ margin-top: 2.5rem }}
h3 {{ font-size: 1rem; margin: 0 }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
td, th {{ padding: .2rem .9rem .2rem 0; text-align: right;
  border-bottom: 1px solid #e5e9f0; vertical-align: top;
  white-space: nowrap }}
td.text, th.text, td.name, td.note {{ text-align: left }}
td.name, td.note {{ white-space: normal }} td.note {{ color: #4c566a }}
td.name {{ overflow-wrap: anywhere; min-width: 8rem }}
img {{ max-width: 100%; height: auto }} p, figcaption {{ color: #4c566a }}
figure {{ margin: 1rem 0 }}
.warnings {{ background: #fdf6ec; border-left: 4px solid {IMPUTED};
  padding: .6rem 1rem .6rem 2rem; margin: 1rem 0 }}
.warnings li {{ margin: .3rem 0 }}
.cards {{ display: flex; flex-wrap: wrap; gap: 1.5rem 2rem }}
.cards div {{ flex: 1 1 20rem; max-width: 29rem; font-size: .85rem }}
.cards table {{ width: 100%; table-layout: fixed; line-height: 1.2 }}
.cards td {{ padding: .15rem .4rem .15rem 0 }}
.cards td.bars {{ width: 50% }} .cards td.name {{ width: 32% }}
.bars i {{ display: block; height: .7em; margin: .2em 0 .3em }}
.observed {{ background: {OBSERVED}73 }} .imputed {{ background: {IMPUTED} }}
.key {{ display: inline-block; width: .8rem; height: .6rem }}
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
    "psnr": "peak signal-to-noise ratio of whole images in dB; higher is"
    " better",
    "ssim": "structural similarity of whole images, at most 1",
    "swd": "sliced Wasserstein distance between true and filled images, times"
    " 1000: how unlike a set of true images the filled ones look; 0 is best",
    "psnr_of_mean": "psnr of the mean of all draws",
    "ssim_of_mean": "ssim of the mean of all draws",
    "rmse": "error of the missing cells, in deviations of their column",
    "mae": "absolute error of the missing cells, in deviations",
    "rmse_all": "error over all cells, raw scale",
    "mae_all": "absolute error over all cells, raw scale",
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
    if isinstance(dataset, ImageSet):
        return _write_image_report(folder, dataset, draws, trace, summary)
    complete = _complete_rows(dataset.gaps())
    dataset, draws, part = _part_of(dataset, draws)
    views = views_of(dataset, draws)
    figures = {
        "pairs": pictures.pairs_picture(dataset, draws[0]),
        "columns": pictures.columns_picture(views),
        "trace": pictures.trace_picture(trace),
    }
    found: list[Prediction] = []
    if getattr(dataset, "table", None) is not None:
        found = predict_gaps(dataset, views, draws[0])
        figures |= {
            "patterns": pictures.patterns_picture(views),
            "together": pictures.together_picture(views),
            "gaps": pictures.prediction_picture(found),
            "draws": pictures.draws_picture(views),
        }
    embedded = _embed_all(folder, figures)
    if getattr(dataset, "table", None) is None:
        sections = _plain_sections(dataset, views, summary, embedded)
    else:
        sections = _file_sections(
            dataset, views, found, summary, embedded, complete
        )
    sections.insert(1, part)
    return _write_page(folder, sections)


def _write_image_report(
    folder: pathlib.Path,
    dataset: ImageSet,
    draws: Sequence[np.ndarray],
    trace: Sequence[dict[str, Any]],
    summary: dict[str, Any],
) -> str:
    """As `write_report`, of images `[n, h, w, 3]` uint8."""
    embedded = _embed_all(
        folder,
        {
            "images": pictures.images_picture(dataset, draws),
            "trace": pictures.trace_picture(trace),
        },
    )
    n, h, w, _ = dataset.m.shape
    several = (
        " A draw is one plausible version, as sharp as the others; the mean of"
        " the draws is nearest to the truth on average, and smoother."
        if len(draws) > 1
        else ""
    )
    sections = [
        f"<p>{_count(n, 'image')} of {h} x {w},"
        f" {summary['realised_rate']:.1%} of the pixels missing, filled by"
        f" <b>{html.escape(summary['method'])}</b>"
        f" ({_count(len(draws), 'draw')}). Result: {_links(summary)}."
        f" Observed pixels are as they came.{several}</p>",
        _figure(embedded["images"], "Images", "Some of the images."),
        _metrics(dataset, summary),
        _trace(embedded),
        _colophon(summary),
    ]
    return _write_page(folder, sections)


def _embed_all(
    folder: pathlib.Path, figures: dict[str, Figure | None]
) -> dict[str, tuple[str, int]]:
    """Writes the figures that there are to pictures/, see `_embed`."""
    (folder / "pictures").mkdir(exist_ok=True)
    return {
        name: _embed(folder / "pictures" / f"{name}.png", figure)
        for name, figure in figures.items()
        if figure is not None
    }


def _write_page(folder: pathlib.Path, sections: Sequence[str]) -> str:
    path = folder / "report.html"
    page = _page(*sections)
    write_atomically(path, lambda p: pathlib.Path(p).write_text(page, "utf-8"))
    return path.absolute().as_uri()


def _links(summary: dict[str, Any]) -> str:
    return ", ".join(
        f"<a href='{html.escape(urllib.parse.quote(name))}'>"
        f"{html.escape(name)}</a>"
        for name in summary["results"]
    )


def _part_of(
    dataset: Dataset, draws: Sequence[np.ndarray]
) -> tuple[Dataset, Sequence[np.ndarray], str]:
    """Of a long table a random part, and a sentence that says so."""
    n = len(dataset.m)
    if n <= MAX_ROWS:
        return dataset, draws, ""
    rows = np.sort(np.random.default_rng(0).permutation(n)[:MAX_ROWS])
    said = (
        f"<p>Pictures, shares and warnings below are of {MAX_ROWS} rows chosen"
        " at random.</p>"
    )
    return dataset.take(rows), [draw[rows] for draw in draws], said


def _embed(path: pathlib.Path, figure: Figure) -> tuple[str, int]:
    """Writes a figure; gives it in base64, and its width on the page."""
    png = pictures.png(figure)
    write_atomically(path, lambda p: pathlib.Path(p).write_bytes(png))
    width = round(figure.get_figwidth() * PIXELS)
    return base64.b64encode(png).decode(), width


def _page(*sections: str) -> str:
    return "".join(
        (
            "<!doctype html><html lang='en'><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width'>",
            f"<title>Imputation report</title><style>{STYLE}</style>",
            "<h1>Imputation report</h1>",
            *sections,
            "</html>",
        )
    )


def _plain_sections(
    dataset: Dataset,
    views: Sequence[View],
    summary: dict[str, Any],
    embedded: dict[str, tuple[str, int]],
) -> list[str]:
    """The page of a table that comes from no file."""
    return [
        _introduction(summary),
        _notes(summary["notes"]),
        _metrics(dataset, summary),
        _section(
            "True and filled table",
            _figure(
                embedded.get("pairs"),
                "True and filled table",
                "Density of the rows. All panels share one scale.",
            ),
        ),
        _trace(embedded),
        _compared(views, embedded),
        _gaps_table(views),
        _colophon(summary),
    ]


def _file_sections(
    dataset: Dataset,
    views: Sequence[View],
    found: Sequence[Prediction],
    summary: dict[str, Any],
    embedded: dict[str, tuple[str, int]],
    complete: str,
) -> list[str]:
    """The page of a file: what can be said without the truth."""
    if not summary["realised_rate"]:
        return [
            _introduction(summary),
            "<p>Nothing was missing: the table came back as it was.</p>",
            _notes(summary["notes"]),
            _gaps_table(views),
            _colophon(summary),
        ]
    return [
        _introduction(summary, complete),
        _warnings(warnings_of(views, found)),
        _notes([note for note in summary["notes"] if not _warned(note)]),
        _where(views, embedded),
        _random(dataset, views, found, embedded),
        _compared(views, embedded),
        _draws(views, embedded),
        _trace(embedded),
        _metrics(dataset, summary),
        _gaps_table(views),
        _colophon(summary),
    ]


def _section(title: str, *parts: str) -> str:
    """A heading and what stands below it; nothing where that is nothing."""
    body = "".join(parts)
    return f"<h2>{title}</h2>{body}" if body else ""


def _figure(picture: tuple[str, int] | None, alt: str, caption: str) -> str:
    """A picture in base64; nothing where there is none."""
    if picture is None:
        return ""
    png, width = picture
    return (
        f"<figure><img alt='{alt}' width='{width}' src='data:image/png;"
        f"base64,{png}'><figcaption>{caption}</figcaption></figure>"
    )


def _introduction(summary: dict[str, Any], more: str = "") -> str:
    several = (
        " Each draw is one plausible version of the table: run your analysis on"
        " every one of them; how far the answers lie apart is what the gaps"
        " cost."
        if summary["draws"] > 1
        else ""
    )
    return (
        f"<p>{summary['rows']} rows, {summary['columns']} columns,"
        f" {summary['realised_rate']:.1%} of the cells missing, filled by"
        f" <b>{html.escape(summary['method'])}</b>"
        f" ({_count(summary['draws'], 'draw')})."
        f" Result: {_links(summary)}. Observed cells are as they came.{several}"
        f"{more}</p>"
    )


def _complete_rows(missing: np.ndarray) -> str:
    complete = ~missing.any(axis=1)
    gaps = int(missing.any(axis=0).sum())
    rows = (
        f"{_count(complete.sum(), 'row')} ({complete.mean():.1%}) are complete,"
        " and an analysis of these alone would lose what the others tell."
        if complete.any()
        else "no row is complete."
    )
    return f" There are gaps in {_count(gaps, 'column')}; {rows}"


def _warnings(said: Sequence[str]) -> str:
    if not said:
        return _section("What to beware of", "<p>Nothing stands out.</p>")
    lines = "".join(f"<li>{html.escape(text)}</li>" for text in said)
    return _section("What to beware of", f"<ul class='warnings'>{lines}</ul>")


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    more = len(notes) - MAX_COLUMNS
    lines = [shorten(note, 300) for note in notes[:MAX_COLUMNS]]
    lines += [f"and {_count(more, 'more note')}"] if more > 0 else []
    shown = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<p>When the table was read:</p><ul>{shown}</ul>"


def _warned(note: str) -> bool:
    """Whether a note says what a warning says with a remedy."""
    return note.endswith(" is constant") or any(
        part in note
        for part in (" have nothing observed; ", " is filled with ")
    )


def _where(views: Sequence[View], embedded: dict[str, tuple[str, int]]) -> str:
    gaps = [view for view in views if view.missing.any()]
    if not gaps:  # In the part of a long table that is shown.
        return ""
    if len(gaps) < 2:
        name = html.escape(quoted(gaps[0]))
        return _section(
            "Where are the gaps?", f"<p>{name} is the only column with any.</p>"
        )
    patterns, counts = pictures.gap_patterns(with_gaps(gaps, MAX_MATRIX))
    share = counts[:MAX_PATTERNS].sum() / counts.sum()
    left_out = (
        f" Of {len(gaps)} columns with gaps the {MAX_MATRIX} with the most are"
        " shown."
        if len(gaps) > MAX_MATRIX
        else ""
    )
    most = (
        f" The {MAX_PATTERNS} most frequent of {len(counts)} patterns,"
        f" {share:.0%} of the rows."
        if len(counts) > MAX_PATTERNS
        else ""
    )
    return _section(
        "Where are the gaps?",
        _figure(
            embedded.get("patterns"),
            "Patterns of gaps",
            "Each line is a group of rows that miss the same columns (orange);"
            " a line without orange are the complete rows. Look for blocks of"
            " orange: columns that go missing together, often for one reason,"
            f" such as a form not handed in.{most}{left_out}",
        ),
        _figure(
            embedded.get("together"),
            "Correlation of gaps",
            "1 (red): two columns are always missing together; 0: one says"
            " nothing about the other; below 0 (blue): where one is missing the"
            " other tends not to be. There is no number where chance explains"
            f" it.{_strongest_pair(gaps)}",
        ),
    )


def _strongest_pair(views: Sequence[View]) -> str:
    shown, correlation = pictures.gap_correlation(views)
    if len(shown) < 2:
        return ""
    i, j = np.triu_indices(len(shown), 1)
    k = np.argmax(np.abs(correlation[i, j]))
    pair = f"{quoted(shown[i[k]])} and {quoted(shown[j[k]])}"
    value = round(correlation[i[k], j[k]], 2) + 0.0
    return f" The strongest: {html.escape(pair)}, {value:.2f}."


def _random(
    dataset: Dataset,
    views: Sequence[View],
    found: Sequence[Prediction],
    embedded: dict[str, tuple[str, int]],
) -> str:
    gaps = sum(bool(view.missing.any()) for view in views)
    chance = (
        " By chance alone dots may be off by"
        f" {2 * max(p.error for p in found):.2f}."
        if found
        else ""
    )
    few = sum(0 < view.missing.sum() and too_few(view) for view in views)
    more = gaps - few - len(found)
    left_out = (
        f" Left out: {_count(few, 'column')} with fewer than {MIN_CLASS} gaps"
        " or values."
        if few
        else ""
    )
    if more > 0:
        left_out += f" {_count(more, 'column')} with fewer gaps not drawn."
    return _section(
        "Are the gaps random?",
        f"<p>{_verdict(found)}</p>",
        _figure(
            embedded.get("gaps"),
            "How well gaps can be told",
            "How well a small classifier tells, on rows that it has not seen,"
            " which cells of a column were missing: 0.5 is no better than"
            " tossing a coin, 1 is always right. <i>Before filling</i> it sees"
            " the other columns and their gaps: near 0.5 everywhere, the gaps"
            " look completely random. <i>After filling</i> it sees the column"
            " itself as well: the orange dot should not lie to the right of the"
            " blue one by much, or the imputed values give themselves away."
            f"{chance}{left_out}",
        ),
        _little(little_of_file(dataset, views)),
    )


def _verdict(found: Sequence[Prediction]) -> str:
    """In words, whether other columns tell where gaps are."""
    if not found:
        return (
            f"No column has {MIN_CLASS} gaps and as many values, too few to"
            " tell."
        )
    told = sorted(found, key=lambda p: -p.before)
    told = [p for p in told if p.before > 0.5 + TELLING / 2 + 2 * p.error]
    if not told:
        return (
            "The other columns do not tell where the gaps are, as it would be"
            " if cells were lost completely at random (MCAR). Gaps that depend"
            " on the lost values themselves cannot be ruled out by any data."
        )
    names = listed([f"{quoted(p.view)} ({p.before:.2f})" for p in told])
    return (
        f"Not completely: the other columns tell, by their values or their own"
        f" gaps, where the gaps are in {html.escape(names)}; 0.5 would be"
        " guessing, 1 is certain. An analysis"
        " of complete rows only may be biased. Imputation uses what these"
        " columns tell (MAR); gaps that depend on the lost values themselves"
        " (MNAR) cannot be seen in any data, so ask how the data came about."
    )


def _little(test: McarTest | None) -> str:
    if test is None:
        return (
            "<p>Little's test of gaps completely at random: there are too few"
            " columns of numbers or patterns of gaps for it.</p>"
        )
    p = "p &lt; 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    means = (
        "so small a p says that they are not"
        if test.p < 0.05
        else "it finds no sign that they are not"
    )
    return (
        "<p>Little's test of whether gaps are completely at random:"
        f" chi-square {number_text(test.statistic)} on {test.df} degrees of"
        f" freedom, {p}; {means}. It compares the means of"
        f" {test.columns} columns of numbers over {test.patterns} patterns of"
        " gaps with those of a normal distribution fitted to the observed"
        " cells; columns of levels are left out, columns with heavy tails are"
        " taken by their ranks. With thousands of rows it finds differences too"
        " small to matter.</p>"
    )


def _compared(
    views: Sequence[View], embedded: dict[str, tuple[str, int]]
) -> str:
    left_out = sum(bool(view.missing.any()) for view in views) - MAX_COLUMNS
    more = (
        f" The {MAX_COLUMNS} columns with the most gaps; {left_out} more have"
        " gaps."
        if left_out > 0
        else ""
    )
    levels = [
        view
        for view in with_gaps(views, MAX_COLUMNS)
        if view.levels is not None
    ]
    cards = "".join(map(_level_card, levels))
    return _section(
        "Observed and imputed values",
        _figure(
            embedded.get("columns"),
            "Observed and imputed values",
            "Share of the values in each bin, of all draws; far outliers are"
            " not shown. Look for shapes that differ. Where gaps depend on"
            " other columns, imputed values may rightly differ from observed"
            f" ones.{more}",
        ),
        f"<p>Share of each level among <i class='key observed'></i> observed"
        f" and <i class='key imputed'></i> imputed cells.</p>"
        f"<div class='cards'>{cards}</div>"
        if cards
        else "",
    )


def _level_card(view: View) -> str:
    """Bars of a column's most frequent levels, the others together."""
    shares = level_shares(view)
    most = np.argsort(-shares.max(axis=0), kind="stable")[:MAX_LEVELS]
    most = sorted(most) if view.kind == "ordinal" else most
    rows = [(shorten(view.levels[k], 40), *shares[:, k]) for k in most]
    others = len(view.levels) - len(most)
    if others:
        rest = np.delete(shares, most, axis=1).sum(axis=1)
        rows.append((f"{_count(others, 'other level')}", *rest))
    lines = "".join(
        f"<tr><td class='name'>{html.escape(name)}</td><td class='bars'>"
        f"<i class='observed' style='width:{observed:.1%}'></i>"
        f"<i class='imputed' style='width:{imputed:.1%}'></i></td>"
        f"<td>{observed:.1%}<br>{imputed:.1%}</td></tr>"
        for name, observed, imputed in rows
    )
    name = html.escape(shorten(view.name))
    return f"<div><h3>{name}</h3><table>{lines}</table></div>"


def _draws(views: Sequence[View], embedded: dict[str, tuple[str, int]]) -> str:
    if len(views[0].imputed) < 2:
        return _section(
            "Draws against each other",
            "<p>There is one draw only, which does not show how uncertain the"
            " imputed values are. Ask for more: 20 draws.</p>",
        )
    return _section(
        "Draws against each other",
        _figure(
            embedded.get("draws"),
            "Draws against each other",
            "A dot for each draw. Left: the mean of the imputed cells, less"
            " that of the observed ones, in standard deviations of the observed"
            " ones; right: the standard deviation of the imputed cells, where 1"
            " is that of the observed ones. Of levels the share of the most"
            " frequent one is taken. Dots close together: the draws agree on"
            " the column as a whole; far apart: this mean is uncertain. Off the"
            " dotted line is no error, see above; a spread near 0 is, since"
            " imputed cells should vary about as observed ones do.",
        ),
    )


def _trace(embedded: dict[str, tuple[str, int]]) -> str:
    return _section(
        "Over the iterations",
        _figure(
            embedded.get("trace"),
            "Over the iterations",
            "Iteration 0 is what the fit started from. The lines should have"
            " levelled off at the end; if they still change, more iterations"
            " would help.",
        ),
    )


def _metrics(dataset: Dataset, summary: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td class='text'>{html.escape(name)}</td>"
        f"<td>{number_text(value)}</td>"
        f"<td class='note'>{MEANING.get(name, '')}</td></tr>"
        for name, value in summary["metrics"].items()
    )
    truth = (
        ""
        if dataset.truth is not None
        else "<p>There is no truth to compare with, so no error can be"
        " given.</p>"
    )
    return _section("How good is it?", f"<table>{rows}</table>", truth)


def _gaps_table(views: Sequence[View]) -> str:
    """A line for each column of the file, or of the table."""
    rows = "".join(
        f"<tr><td>{view.number}</td>"
        f"<td class='name'>{html.escape(shorten(view.name))}</td>"
        f"<td class='text'>{KINDS[view.kind]}</td>"
        f"<td>{view.missing.sum()}</td><td>{view.missing.mean():.1%}</td>"
        f"<td class='text'>{_range(view)}</td><td>{_spread_text(view)}</td>"
        "</tr>"
        for view in views
    )
    return _section(
        "Gaps by column",
        "<table><tr><th>#</th><th class='text'>column</th>"
        "<th class='text'>kind</th><th>missing</th><th>share</th>"
        "<th class='text'>observed</th><th>between draws</th></tr>"
        f"{rows}</table><p>Between draws: how far the draws of one cell lie"
        " apart, as a standard deviation in the column's own unit; of levels"
        " the share of the gaps where draws differ. #: what stands in figures"
        " for a name that they have no letters for.</p>",
    )


def _range(view: View) -> str:
    if view.levels is not None:
        return _count(len(view.levels), "level")
    if not len(view.observed):
        return "\N{EN DASH}"
    low, high = view.observed.min(), view.observed.max()
    return f"{value_text(view, low)} to {value_text(view, high)}"


def _spread_text(view: View) -> str:
    if len(view.imputed) < 2 or not view.missing.any():
        return "\N{EN DASH}"
    value = spread(view)
    if view.levels is not None:
        return f"{value:.0%}"
    if view.kind != "datetime":
        return number_text(value, 3)
    units = {"days": DAY, "hours": 3600, "minutes": 60, "seconds": 1}
    name = next((k for k, v in units.items() if value >= v), "seconds")
    return f"{number_text(value / units[name], 3)} {name}"


def _colophon(summary: dict[str, Any]) -> str:
    versions = (f"{k} {v}" for k, v in summary["versions"].items())
    made_with = f"{', '.join(versions)}; {summary['device']}."
    return _section("Made with", f"<p>{html.escape(made_with)}</p>")


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
