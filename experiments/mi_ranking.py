"""Does MI, which needs no truth, rank settings as MMD does, which needs it?

    PYTHONPATH=. python experiments/mi_ranking.py --folder FOLDER

Fills tables in many ways, good and bad, and measures for each the estimated
mutual information of filled table and mask and the MMD to the truth. Prints
Spearman's rank correlation for each table, and draws them all.
"""

import json

import jax
import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from experiments import records
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import load_uci
from miri_jax.engine import fit
from miri_jax.imputers import make_imputer
from miri_jax.metrics import estimate_mutual_information

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
flags.DEFINE_list("names", ["toy", "wine"], "Tables.")
flags.DEFINE_integer("mask_seed", 1, "Seed of the mask.")
flags.DEFINE_string("out", "results/mi_ranking.jsonl", "Where lines are added.")
flags.DEFINE_bool("plot", False, "Run nothing, draw what the file holds.")
flags.DEFINE_string("picture", "docs/mi_ranking.png", "The plot.")

QUICK = {"num_steps": 50, "model": {"width": 32}, "held_out": 0.0}
SETTINGS = [
    ("mean", {}),
    ("median", {}),
    *(("gaussian", {"num_iterations": r}) for r in (1, 2, 3, 5, 8, 60)),
    *(
        ("miri", {**QUICK, "source": source, "num_iterations": t})
        for source in ("noise", "gaussian")
        for t in (1, 2, 4, 8, 16)
    ),
    *(
        (
            "miri_paper",
            {
                "num_iterations": t,
                "num_steps": 300,
                "ode_steps": 20,
                "keep_velocities": False,
                "model": {"width": 64},
            },
        )
        for t in (1, 2, 3, 4)
    ),
    ("miri", {}),
]


def main(argv: list[str]) -> None:
    """Runs all settings on all tables, then draws what the file holds."""
    del argv
    for name in [] if FLAGS.plot else FLAGS.names:
        for setting in SETTINGS:
            measure(name, *setting)
    # Of a setting that was run twice, the last line.
    rows = {
        json.dumps([row["dataset"], row["method"], row["settings"]]): row
        for row in records.read(FLAGS.out)
    }.values()
    figure = Figure(figsize=(5 * len(FLAGS.names), 4), layout="constrained")
    panels = figure.subplots(1, len(FLAGS.names), squeeze=False)[0]
    for axes, name in zip(panels, FLAGS.names, strict=True):
        draw(axes, name, [row for row in rows if row["dataset"] == name])
    figure.savefig(FLAGS.picture, dpi=120)


def draw(axes: Axes, name: str, rows: list[dict]) -> None:
    """Plots MI over MMD and prints their rank correlation."""
    of = lambda key, some: [row[key] for row in some]
    rank = spearmanr(of("mi", rows), of("mmd", rows)).statistic
    print(f"{name}: rank correlation {rank:.3f} over {len(rows)} runs")
    for method in dict.fromkeys(of("method", rows)):
        some = [row for row in rows if row["method"] == method]
        axes.errorbar(
            of("mmd", some),
            of("mi", some),
            of("mi_error", some),
            fmt="o",
            label=method,
        )
    axes.set(xscale="log", xlabel="MMD to the truth")
    axes.xaxis.set_minor_formatter("")
    axes.set(title=f"{name}: rank correlation {rank:.2f}")
    axes.set_yscale("symlog", linthresh=0.02)
    axes.set_ylim(-0.05, 2 * max(of("mi", rows)))
    axes.set_ylabel("MI of filled table and mask, nats")
    axes.legend(frameon=False, loc="lower right")


def measure(name: str, method: str, settings: dict) -> None:
    """Keeps MI, its error and MMD of one filling."""
    seed = FLAGS.mask_seed
    if name == "toy":
        dataset = load_toy(mask_seed=seed)
    else:
        dataset = load_uci(name=name, folder=FLAGS.folder, mask_seed=seed)
    key_fit, key_mi = jax.random.split(jax.random.key(seed))
    imputer = make_imputer(method, **settings)
    filled = dataset.restore(
        np.asarray(fit(key_fit, imputer, dataset.masked()).x)
    )
    mi = estimate_mutual_information(key_mi, filled, dataset.m)
    mmd = dataset.compare(filled)["mmd"]
    print(name, method, settings, f"mi {mi.nats:.4f} mmd {mmd:.4f}", flush=True)
    records.append(
        FLAGS.out,
        dataset=name,
        mask_seed=seed,
        method=method,
        settings=settings,
        mi=mi.nats,
        mi_error=mi.error,
        mmd=mmd,
    )


if __name__ == "__main__":
    records.run(main)
