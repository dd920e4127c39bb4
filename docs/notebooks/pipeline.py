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
# # A scikit-learn pipeline
#
# A model is to predict, and new rows will have gaps as well. `MIRIImputer` is a
# transformer like those of scikit-learn: it is fitted within each fold, so that
# no fold sees the others, and fills rows that it has never seen
# ([tables](../tables.md#with-scikit-learn)).

# %%
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from miri_jax import MIRIImputer
from miri_jax.data import BEIJING

frame = pd.read_csv(BEIJING).dropna()[:300].reset_index(drop=True)
X = frame[["TEMP", "DEWP", "PRES", "Iws", "cbwd"]].copy()
y = np.log(frame["pm2.5"] + 1)

# %% [markdown]
# A third of the cells go missing, those of the wind's direction among them.

# %%
rng = np.random.default_rng(0)
X = X.mask(rng.random(X.shape) < 1 / 3)
X.head()

# %% [markdown]
# ## Fill, then predict
#
# Numbers and text are filled together, since they tell of each other; what
# comes back is a frame with the types that went in.

# %%
encode = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["cbwd"]),
    remainder=StandardScaler(),
)
ridge = make_pipeline(MIRIImputer("chained", random_state=0), encode, Ridge())
cross_val_score(ridge, X, y, cv=3).round(3)

# %% [markdown]
# For a prediction the mean of several draws is nearer to each cell than one
# draw is, and `add_indicator=True` tells the model where gaps were. Settings
# are searched as those of any step are.

# %%
search = GridSearchCV(
    make_pipeline(
        MIRIImputer("gaussian", n_imputations=3, random_state=0),
        encode,
        Ridge(),
    ),
    {"miriimputer__statistic": ["draw", "mean"]},
    cv=3,
)
search.fit(X, y)
pd.DataFrame(search.cv_results_)[
    ["param_miriimputer__statistic", "mean_test_score", "std_test_score"]
].round(3)

# %% [markdown]
# Is it worth it? Gradient boosting takes gaps as they are. Compare both for
# your table, rather than believe either:

# %%
trees = HistGradientBoostingRegressor(
    categorical_features="from_dtype", random_state=0
)
gaps = X.astype({"cbwd": "category"})
cross_val_score(trees, gaps, y, cv=3).round(3)

# %% [markdown]
# ## One row at a time, later
#
# A fitted imputer is saved as JSON and arrays. The same row gets the same
# values, alone or among others.

# %%
import tempfile

imputer = MIRIImputer("chained", random_state=0).fit(X[:240])
folder = tempfile.mkdtemp() + "/model"
imputer.save(folder)
same = MIRIImputer.load(folder)
new = X[240:]
one = same.transform(new.iloc[[7]])
pd.testing.assert_frame_equal(one, imputer.transform(new).iloc[[7]])
one
