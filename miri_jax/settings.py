"""What the values of settings may be, read from a factory's type hints.

A factory tells it beside the argument: `rate: Annotated[float, Range(0, 1)]`,
`solver: Literal["euler", "heun"]`, `steps: int | None`.
"""

import difflib
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from miri_jax.exceptions import ConfigError

# Values that were taken once, and what to do now.
GONE = {
    ("num_iterations", "auto"): "'auto' is gone; leave the setting out, and"
    " held-out cells end the fit, or give a number"
}
# What a factory may ask for that tells of the data, and so is no setting.
OF_DATA = {"layout": "Layout"}


class Range(NamedTuple):
    """What a number lies between, as `Annotated[float, Range(0, 1)]`.

    A whole number without one is from 1 on, any other from 0 on.

    Attributes:
      low: the least.
      high: the greatest.
      ends: which ends belong to it: "[]" both, "[)" the low one, "(]" the high
        one, "()" neither. Infinity never does.
    """

    low: float
    high: float = math.inf
    ends: Literal["[]", "[)", "(]", "()"] = "[]"

    def holds(self, value: float) -> bool:
        """Whether a number lies in it; NaN does not."""
        try:
            number = float(value)
        except OverflowError:  # of a whole number
            return False
        above = number > self.low or (
            self.ends[0] == "[" and number == self.low
        )
        below = number < self.high or (
            self.ends[1] == "]" and number == self.high
        )
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        left, right = self.ends
        if self.high == math.inf:
            low = f"{self.low:g}"
            return f"from {low} on" if left == "[" else f"above {low}"
        if self.ends == "[]":
            return f"from {self.low:g} to {self.high:g}"
        return f"in {left}{self.low:g}, {self.high:g}{right}"


class _Option(NamedTuple):
    """One of the types that a hint is the union of.

    Attributes:
      kind: a type, or a `Literal`.
      span: the `Range` beside it, if there is one.
    """

    kind: Any
    span: Range | None


def check(
    factory: Callable[..., Any],
    given: Mapping[str, Any],
    what: str = "",
    *,
    prefix: str = "",
) -> None:
    """Refuses settings that a factory does not take.

    Args:
      factory: what will be called with them; its hints tell what it takes. A
        value whose hint is of another kind than `misfit` knows is not looked
        at.
      given: the settings.
      what: the factory in words, for messages, as "method 'mean'".
      prefix: what the settings' names begin with in messages, as "model.".

    Raises:
      ConfigError: if the factory has no such setting, or its value is of
        another type, out of range or none of its choices.
    """
    known = hints(factory)
    for name, value in given.items():
        if name not in known:
            takes = ", ".join(known) or "no settings"
            raise ConfigError(
                f"{what or _name(factory)} has no setting {prefix + name!r}; it"
                f" takes {takes}{did_you_mean(name, known)}"
            )
        wrong = misfit(value, known[name])
        if wrong:
            verb = f"{what} takes" if what else "use"
            raise ConfigError(
                f"{prefix}{name} is {value!r}; {verb} {wrong}"
                f"{gone(name, value)}"
            )


def hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """The settings of a factory, in their order, each with its type hint.

    Raises:
      ConfigError: see `_parameters`.
    """
    found = _parameters(factory)
    return {
        name: parameter.annotation
        for name, parameter in found.items()
        if name not in OF_DATA
    }


def _parameters(
    factory: Callable[..., Any],
) -> Mapping[str, inspect.Parameter]:
    """The parameters of a factory, whose hints are no texts.

    Raises:
      ConfigError: if it has no signature, or a hint is a text that means
        nothing where the factory is defined.
    """
    try:
        return inspect.signature(factory, eval_str=True).parameters
    except (AttributeError, NameError, SyntaxError, TypeError, ValueError) as e:
        raise ConfigError(
            f"the type hints of {_name(factory)} cannot be read ({e}); give a"
            " function, and import what its hints name in its module"
        ) from e


