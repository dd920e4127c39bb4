"""The record: tables of results/*.jsonl in the pages that show them.

    PYTHONPATH=. python experiments/tables.py

A page has its tables between `<!-- results: NAME -->` and `<!-- end -->`; they
are written anew (`BLOCKS`), beside the papers' own numbers (experiments/
printed.py). Prints which cells of the record were planned and which were run.
With `--check` nothing is written: it fails where a table of a page is not what
the lines give, or where a number in a page's prose is not (`said`).

A line without settings is no part of the record, nor is one that failed; of
several lines of one cell the one with the most draws counts, the last of these.
"""

import pathlib
import re
import statistics
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from absl import app, flags
from scipy.stats import rankdata

from experiments import benchmark, coverage, fidelity, printed, records
from experiments.wait import summary as wait_summary

FLAGS = flags.FLAGS
PAGES = (
    "README.md",
    "docs/papers.md",
    "docs/real_tables.md",
    "docs/results_tables.md",
)
OURS = "miri"
# Not rivals: of the same hand, and the same method as its paper prints it.
SAME = (OURS, "miri_paper", "chained", "gaussian")
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
    for name, phrases in said(results).items():
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
    table = lambda found: found[1] + BLOCKS[found[2]](results) + "\n" + found[3]
    return MARK.sub(table, page)


def differing(old: str, new: str) -> list[str]:
    """Names of the tables that are not the same in two texts of a page."""
    pairs = zip(MARK.finditer(old), MARK.finditer(new))
    return [a[2] for a, b in pairs if a[0] != b[0]]


def lines(results: pathlib.Path, name: str) -> list[dict]:
    """Lines of the record, those with settings that did not fail."""
    return [
        row
        for row in records.read(results / name)
        if "settings" in row and "error" not in row
    ]


def by_cell(rows: Iterable[dict]) -> Found:
    """The line of each cell with the most draws, the last of them."""
    found: Found = {}
    for row in rows:
        cell = tuple(row[k] for k in ("mechanism", "rate", "dataset", "method"))
        some = found.setdefault(cell, {})
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
    return by_cell([*exact, *lines(results, "benchmark.jsonl")])


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
            f"{block.what}: {_gaps(block.mechanism, block.rate)}",
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
    table = _table([*head, *(f"`{m}`" for m in benchmark.METHODS)], rows)
    holes = "\n".join(f"- {what}: {why}" for what, why in printed.HOLES)
    return f"{table}\n\n{holes}"


def toy(results: pathlib.Path) -> str:
    """MIRI's Table 3: the toy, 30 % MCAR."""
    found = of_cells(results)
    keys = ("rmse_all", "mae_all", "mmd")
    rows = []
    methods = _methods(found, "mcar", 0.3, ["toy"])
    for method in dict.fromkeys([*methods, *printed.TOY]):
        some = found.get(("mcar", 0.3, "toy", method), {}).values()
        theirs = printed.TOY.get(method)
        rows.append(
            [
                f"`{method}`",
                str(len(some) or ""),
                *(
                    _spread([row[key] for row in some], 3) if some else ""
                    for key in keys
                ),
                *(f"*{a:.3f} ({s:.3f})*" for a, s in theirs or ()),
                *([""] * 3 if theirs is None else ()),
            ]
        )
    header = ["", "masks", "RMSE", "MAE", "MMD"]
    header += [f"*{name}, theirs*" for name in ("RMSE", "MAE", "MMD")]
    return _table(header, rows)


def grids(*measures: tuple[str, str, int]) -> Callable[[pathlib.Path], str]:
    """What makes a table of each mechanism and rate for some measures."""

    def make(results: pathlib.Path) -> str:
        found = of_cells(results)
        known = {(block.mechanism, block.rate): 0 for block in benchmark.BLOCKS}
        there = {cell[:2] for cell in found if cell[2] in UCI}
        parts = []
        for mechanism, rate in (each for each in known if each in there):
            for key, what, digits in measures:
                title = f"**{_gaps(mechanism, rate)}, {what}**"
                grid = _grid(found, mechanism, rate, key, digits)
                parts += [title, grid] if grid else []
                if key in ("mmd", "rmse_mean"):
                    stands = first_or_level(found, mechanism, rate, key)
                    parts.append(f"`{OURS}` is {stands}." if stands else "")
        return "\n\n".join(part for part in parts if part)

    return make


