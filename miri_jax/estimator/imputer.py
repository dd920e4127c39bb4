"""`MIRIImputer`: scikit-learn's face of every method.

It is long because every argument is told of in one place.
"""

import functools
import json
import pathlib
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import jax
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from miri_jax import engine
from miri_jax.core.rows import padded_rows
from miri_jax.data import columns as cols
from miri_jax.data import frames, tables
from miri_jax.data.belonging import helper_columns
from miri_jax.data.beside import region_of, with_beside
from miri_jax.data.dataset import FileTable, from_table
from miri_jax.data.layout import layout_of
from miri_jax.data.transforms import unscale
from miri_jax.estimator import saved, synthesis
from miri_jax.estimator.bar import Bar
from miri_jax.estimator.checks import (
    check_frame,
    check_settings,
    seed_of,
    stated_by,
    together_by,
)
from miri_jax.exceptions import ConfigError, DataError
from miri_jax.imputers import from_settings
from miri_jax.relations import STATED
from miri_jax.sensitivity import Changes, adjust_draws
from miri_jax.types import Array, Imputer, Layout, Masked, Region

# Settings that are mappings by column.
BY_COLUMN = ("kinds", "bounds", "orders", *STATED)
# What else is random besides fits and draws, see `engine.Keys.other`.
HIDE, SYNTHESISE, PARTS = range(3)


class MIRIImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
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
      bootstrap: whether the `n_imputations` are to be pooled: then they differ
        by what a fit does not know as well (proper imputation: Rubin, 1987),
        as each rests on rows drawn with replacement, see `engine.several`. It
        takes as many chains of `miri` and `chained`, and as many fits more of
        other methods. False for draws of one fit, which are each more like the
        table, and whose intervals are too short. None: where there are several
        draws, and the method can.
      settings: of the method, such as `{"num_iterations": 10}`.
      kinds: kinds of columns by name (by number for arrays), one of
        `columns.KINDS`, where they are not to be detected.
      bounds: (low, high) of imputed numbers by column name; None in place of
        one for no bound; the observed extremes bound nothing.
      orders: levels in their order, of ordinal columns by name.
      formulas: columns that others give, as "gross = net + tax".
      rules: what holds in each row, as "discharge >= admit".
      only_if: by column, where its cells do not stay empty.
      keep: columns that stay as they are, and still tell of others.
      below: by column, a limit that its gaps are known to lie below.
      above: likewise.
      gap_bounds: by column, (low, high) of imputed numbers, where observed ones
        may lie outside. docs/structure.md tells of all seven.
      group: a column whose equal cells make a group, as a person of a panel:
        rows of it tell of each other, and what is constant in it stays so.
      time: a column of numbers or times: rows tell of those near to them, of
        their group. With either, rows that belong together are to be given
        together, to `transform` too; docs/structure.md.
      weights: a column of numbers from 0 on: how much each row counts in a fit.
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
        bootstrap: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        kinds: Mapping[Hashable, str] | None = None,
        bounds: Mapping[Hashable, Sequence[float | None]] | None = None,
        orders: Mapping[Hashable, Sequence[Any]] | None = None,
        formulas: Sequence[str] = (),
        rules: Sequence[str] = (),
        only_if: Mapping[Hashable, str] | Sequence[str] = (),
        keep: Sequence[Hashable] = (),
        below: Mapping[Hashable, float] | Sequence[str] = (),
        above: Mapping[Hashable, float] | Sequence[str] = (),
        gap_bounds: Mapping[Hashable, Any] | Sequence[str] = (),
        group: Hashable | None = None,
        time: Hashable | None = None,
        weights: Hashable | None = None,
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
        self.formulas = formulas
        self.rules = rules
        self.only_if = only_if
        self.keep = keep
        self.below = below
        self.above = above
        self.gap_bounds = gap_bounds
        self.group = group
        self.time = time
        self.weights = weights
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
          NonFiniteError: if the fit diverges.
        """
        del y
        frame, dataset = self._read(X)
        table = dataset.table
        self._seed = seed_of(self.random_state)
        data = dataset.fitted(dataset.masked())
        if dataset.m.all():
            data = synthesis.hide(self._key(HIDE), data, table.columns)
        self.columns_, self.notes_ = table.columns, table.notes
        self._together = table.beside and table.beside.fitted
        self._dtypes = [str(dtype) for dtype in frame.dtypes]
        self._scaler, self._rows = dataset.scaler, len(frame)
        self._several = self._planned()
        self._rates = np.asarray((~dataset.m).mean(axis=0))
        fits = self._fits(data, dataset.weights())
        self.states_ = tuple(map(self._settled, fits))
        return self

    def transform(self, X: Any, *, changes: Changes | None = None) -> Any:
        """Fills the gaps of any rows, also of ones never seen.

        A row gets the same numbers each time, alone or among others, in any
        order; of equal rows the first does, and the others get draws of their
        own. The rows of the fit get what the command gives for the same seed.

        Args:
          X: `[n, c]`, the columns those of the fit.
          changes: of filled cells, see `sensitivity.adjust`.

        Returns:
          A table as X came, by `statistic` a draw or the mean of several.

        Raises:
          DataError: naming the column at fault and the remedy.
          ConfigError: if a mean of draws is to be changed.
        """
        if changes and self.statistic == "mean":
            raise ConfigError(
                "statistic='mean' gives means of draws, and changes are of"
                " draws; use statistic='draw', or imputations"
            )
        count = self.n_imputations if self.statistic == "mean" else 1
        frame, back = self._frame(X)
        table, found = self._draws(frame, count, changes=changes)
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

        Each part has other noise, so that equal rows of two parts differ,
        where `transform` gives equal rows of two calls the same.

        Args:
          parts: tables as `transform` takes them.

        Yields:
          Of each part a draw, as it came.
        """
        for k, part in enumerate(parts):
            frame, back = self._frame(part)
            table, found = self._draws(frame, 1, part=k)
            yield back(tables.fill_table(table, found[0]))

    def imputations(
        self,
        X: Any,
        n: int | None = None,
        *,
        changes: Changes | None = None,
    ) -> list[Any]:
        """Several independent imputations of the same rows.

        Analyse each, and pool the answers with `pooling.pool`; do not average
        the tables. With `bootstrap=False`, and after a fit for one draw, all
        are of one fit: what that does not know is missing from their spread,
        intervals are too short, and a warning says so.

        Args:
          X: `[n, c]`, the columns those of the fit.
          n: how many; None for `n_imputations`.
          changes: of filled cells, see `sensitivity.adjust`.

        Returns:
          That many tables, each as X came.

        Raises:
          ConfigError: if that are more than were fitted.
        """
        count = self.n_imputations if n is None else n
        if not isinstance(count, int | np.integer) or count < 1:
            raise ConfigError(f"n is {count!r}; ask for 1 imputation or more")
        frame, back = self._frame(X)
        table, found = self._draws(frame, count, pooled=True, changes=changes)
        caveat = self._several.caveat
        if count > 1 and caveat and self.bootstrap is None:
            if self._several.imputer.redraws:
                caveat += f"; fit with n_imputations={count}"
            warnings.warn(caveat, stacklevel=2)
        return [back(tables.fill_table(table, x)) for x in found]

    def sample(self, n: int = 1) -> Any:
        """Whole synthetic rows from the fitted model, types restored.

        By the method's own sampler where it has one, else see
        `synthesis.gibbs`.

        Args:
          n: rows.

        Returns:
          `[n, c]` frame, or array if the fit was to one; ids are numbered.

        Raises:
          ConfigError: if the method cannot draw again.
        """
        check_is_fitted(self)
        if not isinstance(n, int | np.integer) or n < 1:
            raise ConfigError(f"n is {n!r}; ask for 1 row or more")
        imputer, state = self._several.imputer, self.states_[0]
        key = self._key(SYNTHESISE)
        rows = padded_rows(n)
        if imputer.sample is not None:
            x = imputer.sample(key, state, (rows, self._width()))
        elif imputer.redraws:
            x = synthesis.gibbs(
                key, imputer, state, self._seen(), self._all_rates(), rows
            )
        else:
            raise ConfigError(
                f"{self.method!r} cannot draw whole rows: its fit has one"
                " imputation, that of its table; use another method"
            )
        x = np.asarray(x)[:n, : len(self._scaler.mean)]
        values = unscale(x, self._scaler)
        frame = synthesis.to_frame(self.columns_, self._dtypes, values)
        return frame if hasattr(self, "feature_names_in_") else frame.to_numpy()

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the fitted model into a folder: JSON and arrays, no pickle.

        The folder holds no row of the table, but levels, bounds and quantiles
        of its columns, and what the method itself keeps. Of a method that
        cannot draw again it holds the filled table.

        Args:
          path: the folder; must not exist or be empty.

        Raises:
          DataError: if the folder is not empty, or a level cannot be written.
        """
        check_is_fitted(self)
        saved.write(pathlib.Path(path), self.__getstate__(), BY_COLUMN)

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Reads a model that `save` has written; runs no code of the file.

        Raises:
          DataError: if the folder holds no model, or a damaged one.
        """
        return saved.read(pathlib.Path(path), cls, BY_COLUMN)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds, and a saved folder: no compiled function."""
        content = dict(super().__getstate__())
        content.pop("_several", None)
        return content

    def __setstate__(self, content: dict[str, Any]) -> None:
        """Takes what `__getstate__` gave."""
        super().__setstate__(content)
        if "_seed" in content:
            self._several = self._planned()

    def __sklearn_tags__(self) -> Any:
        """NaN, text and categories are welcome; draws are random."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _planned(self) -> engine.Several:
        """The fits that draws come from."""
        imputer, proper = self._make(self._layout()), self.bootstrap
        if proper is None:
            proper = self.n_imputations > 1 and self.statistic == "draw"
        return engine.several(imputer, self.n_imputations, proper=proper)

    def _read(self, X: Any) -> tuple[pd.DataFrame, FileTable]:
        """A table as a fit takes it, as frame and encoded."""
        check_settings(self, lambda: self._make().redraws)
        frame, _ = self._frame(X, reset=True)
        table = tables.make_table(
            frame,
            tables.missing_cells(frame, self.missing_values),
            kinds=self.kinds,
            bounds=self.bounds,
            orders=self.orders,
            empty_value=self.empty_value,
            relations=stated_by(self, frame.columns),
            belong=together_by(self, frame.columns),
        )
        return frame, from_table(table)

    def _fits(self, data: Masked, weights: np.ndarray | None) -> Iterator[Any]:
        """Final states: of the table, and of what further draws rest on."""
        total = self._several.fits + self._several.resampled
        watches = (
            Bar(f"fit {k}/{total}", not self.verbose)
            for k in range(1, total + 1)
        )
        keys = engine.seed_keys(self._seed)
        return engine.fit_several(
            keys, self._several, data, weights=weights, watches=watches
        )

    def _settled(self, state: Any) -> Any:
        """A state on the host, without the table where it is not needed."""
        if self._several.imputer.redraws:
            # The table is not for others' eyes.
            state = state._replace(x=np.zeros(state.x.shape, np.float32))
        return jax.tree.map(np.asarray, state)

    def _key(self, which: int) -> Array:
        other = engine.seed_keys(self._seed).other
        return jax.random.split(other, 3)[which]

    def _make(self, layout: Layout | None = None) -> Imputer:
        settings = dict(self.settings or {})
        try:
            return _shared_imputer(self.method, json.dumps(settings), layout)
        except TypeError:  # a setting that JSON cannot hold, a level unhashable
            return from_settings(self.method, settings, layout)

    def _layout(self) -> Layout:
        return layout_of(self.columns_, self._scaler, self._together)

    def _seen(self) -> tuple[cols.Column, ...]:
        """The columns, and behind them the helpers, that imputers see."""
        return *self.columns_, *helper_columns(self._together, self.columns_)

    def _width(self) -> int:
        return sum(column.width for column in self._seen())

    def _all_rates(self) -> np.ndarray:
        """`_rates` and behind them 0 of the helpers, which have no gaps."""
        return np.pad(self._rates, (0, self._width() - len(self._rates)))

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
        check_frame(frame)
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

    def _draws(
        self,
        frame: pd.DataFrame,
        count: int,
        *,
        pooled: bool = False,
        part: int = 0,
        changes: Changes | None = None,
    ) -> tuple[tables.Table, list[np.ndarray]]:
        """Encoded draws `[n, d]` of some rows, raw scale, as they will come.

        The table comes with them: changed columns are encoded in another way.
        """
        table = tables.encode_rows(
            frame,
            tables.missing_cells(frame, self.missing_values),
            self.columns_,
            keep_unseen=self.unseen == "missing",
            relations=stated_by(self, self._names()),
            belong=self._together,
        )
        data = with_beside(table, self._scaler)
        if changes:  # what does not fit the table is refused first
            adjust_draws(table, [table.values], changes)
        if table.m.all():
            return table, [table.values] * count
        found = []
        region = region_of(table, self._scaler)
        for x in self._imputed(data, count, pooled, part, region):
            x = unscale(x[:, : table.m.shape[1]], self._scaler)
            x = np.where(table.m, table.values, x)
            found.append(tables.settle_table(table, x))
        if changes:
            table, found, _, limits = adjust_draws(
                table, found, changes, seed=self._seed
            )
            for line in limits:
                warnings.warn(line, stacklevel=3)
        return table, found

    def _imputed(
        self, data: Masked, count: int, pooled: bool, part: int, bounds: Region
    ) -> Iterator[np.ndarray]:
        """Draws, standardised: to be pooled, or of the table's own fit."""
        how, states = self._several, self.states_
        key = engine.seed_keys(self._seed).draw
        if part:
            key = jax.random.fold_in(self._key(PARTS), part)
        if not how.imputer.redraws and not engine.is_of_fit(states[0], data):
            warnings.warn(
                f"{self.method!r} was fitted to other rows, and what it gives"
                " for new ones may be far off where the fit had few rows; fit"
                " it to these rows, or use another method",
                stacklevel=4,
            )
        draws = functools.partial(engine.draws, key, how.imputer, states[0])
        if pooled or not how.imputer.redraws:
            draws = functools.partial(engine.draw_several, key, how, states)
        return draws(data, count, bounds=bounds)


@functools.lru_cache(maxsize=16)
def _shared_imputer(
    method: str, settings: str, layout: Layout | None
) -> Imputer:
    """One imputer for equal settings, so that it is compiled once."""
    return from_settings(method, json.loads(settings), layout)
