"""JSONata for the simulated Step Functions: the Python implementation, with a virtual clock and a memory.

An evaluation takes a millisecond, and histories repeat most of them, but for names that are new each time: times,
versions, digests, numbers. Expressions compare such names and pass them on; they do not look into them. Times they do
not even compare. So all expressions that a state evaluates together are evaluated with other names in their places,
and their values are remembered for all inputs that differ only in names, and in members of variables that they do not
read. Likewise they are evaluated at two times, and what moves with the clock is known for every time that is on the
same side of the times, in seconds, that they read.

That expressions are so is not taken for granted: a sample of the remembered values is compared with plain evaluations
of all variables (``Template.values``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from jsonata import Jsonata
from jsonata.jexception import JException

# Times, digests (of executions' names, and ETags), counted names, checksums, and the seconds of a record. Two names of
# different lengths are of different kinds, because a text may be cut to a length.
_NAME = re.compile(
    r"""(?<=["= -])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|[0-9a-f]{32}|[a-z-]+builds\.\d+|(?<=by-hand-)\d+"""
    r"""|[\w+/]{11}=(?=")|[\w+/]{6}==(?=")|(?<="N": ")\d{10}(?="))"""
)
# Only times end with it.
_END_OF_TIME = "Z"
# A variable and a member of it; of ``$states``, a member and a member of that.
_READ = re.compile(r"\$((?:states\.)?[A-Za-z_]\w*)(?:\.(\w+))?")
# Their values depend on more than what expressions read.
_REFUSED = ("random", "uuid", "eval", "shuffle", "fromMillis", "hash")
_CLOCK = ("millis", "now")
# Of each template's values, the first ones are checked, and then one of so many.
_CHECKED_FIRST, _CHECKED_EVERY = 3, 2_000
# A time in seconds since 1970, as a number.
_SECONDS = re.compile(r"(?<![\w.+/-])\d{10}(?![\w.+/-])")


class QueryEvaluationError(Exception):
    """The expression fails, or its value is undefined."""


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode

# In the place of a name: its length.
_LENGTH = re.compile("\0[0-9]+\0")


class Split(NamedTuple):
    """A text of JSON, taken apart."""

    shape: str
    """With the lengths of names in the places of names."""
    names: list[str]
    """In their order, each as often as it occurs."""

    @property
    def text(self) -> str:
        left = iter(self.names)
        return _LENGTH.sub(lambda _: next(left), self.shape)


class Value:
    """A value of JSON that expressions read. Nobody may change it."""

    __slots__ = ("_parts", "_split", "_text", "content")

    def __init__(self, content: Any, split: Split | None = None) -> None:
        """
        Args:
            split: that of its text, if it is known.
        """
        self.content = content
        self._text = ""
        self._split = split
        self._parts: dict[tuple[str, ...], Value] = {}

    @property
    def text(self) -> str:
        self._text = self._text or _write(self.content)
        return self._text

    @property
    def max_length(self) -> int:
        """The text has at most so many characters."""
        if self._split is not None and not self._text:
            return len(self._split.shape) + sum(map(len, self._split.names))
        return len(self.text)

    def split(self) -> Split:
        if self._split is None:
            pieces = _NAME.split(self.text)
            names = pieces[1::2]
            pieces[1::2] = [f"\0{len(name)}\0" for name in names]
            self._split = Split("".join(pieces), names)
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
    """Something that expressions read: a variable, or a member of ``$states``."""

    name: str
    is_state: bool
    members: tuple[str, ...] | None
    """All that is read of it; ``None`` if it is read whole."""

    def whole(self, scope: Scope) -> Value | None:
        return (scope.states if self.is_state else scope.variables).get(self.name)


@lru_cache(4_096)
def iso(seconds: float) -> str:
    """A time as ``$now()`` writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- Values that are remembered -----------------------------------------------------------------------------------


class _Clock(NamedTuple):
    """A number of seconds that is ``offset`` more than the clock's, perhaps as a text."""

    offset: int
    is_text: bool


Fill = Callable[[Sequence[str], int], Any]
"""Makes a content of names and the time, in seconds."""


class _Held:
    """A remembered value, for all names and times."""

    def __init__(self, content: Any, names: Sequence[str], *, is_moving: bool) -> None:
        """
        Args:
            content: with stand-ins for ``names``, and with ``_Clock`` for times.
            is_moving: the content may have times.
        """
        self._fill = _filling(content)
        self._constant = Value(content)
        self._split: Split | None = None
        if self._fill and not is_moving:
            text = _write(content)
            self._indexes = [int(index) for index in _STAND_IN.findall(text)]
            self._split = Split(_STAND_IN.sub(lambda found: f"\0{len(names[int(found[1])])}\0", text), [])

    def value(self, names: Sequence[str], now: int) -> Value:
        if self._fill is None:
            return self._constant
        content = self._fill(names, now)
        if self._split is None:
            return Value(content)
        return Value(content, Split(self._split.shape, [names[index] for index in self._indexes]))


def _filling(content: Any) -> Fill | None:
    """``None`` if the content is always the same."""
    if isinstance(content, str) and "⟨" in content:
        if only := _STAND_IN.fullmatch(content):
            index = int(only[1])
            return lambda names, _now: names[index]
        return lambda names, _now: _STAND_IN.sub(lambda found: names[int(found[1])], content)
    if isinstance(content, _Clock):
        offset, is_text = content
        return lambda _names, now: str(now + offset) if is_text else now + offset
    if isinstance(content, dict | list):
        places = content.items() if isinstance(content, dict) else enumerate(content)
        fills = [(place, fill) for place, inner in places if (fill := _filling(inner))]
        if fills:

            def filled(names: Sequence[str], now: int) -> Any:
                found = content.copy()
                for place, fill in fills:
                    found[place] = fill(names, now)
                return found

            return filled
    return None


Held = dict[str, _Held] | QueryEvaluationError | None
"""The remembered values of a template's fields, or the error of one of them. ``None`` if they cannot be remembered,
because an expression looks into names.
"""

Memories = dict[str, dict[tuple[Any, ...], Held]]
"""What templates remember, by their texts."""


class Template:
    """Fields of a state that are evaluated together: JSON, in which strings between ``{%`` and ``%}`` are expressions.
    It remembers the values that they gave.
    """

    def __init__(self, fields: Mapping[str, Any], memories: Memories) -> None:
        self.fields, self.answers = fields, 0
        text = _write(fields)
        self._memory = memories.setdefault(text, {})
        found: dict[str, set[str]] = {}
        for expression in _expressions(fields):
            for match in _READ.finditer(expression):
                if _parsed(expression).environment.lookup(match[1]) is None or match[1] in _CLOCK + _REFUSED:
                    found.setdefault(match[1], set()).add(match[2] or "")
        if refused := found.keys() & {*_REFUSED, "states"}:
            raise NotImplementedError(f"The simulation cannot repeat ${', $'.join(refused)} in: {text}")
        self._reads_clock, self._writes_time = (name in found for name in _CLOCK)
        self._reads = [
            _Read(name.removeprefix("states."), "." in name, None if "" in members else tuple(sorted(members)))
            for name, members in sorted(found.items())
            if name not in _CLOCK
        ]
        is_constant = not any(_expressions(fields))
        self._constants = {name: Value(content) for name, content in fields.items()} if is_constant else None

    def values(self, scope: Scope) -> dict[str, Value]:
        """The values of the fields in ``scope``.

        Raises:
            QueryEvaluationError: an expression has none.
        """
        if self._constants is not None:
            return self._constants
        given, names = [], [iso(scope.now)] if self._writes_time else []
        for name, is_state, members in self._reads:
            value = (scope.states if is_state else scope.variables).get(name)
            if value is None:
                given.append("")
            else:
                shape, its_names = (value if members is None else value.part(members)).split()
                given.append(shape)
                names += its_names
        indexes = _first_indexes(names)
        key = (*given, *indexes)
        if self._reads_clock:
            key = (*key, *(time > int(scope.now) for shape in given for time in _seconds(shape)))
        try:
            held = self._memory[key]
        except KeyError:
            held = self._memory[key] = self._remember(given, names, indexes, int(scope.now))
        if held is None:
            found = self._plain_values(scope)
            if isinstance(found, dict):
                return {name: Value(content) for name, content in found.items()}
            held = found
        if isinstance(held, QueryEvaluationError):
            raise QueryEvaluationError(*held.args)
        values = {name: one.value(names, int(scope.now)) for name, one in held.items()}
        self.answers += 1
        if self.answers % _CHECKED_EVERY == 0 or self.answers <= _CHECKED_FIRST:
            self._check(values, scope)
        return values

    def _plain_values(self, scope: Scope) -> dict[str, Any] | QueryEvaluationError:
        wholes = [read.whole(scope) for read in self._reads]
        return self._evaluate([one and one.content for one in wholes], scope.now, iso(scope.now))

    def _check(self, values: Mapping[str, Value], scope: Scope) -> None:
        plain = self._plain_values(scope)
        remembered = {name: value.content for name, value in values.items()}
        if repr(plain) != repr(remembered):
            raise AssertionError(f"The memory has {remembered!r}, but the values are {plain!r}.")
        for value in values.values():
            if (text := value.split().text) != _write(value.content):
                raise AssertionError(f"The memory has the text {text}, but it is {_write(value.content)}.")

    def _remember(self, shapes: Sequence[str], names: list[str], indexes: Sequence[int], now: int) -> Held:
        """Evaluates with stand-ins for names."""
        stand_ins = [_stand_in(index, names[index]) for index in indexes]
        written = stand_ins[0] if self._writes_time else ""
        left = iter(stand_ins[int(self._writes_time) :])
        contents = [json.loads(_LENGTH.sub(lambda _: next(left), shape)) if shape else None for shape in shapes]
        values = self._evaluate(contents, now, written, is_moving=self._reads_clock)
        if _MARK in _STAND_IN.sub("", repr(values)):
            return None
        if isinstance(values, QueryEvaluationError):
            # Its text may have stand-ins.
            return None if _MARK in str(values) else values
        return {name: _Held(content, names, is_moving=self._reads_clock) for name, content in values.items()}

    def _evaluate(
        self, contents: list[Any], seconds: float, now: str, *, is_moving: bool = False
    ) -> dict[str, Any] | QueryEvaluationError:
        """
        Args:
            contents: what is read; ``None`` if it does not exist.
            is_moving: evaluate what reads the clock at two times, and give ``_Clock`` for what moves with it.
        """
        read = list(zip(self._reads, contents, strict=True))
        bound = {one.name: content for one, content in read if not one.is_state and content is not None}
        bound["states"] = {one.name: content for one, content in read if one.is_state}
        bound["now"] = Jsonata.JLambda(lambda: now)
        bound["millis"] = Jsonata.JLambda(lambda: int(seconds) * 1000)
        later = {**bound, "millis": Jsonata.JLambda(lambda: (int(seconds) + 1) * 1000)}

        def evaluated(content: Any) -> Any:
            if isinstance(content, dict):
                return {name: evaluated(member) for name, member in content.items()}
            if isinstance(content, list):
                return [evaluated(element) for element in content]
            if not _is_expression(content):
                return content
            found = _result(content, bound)
            if is_moving and "$millis" in content:
                return _moving(found, _result(content, later), int(seconds))
            return found

        try:
            found: dict[str, Any] = evaluated(self.fields)
        except QueryEvaluationError as error:
            return QueryEvaluationError(*error.args)
        return found


def _is_expression(content: Any) -> bool:
    return isinstance(content, str) and content.startswith("{%")


def _expressions(content: Any) -> Iterator[str]:
    """All expressions in a content."""
    if isinstance(content, Mapping | list):
        for inner in content.values() if isinstance(content, Mapping) else content:
            yield from _expressions(inner)
    elif _is_expression(content):
        yield content


@cache
def _parsed(expression: str) -> Jsonata:
    return Jsonata.jsonata(expression.removeprefix("{%").removesuffix("%}").strip())


def _result(expression: str, bound: Mapping[str, Any]) -> Any:
    parsed = _parsed(expression)
    frame = parsed.create_frame()
    for name, content in bound.items():
        frame.bind(name, content)
    try:
        found = parsed.evaluate(None, frame)
    except JException as error:
        raise QueryEvaluationError(str(error)) from error
    if found is None:
        raise QueryEvaluationError(f"The value is undefined: {expression:.200}")
    return _plain(found)


def _first_indexes(names: list[str]) -> Sequence[int]:
    """Where each name occurs first. Two times are never the same name."""
    if len(set(names)) == len(names):
        return range(len(names))
    first: dict[str, int] = {}
    return [index if name.endswith(_END_OF_TIME) else first.setdefault(name, index) for index, name in enumerate(names)]


# A stand-in has the length of its name, and its parts are recognized: each is a digit and a letter that no name has.
_MARK = "ⁿ"
_STAND_IN = re.compile("⟨([0-9]+)ⁿ*⟩")


def _stand_in(index: int, name: str) -> str:
    """What stands for the name with this index, as long as the name if there is room."""
    return f"⟨{index}{_MARK * max(1, len(name) - 2 - len(str(index)))}⟩"


@lru_cache(4_096)
def _seconds(shape: str) -> tuple[int, ...]:
    """The times in a text, as numbers of seconds."""
    return tuple(map(int, _SECONDS.findall(shape)))


def _moving(early: Any, late: Any, now: int) -> Any:
    """The values of an expression at two times as one, with ``_Clock`` for what moves with the clock.

    Args:
        early: the values at ``now``.
        late: those a second later.
    """
    if early == late:
        return early
    if isinstance(early, dict) and isinstance(late, dict) and early.keys() == late.keys():
        return {name: _moving(early[name], late[name], now) for name in early}
    if isinstance(early, list) and isinstance(late, list) and len(early) == len(late):
        return [_moving(*pair, now) for pair in zip(early, late, strict=True)]
    if type(early) is type(late) and isinstance(early, int | str) and int(late) - int(early) == 1:
        return _Clock(int(early) - now, isinstance(early, str))
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