def firsts(results: pathlib.Path) -> str:
    """Of each mechanism and rate how miri stands among what was run."""
    found = of_cells(results)
    rows = []
    for block in benchmark.BLOCKS:
        setting = (block.mechanism, block.rate)
        text = [
            first_or_level(found, *setting, key) for key in ("mmd", "rmse_mean")
        ]
        if block.names == benchmark.SMALL and all(text):
            rows.append([_gaps(*setting), *text])
    return _table(["", "MMD of a draw", "RMSE of the mean"], rows)


UCI = (*benchmark.SMALL, *benchmark.LARGE)


def _grid(
    found: Found, mechanism: str, rate: float, key: str, digits: int
) -> str:
    """Methods down, tables across, with the mean rank of what has them all."""
    names = [
        n for n in UCI if any((mechanism, rate, n) == c[:3] for c in found)
    ]
    methods = _methods(found, mechanism, rate, names)
    value = {
        (name, method): [
            row[key]
            for row in found.get((mechanism, rate, name, method), {}).values()
            if key in row
        ]
        for name in names
        for method in methods
    }
    methods = [m for m in methods if any(value[n, m] for n in names)]
    names = [n for n in names if any(value[n, m] for m in methods)]
    if not names:
        return ""
    masks = max(map(len, value.values()))
    best = {
        name: min(np.mean(value[name, m]) for m in methods if value[name, m])
        for name in names
    }
    ranked, rank = key in ("mmd", "rmse_mean", "energy"), {}
    everywhere = [m for m in methods if all(value[n, m] for n in names)]
    if ranked and len(everywhere) > 1:
        means = [[np.mean(value[n, m]) for m in everywhere] for n in names]
        ranks = np.mean([rankdata(some) for some in means], axis=0)
        rank = dict(zip(everywhere, ranks))
    rows = []
    for method in methods:
        line = [f"`{method}`"]
        for name in names:
            some = value[name, method]
            shown = _spread(some, digits) if some else ""
            others = sum(bool(value[name, m]) for m in methods) > 1
            if ranked and others and some and np.mean(some) == best[name]:
                shown = f"**{shown}**"
            if 0 < len(some) < masks:
                shown += f" [{len(some)}]"
            line.append(shown)
        if rank:
            line.append(f"{rank[method]:.1f}" if method in rank else "")
        rows.append(line)
    return _table(["", *names, *(["rank"] if rank else [])], rows)


def first_or_level(found: Found, mechanism: str, rate: float, key: str) -> str:
    """On how many tables miri is first, and who is ahead elsewhere.

    Against each rival, over the masks that both have. Level is where the
    difference is at most one deviation of miri over all masks that it has.
    """
    first = level = count = 0
    behind = []
    for name in UCI:
        ours = found.get((mechanism, rate, name, OURS), {})
        against = {}
        for method in _methods(found, mechanism, rate, [name]):
            theirs = found[mechanism, rate, name, method]
            both = sorted(set(ours) & set(theirs))
            if method in SAME or not both:
                continue
            a = np.array([ours[seed][key] for seed in both])
            b = np.array([theirs[seed][key] for seed in both])
            spread = np.std([row[key] for row in ours.values()])
            against[method] = (a.mean() - b.mean(), spread)
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
        return ""
    text = f"first on {first} of {count}"
    if level:
        text += f", level within a deviation over its masks on {level}"
    return text + (f"; behind on {', '.join(behind)}" if behind else "")


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
    return _table([one.replace("%", " %") for one in header], rows)


def wine(results: pathlib.Path) -> str:
    """MissDiff's Table 1, of which there is one table here."""
    found = of_cells(results)
    rows = []
    methods = _methods(found, "mcar_row", 0.2, ["wine"])
    for method in dict.fromkeys([*methods, *printed.WINE]):
        some = found.get(("mcar_row", 0.2, "wine", method), {}).values()
        theirs = printed.WINE.get(method)
        rows.append(
            [
                f"`{method}`",
                str(len(some) or ""),
                _spread([r["rmse_minmax"] for r in some], 3) if some else "",
                f"*{theirs[0]:.3f} ({theirs[1]:.3f})*" if theirs else "",
            ]
        )
    return _table(["", "masks", "RMSE", "*RMSE, theirs*"], rows)


