"""Tables of the DiffPuter and the MissDiff paper, from results/.

Written into docs/papers.md by experiments/tables.py.
"""

import pathlib
from collections.abc import Sequence

from experiments import generation, mixed, printed
from experiments.measured import (
    gaps,
    in_order,
    kind_of,
    lines,
    spread,
    table,
)

# The paper's default of its downstream models, as generation.py has it.
DOWNSTREAM = "boosting"
# Columns: name of the score, factor, digits.
_OF_LEVELS = {
    "SDMetrics": ("sdmetrics", 100, 1),
    "accuracy": ("accuracy", 100, 1),
    "F1": ("f1", 1, 3),
    "weighted F1": ("weighted_f1", 1, 3),
    "AUROC": ("auroc", 1, 3),
}
_OF_NUMBERS = {
    "SDMetrics": ("sdmetrics", 100, 1),
    "RMSE": ("rmse", 1, 3),
    "R²": ("r2", 1, 3),
}


def diffputer(results: pathlib.Path) -> str:
    """DiffPuter: errors and accuracy of rows fitted and of rows never seen."""
    lines_of = {
        (row["mechanism"], row["rows"], row["dataset"], row["method"]): row
        for row in lines(results, "mixed.jsonl")
        if row["rate"] == mixed.RATES[0]
        if row["mechanism"] in mixed.MECHANISMS and ":" not in row["method"]
    }
    parts = []
    order = lambda of: (mixed.MECHANISMS.index(of[0]), of[1])
    for of in sorted({cell[:2] for cell in lines_of}, key=order):
        mine = [cell[2:] for cell in lines_of if cell[:2] == of]
        names = in_order(mixed.TABLES, (name for name, _ in mine))
        methods = in_order(mixed.METHODS, (method for _, method in mine))
        for part in ("in_sample", "out_of_sample"):
            for key, unit in (("rmse", 1), ("accuracy", 100)):
                value = lambda name, method: lines_of.get(
                    (*of, name, method), {part: {}}
                )[part].get(key)
                some = [n for n in names if any(value(n, m) for m in methods)]
                if not some:
                    continue
                rows = []
                for method in methods:
                    each = [value(name, method) for name in some]
                    form = ".3f" if unit == 1 else ".1f"
                    shown = (f"{unit * x:{form}}" if x else "" for x in each)
                    if any(each):
                        rows.append([f"`{method}`", *shown])
                given = printed.DIFFPUTER.get((of[0], part, key), {})
                for method, numbers in given.items():
                    theirs = [numbers.get(name) for name in some]
                    shown = (f"*{x}*" if x else "" for x in theirs)
                    if any(theirs):
                        rows.append([f"*{method}, theirs*", *shown])
                where = part.replace("_", "-")
                what = "accuracy, %" if unit > 1 else "RMSE"
                few = of[1] == mixed.ROWS
                size = f"{of[1]} rows" if few else "all rows"
                parts.append(f"**{of[0].upper()}, {size}, {where}: {what}**")
                parts.append(table(["", *some], rows))
    return "\n\n".join(parts)


def curves(results: pathlib.Path) -> str:
    """DiffPuter's Figures 3 to 6: a setting, or the share of gaps, changed."""
    found = {
        (row["dataset"], row["rate"], row["method"]): row
        for row in lines(results, "mixed.jsonl")
        if row["mechanism"] == "mcar" and row["rows"] == mixed.ROWS
    }
    rows = []
    changed = {name for name, _, method in found if ":" in method}
    for name in sorted(changed):
        for what, rate, method in mixed.changes():
            row = found.get((name, rate, method))
            if row is not None:
                each = [
                    f"{row[part][key]:.3f}"
                    for part in ("in_sample", "out_of_sample")
                    for key in ("mae", "rmse")
                ]
                seconds = row["seconds_fit"] + row["seconds_in_sample"]
                rows.append([name, what, *each, f"{seconds:.0f}"])
    header = ["", "", "MAE in-sample", "RMSE in-sample", "MAE out-of-sample"]
    return table([*header, "RMSE out-of-sample", "seconds"], rows)


