"""The imputers the scikit-learn way: fit once, fill any rows.

    imputer = MIRIImputer(random_state=0).fit(frame)
    filled = imputer.transform(frame)  # one draw, types as they came
    tables = imputer.imputations(frame, 20)  # several, for pooling.pool
    more = imputer.sample(1000)  # whole synthetic rows

    overimpute(imputer, frame)  # how well known cells are filled again

A fitted imputer is kept by `save` and `load`, or by a pickle.
"""

from miri_jax.estimator.imputer import MIRIImputer
from miri_jax.estimator.overimputing import overimpute

__all__ = ["MIRIImputer", "overimpute"]
