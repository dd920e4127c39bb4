"""Digests of what the commands and the estimator give.

    python -m tests.golden --uci FOLDER            # compares with golden.json
    python -m tests.golden --uci FOLDER --write    # replaces it

A change of code that should change no number leaves all digests as they are;
one that only rounds otherwise leaves `mean` and `deviation`. Digests are of one
machine and its versions, which golden.json names; elsewhere compare two
revisions on the machine at hand.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).parents[1]
GOLDEN = pathlib.Path(__file__).with_name("golden.json")
# The least work of each method, for the estimator.
FEW = {
    "miri": {"num_iterations": 2, "num_steps": 20, "gaussian_rounds": 10},
    "miri_paper": {"num_iterations": 2, "num_steps": 20, "ode_steps": 4},
    "chained": {"num_iterations": 2, "chains": 2},
    "gaussian": {"num_iterations": 10},
    "mean": {},
    "median": {},
    "missdiff": {"num_iterations": 2, "num_steps": 20, "diffusion_steps": 20},
    "tabcsdi": {"num_iterations": 2, "num_steps": 20, "diffusion_steps": 20},
    "diffputer": {"num_iterations": 2, "num_steps": 20, "num_samples": 2},
    "gain": {"num_iterations": 2, "num_steps": 20},
    "knewimp": {"num_iterations": 2, "num_steps": 20, "flow_steps": 5},
}
RUNS = {
    "toy": ["configs/toy.py:smoke"],
    "toy, two draws": ["configs/toy.py:smoke", "--config.draws=2"],
    "toy, miri": ["configs/toy.py:smoke", "--config.method=miri"],
    "table": ["configs/table.py:smoke", "--config.draws=2"],
    "uci": ["configs/uci.py:smoke", "--config.data.folder={uci}"],
    "images": ["configs/cifar10.py:smoke", "--config.data.rows=64"],
}


def mixed_frame(n: int = 120) -> pd.DataFrame:
    """Columns of several types that share one factor, with gaps."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    noise = lambda: 0.4 * rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "real": z + noise(),
            "count": pd.array(rng.poisson(np.exp(1 + z / 2)), "Int64"),
            "text": np.where(z + noise() > 0, "x", np.where(z > -1, "y", "z")),
            "when": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(np.round(900 * z), unit="min"),
            "heavy": np.exp(2 * z),
            "zero": np.where(z > 0.5, np.round(z, 2), 0.0),
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.25)


def digest(*parts: bytes) -> str:
    """Sixteen letters of a digest."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def of_frames(*frames: pd.DataFrame) -> dict:
    """A digest of frames, and moments of their numbers."""
    numbers = np.concatenate(
        [
            frame.select_dtypes("number").astype(float).to_numpy().ravel()
            for frame in frames
        ]
    )
    text = "".join(frame.to_csv(float_format="%.17g") for frame in frames)
    return {
        "digest": digest(text.encode()),
        "mean": float(f"{numbers.mean():.5g}"),
        "deviation": float(f"{numbers.std():.5g}"),
    }


def of_run(words: list[str], folder: pathlib.Path) -> dict:
    """What a command leaves."""
    subprocess.run(
        [
            *(sys.executable, "-m", "miri_jax.main"),
            *("--config", *words, "--workdir", str(folder)),
        ],
        cwd=ROOT,
        check=True,
        stderr=subprocess.PIPE,
    )
    tables = sorted(folder.glob("imputed*.csv"))
    if tables:
        return of_frames(*map(pd.read_csv, tables))
    with np.load(folder / "imputed.npz") as saved:
        x = saved["x"]
    return {
        "digest": digest(x.tobytes()),
        "mean": float(f"{x.mean():.5g}"),
        "deviation": float(f"{x.std():.5g}"),
    }


def of_estimator(method: str, folder: pathlib.Path) -> dict[str, dict]:
    """fit, transform, imputations, sample, save and load."""
    from miri_jax.estimator import MIRIImputer

    frame = mixed_frame()
    imputer = MIRIImputer(method, settings=FEW[method], random_state=0)
    imputer.fit(frame)
    found = {"transform": of_frames(imputer.transform(frame))}
    if method in ("miri", "gaussian"):
        found["imputations"] = of_frames(*imputer.imputations(frame, 2))
        found["sample"] = of_frames(imputer.sample(50))
        imputer.save(folder / method)
        loaded = MIRIImputer.load(folder / method)
        found["loaded"] = of_frames(loaded.transform(frame.iloc[:50]))
    return {f"{method}, {what}": value for what, value in found.items()}


def measure(uci: str | None) -> dict[str, dict]:
    """All cases."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case, words in RUNS.items():
            if case == "uci" and uci is None:
                continue
            words = [word.format(uci=uci) for word in words]
            found[case] = of_run(words, folder / case.replace(", ", "-"))
            print(case, found[case], flush=True)
        for method in FEW:
            found |= (new := of_estimator(method, folder))
            print(new, flush=True)
    return found


def main() -> int:
    """Compares with golden.json, or writes it; the number of differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uci", help="folder of the UCI tables")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found = measure(given.uci)
    if given.write:
        from experiments.records import machine
        from miri_jax.runtime.provenance import versions

        content = {"versions": versions(), "machine": machine(), "of": found}
        GOLDEN.write_text(json.dumps(content, indent=1) + "\n")
        return 0
    before = json.loads(GOLDEN.read_text())["of"]
    differ = [case for case in found if found[case] != before.get(case)]
    for case in differ:
        print(f"differs: {case}\n  was {before.get(case)}\n  is  {found[case]}")
    print(f"{len(found) - len(differ)} of {len(found)} are as they were")
    return len(differ)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
