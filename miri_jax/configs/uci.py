"""UCI regression tables with 60 % missing: section 6.2 of the MIRI paper.

    python -m miri_jax.main --config uci:wine --workdir runs/wine \
        --config.data.folder=FOLDER

On 2 CPU cores a table of up to 1600 rows takes about 40 seconds the first time
and 15 once its programs are compiled, with 20 draws. How it compares:
experiments/benchmark.py, docs/papers.md.
"""

from ml_collections import ConfigDict

from miri_jax.app.config import base_config, check_arg
from miri_jax.data.uci import NAMES


def get_config(arg: str = "") -> ConfigDict:
    """`:NAME` for a table, `:smoke` for energy in seconds."""
    check_arg(arg, (*NAMES, "smoke"))
    config = base_config()
    smoke = arg == "smoke"
    config.draws = 20
    config.eval_every = 0
    config.data = {
        "source": "uci",
        "name": "energy" if smoke or not arg else arg,
        "folder": "~/uci_datasets",
        "mechanism": "mcar",
        "rate": 0.6,
        "mask_seed": 0,
    }
    if smoke:
        config.draws = 2
        config.imputer.num_iterations = 2
        config.imputer.num_steps = 20
        config.imputer.gaussian_rounds = 10
        config.model.width = 32
    return config
