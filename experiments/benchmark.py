"""All methods on all tables, cell by cell, resumable.

    PYTHONPATH=. python experiments/benchmark.py --preset smoke
    PYTHONPATH=. python experiments/benchmark.py --preset full --folder FOLDER

FOLDER holds NAME.csv.gz as `miri_jax.data.uci` says. A cell is a table with a
mask and a method: those of the registry, and the peers of experiments/peers.py.
All see the table standardised by its observed entries and the same masks. Each
finished cell is a line of results/benchmark.jsonl. `mmd`, `rmse_draw`,
`rmse_all` and `mae_all` are those of one draw, `rmse_mean`, `mae_mean` and
`rmse_minmax` (columns scaled to [0, 1] by the complete data) those of the mean
of `draws` draws: 1 where a method's draws are all the same. `seconds` are the
fit with its first draw, compilation included, and the start of its process for
HyperImpute.

Started again, it goes on with what is not in the file yet: a cell is finished
if it was run with the settings that its method has today. A cell that fails
is a line with its error under `failed`, tried again with `--retry`. Cells run
in a child process: one that crashes or hangs takes down nothing else. On an
accelerator `--together` runs the masks of a cell as one vmapped program, and
`seconds` are then an equal share of its.
"""

import inspect
import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from experiments import peers, records
from miri_jax.data import Dataset
from miri_jax.data.toy import load_toy
from miri_jax.data.uci import NAMES, load_uci
from miri_jax.engine import draws, fit
from miri_jax.imputers import IMPUTERS, make_imputer
from miri_jax.metrics import errors
from miri_jax.types import Array, Draw, Imputer, Masked

FLAGS = flags.FLAGS


class Plan(NamedTuple):
    """How a method is run where it is not all by its own defaults.

    Attributes:
      settings: of its fit.
      draw: what is different in the imputer that draws from the fit.
      draws: the most draws for the mean; one draw is the table that the fit
        ends with.
    """

    settings: Mapping[str, Any] = {}
    draw: Mapping[str, Any] = {}
    draws: int | None = None


# Every exception there is. A peer gives one imputation a fit.
PLANS: dict[str, Plan] = {
    # Its networks know the noise that X(0) starts from by heart on tables of
    # few rows: only X(T) is an imputation there, fresh draws are not.
    "miri_paper": Plan(draws=1),
    # Its own imputation is the mean of num_samples draws, and MMD is asked of
    # a draw. The fit keeps the method's own number.
    "diffputer": Plan(draw={"num_samples": 1}),
}


class Cell(NamedTuple):
    """One line of results; `draws` is how many were asked for."""

    dataset: str
    mechanism: str
    rate: float
    mask_seed: int
    method: str
    draws: int


class Block(NamedTuple):
    """Cells: the product of all its fields and the methods."""

    names: tuple[str, ...] = NAMES
    mechanisms: tuple[str, ...] = ("mcar",)
    rates: tuple[float, ...] = (0.6,)
    mask_seeds: tuple[int, ...] = (1, 2, 3)
    draws: int = 20


class Preset(NamedTuple):
    """Blocks of cells, and the seconds that a cell may take."""

    blocks: tuple[Block, ...]
    time_limit: float = 7200.0


PRESETS: dict[str, Preset] = {
    # Every method on three small tables, meant for a quarter of an hour on 2
    # cores with --workers 2.
    "smoke": Preset(
        (Block(("energy", "housing", "wine"), mask_seeds=(1,), draws=5),),
        time_limit=240.0,
    ),
    # MIRI's Figures 2 and 4, the MAR figure of its slides, and MNAR.
    "full": Preset(
        (
            Block(rates=(0.6, 0.4, 0.2)),
            Block(mechanisms=("mar",), rates=(0.4, 0.8)),
            Block(mechanisms=("mnar",), rates=(0.3,)),
        )
    ),
    # 60 % of the cells of all tables, three masks.
    "mcar": Preset((Block(),)),
    # MIRI's Table 3.
    "toy": Preset((Block(("toy",), rates=(0.3,)),)),
    # The column of MissDiff's Table 1 that is among these tables.
    "missdiff": Preset(
        (Block(("wine",), ("mcar_row",), (0.2,), (1, 2, 3, 4, 5)),)
    ),
}

