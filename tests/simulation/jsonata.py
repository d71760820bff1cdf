"""JSONata for the simulated Step Functions: the Python implementation, with a virtual clock and a memory.

An evaluation takes a millisecond, and histories repeat most of them, but for names that are new each time: times,
versions, digests, numbers. Expressions compare such names and pass them on; they do not look into them. So an
expression is evaluated with other names in their places, and its value is remembered for all inputs that differ only in
names. Likewise it is evaluated at two times, and what moves with the clock is known for every time.

That an expression does not look into names is not taken for granted: a sample of the remembered values is compared with
plain evaluations (``Expression.value``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from jsonata import Jsonata
from jsonata.jexception import JException

# Times, digests (of executions' names, and ETags), counted names, and checksums. Two names of different lengths are of
# different kinds, because a text may be cut to a length.
_NAME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|[0-9a-f]{32}|(?<=builds\.)\d+|(?<=by-hand-)\d+"
    r'|(?<=")[\w+/]{11}=(?=")|(?<=")[\w+/]{6}==(?=")'
)
_READ = re.compile(r"\$([A-Za-z_]\w*)(?:\.(\w+))?")
# Their values depend on more than what an expression reads.
_REFUSED = ("random", "uuid", "eval", "shuffle", "fromMillis", "hash")
# Of each expression's values, the first ones are checked, and then one of so many.
_CHECKED_FIRST, _CHECKED_EVERY = 3, 2_000
# Two times, in seconds, at which an expression is evaluated that reads the clock.
_EARLY, _LATE = 1_500_000_000, 1_500_086_400


class QueryEvaluationError(Exception):
    """The expression fails, or its value is undefined."""


@dataclass(frozen=True)
class Value:
    """A value of JSON that expressions read. Nobody may change it."""

    content: Any

    @cached_property
    def text(self) -> str:
        return json.dumps(self.content, ensure_ascii=False)

    @cached_property
    def names(self) -> list[str]:
        return _NAME.findall(self.text)

    @cached_property
    def shape(self) -> str:
        """The text with only the lengths of its names."""
        return _NAME.sub(lambda name: f"\0{len(name[0])}\0", self.text) if self.names else self.text


NOTHING = Value(None)


@dataclass(frozen=True)
class Scope:
    """What an expression may read: variables, members of ``$states``, and the clock, in seconds since 1970."""

    variables: Mapping[str, Value]
    states: Mapping[str, Value]
    now: float


def iso(seconds: float) -> str:
    """A time as ``$now()`` writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Clock(NamedTuple):
    """A number of seconds that is ``offset`` more than the clock's, perhaps as a text."""

    offset: int
    is_text: bool


class _Held(NamedTuple):
    """A remembered value: with stand-ins for names, and ``_Clock`` for times in seconds."""

    value: Any
    is_constant: bool


@dataclass
class Expression:
    """An expression, parsed once, and the values that it gave."""

    text: str
    answers: int = 0
    _memory: dict[tuple[Any, ...], _Held | None] = field(default_factory=dict)
    """``None`` if the value cannot be remembered, because the expression looks into names."""

    def __post_init__(self) -> None:
        self._parsed = Jsonata.jsonata(self.text)
        found = [(match[1], match[2]) for match in _READ.finditer(self.text)]
        read = {name for name, _ in found}
        if refused := read.intersection(_REFUSED):
            raise NotImplementedError(f"The simulation cannot repeat ${', $'.join(refused)} in: {self.text}")
        self._reads_clock, self._writes_time = "millis" in read, "now" in read
        self._members = sorted({member for name, member in found if name == "states"})
        self._variables = sorted(read - {"states", "now", "millis"})

    def value(self, scope: Scope) -> Any:
        """The value in ``scope``.

        Raises:
            QueryEvaluationError: it has none.
        """
        read = [scope.states.get(member, NOTHING) for member in self._members]
        read += [scope.variables[name] for name in self._variables if name in scope.variables]
        names = [iso(scope.now)] if self._writes_time else []
        for one in read:
            names += one.names
        key = (*[one.shape for one in read], *[names.index(name) for name in names])
        try:
            held = self._memory[key]
        except KeyError:
            held = self._memory[key] = self._remember(scope, names)
        if held is None:
            value = self._evaluate(lambda one: one.content, scope, scope.now, iso(scope.now))
        else:
            value = held.value if held.is_constant else _real(held.value, names, int(scope.now))
            self.answers += 1
            if self.answers % _CHECKED_EVERY == 0 or self.answers <= _CHECKED_FIRST:
                self._check(value, scope)
        if isinstance(value, QueryEvaluationError):
            raise value
        return value

    def _check(self, value: Any, scope: Scope) -> None:
        plain = self._evaluate(lambda one: one.content, scope, scope.now, iso(scope.now))
        if repr(plain) != repr(value):
            raise AssertionError(f"The memory has {value!r}, but the value is {plain!r}, of: {self.text}")

    def _remember(self, scope: Scope, names: list[str]) -> _Held | None:
        stand_ins = {name: _stand_in(index, name) for index, name in reversed([*enumerate(names)])}

        def replaced(one: Value) -> Any:
            return json.loads(_NAME.sub(lambda name: stand_ins[name[0]], one.text)) if one.names else one.content

        now = _stand_in(0, iso(scope.now))
        value = self._evaluate(replaced, scope, _EARLY, now)
        if self._reads_clock:
            value = _moving(value, self._evaluate(replaced, scope, _LATE, now))
        left = _STAND_IN.sub("", repr(value))
        if _MARK in left:
            return None
        return _Held(value, is_constant=not self._reads_clock and _MARK not in repr(value))

    def _evaluate(self, read: Callable[[Value], Any], scope: Scope, seconds: float, now: str) -> Any:
        frame = self._parsed.create_frame()
        states = {member: read(scope.states[member]) for member in self._members if member in scope.states}
        frame.bind("states", states)
        for name in self._variables:
            if name in scope.variables:
                frame.bind(name, read(scope.variables[name]))
        frame.bind("now", Jsonata.JLambda(lambda: now))
        frame.bind("millis", Jsonata.JLambda(lambda: int(seconds) * 1000))
        try:
            found = self._parsed.evaluate(None, frame)
        except JException as error:
            return QueryEvaluationError(str(error))
        return QueryEvaluationError(f"The value is undefined: {self.text:.200}") if found is None else _plain(found)


