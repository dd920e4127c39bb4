"""Tables and prose of what is measured beside the papers, from results/.

Real tables beside R's mice, gaps by patterns, the wait, coverage: what README,
docs/real_tables.md and docs/results_tables.md show of them. Written into the
pages by experiments/tables.py.
"""

import functools
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from experiments import coverage, fidelity, records, speed
from experiments.wait import summary as wait_summary


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
    return table(header, rows)


COMPARED = ("chained", "miri", fidelity.CART)
EXCESS = {
    "margin": lambda row: row["margin"] - row["floor"],
    "two-sample": lambda row: row["c2st"] - 0.5,
    "CRPS": lambda row: row["crps"],
}


def _real(
    results: pathlib.Path, mechanism: str = "mar"
) -> dict[tuple[str, int, str], dict]:
    """By table, seed and method a line of fidelity.py, 25 % missing."""
    return {
        (row["name"], row["seed"], row["method"]): row
        for row in records.read(results / "fidelity.jsonl")
        if "error" not in row and row["mechanism"] == mechanism
    }


def _as_shown(name: str) -> int:
    order = "california beijing magic shoppers adult default letter bean"
    return order.split().index(name)


def _three(values: Sequence[float]) -> str:
    mean = np.mean(values) if values else np.nan
    return "-" if np.isnan(mean) else f"{mean:.3f}"


def ratios(
    results: pathlib.Path, method: str, mechanism: str = "mar"
) -> dict[str, tuple[float, int, int]]:
    """Of each measure: median ratio to cart, how many behind, of how many.

    A cell is a table and a seed that both have.
    """
    cells, found = _real(results, mechanism), {}
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


def real_ratios(results: pathlib.Path, mechanism: str = "mar") -> str:
    """Median ratios to cart over cells, and in how many behind."""
    rows = []
    for method in (*COMPARED[:2], *(f"{m}:one-fit" for m in COMPARED[:2])):
        found = ratios(results, method, mechanism)
        count = found["margin"][2]
        name = method.replace(":", " --")
        rows.append(
            [
                f"`{name}`, {count} cells",
                *(f"{_short(a)} ({k})" for a, k, _ in found.values()),
            ]
        )
    return table(["", *EXCESS], rows)


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def patterns(results: pathlib.Path) -> str:
    """Energy distances on FLOWGEM's tables."""
    rows = records.read(results / "patterns.jsonl")
    cells = {
        (row["name"], row["method"]): row for row in rows if "error" not in row
    }
    methods = ("miri", "chained", "r-norm", "r-pmm", "r-cart", "r-rf")
    shown_rows = []
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
        shown_rows.append(
            [name, f"{floor:.1f}", *(shown.get(m, "") for m in methods)]
        )
    names = [
        m.removeprefix("r-") if m[:2] == "r-" else f"`{m}`" for m in methods
    ]
    return table(["", "chance", *names], shown_rows)


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
    return table(["", "`chained`", "`miri`", "mice, cart"], rows)


def start(results: pathlib.Path) -> str:
    """Seconds before anything happens, beside imports: medians of repeats."""
    frame = pd.DataFrame(records.read(results / "start.jsonl"))
    shown = ["cpu", "cpu / B", "wall", "wall / B", "programs"]
    medians = frame.groupby("what", sort=False)[shown].median()
    cell = lambda value: "" if np.isnan(value) else f"{value:.3g}"
    return table(
        ["", "CPU seconds", "of B", "seconds", "of B", "programs"],
        ([what, *map(cell, line)] for what, line in medians.iterrows()),
    )


# Rows and columns of the sizes that the README shows.
SIZES = ((1000, 20), (10_000, 20), (100_000, 20), (2000, 32), (2000, 128))


def speeds(results: pathlib.Path, axis: str | None = None) -> str:
    """Seconds and gigabytes of commands, of the last repeat.

    Args:
      results: the folder.
      axis: "rows" or "columns", the others being as `speed.py` has them; None
        for `SIZES`.
    """
    rows = records.read(results / "speed.jsonl")
    cell = {(row["method"], row["rows"], row["columns"]): row for row in rows}
    there = {(row["rows"], row["columns"]) for row in rows}
    sizes = [size for size in SIZES if size in there]
    for one, other, fixed in speed.AXES:
        if one == axis:
            sizes = sorted(
                {
                    (row["rows"], row["columns"])
                    for row in rows
                    if row[other] == fixed
                }
            )
    names = dict.fromkeys(row["method"] for row in rows)
    return table(
        ["", *(f"{n} x {c}" for n, c in sizes)],
        (
            [_named(name), *(_took(cell.get((name, *size))) for size in sizes)]
            for name in names
        ),
    )


