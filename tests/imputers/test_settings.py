"""Settings that a method does not take are refused, with the remedy."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Optional

import jax
import numpy as np
import pytest

from miri_jax.estimator import MIRIImputer
from miri_jax.exceptions import ConfigError
from miri_jax.imputers import IMPUTERS, make_imputer
from miri_jax.settings import Range, check, hints, kinds, misfit


def test_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean gaussian"):
        make_imputer("gausian")


def test_unknown_setting_is_refused_by_name():
    with pytest.raises(ConfigError, match="'mean' has no setting 'num_steps'"):
        make_imputer("mean", num_steps=3)


def test_a_value_that_is_gone_is_refused_with_a_remedy():
    with pytest.raises(
        ConfigError, match="'auto'; method 'miri' takes a whole"
    ):
        make_imputer("miri", num_iterations="auto")
    with pytest.raises(ConfigError, match="'auto' is gone; leave the setting"):
        make_imputer("miri", num_iterations="auto")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "prior"}, "source is 'prior'"),
        ({"initial": "mode"}, "initial is 'mode'"),
        ({"solver": "rk4"}, "solver is 'rk4'"),
        ({"num_iterations": "often"}, "num_iterations is 'often'"),
        ({"num_iterations": 0}, "num_iterations is 0"),
        ({"num_steps": 10, "num_slices": 3}, "num_slices=3 does not divide"),
        ({"imputed_weight": 2.0}, "2.0; .* a number from 0 to 1 or None"),
        ({"num_slices": 0}, "num_slices is 0; .* a whole number from 1 on"),
        ({"chunk": -5}, "chunk is -5"),
        ({"chunk": True}, "chunk is True"),
        ({"ode_steps": 2.0}, "ode_steps is 2.0; .* a whole number"),
        ({"held_out": 1.5}, "held_out is 1.5; .* a number from 0 to 0.9"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warm_start": 1}, "warm_start is 1; .* True or False"),
        ({"model": 3}, "model is 3; .* a mapping or None"),
        ({"model": {"width": 0}}, "model.width is 0; use a whole number"),
        ({"model": {"activation": "sillu"}}, "model.activation is 'sillu'"),
        ({"model": {"dtype": "foo"}}, "model.dtype is 'foo'; use one of flo"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, table):
    with pytest.raises(ConfigError, match=message):
        make_imputer("miri", **settings).init(jax.random.key(0), table[0])


@pytest.mark.parametrize("name", IMPUTERS)
def test_no_method_takes_a_count_of_zero(name):
    """Of whole numbers, each method's own."""
    for key, hint in hints(IMPUTERS[name]).items():
        if int in kinds(hint):
            with pytest.raises(ConfigError, match=f"{key} is 0"):
                make_imputer(name, **{key: 0})


HALF_OPEN = Annotated[float, Range(0, 1, "[)")]
Share = Annotated[float, Range(0, 1)]


@pytest.mark.parametrize(
    "hint, right, wrong, takes",
    [
        (
            int,
            [1, np.int64(7)],
            [0, 1.0, True, "1"],
            "a whole number from 1 on",
        ),
        (
            Annotated[int, Range(0, 2)],
            [0, 2],
            [-1, 3],
            "a whole number from 0 to 2",
        ),
        (
            float,
            [0, 0.5, np.float32(3)],
            [-1e-9, np.inf, np.nan, 10**400, np.float32(np.inf), False],
            "a number from 0 on",
        ),
        (Share, [0, 1, 0.5], [1.1, -0.1], "a number from 0 to 1"),
        (HALF_OPEN, [0, 0.999], [1, 1.0], "a number in [0, 1)"),
        (
            Annotated[float, Range(-2, 2, "()")],
            [-1.9],
            [-2, 2],
            "a number in (-2, 2)",
        ),
        (
            Annotated[float, Range(0, ends="(]")],
            [1e-300, 5],
            [0, np.inf],
            "a number above 0",
        ),
        (
            Annotated[float | None, Range(0, 1)],
            [None, 0.5],
            [2],
            "a number from 0 to 1 or None",
        ),
        (Share | None, [None], ["a"], "a number from 0 to 1 or None"),
        (Optional[int], [None, 3], [0], "a whole number from 1 on or None"),  # noqa: UP045
        (bool, [True], [1, "yes"], "True or False"),
        (str, ["x"], [1], "a text"),
        (Mapping[str, Any], [{}], [[]], "a mapping"),
        (Literal["a", "b"], ["a"], ["c", 1, None], "one of a, b"),
        (Literal[1, 2], [1], [True, 1.0, 3], "one of 1, 2"),
        (
            int | Literal["auto"],
            ["auto", 3],
            ["often", 0],
            "a whole number from 1 on or 'auto'",
        ),
        # Nothing is known of other types, nor of a union with one.
        (Any, [object()], [], ""),
        (Callable[[], int] | str, [len, "x"], [], ""),
    ],
)
def test_hints_tell_what_fits(hint, right, wrong, takes):
    assert [misfit(value, hint) for value in right] == [""] * len(right)
    assert [misfit(value, hint) for value in wrong] == [takes] * len(wrong)


def test_a_choice_that_is_near_is_named():
    hint = Literal["euler", "heun"] | None
    assert misfit("eulr", hint) == (
        "one of euler, heun or None; did you mean euler?"
    )


def test_kinds_are_the_plain_types():
    assert kinds(Share | None) == (float, type(None))
    assert kinds(int | Literal["auto", "all"]) == (int, str)
    assert kinds(Annotated[int, Range(2)]) == (int,)


def test_check_is_of_names_and_values():
    def factory(*, rate: Share = 0.5, steps: "int | None" = None):
        """Hints may be texts."""

    check(factory, {"rate": 0.1, "steps": None})
    with pytest.raises(ConfigError, match="^p.rate is 3; use a number from"):
        check(factory, {"rate": 3}, prefix="p.")
    with pytest.raises(ConfigError, match="^steps is 0; X takes a whole"):
        check(factory, {"steps": 0}, "X")
    with pytest.raises(
        ConfigError,
        match="^X has no setting 'p.step'; it takes rate, steps; did you mean"
        " steps?",
    ):
        check(factory, {"step": 0}, "X", prefix="p.")
    with pytest.raises(ConfigError, match="^factory has no setting 'a'"):
        check(factory, {"a": 0})


@pytest.mark.parametrize("name", ["chained", "miri", "mean"])
def test_what_the_program_tells_of_the_data_is_no_setting(name, table):
    assert "layout" not in hints(IMPUTERS[name])
    with pytest.raises(ConfigError, match=f"{name!r} has no setting 'layout'"):
        check(IMPUTERS[name], {"layout": None}, f"method {name!r}")
    with pytest.raises(ConfigError, match=f"{name!r} has no setting 'layout'"):
        MIRIImputer(name, settings={"layout": None}).fit(table[1])


def test_a_network_names_the_nearest_setting():
    settings = {"widht": 3}
    with pytest.raises(ConfigError, match="did you mean width?"):
        make_imputer("knewimp", model=settings).init(jax.random.key(0), None)
