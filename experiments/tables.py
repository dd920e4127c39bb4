"""The record: tables of results/*.jsonl in the pages that show them.

    PYTHONPATH=. python experiments/tables.py

A page has its tables between `<!-- results: NAME -->` and `<!-- end -->`; they
are written anew (`BLOCKS`), beside the papers' own numbers (experiments/
printed.py). Prints which cells of the record were planned and which were run.
With `--check` nothing is written: it fails where a table of a page is not what
the lines give, or where a number in a page's prose is not (`measured.said`).

A line without settings is no part of the record, nor is one that failed; of
several lines of one cell the one with the most draws counts, the last of these.
"""

import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from absl import flags
from scipy.stats import rankdata

from experiments import benchmark, diffusion_tables, measured, printed, records
from experiments.measured import (
    gaps,
    image_method,
    in_order,
    lines,
    spread,
    table,
)

FLAGS = flags.FLAGS
PAGES = (
    "README.md",
    "docs/papers.md",
    "docs/real_tables.md",
    "docs/results_tables.md",
    "docs/speed.md",
)
OURS = "miri"
# Not rivals: of the same hand, and the same method as its paper prints it.
SAME = (OURS, *benchmark.ONE_FIT, "miri_paper", "chained", "gaussian")
MARK = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)

# (mechanism, rate, dataset, method) -> mask seed -> line.
Found = dict[tuple[str, float, str, str], dict[int, dict]]


def main(argv: list[str]) -> None:
    """Writes the tables, or checks them."""
    del argv
    results = pathlib.Path(FLAGS.results)
    wrong = []
    for name in PAGES:
        page = pathlib.Path(FLAGS.root) / name
        old = page.read_text()
        new = filled(old, results)
        if FLAGS.check:
            wrong += [f"{name}: {block}" for block in differing(old, new)]
        else:
            page.write_text(new)
    for name, phrases in measured.said(results).items():
        text = " ".join((pathlib.Path(FLAGS.root) / name).read_text().split())
        wrong += [f"{name}: {one!r}" for one in phrases if one not in text]
    if not FLAGS.check:
        print(plan(results))
    if wrong:
        raise SystemExit(
            "not what results/ has (python experiments/tables.py writes the"
            " tables):\n" + "\n".join(wrong)
        )


def filled(page: str, results: pathlib.Path) -> str:
    """A page with its tables as the lines of results give them."""
    anew = lambda found: found[1] + BLOCKS[found[2]](results) + "\n" + found[3]
    return MARK.sub(anew, page)


def differing(old: str, new: str) -> list[str]:
    """Names of the tables that are not the same in two texts of a page."""
    pairs = zip(MARK.finditer(old), MARK.finditer(new))
    return [a[2] for a, b in pairs if a[0] != b[0]]


def by_cell(rows: Iterable[dict]) -> Found:
    """The line of each cell with the most draws, the last of them.

    A method that failed on a table has a cell without lines.
    """
    found: Found = {}
    for row in rows:
        cell = tuple(row[k] for k in ("mechanism", "rate", "dataset", "method"))
        some = found.setdefault(cell, {})
        if "error" in row:
            continue
        old = some.get(row["mask_seed"], {})
        if row["draws"] >= old.get("draws", 0):
            some[row["mask_seed"]] = row
    return found


def of_cells(results: pathlib.Path) -> Found:
    """Cells of the toy and of the UCI tables.

    Of the toy by the functions only the draws of the true conditional, which no
    command gives.
    """
    exact = lines(results, "toy.jsonl")
    exact = [row for row in exact if row["method"] == "exact"]
    rows = records.read(results / "benchmark.jsonl")
    return by_cell([*exact, *(row for row in rows if "settings" in row)])


def plan(results: pathlib.Path) -> str:
    """How many of the planned cells were run, and why others were not."""
    run = {
        (*cell, seed)
        for cell, some in of_cells(results).items()
        for seed in some
    }
    rows = []
    for block in benchmark.BLOCKS:
        line = [
            f"{block.what}: {gaps(block.mechanism, block.rate)}",
            f"{len(block.names)} x {len(block.mask_seeds)}",
        ]
        for method in benchmark.METHODS:
            cells = [
                (block.mechanism, block.rate, name, method, seed) in run
                for name in block.names
                for seed in block.mask_seeds
                if method in block.methods
            ]
            line.append(f"{sum(cells)}" if cells else "")
        if block.methods != tuple(benchmark.METHODS):
            changed = [
                (block.mechanism, block.rate, name, method, seed) in run
                for name in block.names
                for seed in block.mask_seeds
                for method in block.methods
            ]
            line[1] += f", {sum(changed)} of {len(changed)} in all"
        rows.append(line)
    head = ["cells run", "tables x masks"]
    head += [f"`{method}`" for method in benchmark.METHODS]
    holes = "\n".join(f"- {what}: {why}" for what, why in printed.HOLES)
    return f"{table(head, rows)}\n\n{holes}"