def diffputer(results: pathlib.Path) -> str:
    """DiffPuter: errors and accuracy of rows fitted and of rows never seen."""
    cells = {
        (row["mechanism"], row["dataset"], row["method"]): row
        for row in lines(results, "mixed.jsonl")
    }
    parts = []
    for mechanism in dict.fromkeys(cell[0] for cell in cells):
        names = list(dict.fromkeys(c[1] for c in cells if c[0] == mechanism))
        methods = list(dict.fromkeys(c[2] for c in cells if c[0] == mechanism))
        for part in ("in_sample", "out_of_sample"):
            for key, unit in (("rmse", 1), ("accuracy", 100)):
                value = lambda name, method: cells.get(
                    (mechanism, name, method), {part: {}}
                )[part].get(key)
                some = [n for n in names if any(value(n, m) for m in methods)]
                if not some:
                    continue
                rows = []
                for method in methods:
                    each = (value(name, method) for name in some)
                    form = ".3f" if unit == 1 else ".1f"
                    shown = (f"{unit * x:{form}}" if x else "" for x in each)
                    rows.append([f"`{method}`", *shown])
                given = printed.DIFFPUTER.get((mechanism, part, key), {})
                for method, numbers in given.items():
                    theirs = [numbers.get(name) for name in some]
                    shown = (f"*{x}*" if x else "" for x in theirs)
                    rows.append([f"*{method}, theirs*", *shown])
                where = part.replace("_", "-")
                what = "accuracy, %" if unit > 1 else "RMSE"
                parts.append(f"**{mechanism.upper()}, {where}: {what}**")
                parts.append(_table(["", *some], rows))
    return "\n\n".join(parts)


def generation(results: pathlib.Path) -> str:
    """MissDiff's generation: fidelity and utility."""
    rows = []
    for row in lines(results, "generation.jsonl"):
        cell = (row["dataset"], row["mechanism"], row["method"])
        theirs = printed.GENERATION.get(cell, ("", ""))
        rows.append(
            [
                row["dataset"],
                _gaps(row["mechanism"], row["rate"]),
                f"`{row['method']}`",
                *(
                    f"{100 * row[key]:.1f}" if row[key] is not None else ""
                    for key in ("sdmetrics", "accuracy")
                ),
                f"{row['f1']:.3f}",
                f"{row['auroc']:.3f}",
                *(f"*{x}*" if x else "" for x in theirs),
            ]
        )
    header = ["", "gaps", "", "SDMetrics", "accuracy", "F1", "AUROC"]
    return _table([*header, "*SDMetrics, theirs*", "*accuracy, theirs*"], rows)


def real(results: pathlib.Path) -> str:
    """Real tables beside mice: margin, two-sample test, CRPS."""
    cells = _real(results)
    names = sorted({name for name, _, _ in cells}, key=_as_shown)
    rows = []
    for name in names:
        of = lambda method, key: [
            row[key]
            for (n, _, m), row in cells.items()
            if (n, m) == (name, method)
        ]
        shown = lambda key: " / ".join(
            _three(of(method, key)) for method in COMPARED
        )
        floor = _three(of(COMPARED[0], "floor"))
        rows.append(
            [
                f"{name} ({floor})",
                *(shown(key) for key in ("margin", "c2st", "crps")),
            ]
        )
    header = ["", "margin `chained` / `miri` / mice", "two-sample", "CRPS"]
    return _table(header, rows)


COMPARED = ("chained", "miri", fidelity.CART)
EXCESS = {
    "margin": lambda row: row["margin"] - row["floor"],
    "two-sample": lambda row: row["c2st"] - 0.5,
    "CRPS": lambda row: row["crps"],
}


def _real(results: pathlib.Path) -> dict[tuple[str, int, str], dict]:
    """By table, seed and method a line of fidelity.py, 25 % MAR."""
    return {
        (row["name"], row["seed"], row["method"]): row
        for row in records.read(results / "fidelity.jsonl")
        if "error" not in row and row["mechanism"] == "mar"
    }


def _as_shown(name: str) -> int:
    order = "california beijing magic shoppers adult default letter bean"
    return order.split().index(name)


def _three(values: Sequence[float]) -> str:
    mean = np.mean(values) if values else np.nan
    return "-" if np.isnan(mean) else f"{mean:.3f}"


def ratios(
    results: pathlib.Path, method: str
) -> dict[str, tuple[float, int, int]]:
    """Of each measure: median ratio to cart, how many behind, of how many.

    A cell is a table and a seed that both have.
    """
    cells, found = _real(results), {}
    for what, excess in EXCESS.items():
        each = [
            excess(row) / excess(cells[name, seed, fidelity.CART])
            for (name, seed, m), row in cells.items()
            if m == method and (name, seed, fidelity.CART) in cells
        ]
        each = [one for one in each if not np.isnan(one)]
        behind = sum(one > 1 for one in each)
        found[what] = (statistics.median(each), behind, len(each))
    return found


