# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # An analyst's CSV
#
# A table came as a file. Some of its cells are empty. It is to be filled, and
# one is to know how far the result can be trusted. The table here is the one
# that the package ships: two months of the weather and air of Beijing, hour by
# hour, with real gaps in `pm2.5`.

# %%
import os
import subprocess
import tempfile

import pandas as pd

from miri_jax.data import BEIJING

os.chdir(tempfile.mkdtemp())
frame = pd.read_csv(BEIJING)[1000:2000]
frame.to_csv("air.csv", index=False)
frame.head()

# %% [markdown]
# ## What is it taken for?
#
# Ask before anything is filled. In a notebook a command begins with `!`; here
# each is run by a function, so that this page is a script, too.


# %%
def shell(command):
    """Runs a command and prints what it says."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    print(f"$ {command}\n{done.stdout}{done.stderr}")
    assert done.returncode == 0


shell("miri-impute air.csv --dry-run")

# %% [markdown]
# `pm2.5` has whole numbers and gaps, `cbwd` is text and so has levels.
# [Tables](../tables.md) has the rules, and the flags that say otherwise.
#
# ## Fill it
#
# Five imputations, each a whole table, and a report beside them. `chained`
# comes in seconds; without `--method` the answer is that of `miri`.

# %%
shell("miri-impute air.csv filled.csv --draws 5 --method chained")
sorted(os.listdir())

# %% [markdown]
# `filled.html` opens in a browser: whether the table can be used, what to
# beware of, each column observed against imputed. [The report](../report.md)
# says how to read it. Every observed cell came back as it was:

# %%
draws = [
    pd.read_csv(f"filled_{k}.csv").set_axis(frame.index) for k in range(1, 6)
]
seen = frame["pm2.5"].notna()
assert all(
    (draw["pm2.5"][seen] == frame["pm2.5"][seen]).all() for draw in draws
)
assert not any(draw.isna().any(axis=None) for draw in draws)
gaps = pd.DataFrame(
    {k: draw["pm2.5"][~seen] for k, draw in enumerate(draws, 1)}
)
gaps.describe().round(1)

# %% [markdown]
# The five differ: by how much tells what is not known of a cell. So do not take
# one of them for the truth, and do not average them; analyse each, and pool the
# answers ([from a table with gaps to a pooled regression](../tutorial.md)).
#
# ## The same in Python
#
# The estimator takes the frame as it is. A picture of the report is a function,
# which draws on axes of matplotlib.

# %%
import matplotlib.pyplot as plt

from miri_jax import MIRIImputer, plots

imputer = MIRIImputer("chained", n_imputations=5, random_state=0).fit(frame)
tables = imputer.imputations(frame)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
plots.distribution(axes[0], frame, tables, "pm2.5")
plots.relation(axes[1], frame, tables[0], "pm2.5", "DEWP")
figure.tight_layout()

# %% [markdown]
# ## Is it any good?
#
# Known cells are hidden as gaps are, and filled again. A score below 1 is
# better than observed values drawn at random, and `coverage_90` should be 0.9
# ([statistics](../statistics.md#quality-without-the-truth)).

# %%
from miri_jax import overimpute

found = overimpute(MIRIImputer("chained", random_state=0), frame)
found[["cells", "score", "score_error", "coverage_90", "bias"]].round(2)
