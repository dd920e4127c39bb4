"""Tables of results/*.jsonl in markdown, beside the papers' own numbers.

    PYTHONPATH=. python experiments/tables.py

Writes docs/results_tables.md; `--summary` prints miri against scikit-learn's
peers and writes nothing. What was not run is left out, what failed is listed;
of several lines of one cell the one with the most draws counts, the last of
these.
"""

import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from absl import app, flags
from scipy.stats import rankdata

from experiments import records
from experiments.coverage import cells, summary

FLAGS = flags.FLAGS
# Older lines first. The first file is of this benchmark's predecessor.
CELLS = ("uci_peers.jsonl", "toy.jsonl", "benchmark.jsonl")
NEW_ROWS, MIXED, COVERAGE = "new_rows.jsonl", "mixed.jsonl", "coverage.jsonl"
OURS = "miri"
# Not a rival: the same method as its paper prints it.
SAME = (OURS, "miri_paper")

# MIRI, Table 3: RMSE, MAE and MMD with their deviations over ten masks.
PAPER_TOY = {
    "gain": ((1.128, 0.004), (0.600, 0.002), (0.342, 0.015)),
    "tabcsdi": ((1.128, 0.004), (0.600, 0.002), (0.337, 0.010)),
    "knewimp": ((1.130, 0.004), (0.600, 0.002), (0.335, 0.009)),
    "missdiff": ((0.951, 0.008), (0.437, 0.004), (0.189, 0.009)),
    "hyperimpute": ((0.862, 0.020), (0.278, 0.006), (0.094, 0.018)),
    "miri_paper": ((0.938, 0.022), (0.325, 0.009), (0.036, 0.007)),
}
# MissDiff, Table 1, the column "Wine": RMSE and its deviation over five runs.
PAPER_WINE = {
    "mean": (0.076, 0.003),
    "iterative": (0.065, 0.003),
    "missforest": (0.060, 0.002),
    "gain": (0.072, 0.004),
    "hyperimpute_miwae": (0.074, 0.005),
    "tabcsdi": (0.065, 0.004),
    "missdiff": (0.053, 0.001),
}

# (mechanism, rate, dataset, method) -> mask seed -> line.
Found = dict[tuple[str, float, str, str], dict[int, dict]]


# DiffPuter's Table 1, in-sample accuracy at 30 % MCAR, as printed there.
PAPER_ACCURACY = {
    "mode": {"adult": 55.20, "default": 53.37, "shoppers": 50.60},
    "hyperimpute_missforest": {
        "adult": 63.51,
        "default": 56.97,
        "shoppers": 51.10,
    },
    "hyperimpute": {"adult": 64.99, "default": 74.39, "shoppers": 59.19},
    "diffputer": {"adult": 70.12, "default": 77.64, "shoppers": 58.82},
}