def real_ratios(results: pathlib.Path) -> str:
    """Median ratios to cart over cells, and in how many behind."""
    rows = []
    for method in (*COMPARED[:2], *(f"{m}:one-fit" for m in COMPARED[:2])):
        found = ratios(results, method)
        count = found["margin"][2]
        name = method.replace(":", " --")
        rows.append(
            [
                f"`{name}`, {count} cells",
                *(f"{_short(a)} ({k})" for a, k, _ in found.values()),
            ]
        )
    return _table(["", *EXCESS], rows)


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def patterns(results: pathlib.Path) -> str:
    """Energy distances on FLOWGEM's tables."""
    rows = records.read(results / "patterns.jsonl")
    cells = {
        (row["name"], row["method"]): row for row in rows if "error" not in row
    }
    methods = ("miri", "chained", "r-norm", "r-pmm", "r-cart", "r-rf")
    table = []
    for name in "concrete forest pumadyn32nm allergens scm20d".split():
        value = {
            m: cells[name, m]["energy"] for m in methods if (name, m) in cells
        }
        shown = {
            m: f"{x:.0f}" if x >= 100 else f"{x:.1f}" for m, x in value.items()
        }
        if any(m.startswith("r-") for m in value):
            best = min(value, key=value.get)
            shown[best] = f"**{shown[best]}**"
        floor = next(row["floor"] for (n, _), row in cells.items() if n == name)
        table.append(
            [name, f"{floor:.1f}", *(shown.get(m, "") for m in methods)]
        )
    names = [
        m.removeprefix("r-") if m[:2] == "r-" else f"`{m}`" for m in methods
    ]
    return _table(["", "chance", *names], table)


def _above_chance(results: pathlib.Path) -> dict[str, float]:
    """Of each table miri's excess over chance, over the least of mice's."""
    cells: dict[str, dict[str, float]] = {}
    for row in records.read(results / "patterns.jsonl"):
        if "error" not in row:
            excess = row["energy"] - row["floor"]
            cells.setdefault(row["name"], {})[row["method"]] = excess
    best = {
        name: [x for method, x in some.items() if method.startswith("r-")]
        for name, some in cells.items()
    }
    return {
        name: some["miri"] / min(best[name])
        for name, some in cells.items()
        if best[name]
    }


def waits(results: pathlib.Path) -> str:
    """Seconds from the prompt to filled tables, first and again."""
    found: dict[tuple, list[str]] = {}
    for row in records.read(results / "wait.jsonl"):
        if "error" in row:
            continue
        first = [row["first"], *([row["again"]] if "again" in row else [])]
        cell = (row["name"], row["rows"], row["method"])
        found.setdefault(cell, []).append(
            ", ".join(f"{seconds:.1f}" for seconds in first)
        )
    rows = []
    for name, count in dict.fromkeys(cell[:2] for cell in found):
        of = lambda method: "; ".join(found.get((name, count, method), []))
        rows.append([f"{name}, {count} rows", *(of(m) for m in COMPARED)])
    return _table(["", "`chained`", "`miri`", "mice, cart"], rows)


def intervals(results: pathlib.Path) -> str:
    """Coverage of pooled intervals."""
    rows = [
        [
            mechanism,
            f"`{method}`",
            str(row["tables"]),
            f"{row['within']} of {row['cells']}",
            str(row["seen"]),
            f"{row['least']:.3f} ({row['least of']})",
            f"{row['mean']:.3f}",
            f"{row['shift']:.2f}",
            f"{row['width']:.2f}",
        ]
        for (mechanism, method), row in _covered(results).iterrows()
    ]
    head = ["", "", "tables", "within", "seen", "least", "mean", "shift"]
    return _table([*head, "width"], rows)


def _covered(results: pathlib.Path):
    rows = records.read(results / "coverage.jsonl")
    return coverage.summary(coverage.cells(rows))


def failures(results: pathlib.Path) -> str:
    """What was run and failed, and has not been run well since."""
    last = {
        tuple(row[key] for key in benchmark.Cell._fields[:-1]): row
        for row in records.read(results / "benchmark.jsonl")
    }
    found = [
        f"- `{cell[4]}` on {cell[0]}, {_gaps(*cell[1:3])}, mask {cell[3]}:"
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
    "wine": wine,
    "diffputer": diffputer,
    "generation": generation,
    "real": real,
    "real-ratios": real_ratios,
    "patterns": patterns,
    "waits": waits,
    "intervals": intervals,
    "failures": failures,
}


