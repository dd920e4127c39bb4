"""`MIRIImputer`: scikit-learn's face of every method."""

import datetime
import pathlib
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from miri_jax.core.rows import padded_rows
from miri_jax.data import columns as cols
from miri_jax.data import frames, tables
from miri_jax.data.flags import flag_name
from miri_jax.data.transforms import unscale
from miri_jax.estimator import saved, synthesis
from miri_jax.estimator.checks import found_in, seed_of, told_empty
from miri_jax.estimator.drawing import HIDE, SYNTHESISE, Drawing
from miri_jax.exceptions import ConfigError
from miri_jax.relations import STATED
from miri_jax.sensitivity import Changes

# An end of what imputed numbers, times or durations lie between; these may be
# text.
Bound = float | str | datetime.date | datetime.time | datetime.timedelta | None
# Settings that are mappings by column.
BY_COLUMN = ("kinds", "bounds", "orders", *STATED)


class MIRIImputer(OneToOneFeatureMixin, TransformerMixin, Drawing):
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
      bounds: (low, high) of imputed numbers by column name, of times and
        durations such; None in place of one for no bound; the observed
        extremes bound nothing.
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
      found: whether to keep relations that all rows show, as if stated.
      missing_values: values that mean "missing" besides None, NaN and NaT.
      empty_value: what a column without any observed value is filled with;
        None for 0 of its type, with a warning, as a fold of a cross-validation
        may have such columns.
      unseen: what a level that was not seen in fitting means in a new row:
        "missing" keeps the cell and lets the model see none there, "error"
        refuses it.
      add_indicator: whether `transform` adds a column `missingindicator_NAME`
        for each column that had gaps in the fit: where they are.
      random_state: seed; the same seed gives the same numbers.
      verbose: whether to show progress and the time left; None shows them of
        a fit that takes longer than five seconds.

    Attributes:
      columns_: how each column is turned into numbers.
      notes_: sentences about the table that a reader should know.
      found_: formulas, rules and functions that nobody stated; see `found`.
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
        bounds: Mapping[Hashable, Sequence[Bound]] | None = None,
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
        found: bool = True,
        missing_values: Sequence[Any] = (),
        empty_value: float | None = None,
        unseen: str = "missing",
        add_indicator: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int | None = None,
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
        self.found = found
        self.missing_values = missing_values
        self.empty_value = empty_value
        self.unseen = unseen
        self.add_indicator = add_indicator
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
        for line in told_empty(self._empty):
            warnings.warn(line, stacklevel=2)
        table = dataset.table
        self._seed = seed_of(self.random_state)
        data = dataset.fitted(dataset.masked())
        if dataset.m.all():
            data = synthesis.hide(self._key(HIDE), data, table.columns)
        self.columns_, self.notes_ = table.columns, table.notes
        self._together = table.beside and table.beside.fitted
        self.found_ = found_in(table.related)
        self._came = frames.type_names(X, frame.shape[1])
        self._dtypes = [str(dtype) for dtype in frame.dtypes]
        self._scaler, self._rows = dataset.scaler, len(frame)
        self._several = self._planned()
        self._rates = np.asarray((~dataset.m).mean(axis=0))
        fits = self._fits(data, dataset.weights())
        self.states_ = tuple(map(self._settled, fits))
        return self

    def transform(
        self, X: Any, *, changes: Changes | None = None, part: str = ""
    ) -> Any:
        """Fills the gaps of any rows, also of ones never seen.

        A row gets the same numbers each time, alone or among others, in any
        order; of equal rows the first does, and the others get draws of their
        own. The rows of the fit get what the command gives for the same seed.

        Args:
          X: `[n, c]`, the columns those of the fit.
          changes: of filled cells, see `sensitivity.adjust`.
          part: which part of a longer table X is, by a name: rows that are
            equal to others of X get other draws than those of other parts. The
            first of equals gets the same in all, as all other rows do.

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
        table, found = self._draws(frame, count, part=part, changes=changes)
        if self.statistic == "draw":
            filled = tables.fill_table(table, found[0])
            return back(filled, self.add_indicator)
        blocks = zip(*(tables.split(self.columns_, x) for x in found))
        mean = [
            cols.average(draws[0][0], [block for _, block in draws])
            for draws in blocks
            if draws[0][0].width
        ]
        filled = tables.fill_table(table, np.concatenate(mean, axis=1))
        return back(filled, self.add_indicator)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that `transform` gives, as text.

        Args:
          input_features: those of the columns that go in, where the fit had an
            array; None for x0, x1 and so on.
        """
        names = super().get_feature_names_out(input_features)
        here = self.indicator_features_ if self.add_indicator else []
        added = [flag_name(name) for name in names[here]]
        return np.concatenate([names, np.array(added, object)])

    def imputations(
        self,
        X: Any,
        n: int | None = None,
        *,
        changes: Changes | None = None,
        part: str = "",
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
          part: see `transform`.

        Returns:
          That many tables, each as X came.

        Raises:
          ConfigError: if that are more than were fitted.
        """
        count = self.n_imputations if n is None else n
        if not isinstance(count, int | np.integer) or count < 1:
            raise ConfigError(f"n is {count!r}; ask for 1 imputation or more")
        frame, back = self._frame(X)
        table, found = self._draws(
            frame, count, pooled=True, part=part, changes=changes
        )
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
        frame = synthesis.to_frame(
            self.columns_, self._dtypes, self._came, self._styles, values
        )
        return frame if hasattr(self, "feature_names_in_") else frame.to_numpy()

    def save(self, path: str | pathlib.Path, overwrite: bool = False) -> None:
        """Writes the fitted model into a folder: JSON and arrays, no pickle.

        The folder holds no row of the table, but levels, bounds and quantiles
        of its columns, and what the method itself keeps. Of a method that
        cannot draw again it holds the filled table.

        Args:
          path: the folder; must not exist or be empty.
          overwrite: whether it may hold a model, which is replaced once the
            new one is whole.

        Raises:
          DataError: if the folder is not empty, or a level cannot be written.
        """
        check_is_fitted(self)
        saved.save(
            pathlib.Path(path), self.__getstate__(), BY_COLUMN, overwrite
        )

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