def _named(method: str) -> str:
    """A method as tables of speed call it."""
    door, _, name = method.partition("-")
    doors = {"r": "mice, {}", "sk": "scikit-learn, {}", "py": "{}"}
    return doors[door].format(name) if name else f"`{method}`"


def _took(row: dict | None) -> str:
    """Seconds, first and again, and the peak of memory in GB."""
    if row is None:
        return "-"
    if "first" not in row:
        late = "timed out" in row["error"]
        return f"> {row['timeout']:.0f}" if late else "failed"
    found = f"{row['first']['wall']:.3g}"
    if "again" in row:
        found += f", {row['again']['wall']:.3g}"
    return f"{found} ({row['first']['peak_mb'] / 1024:.1f})"


def powers(results: pathlib.Path) -> str:
    """Exponents of how processor seconds grow."""
    found = speed.powers(records.read(results / "speed.jsonl"))
    shown = lambda power: "" if np.isnan(power) else f"{power:.2f}"
    rows = [
        [_named(method), *map(shown, line)]
        for method, line in found.iterrows()
        if not method.endswith("again") and line.notna().any()
    ]
    return table(["", "of rows", "of columns"], rows)


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
    return table([*head, "width"], rows)


def _covered(results: pathlib.Path) -> pd.DataFrame:
    """See `coverage.summary`."""
    rows = records.read(results / "coverage.jsonl")
    return coverage.summary(coverage.cells(rows))


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
    seconds = wait_summary(records.read(results / "wait.jsonl"))
    wait, longer = (seconds.loc["california", rows] for rows in (2000, 20000))
    share = lambda of, method: _short(of["again / cart"][method])
    above = _above_chance(results)
    toy = {
        (method, key): np.mean(
            [
                row[key]
                for row in records.read(results / "toy.jsonl")
                if row["method"] == method
            ]
        )
        for method in ("gaussian", "mean")
        for key in ("mmd", "rmse_all")
    }
    images, channels = (
        {
            (row["rate"], image_method(row)): row["psnr"]
            for row in records.read(results / "images.jsonl")
            if row.get("per_channel", False) == apart
        }
        for apart in (False, True)
    )
    ours = "miri, mean of 8"
    gain = [
        images[rate, ours] - images[rate, "biharmonic"] for rate in (0.2, 0.4)
    ]
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
            f"the mean of 8 draws has {images[0.6, ours]:.1f} dB,"
            f" biharmonic inpainting {images[0.6, 'biharmonic']:.1f}, linear"
            f" {images[0.6, 'linear']:.1f}; with 20 and 40 % it is"
            f" {gain[0]:.1f} and {gain[1]:.1f} dB above biharmonic inpainting."
            " With red, green and blue missing one by one it has"
            f" {channels[0.6, ours]:.1f} dB at 60 %, biharmonic inpainting of"
            f" each {channels[0.6, 'biharmonic']:.1f}. The larger network for"
            f" a GPU has {images[0.6, ours + LARGER]:.1f} dB,",
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


def lines(results: pathlib.Path, name: str) -> list[dict]:
    """Lines of the record, those with settings that did not fail."""
    return [
        row
        for row in records.read(results / name)
        if "settings" in row and "error" not in row
    ]


LARGER = ", larger network"


def image_method(row: dict) -> str:
    """A method on images, with its network where it is that for a GPU."""
    size = row["settings"].get("model", {}).get("size")
    return row["method"] + (LARGER if size == "base" else "")


def in_order(known: Iterable, there: Iterable) -> list:
    """What is there: what is known in its order, then the rest as it comes."""
    there = dict.fromkeys(there)
    return [x for x in dict.fromkeys([*known, *there]) if x in there]


def kind_of(mechanism: str) -> str:
    """As "MCAR by ROW"."""
    return mechanism.upper().replace("_", " by ")


def gaps(mechanism: str, rate: float) -> str:
    """As "60 % MCAR"."""
    return f"{round(100 * rate)} % {kind_of(mechanism)}"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and in parentheses the deviation where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ({np.std(values):.{digits}f})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in markdown."""
    row: Callable[[Sequence[str]], str] = lambda a: f"| {' | '.join(a)} |"
    rule = "|" + "---|" * len(header)
    return "\n".join([row(header), rule, *map(row, rows)])


BLOCKS: dict[str, Callable[[pathlib.Path], str]] = {
    "real": real,
    "real-ratios": real_ratios,
    "mcar-ratios": functools.partial(real_ratios, mechanism="mcar"),
    "patterns": patterns,
    "waits": waits,
    "start": start,
    "speed": speeds,
    "speed-rows": functools.partial(speeds, axis="rows"),
    "speed-columns": functools.partial(speeds, axis="columns"),
    "powers": powers,
    "intervals": intervals,
}