def said(results: pathlib.Path) -> dict[str, list[str]]:
    """What pages say in prose, as the lines of results have it."""
    miri, chained, one, other = (
        ratios(results, method)
        for method in ("miri", "chained", "miri:one-fit", "chained:one-fit")
    )
    margin, told, crps = miri.values()
    behind = lambda found: found[1] or "none"
    three = lambda found: "{:.2f}, {:.2f} and {:.2f}".format(
        *(x for x, _, _ in found.values())
    )
    covered = _covered(results)
    own, whole = (
        covered.xs(method, level="method") for method in ("chained", "complete")
    )
    waits = wait_summary(records.read(results / "wait.jsonl"))
    wait, longer = (waits.loc["california", rows] for rows in (2000, 20000))
    share = lambda of, method: _short(of["again / cart"][method])
    above = _above_chance(results)
    toy = {
        (method, key): np.mean(
            [
                row[key]
                for row in lines(results, "toy.jsonl")
                if row["method"] == method
            ]
        )
        for method in ("gaussian", "mean")
        for key in ("mmd", "rmse_all")
    }
    psnr = {
        row["method"]: row["psnr"]
        for row in records.read(results / "images.jsonl")
    }
    return {
        "README.md": [
            f"{margin[0]:.2f} of that of mice in margin (behind in"
            f" {behind(margin)}) and {told[0]:.2f} in the two-sample test"
            f" (behind in {behind(told)}), CRPS {crps[0]:.2f} (behind in"
            f" {behind(crps)}); for `chained` {three(chained)}.",
            f"(`--one-fit`, one seed), have {three(one)}, those of `chained`"
            f" {three(other)}.",
            f"hold {_short(own['mean'].min(), 3)} to"
            f" {_short(own['mean'].max(), 3)} of them on average",
            f"complete tables hold {_short(whole['mean'].mean(), 3)}; the"
            f" least of {own['cells'].sum()} estimates"
            f" {_short(own['least'].min(), 3)}",
            f"{wait['again']['chained']:.0f} seconds by `chained`,"
            f" {wait['again']['miri']:.0f} by `miri`"
            f" ({wait['first']['miri']:.0f} the first time, which compiles),"
            f" {wait['first'][fidelity.CART]:.0f} by mice's trees",
            f"the mean of 8 draws has {psnr['miri, mean of 8']:.1f} dB",
        ],
        "docs/papers.md": [
            f"`gaussian` has an MMD of {toy['gaussian', 'mmd']:.3f} and an RMSE"
            f" of {toy['gaussian', 'rmse_all']:.3f}, `mean`"
            f" {toy['mean', 'mmd']:.3f} and {toy['mean', 'rmse_all']:.3f}",
        ],
        "docs/real_tables.md": [
            f"`chained` takes {share(wait, 'chained')} of cart's time at 2000"
            f" rows and {share(longer, 'chained')} at 20 000, `miri`"
            f" {share(wait, 'miri')} ({_short(wait['first / cart']['miri'])}"
            f" the first time) and {share(longer, 'miri')}",
            f"Above chance `miri` has {_short(above['concrete'])} of the best"
            f" of mice's on concrete, {_short(above['pumadyn32nm'])} on"
            f" pumadyn32nm, {_short(above['forest'])} on forest",
        ],
        "docs/faq.md": [
            f"two-sample test ({told[0]:.2f} of the excess of mice's trees) and"
            f" in CRPS ({crps[0]:.2f}), and is level in margins"
            f" ({margin[0]:.2f}, behind in {margin[1]} of {margin[2]})",
        ],
    }


def _gaps(mechanism: str, rate: float) -> str:
    """As "60 % MCAR"."""
    return f"{round(100 * rate)} % {mechanism.upper().replace('_', ' by ')}"


def _methods(
    found: Found, mechanism: str, rate: float, names: Sequence[str]
) -> list[str]:
    """Methods of some tables: ours first, then in the order of `METHODS`."""
    there = {
        cell[3]
        for cell in found
        if cell[:2] == (mechanism, rate) and cell[2] in names
    }
    known = [*benchmark.METHODS, *sorted(there)]
    return [method for method in dict.fromkeys(known) if method in there]


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean, and in parentheses the deviation where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ({np.std(values):.{digits}f})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    row: Callable[[Sequence[str]], str] = lambda a: f"| {' | '.join(a)} |"
    rule = "|" + "---|" * len(header)
    return "\n".join([row(header), rule, *map(row, rows)])


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("results", "results", "The folder of results.")
    flags.DEFINE_string("root", ".", "Holds the pages.")
    flags.DEFINE_bool("check", False, "Only say where pages differ.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