# What a job gives: its cells' numbers, or why there are none.
Answer = list[dict[str, Any]] | str


def all_methods() -> tuple[str, ...]:
    """Every method that can run here: registry, scikit-learn, HyperImpute."""
    here = (*IMPUTERS, *peers.ESTIMATORS)
    if peers.hyperimpute_python() is None:
        print("left out:", ", ".join(peers.HYPERIMPUTE))
        print(peers.missing_python())
        return here
    return (*here, *peers.HYPERIMPUTE)


def method_settings(method: str) -> dict[str, Any]:
    """All settings of a method, its defaults among them, as JSON has them."""
    if method in peers.PEERS:
        found = peers.method_settings(method)
    elif method in IMPUTERS:
        plan = PLANS.get(method, Plan())
        takes = inspect.signature(IMPUTERS[method]).parameters
        found = {name: takes[name].default for name in takes} | plan.settings
        if plan.draw:
            found["draw"] = dict(plan.draw)
    else:
        return {}  # It will fail, and say so.
    return json.loads(json.dumps(found, default=repr))


def jobs(
    blocks: Iterable[Block], methods: Sequence[str], together: bool
) -> Iterator[list[Cell]]:
    """Cells in the order they are run, one a job or all masks of one.

    What works on the host is no program, and its masks are run one by one.
    """
    on_host = {m for m in methods if m in IMPUTERS and make(m)[0].host}
    for block in blocks:
        seeds = [block.mask_seeds] if together else zip(block.mask_seeds)
        for some, mechanism, rate, name, method in itertools.product(
            list(seeds), block.mechanisms, block.rates, block.names, methods
        ):
            count = 1 if method in peers.PEERS else block.draws
            count = min(count, PLANS.get(method, Plan()).draws or count)
            cells = [
                Cell(name, mechanism, rate, seed, method, count)
                for seed in some
            ]
            alone = method in peers.PEERS or method in on_host
            alone = alone or len(cells) == 1
            yield from [[cell] for cell in cells] if alone else [cells]


def unfinished(
    wanted: Iterable[list[Cell]], rows: Iterable[dict], retry: bool
) -> Iterator[list[Cell]]:
    """What is left of some jobs, given the lines of the results file.

    Args:
      wanted: the jobs.
      rows: the file's lines; the last one of a cell counts.
      retry: whether a failed cell is to be run again.
    """
    found = {}
    for row in rows:
        # Settings that a method got since then had their defaults.
        settings = method_settings(row["method"]) | row.get("settings", {})
        settings = json.dumps(settings, sort_keys=True)
        cell = (*(row[key] for key in Cell._fields[:-1]), row["draws_asked"])
        found[(*cell, settings)] = row.get("failed")
    taken: set[Cell] = set()
    for cells in wanted:
        left = []
        for cell in cells:
            if cell in taken:
                continue  # Blocks overlap where flags replace their fields.
            taken.add(cell)
            settings = json.dumps(method_settings(cell.method), sort_keys=True)
            failed = found.get((*cell, settings), "new")
            if failed is None:
                continue
            if failed == "new" or retry:
                left.append(cell)
            else:
                print(*cell, "failed before, see --retry:", failed)
        if left:
            yield left


