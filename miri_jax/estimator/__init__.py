"""The imputers the scikit-learn way: fit once, fill any rows.

    imputer = MIRIImputer(random_state=0).fit(frame)
    filled = imputer.transform(frame)  # one draw, types as they came
    tables = imputer.imputations(frame, 20)  # several, for pooling.pool
    more = imputer.sample(1000)  # whole synthetic rows

A fitted imputer is kept by `save` and `load`, or by a pickle.
"""

import functools
import json
import pathlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tqdm
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from miri_jax.data import columns as cols
from miri_jax.data import frames, tables
from miri_jax.data.columns import Column
from miri_jax.data.dataset import from_table, standardised_limits
from miri_jax.data.scores import Knots
from miri_jax.data.transforms import Scaler, standardise, unscale
from miri_jax.exceptions import ConfigError, DataError, WorkdirError
from miri_jax.imputers import iterate, make_imputer, redraw_outside
from miri_jax.types import Array, Draw, Imputer, Masked

FORMAT = 1
UNSEEN = ("error", "missing")
STATISTICS = ("draw", "mean")
# Share of the cells that a fit to a table without gaps hides from itself, so
# that there is something to learn.
HIDDEN = 0.2
# Rows are rounded up to these numbers, so that few shapes are compiled.
LEAST_ROWS = 128
SWEEPS = 10
# Settings that are mappings by column.
BY_COLUMN = ("kinds", "bounds", "orders")


