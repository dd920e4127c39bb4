"""The grammar: what it reads, what it gives, and what it refuses."""

import numpy as np
import pytest

from miri_jax.exceptions import DataError
from miri_jax.relations import (
    Kind,
    evaluate,
    names_in,
    parse,
    resolved,
    solve,
    state,
    with_kinds,
)

ENV = {
    "a": np.array([1.0, 2.0, np.nan, 4.0]),
    "b": np.array([3.0, 2.0, 1.0, np.nan]),
    "pm2.5": np.array([10.0, 20.0, 30.0, 40.0]),
    "net pay": np.array([0.1, 0.2, 0.3, 0.4]),
    "s": np.array(["x", "y", None, "x"], object),
    "t": np.array([0.0, 19723.0, np.nan, 1.0]),
    "u": np.array([1.0, 19723.5, 2.0, 1.0]),
}
KINDS = {name: Kind("number") for name in ENV} | {
    "s": Kind("text", ("x", "y")),
    "t": Kind("time"),
    "u": Kind("time"),
}


def _value(text):
    tree, _ = resolved(parse(text), KINDS, text)
    return np.broadcast_to(evaluate(tree, ENV), 4)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("8 / 4 / 2", 1),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("2 ** -1", 0.5),
        ("--3", 3),
        (".5e1 + 1.", 6),
        ("min(3, 1, 2) + max(4, 5)", 6),
        ("abs(-3) + round(2.6)", 6),
        ("round(2.346, 2)", 2.35),
        ("log(exp(2))", 2),
        ("`pm2.5` / pm2.5", 1),
        ("0.1 + 0.2 == 0.3", 1),
        ("0.1 + 0.2 <= 0.3", 1),
        ("0.1 + 0.2 > 0.3", 0),
        ("not 1 == 2 and 1 < 2 < 3", 1),
        ("1 == 2 or not 1 == 1", 0),
    ],
)
def test_arithmetic_is_as_usual(text, wanted):
    np.testing.assert_allclose(_value(text), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b", [4, 4, np.nan, np.nan]),
        ("a < b", [1, 0, np.nan, np.nan]),
        ("a < b or pm2.5 >= 30", [1, 0, 1, 1]),
        ("a < b and pm2.5 < 30", [1, 0, 0, 0]),
        ("not a < b", [0, 1, np.nan, np.nan]),
        ("s == 'x'", [1, 0, np.nan, 1]),
        ("s != 'x'", [0, 1, np.nan, 0]),
        ("`net pay` * 10", [1, 2, 3, 4]),
        ("u - t", [1, 0.5, np.nan, 0]),
        ("u >= t + 1", [1, 0, np.nan, 0]),
        ("t == '2024-01-01'", [0, 1, np.nan, 0]),
        ("max(t, u) - t", [1, 0.5, np.nan, 0]),
        ("a / 0", [np.nan] * 4),
        ("log(-pm2.5)", [np.nan] * 4),
        ("10 ** pm2.5 ** 9", [np.nan] * 4),
    ],
)
def test_unknown_cells_make_unknown_only_what_they_decide(text, wanted):
    np.testing.assert_allclose(_value(text), wanted, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a +", "a b", "(a", "a)", "1..2", "1e", "'x", "`a", "a = b"),
        *("a ^ 2", "a & b", "a | b", "a ? b", "a if b else 1", "lambda: 1"),
        *("a[0]", "{a}", "a.b()", "__import__('os')", "eval('1')", "a; b"),
        *("min()", "abs(1, 2)", "round(1, 2, 3)", "sin(a)", "()", "a,", "@a"),
        *("1e999", "and", "not", "a not b", "\\x", "a\x00", "f'{a}'"),
        *("(" * 500 + "1" + ")" * 500, "-" * 2500 + "1", "1+" * 1500 + "1"),
        *("2**" * 300 + "2", "1*" * 300 + "1", "not " * 450 + "(" * 50),
        *("min(" * 100, "a" * 3000, None, 3),
    ],
)
def test_all_else_is_refused_in_one_line(text):
    with pytest.raises(DataError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        *("s + 1", "s < 'x'", "s == 1", "a == 'x'", "s == 'z'", "t + u"),
        *("t == 'soon'", "t < a", "t * 2", "a and b", "not a", "abs(s)"),
        *("max(t, a)", "a + 'x'", "t + 'x'"),
    ],
)
def test_kinds_must_fit(text):
    with pytest.raises(DataError) as caught:
        resolved(parse(text), KINDS, text)
    assert "\n" not in str(caught.value)