def run(
    work: Iterable[list[Cell]],
    out: str,
    measure: Callable[[list[Cell]], Answer],
    workers: int = 1,
) -> int:
    """Runs jobs and appends a line for each cell as soon as it is there.

    Args:
      work: the jobs.
      out: the results file.
      measure: runs one job.
      workers: how many at a time.

    Returns:
      How many cells failed.
    """
    failures = 0
    with ThreadPoolExecutor(workers) as pool:
        started = {pool.submit(measure, cells): cells for cells in work}
        try:
            for future in as_completed(started):
                failures += _keep(out, started[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def _keep(out: str, cells: list[Cell], answer: Answer) -> int:
    """Appends a job's lines; returns how many of them are failures."""
    failed = isinstance(answer, str)
    found = [{"failed": answer}] * len(cells) if failed else answer
    for cell, numbers in zip(cells, found, strict=True):
        row = {**cell._asdict(), "draws_asked": cell.draws, **numbers}
        settings = method_settings(cell.method)
        records.append(out, **row, settings=settings)
        shown = (
            f"{key} {row[key]:.4g}"
            for key in ("mmd", "rmse_mean", "seconds")
            if not failed
        )
        print(*cell, "failed: " + answer if failed else "", *shown, flush=True)
    return len(cells) if failed else 0


class Children:
    """Runs jobs in child processes, one a thread, that may die or hang.

    Attributes:
      folder: where the tables are.
      time_limit: seconds of a cell; a job has that for each of its cells.
      workers: how many threads there will be, each with its share of cores.
    """

    def __init__(self, folder: str, time_limit: float, workers: int = 1):
        """Starts nothing yet."""
        self.folder, self.time_limit = folder, time_limit
        self.idle: list[tuple[Any, Connection]] = []
        self.all: set[Any] = set()
        cores = sorted(getattr(os, "sched_getaffinity", lambda _: ())(0))
        self.cores = [cores[k::workers] for k in range(workers)]

    def __call__(self, cells: list[Cell]) -> Answer:
        """Runs one job in a child that is idle, or in a new one."""
        limit = self.time_limit * len(cells)
        child, pipe = self.idle.pop() if self.idle else self._start()
        try:
            pipe.recv()  # ready: its imports are no part of a cell's time
            pipe.send((cells, self.folder))
            if not pipe.poll(limit):
                self._kill(child)
                return f"TimeoutError: more than {limit:.0f} seconds"
            answer = pipe.recv()
        except (EOFError, OSError):
            self._kill(child)
            return f"ChildProcessError: it ended with code {child.exitcode}"
        self.idle.append((child, pipe))
        return answer

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *exception: object) -> None:
        for child in list(self.all):
            self._kill(child)

    def _start(self) -> tuple[Any, Connection]:
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        cores = self.cores.pop() if self.cores else []
        child = context.Process(target=_serve, args=(theirs, cores))
        child.cores = cores
        child.start()
        theirs.close()  # so that its death is seen as the pipe's end
        self.all.add(child)
        return child, pipe

    def _kill(self, child: Any) -> None:
        """Ends a child and what it has started itself."""
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.kill()  # dead, or not yet the leader of its group
        child.join()
        if child in self.all:
            self.all.remove(child)
            self.cores.append(child.cores)


def _serve(pipe: Connection, cores: list[int]) -> None:
    """A child's life: jobs in, answers out."""
    os.setsid()  # a group of its own, which can be killed as one
    if cores:
        os.sched_setaffinity(0, cores)
    while True:
        pipe.send("ready")
        try:
            cells, folder = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(cells, folder))
        jax.clear_caches()


def attempt(cells: list[Cell], folder: str) -> Answer:
    """`measure`, or the error in one line."""
    try:
        return measure(cells, folder)
    except Exception as error:  # whatever it is, the other cells go on
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"


def load(cell: Cell, folder: str) -> Dataset:
    """A cell's table with its mask."""
    mask = {
        "mechanism": cell.mechanism,
        "rate": cell.rate,
        "mask_seed": cell.mask_seed,
    }
    if cell.dataset == "toy":
        return load_toy(**mask)
    return load_uci(name=cell.dataset, folder=folder, **mask)