def census(results: pathlib.Path) -> str:
    """MissDiff's Table 1, Census: errors of numbers in rows never seen."""
    found: dict[str, dict[int, float]] = {}
    for row in lines(results, "mixed.jsonl"):
        if (row["dataset"], row["mechanism"]) == ("adult", "mcar_row"):
            of_masks = found.setdefault(row["method"], {})
            of_masks[row["mask_seed"]] = row["out_of_sample"]["rmse_minmax"]
    rows = []
    for method in in_order(mixed.METHODS, found):
        told = printed.CENSUS.get(method)
        rows.append(
            [
                f"`{method}`",
                str(len(found[method])),
                spread([*found[method].values()], 3),
                f"*{told[0]:.3f} ({told[1]:.3f})*" if told else "",
            ]
        )
    return table(["", "masks", "RMSE", "*RMSE, theirs*"], rows)


def made(results: pathlib.Path) -> str:
    """MissDiff's generation: fidelity, and utility by its default model."""
    parts = []
    for key, shown in (("accuracy", _OF_LEVELS), ("rmse", _OF_NUMBERS)):
        rows = []
        for (*of, method), some in cells(results).items():
            if key not in some[0] or of[0] == "network":
                continue
            cell = (of[0], of[1], method)
            values = [
                _shown([_score(row, name) for row in some], scale, digits)
                for name, scale, digits in shown.values()
            ]
            head = [of[0], gaps(*of[1:])]
            rows.append([*head, f"`{method}`", *values])
            if cell in printed.GENERATION:
                theirs = (
                    f"*{x:.{3 if x < 1 else 2}f}*"
                    for x in printed.GENERATION[cell]
                )
                rows.append([*head, f"*{method}, theirs*", *theirs])
        if rows:
            parts.append(table(["", "gaps", "", *shown], rows))
    return "\n\n".join(parts)


def models(results: pathlib.Path) -> str:
    """Accuracy by each model that learned from made rows (Tables 13 to 17)."""
    rows = []
    for (name, *of, method), some in cells(results).items():
        if name != "adult":
            continue
        each = (
            spread([100 * row["by"][model]["accuracy"] for row in some], 1)
            for model in generation.CLASSIFIERS
        )
        rows.append([gaps(*of), f"`{method}`", *each])
        theirs = printed.BY_MODEL.get((of[0], method))
        if theirs:
            each = (
                f"*{theirs[model]:.2f}*" for model in generation.CLASSIFIERS
            )
            rows.append([gaps(*of), f"*{method}, theirs*", *each])
    return table(["gaps", "", *generation.CLASSIFIERS], rows)


def by_rate(results: pathlib.Path) -> str:
    """MissDiff's Figure 1: SDMetrics in %, over the share of gaps."""
    found = {
        cell: _shown([row["sdmetrics"] for row in some], 100, 1)
        for cell, some in cells(results).items()
        if cell[0] == "network" and cell[-1] != "real"
    }
    rates = sorted({cell[2] for cell in found})
    rows = [
        [
            kind_of(mechanism),
            f"`{method}`",
            *(found.get(("network", mechanism, x, method), "") for x in rates),
        ]
        for mechanism, method in dict.fromkeys((c[1], c[3]) for c in found)
    ]
    return table(["gaps", "", *(f"{rate:.0%}" for rate in rates)], rows)


def cells(results: pathlib.Path) -> dict[tuple, list[dict]]:
    """Lines by data set, mechanism, rate and method, the last of each mask."""
    found: dict[tuple, dict[int, dict]] = {}
    for row in lines(results, "generation.jsonl"):
        cell = tuple(row[k] for k in ("dataset", "mechanism", "rate", "method"))
        found.setdefault(cell, {})[row["mask_seed"]] = row
    known = generation.TARGETS, generation.MECHANISMS, (), generation.METHODS
    every = [in_order(*pair) for pair in zip(known, map(sorted, zip(*found)))]
    order = lambda cell: [x.index(one) for x, one in zip(every, cell)]
    return {cell: [*found[cell].values()] for cell in sorted(found, key=order)}


def _shown(values: Sequence[float | None], scale: float, digits: int) -> str:
    """Nothing where SDMetrics was not installed."""
    if None in values:
        return ""
    return spread([scale * value for value in values], digits)


def _score(row: dict, name: str) -> float | None:
    """Of the default model, where a score is one of models."""
    return row["by"][DOWNSTREAM].get(name, row.get(name))


BLOCKS = {
    "diffputer": diffputer,
    "diffputer-curves": curves,
    "census": census,
    "generation": made,
    "generation-models": models,
    "generation-rates": by_rate,
}
