"""A page from its template, with pictures embedded: it loads nothing else."""

import base64
import functools
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from miri_jax import notes
from miri_jax.report import facts, sections, telling, text, wording
from miri_jax.runtime.files import write_atomically

if TYPE_CHECKING:  # see `contents`
    from matplotlib.figure import Figure

# Columns of a file that are unfolded when the page opens.
MAX_OPEN = 25
# CSS pixels of an inch of a figure: 10.2 of them are the page's width.
PIXELS = 94


class Picture(NamedTuple):
    """A PNG file in base64, and its width on the page in CSS pixels."""

    png: str
    width: int


def embed_all(
    folder: pathlib.Path, drawn: "dict[str, Figure | None]"
) -> dict[str, Picture | None]:
    """Writes the figures that there are to a folder, which it makes.

    Args:
      folder: for NAME.png.
      drawn: figures by name.

    Returns:
      Each as a `Picture`; None where there is no figure.
    """
    if any(drawn.values()):
        folder.mkdir(exist_ok=True)
    return {
        name: figure and _embed(folder / f"{name}.png", figure)
        for name, figure in drawn.items()
    }


def render(template: str, **values: Any) -> str:
    """The page of a template in templates/, whatever it is given escaped."""
    return _environment().get_template(template).render(**values)


def write_page(path: pathlib.Path, page: str) -> None:
    """Writes a page, all of it or nothing."""
    # Names of files may hold bytes that are no text.
    content = page.encode(errors="backslashreplace")
    write_atomically(path, lambda p: pathlib.Path(p).write_bytes(content))


def _embed(path: pathlib.Path, figure: "Figure") -> Picture:
    from miri_jax.report import figures

    png = figures.png(figure)
    write_atomically(path, lambda p: pathlib.Path(p).write_bytes(png))
    width = round(figure.get_figwidth() * PIXELS)
    return Picture(base64.b64encode(png).decode(), width)


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates, and the functions and names that they may use."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("miri_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": text.counted,
        "full": text.full_name,
        "partner": sections.partner_text,
        "quoted": text.quoted,
        "number": text.number_text,
        "percent": notes.percent,
        "range": wording.range_text,
        "short": text.shorten,
        "spread": wording.spread_text,
    }
    environment.globals |= {
        "KINDS": wording.KINDS,
        "MAX_COLUMNS": facts.MAX_COLUMNS,
        "MAX_OPEN": MAX_OPEN,
        "MEANING": wording.MEANING,
        "MIN_CLASS": telling.MIN_CLASS,
    }
    return environment