def measure(cells: list[Cell], folder: str) -> list[dict[str, Any]]:
    """Fits the tables of one job and scores their draws.

    Raises:
      Exception: what the method raises, or PeerError where its output is no
        imputation.
    """
    datasets = [load(cell, folder) for cell in cells]
    tables = [dataset.masked() for dataset in datasets]
    start = time.perf_counter()
    found = imputations(cells, tables)
    first = next(found)
    seconds = (time.perf_counter() - start) / len(cells)
    for table, x in zip(tables, first):
        _check(cells[0].method, table, x)
    count, total = 1, [np.asarray(x, np.float64) for x in first]
    for drawn in found:
        if count == 1 and all(map(np.array_equal, drawn, first)):
            break  # nothing is drawn
        count, total = count + 1, [a + x for a, x in zip(total, drawn)]
    scores = []
    for dataset, x, a in zip(datasets, first, total):
        one = dataset.compare(dataset.restore(x))
        mean = dataset.restore(a / count)
        error = errors(dataset.truth, mean, dataset.m)
        scores.append(
            {
                "draws": count,
                "realised_rate": float(np.mean(~dataset.m)),
                "mmd": one["mmd"],
                "rmse_draw": one["rmse"],
                "rmse_all": one["rmse_all"],
                "mae_all": one["mae_all"],
                "rmse_mean": error["rmse"],
                "mae_mean": error["mae"],
                "rmse_minmax": rmse_minmax(dataset.truth, mean, dataset.m),
                "seconds": round(seconds, 2),
                "together": len(cells),
                "device": jax.devices()[0].device_kind,
            }
        )
    return scores


def rmse_minmax(truth: np.ndarray, x: np.ndarray, m: np.ndarray) -> float:
    """RMSE over missing entries, columns scaled to [0, 1] by the truth."""
    span = np.ptp(truth, axis=0)
    error = np.where(m, 0, x - truth) / np.where(span > 0, span, 1)
    return float(np.sqrt(np.sum(error**2) / max(np.sum(~m), 1)))


