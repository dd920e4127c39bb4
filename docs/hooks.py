"""Pages of the site that are files elsewhere in the clone, and all links."""

import html.parser
import logging
import os
import posixpath
import re
import urllib.parse
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

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
# Its warnings are errors of a strict build.
LOG = logging.getLogger("mkdocs.hooks")
# Where pages and notebooks are in the site.
URLS: dict[str, str] = {}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of `PAGES`."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=text))
    URLS.update((file.src_uri, file.url) for file in files)
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


def on_post_page(output: str, page: Any, config: Any) -> str:
    """A notebook, whose links to pages nothing else follows."""
    folder, own = posixpath.split(page.file.src_uri)
    if not own.endswith(".py"):
        return output

    def link(found: re.Match[str]) -> str:
        there = URLS.get(posixpath.normpath(f"{folder}/{found[1]}"))
        if there is None:
            return found[0]
        place = get_relative_url(there, page.file.url)
        return f'href="{place}{found[2] or ""}"'

    return re.sub(r'href="([^":#]+\.md)(#[^"]*)?"', link, output)


def on_post_build(config: Any) -> None:
    """Warns of links that lead nowhere in the site as it was built."""
    root = Path(config.site_dir)
    pages = {path: _Page(path) for path in root.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":  # is seen from anywhere
            continue
        for link in page.links:
            there, _, anchor = link.partition("#")
            there = urllib.parse.unquote(there)
            file = (path.parent / there).resolve() if there else path
            file = file / "index.html" if file.is_dir() else file
            ids = pages[file].ids if file in pages else set()
            if not file.exists() or (anchor and anchor not in ids):
                LOG.warning(f"{path.relative_to(root)}: {link} is nowhere")


class _Page(html.parser.HTMLParser):
    """What a page links to within the site, and where it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        links = {given.get("href"), given.get("src")} - {None}
        self.links |= {x for x in links if not re.match(r"\w+:|//", x)}


def _link(folder: str, words: str, place: str, anchor: str | None) -> str:
    anchor = anchor or ""
    if "://" in place:
        return f"{words}({place}{anchor})"
    file = posixpath.normpath(posixpath.join(folder, place))
    if words[1:-1] in (file, place) and file.endswith(".md"):
        # Who reads the site sees no files.
        title = (ROOT / file).read_text().splitlines()[0].strip("# ")
        words = f"[{title}]"
    pages = {source: page for page, source in PAGES.items()}
    if file in pages:
        return f"{words}({pages[file]}{anchor})"
    if file.startswith("docs/"):
        return f"{words}({file.removeprefix('docs/')}{anchor})"
    if HOME:
        return f"{words}({HOME}/{file}{anchor})"
    return words.strip("[]")
