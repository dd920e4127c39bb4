"""A CSV or TSV file with gaps of its own.

    python -m miri_jax.main --config configs/table.py --workdir runs/mine \
        --config.data.path=IN.csv

On 2 CPU cores the table that the package ships (`:beijing`, 4392 rows, 12
columns, 484 real gaps) takes about 40 seconds. Expect mi 0.17,
mi_error 0.015, mi_entropy 0.35 and mi_floor 0.19: these gaps come in runs of
hours, so that month, day and hour alone tell much of where they are, whatever
fills them.
"""

from ml_collections import ConfigDict, config_dict

from miri_jax.config import base_config, check_arg
from miri_jax.data.tables import NA_VALUES


def get_config(arg: str = "") -> ConfigDict:
    """`:beijing` for the table that the package ships, `:smoke` for seconds."""
    check_arg(arg, ("beijing", "smoke"))
    config = base_config()
    config.eval_every = 0
    config.data = {
        "source": "table",
        "path": config_dict.placeholder(str),
        # Cells that mean "missing".
        "na_values": NA_VALUES,
        # Names of columns whose kind is not the one that is found, see
        # `miri_jax.data.columns.detect`.
        "real": (),
        "integer": (),
        "datetime": (),
        "boolean": (),
        "categorical": (),
        "id": (),
        # Levels of ordinal columns in their order, as ("size=S<M<L",).
        "orders": (),
        # What imputed cells lie between, as ("age=0:120",); by default the
        # smallest and largest observed.
        "bounds": (),
        # What a column without any observed value is filled with.
        "empty_value": config_dict.placeholder(float),
    }
    if arg in ("beijing", "smoke"):
        config.data.path = "beijing"
    if arg == "smoke":
        config.imputer.num_iterations = 2
        config.imputer.num_steps = 20
        config.imputer.gaussian_rounds = 10
        config.model.width = 32
    return config
