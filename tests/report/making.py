"""Tables, draws and pages that the tests of the report share."""

import html
import html.parser
import re

import numpy as np

from miri_jax import report
from miri_jax.data import tables
from miri_jax.data.dataset import from_table
from miri_jax.report import facts

TRACE = [{"iteration": k, "loss": 2.0 - k, "mi": 1 / (k + 1)} for k in range(3)]


def make_dataset(frame, missing, **settings):
    missing = np.asarray(missing, bool)
    return from_table(tables.make_table(frame, missing, **settings))


def make_draws(dataset, count, seed=0):
    """Gaps filled with observed cells of their column, drawn at random."""
    rng, draws = np.random.default_rng(seed), []
    ends = np.cumsum([0, *(c.width for c in dataset.table.columns)])
    for _ in range(count):
        x = dataset.values.copy()
        for low, high in zip(ends, ends[1:]):
            observed = np.flatnonzero(dataset.m[:, low:high].all(axis=1))
            gaps = np.flatnonzero(~dataset.m[:, low:high].any(axis=1))
            if high > low and len(gaps) and len(observed):
                x[gaps, low:high] = x[rng.choice(observed, len(gaps)), low:high]
        draws.append(tables.settle_table(dataset.table, x))
    return draws


def _summary(dataset, draws, **changes):
    rows, *columns = dataset.gaps().shape
    return {
        "method": "miri",
        "rows": rows,
        "columns": int(np.prod(columns)),
        "realised_rate": float(dataset.gaps().mean()),
        "draws": len(draws),
        "metrics": {"mi": 0.1},
        "results": ["imputed.csv"],
        "notes": list(dataset.notes),
        "versions": {"python": "3"},
        "device": "1 x cpu",
        **changes,
    }


def write_page(folder, dataset, draws, trace=TRACE, **changes):
    summary = _summary(dataset, draws, **changes)
    address = report.write_report(folder, dataset, draws, trace, summary)
    assert address == (folder / "report.html").as_uri()
    return (folder / "report.html").read_text("utf-8")


def words_of(page):
    """The page's text, without tags, style and pictures, on one line."""
    page = re.sub(r"<style>.*?</style>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def make_view(observed, imputed, levels=None, **changes):
    observed = np.asarray(observed, np.float64)
    imputed = np.atleast_2d(np.asarray(imputed, np.float64))
    gaps = imputed.shape[1]
    missing = np.arange(len(observed) + gaps) < gaps
    kind = "real" if levels is None else "categorical"
    view = facts.View(1, "a", kind, missing, observed, imputed, levels)
    return view._replace(**changes)


class ParsedPage(html.parser.HTMLParser):
    """Checks that tags are closed and nothing runs or is loaded by them.

    Keeps the sources of pictures and the addresses of links.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "iframe", "object")
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "img", "html", "br"):
            self.open.append(tag)
        self.images += [dict(attrs)["src"]] if tag == "img" else []
        self.links += [dict(attrs)["href"]] if tag == "a" else []

    def handle_endtag(self, tag):
        assert tag == "html" or self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            assert "url(" not in data and "@import" not in data
