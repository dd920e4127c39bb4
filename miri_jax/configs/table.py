"""A CSV, TSV, Parquet or Feather file with gaps.

    python -m miri_jax.main --config table --workdir runs/mine \
        --config.data.path=IN.csv

On 2 CPU cores the table that the package ships (`:beijing`, 4392 rows, 12
columns, 484 real gaps) takes about 40 seconds. Expect conditional_mi 0.015,
conditional_mi_error 0.002 and mi_entropy 0.35; with --config.check=True, which
takes as long again, a score of 0.42. These gaps come in runs of hours, of which
the check hides single ones.
"""

from ml_collections import ConfigDict

from miri_jax.app.config import check_arg, table_config


def get_config(arg: str = "") -> ConfigDict:
    """`:beijing` for the table that the package ships, `:smoke` for seconds."""
    check_arg(arg, ("beijing", "smoke"))
    config = table_config()
    if arg in ("beijing", "smoke"):
        config.data.path = "beijing"
    if arg == "beijing":
        # A concentration; the observed extremes bound nothing by themselves.
        config.data.bounds = ("pm2.5=0:",)
    if arg == "smoke":
        config.imputer.num_iterations = 2
        config.imputer.num_steps = 20
        config.imputer.gaussian_rounds = 10
        config.model.width = 32
    return config