def test_names_of_dunder_attributes_are_mere_names():
    """Nothing is run: a name that is no column has no value."""
    assert names_in(parse("a.__class__ + __name__")) == (
        "a.__class__",
        "__name__",
    )
    with pytest.raises(DataError, match="which is not a column"):
        state(["a"], rules=["a.__class__ == 1"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a + 2 * pm2.5 - 1", "a"),
        ("a + 2 * pm2.5 - 1", "pm2.5"),
        ("pm2.5 / (a / 100) ** 2", "a"),
        ("pm2.5 / (a / 100) ** 2", "pm2.5"),
        ("a * pm2.5 + a / 2 - 3", "a"),
        ("exp(log(a) + 1)", "a"),
        ("2 ** a", "a"),
        ("1 / -a", "a"),
    ],
)
def test_a_missing_operand_is_solved_for(text, name):
    env = {"a": np.array([1.5, 2.0]), "pm2.5": np.array([3.0, 0.25])}
    tree = parse(text)
    value = evaluate(tree, env)
    hidden = env | {name: np.full(2, np.nan)}
    found = solve(tree, name, value, hidden)
    np.testing.assert_allclose(found, env[name], rtol=1e-12)


@pytest.mark.parametrize("text", ["a * a", "max(a, 1)", "abs(a)", "a + a ** 2"])
def test_what_has_no_one_answer_is_not_solved(text):
    found = solve(parse(text), "a", np.array([4.0]), {"a": np.array([np.nan])})
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"formulas": ["a = b + cc"]}, "'cc', which is not a column"),
        ({"formulas": ["a + b"]}, "write NAME = EXPRESSION"),
        ({"formulas": ["a == b"]}, "write NAME = EXPRESSION"),
        ({"formulas": ["a = b", "b = a"]}, "circular"),
        ({"formulas": ["a = a + 1"]}, "circular"),
        ({"formulas": ["a = b", "a = c"]}, "two formulas give column 'a'"),
        ({"rules": ["a + b"]}, "is a number and nothing that is met"),
        ({"formulas": ["s = a"]}, "holds text"),
        ({"only_if": ["a b > 1"]}, "write NAME: CONDITION"),
        ({"only_if": {"z": "a > 1"}}, "'z', which is not a column"),
        ({"keep": ["z"]}, "'z', which is not a column"),
        ({"below": ["a"]}, "write NAME=LIMIT"),
        ({"below": {"a": "x"}}, "give a number"),
        ({"below": {"a": 1}, "above": {"a": 2}}, "below and above"),
        ({"above": {"s": 1}}, "no number and has no limits"),
        ({"gap_bounds": {"a": (2, 1)}}, "must be the smaller"),
        ({"gap_bounds": {"a": 2}}, "give two numbers"),
        ({"gap_bounds": ["a=0"]}, "give two numbers"),
    ],
)
def test_what_is_stated_must_fit_the_table(given, part):
    kinds = {name: Kind("number") for name in "abc"} | {"s": Kind("text")}
    with pytest.raises(DataError, match=part):
        with_kinds(state(list(kinds), **given), kinds)


def test_text_and_python_say_the_same():
    names = ["a", "b: c", "d=e", 3]
    by_text = state(
        names,
        formulas="a = `d=e` + `3`",
        only_if=["b: c: a > 1"],
        below=["d=e=4"],
        gap_bounds=["3=0:"],
    )
    by_python = state(
        names,
        formulas=["a = `d=e` + `3`"],
        only_if={"b: c": " a > 1"},
        below={"d=e": 4},
        gap_bounds={3: (0, None)},
    )
    assert by_text == by_python
    assert state(names) is None


def test_formulas_are_taken_in_the_order_of_their_need():
    found = state("abcd", formulas=["a = b + 1", "b = c", "c = 2 * d"])
    assert [f.target for f in found.formulas] == ["c", "b", "a"]