# A stand-in has the length of its name, and its parts are recognized: each is a digit and a letter that no name has.
_MARK = "ⁿ"
_STAND_IN = re.compile("⟨([0-9]+)ⁿ*⟩")


def _stand_in(index: int, name: str) -> str:
    """What stands for the name with this index, as long as the name if there is room."""
    return f"⟨{index}{_MARK * max(1, len(name) - 2 - len(str(index)))}⟩"


def _real(value: Any, names: list[str], now: int) -> Any:
    """``value`` with the real names and times."""
    if isinstance(value, str):
        return _STAND_IN.sub(lambda found: names[int(found[1])], value) if "⟨" in value else value
    if isinstance(value, dict):
        return {name: _real(member, names, now) for name, member in value.items()}
    if isinstance(value, list):
        return [_real(member, names, now) for member in value]
    if isinstance(value, _Clock):
        seconds = now + value.offset
        return str(seconds) if value.is_text else seconds
    return value


def _moving(early: Any, late: Any) -> Any:
    """The values of an expression at two times as one, with ``_Clock`` for what moves with the clock."""
    if early == late:
        return early
    if isinstance(early, dict) and isinstance(late, dict) and early.keys() == late.keys():
        return {name: _moving(early[name], late[name]) for name in early}
    if isinstance(early, list) and isinstance(late, list) and len(early) == len(late):
        return [_moving(*pair) for pair in zip(early, late, strict=True)]
    if type(early) is type(late) and isinstance(early, int | str) and int(late) - int(early) == _LATE - _EARLY:
        return _Clock(int(early) - _EARLY, isinstance(early, str))
    raise AssertionError(f"The value does not move with the clock: {early!r}, {late!r}")


def _plain(value: Any) -> Any:
    """``value`` in Python's own types: the implementation has lists and numbers of its own."""
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class Template:
    """A field of a state: JSON, in which strings between ``{%`` and ``%}`` are expressions."""

    def __init__(self, content: Any, expressions: dict[str, Expression]) -> None:
        """
        Args:
            expressions: those of the definition, by their texts.
        """
        self._content = content
        self._build = self._compile(content, expressions)

    def value(self, scope: Scope) -> Any:
        """
        Raises:
            QueryEvaluationError: an expression has no value.
        """
        return self._content if self._build is None else self._build(scope)

    def _compile(self, content: Any, expressions: dict[str, Expression]) -> Callable[[Scope], Any] | None:
        """A function from a scope to the value; ``None`` for a constant."""
        if isinstance(content, str) and content.startswith("{%"):
            text = content.removeprefix("{%").removesuffix("%}").strip()
            if text not in expressions:
                expressions[text] = Expression(text)
            return expressions[text].value
        if isinstance(content, dict):
            members = {name: (self._compile(member, expressions), member) for name, member in content.items()}
            if any(build for build, _ in members.values()):
                return lambda scope: {
                    name: build(scope) if build else member for name, (build, member) in members.items()
                }
        if isinstance(content, list):
            elements = [(self._compile(element, expressions), element) for element in content]
            if any(build for build, _ in elements):
                return lambda scope: [build(scope) if build else element for build, element in elements]
        return None
