"""Pages of the site that are files elsewhere in the clone, and their links."""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
# A page, and the file that it is.
PAGES = {
    "index.md": "README.md",
    "experiments.md": "experiments/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
# Where files of a clone are to be seen that are no pages; "" for nowhere.
HOME = os.environ.get("MIRI_JAX_HOME", "").rstrip("/")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of `PAGES`."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(text: str, page: Any, **rest: Any) -> str:
    """The page, with links that lead to pages, or are mere words."""
    del rest
    name = page.file.src_uri
    source = PAGES.get(name, f"docs/{name}")
    if not source.endswith(".md"):
        return text
    return re.sub(
        r"(!?\[[^\]]*\])\(([^)\s#]+)(#[^)]*)?\)",
        lambda found: _link(posixpath.dirname(source), *found.groups()),
        text,
    )


def _link(folder: str, words: str, place: str, anchor: str | None) -> str:
    anchor = anchor or ""
    if "://" in place:
        return f"{words}({place}{anchor})"
    file = posixpath.normpath(posixpath.join(folder, place))
    pages = {source: page for page, source in PAGES.items()}
    if file in pages:
        return f"{words}({pages[file]}{anchor})"
    if file.startswith("docs/"):
        return f"{words}({file.removeprefix('docs/')}{anchor})"
    if HOME:
        return f"{words}({HOME}/{file}{anchor})"
    return words.strip("[]")