def main(argv: list[str]) -> None:
    """Writes the tables, or prints the summary."""
    del argv
    folder = pathlib.Path(FLAGS.results)
    rows = records.read(*(folder / name for name in CELLS))
    if FLAGS.summary:
        summarise(by_cell(rows))
        return
    parts = document(rows, records.read(folder / NEW_ROWS))
    parts.insert(-1, mixed(records.read(folder / MIXED)))
    parts.insert(-1, coverage(records.read(folder / COVERAGE)))
    text = "\n\n".join(part for part in parts if part) + "\n"
    out = pathlib.Path(FLAGS.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(out, len(text.splitlines()), "lines")


def by_cell(rows: Iterable[dict]) -> Found:
    """The line of each cell with the most draws, the last of them.

    A cell whose last line failed is left out.
    """
    found: Found = {}
    for row in rows:
        cell = tuple(row[k] for k in ("mechanism", "rate", "dataset", "method"))
        some = found.setdefault(cell, {})
        old = some.get(row["mask_seed"], {})
        fewer = row.get("draws", 0) < old.get("draws", 0)
        if "failed" in row or not fewer:
            some[row["mask_seed"]] = row
    kept = {
        cell: {seed: row for seed, row in some.items() if "failed" not in row}
        for cell, some in found.items()
    }
    return {cell: some for cell, some in kept.items() if some}


def document(rows: list[dict], new_rows: list[dict]) -> list[str]:
    """All tables of numerical data that the lines allow, as markdown."""
    found = by_cell(rows)
    return [
        "# Results in tables",
        "Written by `experiments/tables.py` from the lines of results/, which"
        " hold command, settings, versions and machine of each number: do not"
        " edit. Numbers are means over masks, in parentheses the standard"
        " deviation over them, in brackets how many masks where that is fewer"
        " than elsewhere in the table; the best of a column is bold. `mmd` is"
        " that of one draw, `rmse` that of the mean of a method's draws (20"
        " where there are, 5 in the smoke preset), both on standardised"
        " columns. Methods by their names in the registry and"
        " in `experiments/peers.py`.",
        toy(found),
        *uci(found),
        wine(found),
        unseen(new_rows),
        failures(rows),
    ]


def toy(found: Found) -> str:
    """MIRI's Table 3: the toy, 30 % MCAR."""
    keys = ("rmse_all", "mae_all", "mmd")
    methods = _methods(found, "mcar", 0.3, ["toy"])
    lines = []
    for method in methods:
        some = found["mcar", 0.3, "toy", method].values()
        some = [row for row in some if "rmse_all" in row]
        if not some:
            continue
        theirs = PAPER_TOY.get(method)
        lines.append(
            [
                f"`{method}`",
                str(len(some)),
                *(_spread([row[key] for row in some], 3) for key in keys),
                *(f"*{a:.3f} ({s:.3f})*" for a, s in theirs or ()),
                *([""] * 3 if theirs is None else ()),
            ]
        )
    if not lines:
        return ""
    header = ["", "masks", "RMSE", "MAE", "MMD"]
    header += [f"*{name}, theirs*" for name in ("RMSE", "MAE", "MMD")]
    return (
        "## The toy of the MIRI paper, 30 % MCAR\n\n"
        "Two Gaussians in the plane, 6000 rows; one draw; errors over all"
        " entries, and MMD with a kernel of scale 1, on the raw scale."
        " *Theirs* is Table 3 of the paper as printed there (ten masks);"
        " `exact` draws from the true conditional.\n\n" + _table(header, lines)
    )


def uci(found: Found) -> list[str]:
    """MMD, RMSE and seconds of the UCI tables, by mechanism and rate."""
    parts = []
    settings = {cell[:2] for cell in found if cell[2] != "toy"}
    order = {"mcar": 0, "mar": 1, "mnar": 2}
    for mechanism, rate in sorted(
        settings, key=lambda s: (order.get(s[0], 3), s)
    ):
        if mechanism not in order:
            continue
        title = f"## UCI tables, {rate:.0%} {mechanism.upper()}"
        block = [title.replace("%", " %")]
        for key, what, digits in (
            ("mmd", "MMD of a draw", 4),
            ("rmse_mean", "RMSE of the mean", 3),
            ("seconds", "Seconds of a fit with its first draw", 1),
        ):
            block.append(f"### {what}")
            block.append(_grid(found, mechanism, rate, key, digits))
            if key != "seconds":
                block.append(first_or_level(found, mechanism, rate, key))
        parts.append("\n\n".join(part for part in block if part))
    return parts


def _grid(
    found: Found, mechanism: str, rate: float, key: str, digits: int
) -> str:
    """Methods down, tables across, with the mean rank."""
    names = _names(found, mechanism, rate)
    methods = _methods(found, mechanism, rate, names)
    rows = lambda name, method: found.get((mechanism, rate, name, method), {})
    value = {
        (name, method): [row[key] for row in rows(name, method).values()]
        for name in names
        for method in methods
    }
    masks = max(map(len, value.values()))
    best = {
        name: min(np.mean(value[name, m]) for m in methods if value[name, m])
        for name in names
    }
    rank = {}
    if key != "seconds":
        everywhere = [m for m in methods if all(value[n, m] for n in names)]
        means = [[np.mean(value[n, m]) for m in everywhere] for n in names]
        ranks = np.mean([rankdata(some) for some in means], axis=0)
        rank = dict(zip(everywhere, np.atleast_1d(ranks)))
    lines = []
    for method in methods:
        line = [f"`{method}`"]
        for name in names:
            some = value[name, method]
            shown = _spread(some, digits) if some else ""
            if some and np.mean(some) == best[name]:
                shown = f"**{shown}**"
            if 0 < len(some) < masks:
                shown += f" [{len(some)}]"
            line.append(shown)
        if rank:
            line.append(f"{rank[method]:.1f}" if method in rank else "")
        lines.append(line)
    return _table(["", *names, *(["rank"] if rank else [])], lines)


def first_or_level(found: Found, mechanism: str, rate: float, key: str) -> str:
    """On how many tables miri is first, and on how many it is level.

    Against each rival, over the masks that both have. Level is where the
    difference is at most one deviation of miri over all masks that it has.
    """
    first = level = count = 0
    behind = []
    for name in _names(found, mechanism, rate):
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
    text = (
        f"`{OURS}` is first on {first} of {count} and level, within one of its"
        f" deviations over its masks, on {level}"
    )
    return text + (f"; behind on {', '.join(behind)}." if behind else ".")


def wine(found: Found) -> str:
    """MissDiff's Table 1, of which there is one table here."""
    lines = []
    for method in _methods(found, "mcar_row", 0.2, ["wine"]):
        some = found["mcar_row", 0.2, "wine", method].values()
        theirs = PAPER_WINE.get(method)
        lines.append(
            [
                f"`{method}`",
                str(len(some)),
                _spread([row["rmse_minmax"] for row in some], 3),
                f"*{theirs[0]:.3f} ({theirs[1]:.3f})*" if theirs else "",
            ]
        )
    if not lines:
        return ""
    return (
        "## Wine of the MissDiff paper, 20 % of each row missing\n\n"
        "RMSE of the mean over missing entries, columns scaled to [0, 1] by the"
        " complete data. *Theirs* is Table 1 of the paper as printed there"
        " (five runs). Which of the two wine tables it is, and how they are"
        " scaled, the paper does not say: compare with the row of `mean`.\n\n"
        + _table(["", "masks", "RMSE", "*RMSE, theirs*"], lines)
    )


def unseen(rows: Iterable[dict]) -> str:
    """DiffPuter's protocol: rows of the fit, and rows it has not seen."""
    cells: dict[tuple, dict[int, dict]] = {}
    for row in rows:
        mechanism = row.get("mechanism", "mcar")
        cell = (mechanism, row["rate"], row["dataset"], row["method"])
        cells.setdefault(cell, {})[row["mask_seed"]] = row
    if not cells:
        return ""
    keys = ("mae_fitted", "mae_new", "rmse_fitted", "rmse_new")
    lines = []
    for (mechanism, rate, name, method), some in cells.items():
        of = lambda key: [row[key] for row in some.values() if key in row]
        lines.append(
            [
                name,
                f"{rate:.0%} {mechanism.upper()}".replace("%", " %"),
                f"`{method}`",
                str(len(some)),
                *(_spread(of(key), 3) if of(key) else "" for key in keys),
            ]
        )
    header = ["", "missing", "", "masks"]
    header += ["MAE, in-sample", "MAE, out-of-sample"]
    header += ["RMSE, in-sample", "RMSE, out-of-sample"]
    return (
        "## Rows of the fit and rows never seen\n\n"
        "The protocol of the DiffPuter paper: 70 % of the rows are fitted, the"
        " other 30 % imputed by that fit; errors of the mean of the draws,"
        " columns standardised with the complete data.\n\n"
        + _table(header, lines)
    )


def mixed(rows: Iterable[dict]) -> str:
    """Tables of mixed types: accuracy of levels, RMSE of numbers."""
    cells: dict[tuple, dict] = {}
    for row in rows:
        cells.setdefault((row["part"], row["dataset"]), {})[row["method"]] = row
    parts = []
    for part in dict.fromkeys(cell[0] for cell in cells):
        names = [cell[1] for cell in cells if cell[0] == part]
        some = [cells[part, name] for name in names]
        methods = list(dict.fromkeys(m for cell in some for m in cell))
        shared = [m for m in methods if all(m in cell for cell in some)]
        ranks = np.mean(
            [
                rankdata([sign * cell[m][key] for m in shared])
                for cell in some
                for key, sign in (("accuracy", -1), ("rmse", 1))
            ],
            axis=0,
        )
        rank = dict(zip(shared, ranks))
        lines = []
        for method in dict.fromkeys([*methods, *PAPER_ACCURACY]):
            line = [f"`{method}`"]
            for name, cell in zip(names, some):
                line += [
                    f"{100 * cell[method]['accuracy']:.1f}"
                    f" / {cell[method]['rmse']:.3f}"
                    if method in cell
                    else ""
                ]
            line.append(f"{rank[method]:.1f}" if method in rank else "")
            theirs = PAPER_ACCURACY.get(method, {})
            if part == "in_sample":
                shown = (
                    theirs.get(n) for n in ("adult", "default", "shoppers")
                )
                line.append(
                    "*" + " / ".join(f"{x:.1f}" for x in shown) + "*"
                    if theirs
                    else ""
                )
            if method in methods or part == "in_sample":
                lines.append(line)
        header = ["", *names, "rank"]
        if part == "in_sample":
            header.append("*accuracy on adult / default / shoppers, theirs*")
        parts.append(f"### {part.replace('_', '-')}")
        parts.append(_table(header, lines))
    if not parts:
        return ""
    return "\n\n".join(
        [
            "## Tables of mixed types, 30 % MCAR",
            "`experiments/mixed.py`: accuracy of levels in % / RMSE of numbers"
            " in deviations, of the mean of 10 draws; 70 % of the rows fitted"
            " (in-sample), the others filled by that fit (out-of-sample)."
            " `rank` is the mean rank over tables and both measures among the"
            " methods that all tables have. *Theirs* is Table 1 of the"
            " DiffPuter paper as printed there, over its own masks; its Beijing"
            " counts other columns as categories and is left out.",
            *parts,
        ]
    )


def coverage(rows: Sequence[dict]) -> str:
    """Coverage of pooled intervals."""
    if not rows:
        return ""
    lines = [
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
        for (mechanism, method), row in summary(cells(rows)).iterrows()
    ]
    head = ["", "", "tables", "within", "seen", "least", "mean", "shift"]
    return (
        "## Coverage of pooled intervals\n\n"
        "`experiments/coverage.py`: how many of all cells, an estimate in a"
        " design and a number of rows, have nominal 95 % intervals that hold"
        " the truth in .93 to .97 of the tables (`within`), or may have as far"
        " as the number of tables tells (`seen`); the least and the mean"
        " coverage; the largest shift of an estimate from that of the complete"
        " table, in its standard deviations; the intervals' mean width over"
        " that of the complete table. `complete` is that table, `cases` its"
        " complete rows, `r-` R's mice.\n\n" + _table([*head, "width"], lines)
    )


def failures(rows: Iterable[dict]) -> str:
    """What was run and failed, and has not been run well since."""
    last: dict[tuple, str | None] = {}
    for row in rows:
        keys = ("dataset", "mechanism", "rate", "mask_seed", "method")
        last[tuple(row[key] for key in keys)] = row.get("failed")
    lines = [
        f"- `{method}` on {name}, {mechanism} {rate}, mask {seed}: {error}"
        for (name, mechanism, rate, seed, method), error in last.items()
        if error is not None
    ]
    return "## Failed\n\n" + "\n".join(lines) if lines else ""


def summarise(found: Found) -> None:
    """Prints MMD against MICE and RMSE against the better regressor."""

    def compare(setting: tuple, rival: str, key: str) -> str:
        ours = found.get((*setting, OURS), {})
        theirs = found.get((*setting, rival), {})
        both = sorted(set(ours) & set(theirs))
        if not both:
            return f"{'':32}"
        a = np.array([ours[seed][key] for seed in both])
        b = np.array([theirs[seed][key] for seed in both])
        sign = "<" if a.mean() < b.mean() else ">"
        return (
            f"{a.mean():.4f} ({a.std():.4f}) {sign} {b.mean():.4f}"
            f" [{len(both)}]  "
        )

    print("mmd miri (sd) against mice; rmse_mean against iterative, missforest")
    for setting in dict.fromkeys(cell[:3] for cell in found):
        if setting[2] == "toy":
            continue
        print(
            f"{setting[0]} {setting[1]} {setting[2]:12}",
            compare(setting, "mice", "mmd"),
            compare(setting, "iterative", "rmse_mean"),
            compare(setting, "missforest", "rmse_mean"),
        )


def _names(found: Found, mechanism: str, rate: float) -> list[str]:
    """Tables of a setting, but for the toy, in order of appearance."""
    names = [cell[2] for cell in found if cell[:2] == (mechanism, rate)]
    return [name for name in dict.fromkeys(names) if name != "toy"]


def _methods(
    found: Found, mechanism: str, rate: float, names: Sequence[str]
) -> list[str]:
    """Methods of some tables: ours first, then in order of appearance."""
    methods = dict.fromkeys(
        cell[3]
        for cell in found
        if cell[:2] == (mechanism, rate) and cell[2] in names
    )
    return sorted(methods, key=lambda method: method not in SAME)


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean, and in parentheses the deviation where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ({np.std(values):.{digits}f})"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    row: Callable[[Sequence[str]], str] = lambda a: f"| {' | '.join(a)} |"
    rule = "|" + "---|" * len(header)
    return "\n".join([row(header), rule, *map(row, lines)])


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_string("results", "results", "The folder of results.")
    flags.DEFINE_string("out", "docs/results_tables.md", "What is written.")
    flags.DEFINE_bool("summary", False, "Only print miri against its peers.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
