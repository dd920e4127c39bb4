"""Expressions in the names of columns: read from text, never run as code.

    or           a or b
    and          a and b
    not          not a
    comparison   a < b <= c, ==, !=
    sum          a + b - c
    product      a * b / c
    sign, power  -a, a ** b
    the rest     1.5, 'text', name, `a name`, min max abs log exp round, ( )

A name is a letter and letters, digits, _ and points; any other column's name
stands in backquotes. There is nothing else: no attribute, index or call but of
the six functions.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from miri_jax.exceptions import DataError
from miri_jax.settings import did_you_mean

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
# By name, with the fewest and the most arguments.
FUNCTIONS = {
    "min": (1, 99),
    "max": (1, 99),
    "abs": (1, 1),
    "log": (1, 1),
    "exp": (1, 1),
    "round": (1, 2),
}
WORDS = ("and", "or", "not")
# What is longer, or has more in one another, nobody wrote.
LONGEST, DEEPEST = 2000, 40
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d][\w.]*)
    | (?P<sign>\*\*|<=|>=|==|!=|[-+*/<>(),])
    )""",
    re.VERBOSE,
)


class Number(NamedTuple):
    """A number that is written."""

    value: float


class Text(NamedTuple):
    """Text in quotes: a level, or a time."""

    value: str


class Name(NamedTuple):
    """The name of a column, as text."""

    value: str


class Call(NamedTuple):
    """An operation on expressions: a sign, a word or a function's name."""

    what: str
    args: "tuple[Expression, ...]"


Expression = Number | Text | Name | Call


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def parse(text: str) -> Expression:
    """The tree of an expression.

    Raises:
      DataError: naming the place from which on it cannot be read.
    """
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"the expression {text!r} is empty; write one")
    if len(text) > LONGEST:
        raise DataError(
            f"the expression {text[:30]!r}... has {len(text)} characters;"
            f" {LONGEST} are the most"
        )
    reader = _Reader(text)
    tree = reader.either()
    if reader.here.kind != "end":
        raise reader.error()
    return tree


def names_in(tree: Expression) -> tuple[str, ...]:
    """The names of columns in an expression, each once, as they come."""
    return tuple(dict.fromkeys(_names(tree)))


def _names(tree: Expression) -> Iterator[str]:
    if isinstance(tree, Name):
        yield tree.value
    elif isinstance(tree, Call):
        for part in tree.args:
            yield from _names(part)


def _tokens(text: str) -> Iterator[_Token]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            break
        kind = found.lastgroup
        yield _Token(kind, found[kind], found.start(kind))
        place = found.end()
    if place < end:
        yield _Token("odd", text[place:].strip(), place)
    yield _Token("end", "", end)


class _Reader:
    """Reads the tokens of one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens = text, list(_tokens(text))
        self._next, self._depth = 0, 0

    @property
    def here(self) -> _Token:
        return self._tokens[self._next]

    def error(self, why: str = "") -> DataError:
        rest = self._text[self.here.place :].strip()
        place = f"from {rest[:30]!r} on" if rest else "at its end"
        return DataError(
            f"the expression {self._text[:200]!r} cannot be read {place}"
            f"{why or self._advice(rest)}"
        )

    @staticmethod
    def _advice(rest: str) -> str:
        if rest.startswith("="):
            return "; to compare, write =="
        if rest.startswith("^"):
            return "; a power is **"
        if rest[:1] in "&|":
            return "; write and, or"
        if rest[:1] in ("'", '"', "`"):
            return "; a quote is not closed"
        return "; a name with other signs stands in backquotes"

    def _take(self, *texts: str) -> str | None:
        """The next token's text where it is one of some signs or words."""
        here = self.here
        if here.kind in ("sign", "name") and here.text in texts:
            self._next += 1
            return here.text
        return None

    def _left(self, part, *signs: str) -> Expression:
        tree = part()
        while sign := self._take(*signs):
            tree = Call(sign, (tree, part()))
            self._within(tree)
        return tree

    def _within(self, tree: Expression) -> None:
        if depth_of(tree) > DEEPEST:
            raise self.error(f"; it has more than {DEEPEST} parts in another")

    def either(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.error(f"; it has more than {DEEPEST} parts in another")
        tree = self._flat("or", lambda: self._flat("and", self._negation))
        self._depth -= 1
        return tree

    def _flat(self, word: str, part) -> Expression:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Call(word, tuple(parts))

    def _negation(self) -> Expression:
        count = 0
        while self._take("not"):
            count += 1
        tree = self._comparison()
        return Call("not", (tree,)) if count % 2 else tree

    def _comparison(self) -> Expression:
        left, found = self._sum(), []
        while sign := self._take(*COMPARISONS):
            right = self._sum()
            found.append(Call(sign, (left, right)))
            left = right
        if not found:
            return left
        return found[0] if len(found) == 1 else Call("and", tuple(found))

    def _sum(self) -> Expression:
        # A long sum is flat, that of a hundred parts is not deep.
        parts, tree = [("+", self._product())], None
        while sign := self._take("+", "-"):
            parts.append((sign, self._product()))
        if len(parts) == 1:
            return parts[0][1]
        signed = [x if s == "+" else Call("neg", (x,)) for s, x in parts]
        tree = Call("+", tuple(signed))
        return tree

    def _product(self) -> Expression:
        return self._left(self._signed, "*", "/")

    def _signed(self) -> Expression:
        count = 0
        while sign := self._take("-", "+"):
            count += sign == "-"
        tree = self._atom()
        if self._take("**"):
            self._depth += 1
            if self._depth > DEEPEST:
                raise self.error("; it has too many powers")
            tree = Call("**", (tree, self._signed()))
            self._depth -= 1
        return Call("neg", (tree,)) if count % 2 else tree

    def _atom(self) -> Expression:
        if self._take("("):
            tree = self.either()
            self._close()
            return tree
        here = self.here
        if here.kind == "number":
            value = float(here.text)
            if value == float("inf"):
                raise self.error("; the number is too large")
            tree = Number(value)
        elif here.kind == "text":
            tree = Text(here.text[1:-1])
        elif here.kind == "quoted":
            tree = Name(here.text[1:-1])
        elif here.kind == "name" and here.text not in WORDS:
            self._next += 1
            if self.here.text == "(":
                return self._call(here.text)
            return Name(here.text)
        else:
            raise self.error()
        self._next += 1
        return tree

    def _call(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            raise self.error(
                f"; there is no function {name!r}, but {', '.join(FUNCTIONS)}"
                f"{did_you_mean(name, list(FUNCTIONS))}"
            )
        self._take("(")
        args = [self.either()]
        while self._take(","):
            args.append(self.either())
        self._close()
        least, most = FUNCTIONS[name]
        if not least <= len(args) <= most:
            raise self.error(f"; {name} takes {most}, not {len(args)}")
        return Call(name, tuple(args))

    def _close(self) -> None:
        if not self._take(")"):
            raise self.error("; a bracket is not closed")


def depth_of(tree: Expression) -> int:
    """How many operations are in one another."""
    if not isinstance(tree, Call):
        return 0
    return 1 + max(map(depth_of, tree.args))
