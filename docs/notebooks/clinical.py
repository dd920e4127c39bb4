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
# # A clinical table: rules, pooling, sensitivity
#
# A trial of 300 patients, simulated so that the effect is known: the treated
# lose 4 kg more than the controls. Many of the treated have no weight at the
# end. A body mass index is a function of two columns, never-smokers have no
# pack-years, and an assay tells nothing below 0.25.

# %%
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

rng = np.random.default_rng(1)
n = 300
arm = rng.permutation(np.repeat(["control", "treated"], n // 2))
height = rng.normal(172, 9, n).round()
before = (0.9 * (height - 172) + rng.normal(90, 10, n)).round(1)
after = before - 2 - 4 * (arm == "treated") + rng.normal(0, 5, n)
smoking = rng.choice(["never", "former", "current"], n, p=[0.5, 0.3, 0.2])
pack_years = np.where(smoking == "never", np.nan, rng.gamma(4, 5, n).round(1))
crp = np.exp(rng.normal(0, 1, n) + 0.03 * (before - 90)).round(2)
truth = pd.DataFrame(
    {
        "arm": arm,
        "height": height,
        "before": before,
        "after": after.round(1),
        "bmi": (after / (height / 100) ** 2).round(1),
        "smoking": smoking,
        "pack_years": pack_years,
        "crp": crp,
    }
)

# %% [markdown]
# Those of the treated who were heavy are the likeliest to leave, and their body
# mass index goes with them. Some forgot how much they smoked.

# %%
frame = truth.copy()
heavy = 1 / (1 + np.exp(-(before - 90) / 10))
gone = rng.random(n) < np.where(arm == "treated", 0.6, 0.3) * heavy
frame.loc[gone, ["after", "bmi"]] = np.nan
frame.loc[rng.random(n) < 0.1, "height"] = np.nan
smokes = (smoking != "never").nonzero()[0]
frame.loc[rng.choice(smokes, 30, replace=False), "pack_years"] = np.nan
frame.loc[frame["crp"] < 0.25, "crp"] = np.nan
frame.isna().sum()

# %% [markdown]
# ## Say what is known
#
# Each line below is a flag of the command, too ([structure](../structure.md)).
# An observed cell never changes; what is stated holds in each imputation.

# %%
from miri_jax import MIRIImputer

imputer = MIRIImputer(
    "gaussian",
    n_imputations=10,
    formulas=["bmi = after / (height / 100) ** 2"],
    only_if={"pack_years": "smoking != 'never'"},
    below={"crp": 0.25},
    random_state=0,
)
tables = imputer.fit(frame).imputations(frame)

for table in tables:
    off = table["bmi"] - table["after"] / (table["height"] / 100) ** 2
    assert off.abs().max() < 0.1
    assert table["pack_years"].isna().equals(table["smoking"] == "never")
    assert (table.loc[frame["crp"].isna(), "crp"] < 0.25).all()
tables[0][frame.isna().any(axis=1)].head()

# %% [markdown]
# ## One answer out of ten tables
#
# Each table is analysed by itself, and Rubin's rules pool the answers
# ([pooling](../pooling.md)). Beside it, what complete rows say, and the truth.

# %%
from miri_jax import with_imputations


def analyse(table):
    return smf.ols("after ~ before + C(arm)", table).fit()


treated = "C(arm)[T.treated]"
pooled = with_imputations(tables, analyse).summary()
pd.DataFrame(
    {
        "pooled": pooled.loc[treated],
        "complete rows": {
            "estimate": analyse(frame).params[treated],
            "se": analyse(frame).bse[treated],
        },
        "no gaps": {
            "estimate": analyse(truth).params[treated],
            "se": analyse(truth).bse[treated],
        },
    }
).round(3)

# %% [markdown]
# `fmi` is the share of the uncertainty that comes from the gaps.
#
# ## What if they are not at random?
#
# All of that takes those who left to be as those like them who stayed. Suppose
# that the treated among them are heavier than that, by 1, 2 ... 12 kg: where
# does the conclusion tip ([statistics](../statistics.md))?

# %%
from miri_jax import tipping_point

found = tipping_point(
    tables,
    frame.isna(),
    analyse,
    "after",
    {"treated": [0, 2, 4, 6, 8, 12]},
    by="arm",
    term=treated,
)
print(found)

# %%
axes = found.plot()

# %% [markdown]
# Whether so large a shift is likely is for those to say who know the trial, and
# before they have seen the data.
