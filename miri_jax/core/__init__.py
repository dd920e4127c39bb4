"""The mathematics, in JAX only: masks, pairs, flows, ODE, SGD, rows.

Nothing here imports pandas, ml_collections or scikit-learn.
"""