def refuse_unclear(factory: Callable[..., Any]) -> None:
    """Refuses a factory whose settings `check` could not check.

    Raises:
      ConfigError: if a parameter can be given by its place, or has no hint, or
        a name of `OF_DATA` and another hint.
    """
    for name, parameter in _parameters(factory).items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ConfigError(
                f"{name!r} of {_name(factory)} is not keyword-only; write"
                f" `def {_name(factory)}(*, {name}: float = ...)`"
            )
        hint = parameter.annotation
        if name in OF_DATA and OF_DATA[name] not in str(hint):
            raise ConfigError(
                f"{name!r} of {_name(factory)} is what the program tells of the"
                f" data; write `{name}: types.Layout | None = None`, or take"
                " another name"
            )
        if hint is inspect.Parameter.empty:
            raise ConfigError(
                f"{_name(factory)} has no type hint for {name!r}; write, for"
                f" example, `{name}: float`, `{name}: int` or"
                f" `{name}: Annotated[float, Range(0, 1)]`"
            )


def kinds(hint: Any) -> tuple[type, ...]:
    """The types in a hint, without ranges; for a choice that of its values."""
    found: dict[type, None] = {}
    for kind, _ in _options(hint):
        if typing.get_origin(kind) is Literal:
            found |= {type(value): None for value in typing.get_args(kind)}
        else:
            found[kind] = None
    return tuple(found)


def misfit(value: Any, hint: Any) -> str:
    """What a setting must be, where its value is something else.

    Args:
      value: of the setting.
      hint: `int`, `float`, `bool`, `str`, a mapping, None or a `Literal`, with
        a `Range` or without, or a union of some; with any other type in it
        everything fits.

    Returns:
      What it must be, for a message; "" where it is.
    """
    answers = [_answer(value, option) for option in _options(hint)]
    if any(fits for fits, _ in answers):
        return ""
    takes = " or ".join(takes for _, takes in answers)
    choices = [
        choice
        for kind, _ in _options(hint)
        if typing.get_origin(kind) is Literal
        for choice in typing.get_args(kind)
        if isinstance(choice, str)
    ]
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    return takes + near


def _options(hint: Any) -> list[_Option]:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        spans = [mark for mark in inside[1:] if isinstance(mark, Range)]
        span = spans[0] if spans else None
        return [
            option._replace(span=option.span or span)
            for option in _options(inside[0])
        ]
    if origin in (typing.Union, types.UnionType):
        return [option for part in inside for option in _options(part)]
    return [_Option(type(None) if hint is None else hint, None)]


def _answer(value: Any, option: _Option) -> tuple[bool, str]:
    """Whether a value fits an option, and what does."""
    kind, span = option
    origin = typing.get_origin(kind) or kind
    plain = not isinstance(value, bool)
    if origin is Literal:
        choices = typing.get_args(kind)
        if len(choices) == 1:
            takes = repr(choices[0])
        else:
            takes = f"one of {', '.join(map(str, choices))}"
        # 1 is no True.
        same = [type(value) is type(c) and value == c for c in choices]
        return any(same), takes
    if kind is int:
        span = span or Range(1)
        whole = isinstance(value, numbers.Integral) and plain
        return whole and span.holds(value), f"a whole number {span}"
    if kind is float:
        span = span or Range(0)
        real = isinstance(value, numbers.Real) and plain
        return real and span.holds(value), f"a number {span}"
    if kind is bool:
        return isinstance(value, bool), "True or False"
    if kind is str:
        return isinstance(value, str), "a text"
    if kind is type(None):
        return value is None, "None"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping), "a mapping"
    return True, ""


def _name(factory: Callable[..., Any]) -> str:
    return getattr(factory, "__name__", repr(factory))


def gone(name: str, value: Any) -> str:
    """The end of a message, if a value was one of `GONE`; else ""."""
    found = isinstance(value, str) and GONE.get((name, value))
    return f"; {found}" if found else ""


def check_seed(seed: int, name: str = "seed") -> None:
    """Refuses what is no seed of 32 bits.

    Of a larger one JAX takes as many, or 64, as it is set: it would be that of
    another seed, or not. A negative one would be that of a large one.

    Raises:
      ConfigError: naming it.
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(
            f"{name} is {seed}; give a whole number from 0 to 4294967295",
            about=(name,),
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message, if something known is named alike; else ""."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def no_column(what: str, name: Hashable, known: Sequence[str]) -> str:
    """A message on a name that none of the columns has."""
    near = did_you_mean(str(name), known)
    return (
        f"{what} names {name!r}, which is not a column"
        f"{near or '; there are ' + ', '.join(known)[:300]}"
    )
