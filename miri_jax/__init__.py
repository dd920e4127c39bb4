"""miri_jax: missing data imputation by mutual information reducing iterations.

The functions are pure and meant to be composed; see README.md for a ten-line
script, `miri_jax.app.run.run` for the orchestration and `miri_jax.main` for the
command line.
"""

__version__ = "0.1.0"