def _beside(
    results: pathlib.Path,
    of: tuple[str, float, str],
    measures: Mapping[str, str],
    theirs: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """A table of methods on one dataset, with what a paper prints of them.

    Args:
      results: the folder.
      of: mechanism, rate and dataset.
      measures: by their keys in the lines, as they are headed.
      theirs: of each method the mean and deviation of all of these.
    """
    found, rows = of_cells(results), []
    methods = _methods(found, *of[:2], [of[2]])
    for method in dict.fromkeys([*methods, *theirs]):
        some = found.get((*of, method), {}).values()
        ours = [[row[key] for row in some] for key in measures]
        told = [f"*{a:.3f} ({s:.3f})*" for a, s in theirs.get(method, ())]
        rows.append(
            [
                f"`{method}`",
                str(len(some) or ""),
                *(spread(x, 3) if x else "" for x in ours),
                *(told or [""] * len(measures)),
            ]
        )
    header = ["", "masks", *measures.values()]
    return table(
        [*header, *(f"*{x}, theirs*" for x in measures.values())], rows
    )


def toy(results: pathlib.Path) -> str:
    """MIRI's Table 3: the toy, 30 % MCAR."""
    measures = {"rmse_all": "RMSE", "mae_all": "MAE", "mmd": "MMD"}
    return _beside(results, ("mcar", 0.3, "toy"), measures, printed.TOY)


def grids(*measures: tuple[str, str, int]) -> Callable[[pathlib.Path], str]:
    """What makes a table of each mechanism and rate for some measures.

    Large tables, on which not every method was run, have tables and ranks of
    their own.
    """

    def make(results: pathlib.Path) -> str:
        every = of_cells(results)
        known = dict.fromkeys(
            (block.mechanism, block.rate, block.names)
            for block in benchmark.BLOCKS
            if set(block.names) <= set(UCI)
        )
        parts = []
        for mechanism, rate, names in known:
            found = _on(every, names)
            large = ", large tables" * (names == benchmark.LARGE)
            for key, what, digits in measures:
                title = f"**{gaps(mechanism, rate)}{large}, {what}**"
                grid = _grid(found, mechanism, rate, key, digits)
                parts += [title, grid] if grid else []
                if key in ("mmd", "rmse_mean"):
                    stands = first_or_level(found, mechanism, rate, key)
                    parts.append(f"`{OURS}` is {stands}." if stands else "")
        return "\n\n".join(part for part in parts if part)

    return make


def firsts(results: pathlib.Path) -> str:
    """Of each mechanism and rate how miri stands among what was run.

    Also by draws of one fit, as the rivals' are, where these were made.
    """
    found = _on(of_cells(results), benchmark.SMALL)
    rows = []
    settings = dict.fromkeys(
        (block.mechanism, block.rate)
        for block in benchmark.BLOCKS
        if block.names == benchmark.SMALL
    )
    for setting in settings:
        for ours in (OURS, *benchmark.ONE_FIT):
            text = [
                standing(found, *setting, key, ours)
                for key in ("mmd", "rmse_mean")
            ]
            what = gaps(*setting) if ours == OURS else "the same, `--one-fit`"
            if all(text):
                rows.append([what, *text])
    return table(["", "MMD of a draw", "RMSE of the mean"], rows)


def standing(
    found: Found, mechanism: str, rate: float, key: str, ours: str = OURS
) -> str:
    """On how many tables miri is first, and its rank and those next to it.

    Of miri and its draws of one fit, `ours` is ranked alone.
    """
    text, _ = _tally(found, mechanism, rate, key, ours)
    twins = {OURS, *benchmark.ONE_FIT} - {ours}
    apart = {cell: found[cell] for cell in found if cell[3] not in twins}
    rank = ranks(apart, mechanism, rate, key)
    if not text or ours not in rank:
        return text
    text += f"; mean rank {rank[ours]:.1f} of {len(rank)}"
    others = {method: rank[method] for method in rank if method not in SAME}
    least = min(others.values(), default=None)
    near = [f"`{method}`" for method in others if others[method] == least]
    return text + f", next {' and '.join(near)} {least:.1f}" * bool(near)


def ranks(
    found: Found, mechanism: str, rate: float, key: str
) -> dict[str, float]:
    """Mean ranks over the tables, of methods that were run on all of them.

    One that failed on a table is last there.
    """
    value = _scores(found, mechanism, rate, key)
    names = {name for name, _ in value}
    everywhere = [
        method
        for method in _methods(found, mechanism, rate, names)
        if all((mechanism, rate, name, method) in found for name in names)
    ]
    if len(everywhere) < 2:
        return {}
    none = [np.inf]
    means = [
        [np.mean(value.get((n, m), none)) for m in everywhere] for n in names
    ]
    mean = np.mean([rankdata(some) for some in means], axis=0)
    return dict(zip(everywhere, map(float, mean)))


def _scores(
    found: Found, mechanism: str, rate: float, key: str
) -> dict[tuple[str, str], list[float]]:
    """What was measured on each table by each method, mask by mask."""
    value = {
        cell[2:]: [row[key] for row in some.values() if key in row]
        for cell, some in found.items()
        if cell[:2] == (mechanism, rate) and cell[2] in UCI
    }
    return {cell: some for cell, some in value.items() if some}


UCI = (*benchmark.SMALL, *benchmark.LARGE)


def _on(found: Found, names: Sequence[str]) -> Found:
    """Cells of some tables."""
    return {cell: some for cell, some in found.items() if cell[2] in names}


def _grid(
    found: Found, mechanism: str, rate: float, key: str, digits: int
) -> str:
    """Methods down, tables across, with the mean rank of what has them all."""
    value = _scores(found, mechanism, rate, key)
    names = [name for name in UCI if any(name == cell[0] for cell in value)]
    methods = [
        method
        for method in _methods(found, mechanism, rate, names)
        if any((name, method) in value for name in names)
    ]
    if not names:
        return ""
    masks = max(map(len, value.values()))
    best = {
        name: min(
            np.mean(some) for cell, some in value.items() if cell[0] == name
        )
        for name in names
    }
    ranked = key in ("mmd", "rmse_mean", "energy")
    rank = ranks(found, mechanism, rate, key) if ranked else {}
    rows = []
    for method in methods:
        line = [f"`{method}`"]
        for name in names:
            some = value.get((name, method), [])
            shown = spread(some, digits) if some else ""
            others = sum((name, m) in value for m in methods) > 1
            if ranked and others and some and np.mean(some) == best[name]:
                shown = f"**{shown}**"
            if 0 < len(some) < masks:
                shown += f" [{len(some)}]"
            line.append(shown)
        if rank:
            line.append(f"{rank[method]:.1f}" if method in rank else "")
        rows.append(line)
    return table(["", *names, *(["rank"] if rank else [])], rows)


def first_or_level(found: Found, mechanism: str, rate: float, key: str) -> str:
    """On how many tables miri is first, and who is ahead elsewhere.

    Against each rival, over the masks that both have. Level is where the
    difference is at most one deviation of miri over all masks that it has.
    """
    text, behind = _tally(found, mechanism, rate, key, OURS)
    return text + (f"; behind on {', '.join(behind)}" if behind else "")


def _tally(
    found: Found, mechanism: str, rate: float, key: str, method: str
) -> tuple[str, list[str]]:
    """See `first_or_level`; the tables where others are ahead by themselves."""
    first = level = count = 0
    behind = []
    for name in UCI:
        ours = found.get((mechanism, rate, name, method), {})
        against = {}
        for rival in _methods(found, mechanism, rate, [name]):
            theirs = found[mechanism, rate, name, rival]
            both = sorted(set(ours) & set(theirs))
            if rival in SAME or not both:
                continue
            a = np.array([ours[seed][key] for seed in both])
            b = np.array([theirs[seed][key] for seed in both])
            spread = np.std([row[key] for row in ours.values()])
            against[rival] = (a.mean() - b.mean(), spread)
        if not against:
            continue
        count += 1
        if all(gap <= 0 for gap, _ in against.values()):
            first += 1
        elif all(gap <= spread for gap, spread in against.values()):
            level += 1
        else:
            ahead = [m for m, (gap, s) in against.items() if gap > s]
            behind.append(f"{name} ({', '.join(ahead)})")
    if not count:
        return "", []
    text = f"first on {first} of {count}"
    if level:
        text += f", level within a deviation over its masks on {level}"
    return text, behind


def sensitivity(results: pathlib.Path) -> str:
    """MIRI's sensitivity study: one setting changed at a time."""
    found, rows = of_cells(results), []
    names = benchmark.SIMULATED
    for method in benchmark.CHANGED:
        line = [f"`{method.replace(':set=imputer.', '`, `')}`"]
        for name in names:
            some = found.get(("mcar", 0.2, name, method), {}).values()
            for key, digits in (("mmd", 4), ("rmse_mean", 3)):
                values = [row[key] for row in some]
                line.append(spread(values, digits) if values else "")
        if any(line[1:]):
            rows.append(line)
    head = [f"{name}, {what}" for name in names for what in ("MMD", "RMSE")]
    return table(["", *head], rows)


def averages(results: pathlib.Path) -> str:
    """MMD over the tables, beside what appendix F.2 of MIRI says of it."""
    found = of_cells(results)
    rates = (0.2, 0.4, 0.6)
    mean = {}
    for method in benchmark.METHODS:
        for rate in rates:
            some = [
                found.get(("mcar", rate, name, method))
                for name in benchmark.SMALL
            ]
            if all(some):
                each = [np.mean([r["mmd"] for r in s.values()]) for s in some]
                mean[method, rate] = f"{np.mean(each):.3f}"
    rows = [
        [
            f"`{method}`",
            *(mean.get((method, rate), "") for rate in rates),
            *(f"*{a:.2f}*" for a in printed.UCI_MMD.get(method, ())),
            *([] if method in printed.UCI_MMD else [""] * 3),
        ]
        for method in benchmark.METHODS
        if method in printed.UCI_MMD or any((method, r) in mean for r in rates)
    ]
    header = ["", *(f"{rate:.0%}" for rate in rates)]
    header += [f"*{rate:.0%}, theirs*" for rate in rates]
    return table([one.replace("%", " %") for one in header], rows)


def images(results: pathlib.Path) -> str:
    """MIRI's Table 1: CIFAR-10, all channels of a pixel missing together."""
    return _images(results, False)


def channels(results: pathlib.Path) -> str:
    """CIFAR-10 as CelebA is in MIRI's Figure 3: channels missing one by one."""
    return _images(results, True)


def _images(results: pathlib.Path, per_channel: bool) -> str:
    found = {
        (image_method(row), row["rate"]): row
        for row in lines(results, "images.jsonl")
        if row.get("per_channel", False) == per_channel
    }
    rates = sorted({rate for _, rate in found})
    rows = []
    methods = [*dict.fromkeys(method for method, _ in found)]
    names = [method.partition(",")[0] for method in methods]
    together = lambda method: names.index(method.partition(",")[0])
    for method in sorted(methods, key=together):
        shown = [f"`{method}`"]
        for rate in rates:
            row = found.get((method, rate))
            each = ("psnr", 2), ("ssim", 3), ("swd", 1)
            shown += [f"{row[k]:.{n}f}" if row else "" for k, n in each]
        rows.append(shown)
    for method, numbers in () if per_channel else printed.IMAGES.items():
        shown = [f"*{method}, theirs*"]
        for rate in rates:
            _, psnr, ssim = numbers[(0.2, 0.4, 0.6).index(rate)]
            shown += [f"*{psnr:.2f}*", f"*{ssim:.3f}*", ""]
        rows.append(shown)
    head = [""]
    for rate in rates:
        head += [f"PSNR, {rate:.0%}".replace("%", " %"), "SSIM", "SWD"]
    return table(head, rows)


def wine(results: pathlib.Path) -> str:
    """MissDiff's Table 1, of which there is one table here."""
    theirs = {method: (one,) for method, one in printed.WINE.items()}
    of = "mcar_row", 0.2, "wine"
    return _beside(results, of, {"rmse_minmax": "RMSE"}, theirs)


def failures(results: pathlib.Path) -> str:
    """What was run and failed, and has not been run well since."""
    last = {
        tuple(row[key] for key in benchmark.Cell._fields[:-1]): row
        for row in records.read(results / "benchmark.jsonl")
    }
    found = [
        f"- `{cell[4]}` on {cell[0]}, {gaps(*cell[1:3])}, mask {cell[3]}:"
        f" {row['error']}"
        for cell, row in last.items()
        if "error" in row
    ]
    return "\n".join(found) or "None."


BLOCKS: dict[str, Callable[[pathlib.Path], str]] = {
    "plan": plan,
    "toy": toy,
    "uci": grids(
        ("mmd", "MMD of a draw", 4), ("rmse_mean", "RMSE of the mean", 3)
    ),
    "uci-more": grids(
        ("energy", "energy distance of a draw", 2),
        ("coverage_90", "coverage of 90 % intervals of the draws", 2),
        ("mae_mean", "MAE of the mean", 3),
        ("seconds", "seconds of the command", 0),
    ),
    "firsts": firsts,
    "averages": averages,
    "sensitivity": sensitivity,
    "images": images,
    "images-channels": channels,
    "wine": wine,
    "failures": failures,
    **diffusion_tables.BLOCKS,
    **measured.BLOCKS,
}


def _methods(
    found: Found, mechanism: str, rate: float, names: Sequence[str]
) -> list[str]:
    """Methods of some tables: ours first, then in the order of `METHODS`."""
    there = {
        cell[3]
        for cell in found
        if cell[:2] == (mechanism, rate) and cell[2] in names
    }
    return in_order(benchmark.METHODS, sorted(there))


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("results", "results", "The folder of results.")
    flags.DEFINE_string("root", ".", "Holds the pages.")
    flags.DEFINE_bool("check", False, "Only say where pages differ.")


if __name__ == "__main__":
    define_flags()
    records.run(main)
