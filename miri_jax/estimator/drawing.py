"""What reads tables and draws, behind `MIRIImputer`'s public face."""

import functools
import json
import warnings
import zlib
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from miri_jax import engine
from miri_jax.data import columns as cols
from miri_jax.data import frames, tables, written
from miri_jax.data.belonging import helper_columns
from miri_jax.data.beside import region_of, with_beside
from miri_jax.data.dataset import FileTable, from_table
from miri_jax.data.flags import flag_name, with_flags
from miri_jax.data.layout import layout_of
from miri_jax.data.transforms import unscale
from miri_jax.estimator.bar import Bar
from miri_jax.estimator.checks import (
    check_frame,
    check_settings,
    empty_columns,
    stated_by,
    together_by,
    told_empty,
)
from miri_jax.exceptions import DataError
from miri_jax.imputers import from_settings, settings_of
from miri_jax.sensitivity import Changes, adjust_draws
from miri_jax.types import Array, Imputer, Layout, Masked

# What else is random besides fits and draws, see `engine.Keys.other`.
HIDE, SYNTHESISE, PARTS = range(3)


class Drawing(BaseEstimator):
    """Reads tables by the settings of a `MIRIImputer`, and draws by its fit."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; with `deep` also `settings__NAME` of each setting."""
        found = super().get_params(deep=deep)
        settings = self.settings if isinstance(self.settings, Mapping) else {}
        if deep:
            found |= {f"settings__{k}": v for k, v in settings.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, and settings of the method by their names.

        A setting is `num_iterations` or `settings__num_iterations`; the others
        stay. So searches over a pipeline reach `imputer__num_iterations`.
        """
        own = super().get_params(deep=False)
        known = settings_of(params.get("method", self.method))
        settings = {
            name: params.pop(name)
            for name in list(params)
            if name not in own
            and (name.startswith("settings__") or name in known)
        }
        super().set_params(**params)
        if settings:
            named = {
                k.removeprefix("settings__"): settings[k] for k in settings
            }
            self.settings = {**(self.settings or {}), **named}
        return self

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
        missing = self._missing(frame)
        carried = frames.carried(frame, self.kinds)
        carried |= dict.fromkeys(self._empty, "id")
        table = tables.make_table(
            frame,
            missing,
            kinds={**(self.kinds or {}), **carried},
            bounds=self.bounds,
            orders=self.orders,
            empty_value=self.empty_value,
            relations=stated_by(self, frame.columns),
            look=self.found,
            belong=together_by(self, frame.columns),
        )
        notes = (*self._told, *table.notes)
        return frame, from_table(table._replace(notes=notes))

    def _fits(self, data: Masked, weights: np.ndarray | None) -> Iterator[Any]:
        """Final states: of the table, and of what further draws rest on."""
        total = self._several.fits + self._several.resampled
        watches = (
            Bar(f"{self.method}: fit {k} of {total}", self.verbose)
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
        other = engine.seed_key(self._seed, "other")
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
        """X as a pandas frame of what is modelled, and the way back.

        The way takes also whether columns are to tell where gaps were.
        """
        came, back = self._taken(X, reset)
        gaps = tables.missing_cells(came, self.missing_values)
        if reset:
            self._styles, told = written.find_styles(
                came, gaps, self.kinds, self.orders or ()
            )
        frame = written.parse(came, self._styles, gaps)
        if frame is not came:  # marks of missing are gaps among numbers
            gaps = tables.missing_cells(frame, self.missing_values)
        if reset:
            relations = stated_by(self, frame.columns)
            self._empty = empty_columns(
                frame, gaps, relations, self.empty_value
            )
            self._told = (*told, *told_empty(self._empty))
            self.indicator_features_ = np.flatnonzero(gaps.any(0)).tolist()
        frame = frames.fill_empty(frame, self._empty)

        def whole(filled: pd.DataFrame, flags: bool = False) -> Any:
            filled = written.write(came, filled, gaps, self._styles)
            filled = frames.typed_as(self._came, came, filled)
            table, here = back(filled, gaps), self.indicator_features_
            if not flags or not here:
                return table
            names = [flag_name(came.columns[j]) for j in here]
            return with_flags(table, gaps[:, here], names)

        return frame, whole

    def _missing(self, frame: pd.DataFrame) -> np.ndarray:
        """The gaps `[n, c]` of what `_frame` gave."""
        missing = tables.missing_cells(frame, self.missing_values)
        missing[:, [name in self._empty for name in frame.columns]] = False
        return missing

    def _taken(self, X: Any, reset: bool) -> tuple[pd.DataFrame, Any]:
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
        part: str = "",
        changes: Changes | None = None,
    ) -> tuple[tables.Table, list[np.ndarray]]:
        """Encoded draws `[n, d]` of some rows, raw scale, as they will come.

        The table comes with them: changed columns are encoded in another way.
        """
        table = tables.encode_rows(
            frame,
            self._missing(frame),
            self.columns_,
            keep_unseen=self.unseen == "missing",
            relations=stated_by(self, self._names(), fitted=True),
            belong=self._together,
        )
        if changes:  # what does not fit the table is refused first
            adjust_draws(table, [table.values], changes)
        if table.m.all():
            return table, [table.values] * count
        again = self._again(table) if part else np.zeros(0, int)
        if not again.size:
            found = list(self._filled(table, count, pooled))
        else:
            found = [np.array(table.values) for _ in range(count)]
            first = np.setdiff1d(np.arange(len(table.m)), again)
            for rows, name in ((first, ""), (again, part)):
                draws = self._filled(table.take(rows), count, pooled, name)
                for values, new in zip(found, draws):
                    values[rows] = new
        if changes:
            table, found, _, limits = adjust_draws(
                table, found, changes, seed=self._seed
            )
            for line in limits:
                warnings.warn(line, stacklevel=3)
        return table, found

    def _again(self, table: tables.Table) -> np.ndarray:
        """Rows with gaps that are, to the method, equal to one before them.

        A key gives equal rows other noise within a call, and the same in each
        call. So that parts of a longer table differ in these rows, they go by a
        key of the part. The first of equals go by the key of all parts.
        """
        if not self._several.imputer.redraws:
            return np.zeros(0, int)
        x, m = map(np.asarray, with_beside(table, self._scaler))
        gaps = np.flatnonzero(~m.all(axis=1))
        content = pd.DataFrame(np.concatenate([x, m], axis=1)[gaps])
        return gaps[content.duplicated()]

    def _filled(
        self, table: tables.Table, count: int, pooled: bool, part: str = ""
    ) -> Iterator[np.ndarray]:
        """Encoded draws `[n, d]`, raw scale, see `_draws`."""
        for x in self._imputed(table, count, pooled, part):
            x = unscale(x[:, : table.m.shape[1]], self._scaler)
            x = np.where(table.m, table.values, x)
            yield tables.settle_table(table, x)

    def _imputed(
        self, table: tables.Table, count: int, pooled: bool, part: str
    ) -> Iterator[np.ndarray]:
        """Draws, standardised: to be pooled, or of the table's own fit."""
        how, states = self._several, self.states_
        data = with_beside(table, self._scaler)
        key = engine.seed_key(self._seed, "draw")
        if part:
            key = jax.random.fold_in(
                self._key(PARTS), zlib.crc32(part.encode())
            )
        if not how.imputer.redraws and not engine.is_of_fit(states[0], data):
            warnings.warn(
                f"{self.method!r} was fitted to other rows, and what it gives"
                " for new ones may be far off where the fit had few rows; fit"
                " it to these rows, or use another method",
                stacklevel=5,
            )
        draws = functools.partial(engine.draws, key, how.imputer, states[0])
        if pooled or not how.imputer.redraws:
            draws = functools.partial(engine.draw_several, key, how, states)
        return draws(data, count, bounds=region_of(table, self._scaler))


@functools.lru_cache(maxsize=16)
def _shared_imputer(
    method: str, settings: str, layout: Layout | None
) -> Imputer:
    """One imputer for equal settings, so that it is compiled once."""
    return from_settings(method, json.loads(settings), layout)
