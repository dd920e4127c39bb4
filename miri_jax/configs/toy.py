"""Two Gaussians in the plane, 30 % missing: section 6.1 of the MIRI paper.

    python -m miri_jax.main --config toy --workdir runs/toy

On 2 CPU cores `miri_paper` takes 2 minutes and `:fast` half a minute,
compilation included. How it compares: experiments/benchmark.py, docs/papers.md.
"""

from ml_collections import ConfigDict

from miri_jax.app.config import base_config, check_arg


def get_config(arg: str = "") -> ConfigDict:
    """The paper's preset; `:fast` the fast one, `:smoke` for seconds."""
    check_arg(arg, ("fast", "smoke"))
    config = base_config()
    config.method = "miri" if arg == "fast" else "miri_paper"
    if config.method == "miri_paper":
        config.imputer.num_steps = 2000
    else:
        config.eval_every = 10
    config.data = {
        "source": "toy",
        "rows": 6000,
        "mechanism": "mcar",
        "rate": 0.3,
        "mask_seed": 0,
    }
    if arg == "smoke":
        config.data.rows = 400
        config.imputer.num_iterations = 3
        config.imputer.num_steps = 60
        config.imputer.batch_size = 128
        config.imputer.ode_steps = 10
        config.model.width = 32
    return config
