"""JSONata for the simulated Step Functions: the Python implementation, with a virtual clock and a memory.

An evaluation takes a millisecond, and histories repeat most of them, but for names that are new each time: times,
versions, digests, numbers. Expressions compare such names and pass them on; they do not look into them. Times they do
not even compare. So an expression is evaluated with other names in their places, and its value is remembered for all
inputs that differ only in names, and in members of variables that it does not read. Likewise it is evaluated at two
times, and what moves with the clock is known for every time.

That expressions are so is not taken for granted: a sample of the remembered values is compared with plain evaluations
of all variables (``Expression.value``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from jsonata import Jsonata
from jsonata.jexception import JException

# Times, digests (of executions' names, and ETags), counted names, and checksums. Two names of different lengths are of
# different kinds, because a text may be cut to a length.
_NAME = re.compile(
    r"""(?<=["= -])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|[0-9a-f]{32}|[a-z-]+builds\.\d+|(?<=by-hand-)\d+"""
    r"""|[\w+/]{11}=(?=")|[\w+/]{6}==(?="))"""
)
# Only times end with it.
_END_OF_TIME = "Z"
# A variable and a member of it; of ``$states``, a member and a member of that.
_READ = re.compile(r"\$((?:states\.)?[A-Za-z_]\w*)(?:\.(\w+))?")
# Their values depend on more than what an expression reads.
_REFUSED = ("random", "uuid", "eval", "shuffle", "fromMillis", "hash")
_CLOCK = ("millis", "now")
# Of each expression's values, the first ones are checked, and then one of so many.
_CHECKED_FIRST, _CHECKED_EVERY = 3, 2_000
# Two times, in seconds, at which an expression is evaluated that reads the clock.
_EARLY, _LATE = 1_500_000_000, 1_500_086_400


class QueryEvaluationError(Exception):
    """The expression fails, or its value is undefined."""


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


class Value:
    """A value of JSON that expressions read. Nobody may change it."""

    __slots__ = ("_parts", "_split", "_text", "content")

    def __init__(self, content: Any) -> None:
        self.content = content
        self._text = ""
        self._split: tuple[str, list[str]] | None = None
        self._parts: dict[tuple[str, ...], Value] = {}

    @property
    def text(self) -> str:
        self._text = self._text or _write(self.content)
        return self._text

    def split(self) -> tuple[str, list[str]]:
        """The text with only the lengths of its names, and the names, in their order, each as often as it occurs."""
        if self._split is None:
            pieces = _NAME.split(self.text)
            names = pieces[1::2]
            pieces[1::2] = [f"\0{len(name)}\0" for name in names]
            self._split = "".join(pieces), names
        return self._split

    def part(self, members: tuple[str, ...]) -> Value:
        """An object's members; what is no object is whole."""
        if not isinstance(self.content, dict):
            return self
        if members not in self._parts:
            self._parts[members] = Value({name: self.content[name] for name in members if name in self.content})
        return self._parts[members]


class Scope(NamedTuple):
    """What an expression may read: variables, members of ``$states``, and the clock, in seconds since 1970."""

    variables: Mapping[str, Value]
    states: Mapping[str, Value]
    now: float


class _Read(NamedTuple):
    """Something that an expression reads: a variable, or a member of ``$states``."""

    name: str
    is_state: bool
    members: tuple[str, ...] | None
    """All that is read of it; ``None`` if it is read whole."""

    def whole(self, scope: Scope) -> Value | None:
        return (scope.states if self.is_state else scope.variables).get(self.name)

    def value(self, scope: Scope) -> Value | None:
        found = self.whole(scope)
        return found if found is None or self.members is None else found.part(self.members)


@lru_cache(4_096)
def iso(seconds: float) -> str:
    """A time as ``$now()`` writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Clock(NamedTuple):
    """A number of seconds that is ``offset`` more than the clock's, perhaps as a text."""

    offset: int
    is_text: bool


class _Held(NamedTuple):
    """A remembered value: the same for all inputs, or with stand-ins for names and ``_Clock`` for times in seconds."""

    value: Value
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
        found: dict[str, set[str]] = {}
        for match in _READ.finditer(self.text):
            found.setdefault(match[1], set()).add(match[2] or "")
        if refused := found.keys() & {*_REFUSED, "states"}:
            raise NotImplementedError(f"The simulation cannot repeat ${', $'.join(refused)} in: {self.text}")
        self._reads_clock, self._writes_time = (name in found for name in _CLOCK)
        self._reads = [
            _Read(name.removeprefix("states."), "." in name, None if "" in members else tuple(sorted(members)))
            for name, members in sorted(found.items())
            if name not in _CLOCK and self._parsed.environment.lookup(name) is None
        ]

    def value(self, scope: Scope) -> Value:
        """The value in ``scope``.

        Raises:
            QueryEvaluationError: it has none.
        """
        given, shapes = [], []
        names = [iso(scope.now)] if self._writes_time else []
        for read in self._reads:
            value = read.value(scope)
            given.append(value)
            if value is None:
                shapes.append("")
            else:
                shape, its_names = value.split()
                shapes.append(shape)
                names += its_names
        indexes = _first_indexes(names) if names else []
        key = (*shapes, *indexes)
        try:
            held = self._memory[key]
        except KeyError:
            held = self._memory[key] = self._remember(given, names, indexes)
        if held is None:
            found = Value(self._plain_value(scope))
        else:
            found = held.value if held.is_constant else Value(_real(held.value.content, names, int(scope.now)))
            self.answers += 1
            if self.answers % _CHECKED_EVERY == 0 or self.answers <= _CHECKED_FIRST:
                self._check(found.content, scope)
        if isinstance(found.content, QueryEvaluationError):
            raise found.content
        return found

    def _plain_value(self, scope: Scope) -> Any:
        wholes = [read.whole(scope) for read in self._reads]
        return self._evaluate([one and one.content for one in wholes], scope.now, iso(scope.now))

    def _check(self, value: Any, scope: Scope) -> None:
        plain = self._plain_value(scope)
        if repr(plain) != repr(value):
            raise AssertionError(f"The memory has {value!r}, but the value is {plain!r}, of: {self.text}")

    def _remember(self, given: list[Value | None], names: list[str], indexes: list[int]) -> _Held | None:
        """Evaluates with stand-ins for names."""
        stand_ins = [_stand_in(index, names[index]) for index in indexes]
        now = stand_ins[0] if self._writes_time else ""
        left = iter(stand_ins[int(self._writes_time) :])
        contents = [one and json.loads(_NAME.sub(lambda _: next(left), one.text)) for one in given]
        value = self._evaluate(contents, _EARLY, now)
        if self._reads_clock:
            value = _moving(value, self._evaluate(contents, _LATE, now))
        text = repr(value)
        if _MARK in _STAND_IN.sub("", text):
            return None
        return _Held(Value(value), is_constant=not self._reads_clock and _MARK not in text)

    def _evaluate(self, contents: list[Any], seconds: float, now: str) -> Any:
        """
        Args:
            contents: what is read; ``None`` if it does not exist.
        """
        frame, states = self._parsed.create_frame(), {}
        for read, content in zip(self._reads, contents, strict=True):
            if read.is_state:
                states[read.name] = content
            elif content is not None:
                frame.bind(read.name, content)
        frame.bind("states", states)
        frame.bind("now", Jsonata.JLambda(lambda: now))
        frame.bind("millis", Jsonata.JLambda(lambda: int(seconds) * 1000))
        try:
            found = self._parsed.evaluate(None, frame)
        except JException as error:
            return QueryEvaluationError(str(error))
        return QueryEvaluationError(f"The value is undefined: {self.text:.200}") if found is None else _plain(found)


def _first_indexes(names: list[str]) -> list[int]:
    """Where each name occurs first. Two times are never the same name."""
    first: dict[str, int] = {}
    return [index if name.endswith(_END_OF_TIME) else first.setdefault(name, index) for index, name in enumerate(names)]


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
        build = self._compile(content, expressions)
        constant = Value(content)
        self.value: Callable[[Scope], Value] = build or (lambda _: constant)
        """Raises QueryEvaluationError if an expression has no value."""

    def _compile(self, content: Any, expressions: dict[str, Expression]) -> Callable[[Scope], Value] | None:
        """A function from a scope to the value; ``None`` for a constant."""
        if isinstance(content, str) and content.startswith("{%"):
            text = content.removeprefix("{%").removesuffix("%}").strip()
            if text not in expressions:
                expressions[text] = Expression(text)
            return expressions[text].value
        if isinstance(content, dict):
            members = {name: (self._compile(member, expressions), member) for name, member in content.items()}
            if any(build for build, _ in members.values()):
                return lambda scope: Value(
                    {name: build(scope).content if build else member for name, (build, member) in members.items()}
                )
        if isinstance(content, list):
            elements = [(self._compile(element, expressions), element) for element in content]
            if any(build for build, _ in elements):
                return lambda scope: Value([build(scope).content if build else element for build, element in elements])
        return None