class MIRIImputer(TransformerMixin, BaseEstimator):
    """Fills the gaps of tables of any column types.

    Takes NumPy arrays, pandas frames, and frames that narwhals knows, such as
    polars; gives back the same, with index, order and types of the columns and
    every observed cell as they came. How the kind of a column is found says
    `miri_jax.data.columns.detect`.

    Args:
      method: a name in `imputers.IMPUTERS`.
      n_imputations: how many draws `imputations` gives, and `transform` takes
        the mean of with `statistic="mean"`.
      statistic: what `transform` gives: one "draw", which is distributed as
        the data are, or the "mean" of `n_imputations` draws, which is nearer
        to the truth cell by cell but varies too little (the most frequent
        level of a category).
      bootstrap: whether each of the `n_imputations` is drawn from a fit of its
        own, to rows drawn with replacement, so that they differ by what the
        fit does not know as well (proper imputation: Rubin, 1987). Takes as
        many fits more, and gives intervals that cover, see `imputations`.
      settings: of the method, such as `{"num_iterations": 10}`.
      kinds: kinds of columns by name (by number for arrays), one of
        `columns.KINDS`, where they are not to be detected.
      bounds: (low, high) of imputed numbers by column name; None in place of
        one for no bound. The observed extremes are none.
      orders: levels in their order, of ordinal columns by name.
      missing_values: values that mean "missing" besides None, NaN and NaT.
      empty_value: what a column without any observed value is filled with;
        None refuses such a table.
      unseen: what a level that was not seen in fitting means in a new row:
        "error" refuses it, "missing" keeps the cell and lets the model see
        none there.
      random_state: seed; the same seed gives the same numbers.
      verbose: whether to show progress and the time left.

    Attributes:
      columns_: how each column is turned into numbers.
      notes_: sentences about the table that a reader should know.
      states_: the fitted state, and those of the resampled fits.
      n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def __init__(
        self,
        method: str = "miri",
        *,
        n_imputations: int = 1,
        statistic: str = "draw",
        bootstrap: bool = False,
        settings: Mapping[str, Any] | None = None,
        kinds: Mapping[Hashable, str] | None = None,
        bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
        orders: Mapping[Hashable, Sequence[Any]] | None = None,
        missing_values: Sequence[Any] = (),
        empty_value: float | None = None,
        unseen: str = "error",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        """Keeps the settings; `fit` checks them."""
        self.method = method
        self.n_imputations = n_imputations
        self.statistic = statistic
        self.bootstrap = bootstrap
        self.settings = settings
        self.kinds = kinds
        self.bounds = bounds
        self.orders = orders
        self.missing_values = missing_values
        self.empty_value = empty_value
        self.unseen = unseen
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits the imputer to a table with gaps.

        A table without any is fitted with a fifth of its cells hidden, so that
        gaps of new rows can be filled.

        Args:
          X: `[n, c]` array or frame.
          y: ignored.

        Raises:
          DataError: naming the column at fault and the remedy.
          ConfigError: naming a setting that does not exist or fit.
        """
        del y
        self._check_settings()
        frame, _ = self._frame(X, reset=True)
        table = tables.make_table(
            frame,
            tables.missing_cells(frame, self.missing_values),
            kinds=self.kinds,
            bounds=self.bounds,
            orders=self.orders,
            empty_value=self.empty_value,
        )
        dataset = from_table(table)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        key_fit, self._key = jax.random.split(jax.random.key(seed))
        key_hide, key_boot, key_fit = jax.random.split(key_fit, 3)
        data = dataset.masked()
        if dataset.m.all():
            data = _hide(key_hide, data, table.columns)
        self._imputer = self._make()
        count = self.n_imputations if self.bootstrap else 0
        states = [self._fit_one(key_fit, data, "fit")]
        for k in range(count):
            key_k = jax.random.fold_in(key_boot, k)
            key_rows, key_one = jax.random.split(key_k)
            rows = _resample(key_rows, data)
            some = Masked(data.x[rows], data.m[rows])
            states.append(self._fit_one(key_one, some, f"fit {k + 1}/{count}"))
        self.columns_, self.notes_ = table.columns, table.notes
        self._dtypes = [str(dtype) for dtype in frame.dtypes]
        self._scaler, self._rows = dataset.scaler, len(frame)
        self._rates = np.asarray((~dataset.m).mean(axis=0))
        self.states_ = tuple(states)
        return self

    def transform(self, X: Any) -> Any:
        """Fills the gaps of any rows, also of ones never seen.

        The same rows in the same order give the same numbers each time.

        Args:
          X: `[n, c]`, the columns those of the fit.

        Returns:
          A table as X came, by `statistic` a draw or the mean of several.

        Raises:
          DataError: naming the column at fault and the remedy.
        """
        count = self.n_imputations if self.statistic == "mean" else 1
        frame, back = self._frame(X)
        table, found = self._draws(frame, count, as_set=True)
        if self.statistic == "draw":
            return back(tables.fill_table(table, found[0]))
        blocks = zip(*(tables.split(self.columns_, x) for x in found))
        mean = [
            cols.average(draws[0][0], [block for _, block in draws])
            for draws in blocks
            if draws[0][0].width
        ]
        return back(tables.fill_table(table, np.concatenate(mean, axis=1)))

    def transform_parts(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Fills the gaps of a long table that comes part by part.

        Each part has noise of its own, where `transform` gives equal rows of
        two calls the same.

        Args:
          parts: tables as `transform` takes them.

        Yields:
          Of each part a draw, as it came.
        """
        for k, part in enumerate(parts):
            frame, back = self._frame(part)
            table, found = self._draws(frame, 1, as_set=True, part=k)
            yield back(tables.fill_table(table, found[0]))

    def imputations(self, X: Any, n: int | None = None) -> list[Any]:
        """Several independent imputations of the same rows.

        Analyse each, and pool the answers with `pooling.pool`; do not average
        the tables. For intervals that cover as often as they say, fit with
        `bootstrap=True`: without it all draws are of one fit, and what that
        does not know is missing from their spread.

        Args:
          X: `[n, c]`, the columns those of the fit.
          n: how many; None for `n_imputations`.

        Returns:
          That many tables, each as X came.
        """
        count = self.n_imputations if n is None else n
        if not isinstance(count, int | np.integer) or count < 1:
            raise ConfigError(f"n is {count!r}; ask for 1 imputation or more")
        frame, back = self._frame(X)
        table, found = self._draws(frame, count, as_set=False)
        return [back(tables.fill_table(table, x)) for x in found]

    def sample(self, n: int = 1) -> Any:
        """Whole synthetic rows from the fitted model, types restored.

        By the method's own sampler where it has one. Else a row starts as one
        in which nothing is observed, and is drawn again part by part: ten
        times, entries hidden as often as they were in the fit (but 0.2 to 0.8
        of the time) are drawn given the others, which leaves the distribution
        that fits all conditional ones.

        Args:
          n: rows.

        Returns:
          `[n, c]` frame, or array if the fit was to one; ids are numbered.
        """
        check_is_fitted(self)
        if not isinstance(n, int | np.integer) or n < 1:
            raise ConfigError(f"n is {n!r}; ask for 1 row or more")
        key = jax.random.fold_in(self._key, 2)
        width, imputer = len(self._scaler.mean), self._imputer
        if imputer.sample is not None:
            x = imputer.sample(key, self.states_[0], (_padded(n), width))
        else:
            x = self._gibbs(key, imputer, _padded(n))
        values = unscale(np.asarray(x)[:n], self._scaler)
        columns, names = {}, self._names()
        for j, (column, block) in enumerate(
            tables.split(self.columns_, values)
        ):
            dtype = self._dtypes[j]
            if column.kind == "id":
                columns[j] = pd.Series(np.arange(1, n + 1))
                continue
            made = cols.decode(column, block)
            if column.kind == "datetime":
                zone = getattr(pd.api.types.pandas_dtype(dtype), "tz", None)
                made = tables.times(made, zone)
            elif dtype == "category":
                made = pd.Categorical(
                    made, column.levels, ordered=column.kind == "ordinal"
                )
            series = pd.Series(made)
            if dtype not in ("category", "object"):
                series = frames.cast(series, dtype)
            columns[j] = series
        frame = pd.DataFrame(columns)
        frame.columns = names
        return frame if hasattr(self, "feature_names_in_") else frame.to_numpy()

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the fitted model into a folder: JSON and arrays, no pickle.

        The folder holds no row of the table, but levels, extremes and
        quantiles of its columns, and what the method itself keeps.

        Args:
          path: the folder; must not exist or be empty.

        Raises:
          DataError: if the folder is not empty, or a level cannot be written.
        """
        # Not above: half a second that only saving and loading need.
        from miri_jax.runtime.checkpoint import CheckpointStore

        check_is_fitted(self)
        folder = pathlib.Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is there already; choose a new folder")
        names = getattr(self, "feature_names_in_", None)
        content = {
            "format": FORMAT,
            "params": self.get_params(deep=False)
            | {"random_state": None}
            | {"missing_values": list(self.missing_values)}
            # As pairs: the names of JSON's objects are text.
            | {what: _pairs(getattr(self, what)) for what in BY_COLUMN},
            "columns": [column._asdict() for column in self.columns_],
            "notes": self.notes_,
            "dtypes": self._dtypes,
            "scaler": [part.tolist() for part in self._scaler],
            "rates": self._rates.tolist(),
            "rows": self._rows,
            "fits": len(self.states_),
            "names": None if names is None else list(names),
            "framed": self._framed,
            "key": np.asarray(jax.random.key_data(self._key)).tolist(),
        }
        text = _to_json(content)
        folder.mkdir(parents=True, exist_ok=True)
        store = CheckpointStore(folder / "state")
        none = np.zeros((), np.float32)
        store.save(1, tuple(state._replace(x=none) for state in self.states_))
        store.close()
        # Last: a folder with this file is whole.
        (folder / "model.json").write_text(text, "utf-8")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Reads a model that `save` has written; runs no code of the file.

        Raises:
          DataError: if there is none, or it is damaged.
        """
        # Not above: half a second that only saving and loading need.
        from miri_jax.runtime.checkpoint import CheckpointStore

        folder = pathlib.Path(path)
        try:
            content = json.loads((folder / "model.json").read_text("utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            params = content["params"]
            for what in BY_COLUMN:
                if params[what] is not None:
                    params[what] = dict(params[what])
            self = cls(**params)
            self._restore(content)
        except FileNotFoundError:
            raise DataError(
                f"{folder} holds no model; give a folder that save() wrote"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"the model in {folder} cannot be read ({error}); save it again"
            ) from None
        like = self._like()
        one = like._replace(x=jax.ShapeDtypeStruct((), jnp.float32))
        store = CheckpointStore(folder / "state")
        try:
            _, states, _ = store.load_latest((one,) * content["fits"])
        except WorkdirError as error:
            raise DataError(
                f"the model in {folder} is damaged or of another version; save"
                f" it again ({error})"
            ) from None
        finally:
            store.close()
        if states is None:
            raise DataError(f"the model in {folder} is damaged; save it again")
        x = np.zeros(like.x.shape, like.x.dtype)
        self.states_ = tuple(
            state._replace(x=x) for state in jax.tree.map(np.asarray, states)
        )
        return self

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Names of the columns of what `transform` gives: those that came."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self.n_features_in_)]
            if input_features is not None:
                names = input_features
        elif input_features is not None and list(input_features) != list(names):
            raise ValueError("input_features is not equal to feature_names_in_")
        names = np.asarray(names, dtype=object)
        if len(names) != self.n_features_in_:
            raise ValueError(
                "input_features should have length equal to number of"
                f" features ({self.n_features_in_}), got {len(names)}"
            )
        return names

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: arrays, no compiled function."""
        content = dict(super().__getstate__())
        content.pop("_imputer", None)
        if "_key" in content:
            content["_key"] = np.asarray(jax.random.key_data(content["_key"]))
        if "states_" in content:
            content["states_"] = [
                jax.tree.leaves(state) for state in content["states_"]
            ]
        return content

    def __setstate__(self, content: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave."""
        content = dict(content)
        fits = content.pop("states_", None)
        super().__setstate__(content)
        if "_key" in content:
            self._key = jax.random.wrap_key_data(jnp.asarray(content["_key"]))
        if fits is None:
            return
        self._imputer = self._make()
        structure = jax.tree.structure(self._like())
        self.states_ = tuple(
            jax.tree.unflatten(structure, leaves) for leaves in fits
        )

    def __sklearn_tags__(self) -> Any:
        """NaN, text and categories are welcome; draws are random."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_settings(self) -> None:
        if self.statistic not in STATISTICS:
            raise ConfigError(
                f"statistic is {self.statistic!r}; use one of"
                f" {', '.join(STATISTICS)}"
            )
        if self.unseen not in UNSEEN:
            raise ConfigError(
                f"unseen is {self.unseen!r}; use one of {', '.join(UNSEEN)}"
            )
        count = self.n_imputations
        if not isinstance(count, int | np.integer) or count < 1:
            raise ConfigError(
                f"n_imputations is {count!r}; use a whole number from 1 on"
            )
        self._make()

    def _fit_one(self, key: Array, data: Masked, name: str) -> Any:
        """The fitted state of some rows, without the filled table."""
        key_init, key_steps = jax.random.split(key)
        state = self._imputer.init(key_init, data)
        bar = tqdm.tqdm(
            total=self._imputer.num_iterations,
            disable=not self.verbose,
            unit="iteration",
            desc=name,
        )
        with bar:
            for state, _ in iterate(key_steps, self._imputer, data, state):
                bar.update(int(state.iteration) - bar.n)
        if not np.isfinite(state.x).all():
            raise DataError(
                f"the fit of {self.method!r} is not finite; try a smaller"
                " settings={'learning_rate': ...}"
            )
        # The table is not needed again, and not for others' eyes.
        state = state._replace(x=np.zeros(state.x.shape, np.float32))
        return jax.tree.map(np.asarray, state)

    def _make(self) -> Imputer:
        settings = dict(self.settings or {})
        try:
            return _shared_imputer(self.method, json.dumps(settings))
        except TypeError:  # a setting that JSON cannot hold
            return make_imputer(self.method, **settings)

    def _like(self) -> Any:
        """Shapes and types of the fitted state."""
        shape = self._rows, len(self._scaler.mean)
        data = Masked(
            jax.ShapeDtypeStruct(shape, jnp.float32),
            jax.ShapeDtypeStruct(shape, bool),
        )
        return jax.eval_shape(self._imputer.init, jax.random.key(0), data)

    def _names(self) -> list[Hashable]:
        return [column.name for column in self.columns_]

    def _frame(self, X: Any, reset: bool = False) -> tuple[pd.DataFrame, Any]:
        """X as a pandas frame, and the way back."""
        if not reset:
            check_is_fitted(self)
        if not frames.is_frame(X):
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=None,
                ensure_all_finite=False,
                ensure_min_samples=1,
            )
            frame, back = frames.from_array(X)
            if reset:
                self._framed = False
            if hasattr(self, "columns_") and hasattr(self, "feature_names_in_"):
                frame.columns = self._names()
            return frame, back
        frame, back = frames.from_frame(X, self.missing_values)
        if not len(frame) or not frame.shape[1]:
            raise DataError(
                f"the table has {len(frame)} row(s) and {frame.shape[1]}"
                " column(s); give at least one of each"
            )
        if not frame.columns.is_unique:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise DataError(f"two columns are named {twice!r}; rename one")
        named = reset or hasattr(self, "feature_names_in_")
        if reset:
            self._framed = True
        # scikit-learn compares names only where all are text.
        elif self._framed and not named and [*frame.columns] != self._names():
            raise DataError(
                f"the columns are {list(frame.columns)[:9]}, and those of the"
                f" fit were {self._names()[:9]}; give them in their order"
            )
        # A frame may follow an array that had no names.
        if named or frame.shape[1] != self.n_features_in_:
            validate_data(self, frame, reset=reset, skip_check_array=True)
        return frame, back

    def _encode(self, frame: pd.DataFrame) -> tables.Table:
        """New rows by the columns of the fit."""
        missing = tables.missing_cells(frame, self.missing_values)
        blocks, masks = [], []
        for j, column in enumerate(self.columns_):
            values, gaps = frame.iloc[:, j], missing[:, j]
            if column.kind == "id" and gaps.any():
                raise DataError(
                    f"column {column.name!r} is an id and"
                    f" {int(gaps.sum())} of its cells are missing, which"
                    " nothing can fill; complete it"
                )
            block, unseen = cols.encode(column, values, gaps)
            if unseen.any() and self.unseen == "error":
                row = int(np.flatnonzero(unseen)[0])
                raise DataError(
                    f"column {column.name!r} holds {values.iloc[row]!r} in row"
                    f" {row + 1}, which was not there in fitting; correct it,"
                    " or set unseen='missing'"
                )
            seen = ~gaps & ~unseen
            blocks.append(block)
            masks.append(np.repeat(seen[:, None], column.width, axis=1))
        return tables.Table(
            frame,
            missing,
            self.columns_,
            (None,) * len(self.columns_),
            np.concatenate(blocks, axis=1),
            np.concatenate(masks, axis=1),
            (),
        )

    def _draws(
        self, frame: pd.DataFrame, count: int, *, as_set: bool, part: int = 0
    ) -> tuple[tables.Table, list[np.ndarray]]:
        """Encoded draws `[n, d]` of some rows, raw scale."""
        table = self._encode(frame)
        data = standardise(table.values, table.m, self._scaler)
        n, d = data.x.shape
        if data.m.all():
            return table, [table.values] * count
        rows = _padded(n)
        data = Masked(
            jnp.pad(data.x, ((0, rows - n), (0, 0))),
            jnp.pad(data.m, ((0, rows - n), (0, 0)), constant_values=True),
        )
        imputer, states = self._imputer, self.states_
        key = jax.random.fold_in(self._key, 1)
        if part:
            key = jax.random.fold_in(jax.random.fold_in(self._key, 3), part)
        key_draw, key_again = jax.random.split(key)
        bounds = standardised_limits(self.columns_, self._scaler)
        found: list[np.ndarray] = []
        for k in range(count):
            key = key_draw if as_set else jax.random.fold_in(key_draw, k)
            draw = Draw(jnp.int32(k), count) if as_set and count > 1 else None
            # An independent imputation is of a fit of its own, where there is.
            own = not as_set and len(states) > 1
            state = states[1 + k % (len(states) - 1) if own else 0]
            x = imputer.impute(key, state, data, draw)
            key = jax.random.fold_in(key_again, k)
            x = redraw_outside(key, imputer, state, data, x, bounds, draw)
            if not np.isfinite(x).all():
                raise DataError(
                    f"a draw of {self.method!r} is not finite; fit it again"
                    " with a smaller settings={'learning_rate': ...}"
                )
            x = unscale(x[:n], self._scaler)
            found.append(np.where(table.m, table.values, x))
        return table, found

    def _gibbs(self, key: Array, imputer: Imputer, n: int) -> Array:
        width, state = len(self._scaler.mean), self.states_[0]
        key, key_start = jax.random.split(key)
        x = jnp.zeros((n, width), jnp.float32)
        nothing = Masked(x, jnp.zeros(x.shape, bool))
        x = imputer.impute(key_start, state, nothing)
        owners = _owners(self.columns_)
        hide = jnp.asarray(np.clip(self._rates, 0.2, 0.8))
        for k in range(SWEEPS):
            key_mask, key_draw = jax.random.split(jax.random.fold_in(key, k))
            u = jax.random.uniform(
                key_mask, (n, len(self.columns_)), jnp.float32
            )
            m = u[:, owners] > hide[None]
            x = imputer.impute(key_draw, state, Masked(jnp.where(m, x, 0), m))
        return x

    def _restore(self, content: Mapping[str, Any]) -> None:
        """Takes what `save` wrote into model.json."""
        names = content["names"]
        self.n_features_in_ = len(content["columns"])
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        self.columns_ = tuple(_column(one) for one in content["columns"])
        self._framed = content.get("framed", names is not None)
        self.notes_ = tuple(content["notes"])
        self._dtypes = content["dtypes"]
        self._scaler = Scaler(*(np.array(x) for x in content["scaler"]))
        self._rates, self._rows = np.array(content["rates"]), content["rows"]
        data = jnp.array(content["key"], jnp.uint32)
        self._key = jax.random.wrap_key_data(data)
        self._imputer = self._make()


@functools.lru_cache(maxsize=16)
def _shared_imputer(method: str, settings: str) -> Imputer:
    """One imputer for equal settings, so that it is compiled once."""
    return make_imputer(method, **json.loads(settings))


def _hide(key: Array, data: Masked, columns: Sequence[Column]) -> Masked:
    """Hides a fifth of the cells, at least one left in each column."""
    u = jax.random.uniform(key, (len(data.x), len(columns)), jnp.float32)
    m = (u > HIDDEN) | (u == u.max(axis=0, keepdims=True))
    m = m[:, _owners(columns)]
    return Masked(jnp.where(m, data.x, 0), m)


def _owners(columns: Sequence[Column]) -> np.ndarray:
    """`[d]`: which column each number is of, as all of a cell hide together."""
    return np.repeat(np.arange(len(columns)), [c.width for c in columns])


def _resample(key: Array, data: Masked) -> np.ndarray:
    """Rows `[n]` with replacement, each column with an observed cell."""
    n, m = len(data.x), np.asarray(data.m)
    for k in range(100):
        rows = jax.random.randint(
            jax.random.fold_in(key, k), (n,), 0, n, jnp.int32
        )
        rows = np.array(rows)
        empty = ~m[rows].any(axis=0) & m.any(axis=0)
        if not empty.any():
            return rows
    # Columns seen in a few rows only: one of each is put in.
    for j in np.flatnonzero(empty):
        rows[j % n] = np.flatnonzero(m[:, j])[0]
    return rows


def _padded(n: int) -> int:
    """The next power of two, from `LEAST_ROWS` on; above 8192 a multiple."""
    if n > 8192:
        return -(-n // 8192) * 8192
    return max(LEAST_ROWS, 1 << (n - 1).bit_length())


def _pairs(given: Mapping[Hashable, Any] | None) -> list[Any] | None:
    return None if given is None else [list(pair) for pair in given.items()]


def _to_json(content: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(type(value).__name__)

    try:
        return json.dumps(content, default=plain)
    except TypeError as error:
        raise DataError(
            f"the model holds a {error}, which JSON cannot; use levels and"
            " names that are text, numbers or logical values"
        ) from None


def _column(content: Mapping[str, Any]) -> Column:
    levels, knots = content["levels"], content["knots"]
    return Column(
        **{
            **content,
            "levels": None if levels is None else tuple(levels),
            "knots": None
            if knots is None
            else Knots(*(tuple(part) for part in knots)),
        }
    )
