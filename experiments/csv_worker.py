"""A CSV with gaps filled by a Python package, in that package's environment.

    python3 -m venv ENV
    ENV/bin/pip install -r experiments/hyperimpute_requirements.txt
    export HYPERIMPUTE_PYTHON=ENV/bin/python
    ENV/bin/python csv_worker.py PACKAGE IN.csv OUT COUNT SEED

(of miceforest `miceforest_requirements.txt` and MICEFOREST_PYTHON.)
Nothing of this project can be imported here. PACKAGE is miceforest, hyperimpute
or missforest (HyperImpute's); OUT_1.csv ... OUT_COUNT.csv are written. Of text
miceforest is told that it is a category; HyperImpute, which knows numbers only,
sees the numbers of its levels, and what it fills is rounded to one.
"""

import sys
import warnings

import numpy as np
import pandas as pd


def by_miceforest(table: pd.DataFrame, count: int, seed: int) -> list:
    """`count` tables by chained boosted trees and predictive mean matching."""
    import miceforest

    text = table.select_dtypes(exclude="number").columns
    table = table.astype(dict.fromkeys(text, "category"))
    # Its default of levels, "normal", fails where a probability is 0 or 1.
    matching = {
        name: "fast" if name in text else "normal"
        for name in table
        if table[name].isna().any()
    }
    kernel = miceforest.ImputationKernel(
        table,
        num_datasets=count,
        random_state=seed,
        mean_match_strategy=matching,
    )
    kernel.mice(iterations=5, num_threads=2)
    return [kernel.complete_data(k) for k in range(count)]


def by_hyperimpute(
    plugin: str, table: pd.DataFrame, count: int, seed: int
) -> list:
    """`count` tables by a plugin, each with another seed."""
    from hyperimpute.plugins.imputers import Imputers
    from hyperimpute.utils.distributions import enable_reproducible_results

    coded, levels = table.copy(), {}
    for name in table.select_dtypes(exclude="number"):
        codes = table[name].astype("category")
        levels[name] = codes.cat.categories
        coded[name] = codes.cat.codes.astype(float).replace(-1, np.nan)
    coded, found = coded.astype(float), []
    for k in range(count):
        enable_reproducible_results(seed + k)
        filled = Imputers().get(plugin, random_state=seed + k)
        filled = pd.DataFrame(
            np.asarray(filled.fit_transform(coded)), columns=table.columns
        )
        for name, own in levels.items():
            code = filled[name].round().clip(0, len(own) - 1).astype(int)
            filled[name] = own[code]
        found.append(filled)
    return found


def main(package: str, source: str, out: str, count: str, seed: str) -> None:
    """Fills one table."""
    warnings.simplefilter("ignore")
    table, many = pd.read_csv(source), (int(count), int(seed))
    if package == "miceforest":
        filled = by_miceforest(table, *many)
    else:
        filled = by_hyperimpute(package, table, *many)
    for k, one in enumerate(filled):
        # What is observed stays to the last digit.
        one = one.astype(object).where(table.isna().to_numpy(), table)
        one.to_csv(f"{out}_{k + 1}.csv", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