def _check(method: str, data: Masked, x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        raise peers.PeerError(f"{method} left entries that are not finite")
    if not np.array_equal(x[data.m], np.asarray(data.x)[data.m]):
        raise peers.PeerError(f"{method} changed observed entries")


def imputations(
    cells: list[Cell], tables: list[Masked]
) -> Iterator[list[np.ndarray]]:
    """Yields `draws` imputations, standardised, each for all the tables."""
    method, count = cells[0].method, cells[0].draws
    seeds = [cell.mask_seed for cell in cells]
    if method in peers.PEERS:
        for k in range(count):
            yield [
                peers.PEERS[method](data, 1000 * seed + k)
                for data, seed in zip(tables, seeds)
            ]
        return
    imputer, drawing = make(method)
    only = count == 1 and drawing is imputer  # X(T) is the one imputation
    keys = jax.vmap(jax.random.key)(jnp.array(seeds))
    if len(cells) == 1:
        key_fit, key_draws = jax.random.split(keys[0])
        state = fit(key_fit, imputer, tables[0])
        if only:
            yield [np.asarray(state.x)]
            return
        for x in draws(key_draws, drawing, state, tables[0], count):
            yield [np.asarray(x)]
        return
    data = jax.tree.map(lambda *a: jnp.stack(a), *tables)
    key_fit, key_draws = jax.vmap(jax.random.split, out_axes=1)(keys)
    state = fit_together(key_fit, imputer, data)
    if only:
        yield list(np.asarray(state.x))
        return
    for x in draws_together(key_draws, drawing, state, data, count):
        yield list(np.asarray(x))


def make(method: str) -> tuple[Imputer, Imputer]:
    """A registered method by its plan: what fits, and what draws from that."""
    plan = PLANS.get(method, Plan())
    imputer = make_imputer(method, **plan.settings)
    if not plan.draw:
        return imputer, imputer
    return imputer, make_imputer(method, **{**plan.settings, **plan.draw})


def fit_together(key: Array, imputer: Imputer, data: Masked) -> Any:
    """`engine.fit` of s tables of one shape in one vmapped program.

    Each table's fit ends when it would end alone; it then stays as it is until
    the last one has ended.

    Args:
      key: `[s]` keys.
      imputer: a method whose step decides nothing outside its program.
      data: the tables, `[s, n, *dims]`.

    Returns:
      The final states, every leaf with a leading `[s]`.
    """

    def ended(state: Any) -> Array:
        by_number = state.iteration >= imputer.num_iterations
        return by_number | getattr(state, "done", False)

    @jax.jit
    def step(key: Array, state: Any, data: Masked) -> tuple[Any, Array]:
        step_key = jax.vmap(jax.random.fold_in)(key, state.iteration)
        new, _ = jax.vmap(imputer.step)(step_key, state, data)
        stay = ended(state)

        def choose(old: Array, new: Array) -> Array:
            shape = (-1, *(1,) * (new.ndim - 1))
            return jnp.where(stay.reshape(shape), old, new)

        state = jax.tree.map(choose, state, new)
        return state, jnp.all(ended(state))

    key_init, key_steps = (_folded(key, k) for k in range(2))
    state = jax.jit(jax.vmap(imputer.init))(key_init, data)
    done = False
    while not done:
        state, done = step(key_steps, state, data)
    return state


def _folded(keys: Array, number: int) -> Array:
    """Each key `[s]` folded with a number, as the engine folds one."""
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def draws_together(
    key: Array, imputer: Imputer, state: Any, data: Masked, count: int
) -> Iterator[Array]:
    """`engine.draws` of what `fit_together` gave: `[s, n, *dims]` each."""
    # The engine has one key for a set, another for what bounds draw again.
    key = _folded(_folded(key, 0), 0)

    @jax.jit
    def impute(key: Array, state: Any, data: Masked, k: Array) -> Array:
        one = lambda *args: imputer.impute(*args, Draw(k, count))
        return jax.vmap(one)(key, state, data)

    for k in range(count):
        yield impute(key, state, data, jnp.int32(k))


def main(argv: list[str]) -> None:
    """Runs the cells that are not yet in the file."""
    del argv
    if FLAGS.hyperimpute_python:
        os.environ[peers.HYPERIMPUTE_PYTHON] = FLAGS.hyperimpute_python
    given = {
        "names": FLAGS.names,
        "mechanisms": FLAGS.mechanisms,
        "rates": FLAGS.rates and [float(rate) for rate in FLAGS.rates],
        "mask_seeds": FLAGS.mask_seeds and [int(s) for s in FLAGS.mask_seeds],
        "draws": FLAGS.draws,
    }
    given = {key: value for key, value in given.items() if value}
    preset = PRESETS[FLAGS.preset]
    blocks = [block._replace(**given) for block in preset.blocks]
    methods = all_methods() if FLAGS.methods == ["all"] else FLAGS.methods
    wanted = jobs(blocks, methods, FLAGS.together)
    left = list(unfinished(wanted, records.read(FLAGS.out), FLAGS.retry))
    print(sum(map(len, left)), "cells to run", flush=True)
    limit = FLAGS.time_limit or preset.time_limit
    with Children(FLAGS.folder, limit, FLAGS.workers) as children:
        failures = run(left, FLAGS.out, children, FLAGS.workers)
    if failures:
        raise SystemExit(f"{failures} cells failed, see {FLAGS.out}")


def define_flags() -> None:
    """The command line."""
    flags.DEFINE_enum("preset", "mcar", list(PRESETS), "Which cells.")
    flags.DEFINE_list("names", None, "Instead of the preset's tables.")
    flags.DEFINE_list("mechanisms", None, "See miri_jax.core.masks.MECHANISMS.")
    flags.DEFINE_list("rates", None, "Instead of its shares of gaps.")
    flags.DEFINE_list("mask_seeds", None, "Instead of its masks.")
    flags.DEFINE_integer("draws", None, "Draws for the mean.")
    flags.DEFINE_list("methods", ["all"], "Which methods.")
    flags.DEFINE_string("folder", "~/uci_datasets", "Where the tables are.")
    flags.DEFINE_string(
        "out", "results/benchmark.jsonl", "Where lines are added."
    )
    flags.DEFINE_bool("retry", False, "Run failed cells again.")
    flags.DEFINE_bool("together", False, "Vmap over the masks of a cell.")
    flags.DEFINE_float("time_limit", None, "Seconds of a cell.")
    flags.DEFINE_integer("workers", 1, "Cells at a time, on a core each.")
    flags.DEFINE_string("hyperimpute_python", None, "See experiments/peers.py.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
