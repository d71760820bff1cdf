"""Expressions of DynamoDB: conditions, updates, projections and conditions on keys, parsed once and then evaluated.

Developer guide: "Expressions in DynamoDB", with its grammar, its precedence, and its reserved words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, partial
from importlib.util import find_spec
from operator import ge, gt, le, lt
from pathlib import Path as FilePath
from typing import Any

from . import paths, values
from .paths import Item, Path
from .values import ARITHMETIC, Value, invalid, is_equal, kind, sort_key

Values = Mapping[str, Value]
Operand = Callable[[Mapping[str, Value], Values], Value | None]
Condition = Callable[[Mapping[str, Value], Values], bool]

_TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z0-9_]+)|(<>|<=|>=|[=<>()\[\],.+-]))")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ORDERED = {"<": lt, "<=": le, ">": gt, ">=": ge}
_ORDERED_TYPES = ("S", "N", "B")
_SETS = ("SS", "NS", "BS")


@dataclass(frozen=True, eq=False)
class Expression:
    """What every expression uses, so that names and values that none uses can be found."""

    what: str
    """``ConditionExpression`` and so on, for errors."""
    names: frozenset[str]
    """Placeholders such as ``#status``."""
    values: frozenset[str]
    """Placeholders such as ``:now``."""
    kinds: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Operators, the values that are their operands, and the types that these may have."""

    def check(self, given: Values) -> None:
        """
        Raises:
            RefusedError: a value has a type that its operator does not take, whatever the item is.
        """
        for operator, name, allowed in self.kinds:
            if kind(given[name]) not in allowed:
                raise invalid(
                    f"Invalid {self.what}: Incorrect operand type for operator or function; "
                    f"operator: {operator}, operand type: {_TYPE_NAMES[kind(given[name])]}"
                )


@dataclass(frozen=True, eq=False)
class ConditionExpression(Expression):
    holds: Condition


@dataclass(frozen=True, eq=False)
class ProjectionExpression(Expression):
    paths: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class UpdateExpression(Expression):
    sets: tuple[tuple[Path, Operand], ...]
    removes: tuple[Path, ...]
    adds: tuple[tuple[Path, str], ...]
    deletes: tuple[tuple[Path, str], ...]

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        return (
            *(path for path, _ in self.sets),
            *self.removes,
            *(path for path, _ in self.adds),
            *(path for path, _ in self.deletes),
        )

    def apply(self, item: Item, given: Values) -> Item:
        """The item after the update. Each part reads the item as it was before."""
        new = [(path, _required(operand(item, given))) for path, operand in self.sets]
        # From the end of a list, so that the positions before it stay as they are.
        removes = sorted(self.removes, key=lambda path: [step for step in path if isinstance(step, int)], reverse=True)
        changed = dict(item)
        for path, value in new:
            if len(path) == 1:
                changed[str(path[0])] = value
            else:
                changed = paths.put(changed, path, value)
        for path in removes:
            changed = paths.remove(changed, path)
        for path, name in self.adds:
            changed = paths.put(changed, path, _added(paths.get(item, path), given[name]))
        for path, name in self.deletes:
            changed = _without(changed, path, paths.get(item, path), given[name])
        return changed


def _required(value: Value | None) -> Value:
    if value is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


_WRONG_OPERAND = "An operand in the update expression has an incorrect data type"


def _added(old: Value | None, more: Value) -> Value:
    name = kind(more)
    if old is None:
        return more
    if name not in old:
        raise invalid(_WRONG_OPERAND)
    if name == "N":
        return {"N": _sum(old["N"], more["N"], 1)}
    return {name: [*old[name], *(element for element in more[name] if element not in old[name])]}


def _without(item: Item, path: Path, old: Value | None, fewer: Value) -> Item:
    name = kind(fewer)
    if old is None:
        # An error if the path leads nowhere.
        return paths.remove(item, path)
    if name not in old:
        raise invalid(_WRONG_OPERAND)
    left = [element for element in old[name] if element not in fewer[name]]
    return paths.put(item, path, {name: left}) if left else paths.remove(item, path)


_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
    "M": "MAP",
    "L": "LIST",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
}


def _sum(one: str, other: str, sign: int) -> str:
    if len(one) < 18 and len(other) < 18 and one.lstrip("-").isdecimal() and other.lstrip("-").isdecimal():
        return str(int(one) + sign * int(other))
    left, right = values.decimal(one), values.decimal(other)
    try:
        return values.written(ARITHMETIC.add(left, right) if sign > 0 else ARITHMETIC.subtract(left, right))
    except ArithmeticError:
        raise invalid(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        ) from None


# --- Parsing ----------------------------------------------------------------------------------------------------


@cache
def reserved_words() -> frozenset[str]:
    """Developer guide, "Reserved words in DynamoDB". moto has the list."""
    spec = find_spec("moto")
    assert spec
    assert spec.origin
    listed = FilePath(spec.origin).parent / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(listed.read_text(encoding="utf-8").split())


@dataclass
class _Parser:
    what: str
    """``ConditionExpression`` and so on, for errors."""
    text: str
    names: Mapping[str, str]
    used_names: set[str] = field(default_factory=set)
    used_values: set[str] = field(default_factory=set)
    kinds: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    position: int = 0
    group: tuple[int, int] | None = None
    """Where the last part in parentheses begins and ends."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise invalid(f"Invalid {self.what}: The expression can not be empty;")
        self.tokens = self._tokens()

    def _tokens(self) -> list[str]:
        found, at, text = [], 0, self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise invalid(
                    f'Invalid {self.what}: Syntax error; token: "{text[at]}", near: "{text[at - 3 : at + 3]}"'
                )
            found.append(match[1] or match[2])
            at = match.end()
        return found

    @property
    def next(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.next
        self.position += 1
        return token

    def takes(self, *words: str) -> bool:
        """Takes the next tokens if they are these words, whatever their case."""
        found = self.tokens[self.position : self.position + len(words)]
        if [token.upper() for token in found] != list(words):
            return False
        self.position += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.takes(word):
            raise self.syntax_error()

    def syntax_error(self) -> Exception:
        token = self.next or "<EOF>"
        near = " ".join(self.tokens[max(self.position - 1, 0) : self.position + 2])
        return invalid(f'Invalid {self.what}: Syntax error; token: "{token}", near: "{near}"')

    @property
    def used(self) -> tuple[str, frozenset[str], frozenset[str], tuple[tuple[str, str, tuple[str, ...]], ...]]:
        """The members of an :class:`Expression`."""
        return self.what, frozenset(self.used_names), frozenset(self.used_values), tuple(self.kinds)

    def end(self) -> None:
        if self.next:
            raise self.syntax_error()

    # --- Paths and values

    def path(self) -> Path:
        steps: list[str | int] = [self.name()]
        while True:
            if self.takes("."):
                steps.append(self.name())
            elif self.takes("["):
                if not self.next.isdecimal():
                    raise self.syntax_error()
                steps.append(int(self.take()))
                self.expect("]")
            else:
                return tuple(steps)

    def name(self) -> str:
        token = self.next
        if token.startswith("#"):
            self.take()
            if token not in self.names:
                raise invalid(
                    f"Invalid {self.what}: An expression attribute name used in the document path is not defined; "
                    f"attribute name: {token}"
                )
            self.used_names.add(token)
            return self.names[token]
        if not _NAME.fullmatch(token):
            raise self.syntax_error()
        if token.upper() in reserved_words():
            raise invalid(f"Invalid {self.what}: Attribute name is a reserved keyword; reserved keyword: {token}")
        return self.take()

    def value(self) -> str:
        token = self.take()
        self.used_values.add(token)
        return token

    def operand(self, operator: str = "", kinds: tuple[str, ...] = ()) -> Operand:
        """A path, a value, or ``size(path)``.

        Args:
            kinds: the types that a value may have as an operand of ``operator``; empty for all.
        """
        if kinds and self.next.startswith(":"):
            self.kinds.append((operator, self.next, kinds))
        if self.next.startswith(":"):
            name = self.value()
            return lambda _item, given: given[name]
        if self.is_function("size"):
            path = self.arguments(1)[0]
            return lambda item, given: _size(path(item, given))
        path_of = self.path()
        if len(path_of) == 1:
            only = str(path_of[0])
            return lambda item, _given: item.get(only)
        return lambda item, _given: paths.get(item, path_of)

    def is_function(self, name: str) -> bool:
        following = self.tokens[self.position + 1 : self.position + 2]
        if self.next != name or following != ["("]:
            return False
        self.position += 1
        return True

    def arguments(self, number: int, function: str = "", kinds: tuple[str, ...] = ()) -> list[Operand]:
        self.expect("(")
        found = [self.operand(function, kinds)]
        while self.takes(","):
            found.append(self.operand(function, kinds))
        self.expect(")")
        if len(found) != number:
            raise invalid(
                f"Invalid {self.what}: Incorrect number of operands for operator or function; "
                f"number of operands: {len(found)}"
            )
        return found

    # --- Conditions

    def condition(self) -> Condition:
        parts = [self.conjunction()]
        while self.takes("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda item, given: any(part(item, given) for part in parts)

    def conjunction(self) -> Condition:
        parts = [self.negation()]
        while self.takes("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda item, given: all(part(item, given) for part in parts)

    def negation(self) -> Condition:
        if self.takes("NOT"):
            negated = self.negation()
            return lambda item, given: not negated(item, given)
        if self.takes("("):
            begins_at = self.position
            inner = self.condition()
            if self.group == (begins_at, self.position):
                raise invalid(f"Invalid {self.what}: The expression has redundant parentheses;")
            self.expect(")")
            self.group = begins_at - 1, self.position
            return inner
        for function, (number, kinds, make) in _FUNCTIONS.items():
            if self.is_function(function):
                return make(*self.arguments(number, function, kinds))
        return self.comparison()

    def comparison(self) -> Condition:
        begins_at = self.position
        left = self.operand()
        if self.takes("BETWEEN"):
            low = self.operand("BETWEEN", _ORDERED_TYPES)
            self.expect("AND")
            high = self.operand("BETWEEN", _ORDERED_TYPES)
            return lambda item, given: _is_between(left(item, given), low(item, given), high(item, given))
        if self.takes("IN"):
            self.expect("(")
            members = [self.operand()]
            while self.takes(","):
                members.append(self.operand())
            self.expect(")")
            return lambda item, given: any(_equal(left(item, given), member(item, given)) for member in members)
        operator = self.next
        if operator not in ("=", "<>", *_ORDERED):
            raise self.syntax_error()
        self.take()
        kinds = _ORDERED_TYPES if operator in _ORDERED else ()
        if kinds and (first := self.tokens[begins_at]).startswith(":"):
            self.kinds.append((operator, first, kinds))
        right = self.operand(operator, kinds)
        if operator == "=":
            return lambda item, given: _equal(left(item, given), right(item, given))
        if operator == "<>":
            return lambda item, given: not _equal(left(item, given), right(item, given))
        compare = _ORDERED[operator]
        return lambda item, given: _ordered(compare, left(item, given), right(item, given))

    # --- Updates

    def update(self) -> UpdateExpression:
        parts: dict[str, list[Any]] = {}
        clauses: dict[str, Callable[[], Any]] = {
            "SET": self.assignment,
            "REMOVE": self.path,
            "ADD": partial(self.path_and_value, "ADD", ("N", *_SETS)),
            "DELETE": partial(self.path_and_value, "DELETE", _SETS),
        }
        while self.next:
            section = self.next.upper()
            if section not in clauses:
                raise self.syntax_error()
            if section in parts:
                raise invalid(
                    f'Invalid {self.what}: The "{section}" section can only be used once in an update expression;'
                )
            self.take()
            parts[section] = [clauses[section]()]
            while self.takes(","):
                parts[section].append(clauses[section]())
        update = UpdateExpression(
            *self.used,
            *(tuple(parts.get(section, ())) for section in ("SET", "REMOVE", "ADD", "DELETE")),
        )
        if overlap := paths.overlapping(update.paths):
            raise invalid(
                "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of "
                f"these paths; path one: {paths.shown(overlap[0])}, path two: {paths.shown(overlap[1])}"
            )
        return update

    def assignment(self) -> tuple[Path, Operand]:
        path = self.path()
        self.expect("=")
        begins_at = self.position
        left = self.addend()
        for sign, number in (("+", 1), ("-", -1)):
            if self.takes(sign):
                if (first := self.tokens[begins_at]).startswith(":"):
                    self.kinds.append((sign, first, ("N",)))
                return path, _arithmetic(left, self.addend(sign, ("N",)), number)
        return path, left

    def addend(self, operator: str = "", kinds: tuple[str, ...] = ()) -> Operand:
        if self.takes("("):
            inner = self.addend()
            self.expect(")")
            return inner
        if self.is_function("if_not_exists"):
            self.expect("(")
            wanted = self.path()
            self.expect(",")
            default = self.addend()
            self.expect(")")
            return lambda item, given: paths.get(item, wanted) or default(item, given)
        if self.is_function("list_append"):
            self.expect("(")
            first = self.addend("list_append", ("L",))
            self.expect(",")
            second = self.addend("list_append", ("L",))
            self.expect(")")
            return lambda item, given: _appended(_required(first(item, given)), _required(second(item, given)))
        return self.operand(operator, kinds)

    def path_and_value(self, operator: str, kinds: tuple[str, ...]) -> tuple[Path, str]:
        path = self.path()
        if len(path) > 1:
            # API reference, UpdateItem: only for attributes that are not nested. AWS does not document its error.
            raise NotImplementedError(f"{operator} is not modelled of {paths.shown(path)}.")
        if not self.next.startswith(":"):
            raise self.syntax_error()
        self.kinds.append((operator, self.next, kinds))
        return path, self.value()


# --- Evaluation -------------------------------------------------------------------------------------------------


def _arithmetic(left: Operand, right: Operand, sign: int) -> Operand:
    def result(item: Mapping[str, Value], given: Values) -> Value:
        one, other = _required(left(item, given)), _required(right(item, given))
        if "N" not in one or "N" not in other:
            raise invalid(_WRONG_OPERAND)
        return {"N": _sum(one["N"], other["N"], sign)}

    return result


def _appended(one: Value, other: Value) -> Value:
    if "L" not in one or "L" not in other:
        raise invalid(_WRONG_OPERAND)
    return {"L": [*one["L"], *other["L"]]}


def _equal(one: Value | None, other: Value | None) -> bool:
    return one is not None and other is not None and is_equal(one, other)


def _ordered(compare: Callable[[Any, Any], bool], one: Value | None, other: Value | None) -> bool:
    if one is None or other is None or kind(one) != kind(other) or kind(one) not in ("S", "N", "B"):
        return False
    return compare(sort_key(one), sort_key(other))


def _is_between(value: Value | None, low: Value | None, high: Value | None) -> bool:
    return _ordered(ge, value, low) and _ordered(le, value, high)


def _size(value: Value | None) -> Value | None:
    if value is None:
        return None
    ((name, content),) = value.items()
    return {"N": str(len(content))} if name not in ("N", "BOOL", "NULL") else None


def _begins_with(whole: Operand, beginning: Operand) -> Condition:
    def holds(item: Mapping[str, Value], given: Values) -> bool:
        one, other = whole(item, given), beginning(item, given)
        if one is None or other is None or kind(one) != kind(other) or kind(one) not in ("S", "B"):
            return False
        return bool(one[kind(one)].startswith(other[kind(one)]))

    return holds


def _contains(container: Operand, member: Operand) -> Condition:
    def holds(item: Mapping[str, Value], given: Values) -> bool:
        one, other = container(item, given), member(item, given)
        if one is None or other is None:
            return False
        ((name, content),) = one.items()
        if name == "L":
            return any(is_equal(element, other) for element in content)
        if name in ("S", "B"):
            return name in other and other[name] in content
        element = {"SS": "S", "NS": "N", "BS": "B"}.get(name)
        return element in other and other[element] in content

    return holds


def _attribute_type(path: Operand, wanted: Operand) -> Condition:
    def holds(item: Mapping[str, Value], given: Values) -> bool:
        name = (wanted(item, given) or {}).get("S")
        if name not in _TYPE_NAMES:
            raise invalid(f"Invalid ConditionExpression: Invalid attribute type name found; type: {name}")
        found = path(item, given)
        return found is not None and kind(found) == name

    return holds


_FUNCTIONS: dict[str, tuple[int, tuple[str, ...], Callable[..., Condition]]] = {
    "attribute_exists": (1, (), lambda path: lambda item, given: path(item, given) is not None),
    "attribute_not_exists": (1, (), lambda path: lambda item, given: path(item, given) is None),
    "attribute_type": (2, ("S",), _attribute_type),
    "begins_with": (2, ("S", "B"), _begins_with),
    "contains": (2, (), _contains),
}


# --- What a table calls -----------------------------------------------------------------------------------------

Names = tuple[tuple[str, str], ...]
"""Placeholders of names and what they stand for: hashable."""

_KEPT = 4_096


@lru_cache(_KEPT)
def condition(text: str, names: Names, what: str = "ConditionExpression") -> ConditionExpression:
    parser = _Parser(what, text, dict(names))
    holds = parser.condition()
    parser.end()
    return ConditionExpression(*parser.used, holds)


@lru_cache(_KEPT)
def update(text: str, names: Names) -> UpdateExpression:
    return _Parser("UpdateExpression", text, dict(names)).update()


@lru_cache(_KEPT)
def projection(text: str, names: Names) -> ProjectionExpression:
    parser = _Parser("ProjectionExpression", text, dict(names))
    found = [parser.path()]
    while parser.takes(","):
        found.append(parser.path())
    parser.end()
    if overlap := paths.overlapping(found):
        raise invalid(
            "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of "
            f"these paths; path one: {paths.shown(overlap[0])}, path two: {paths.shown(overlap[1])}"
        )
    return ProjectionExpression(*parser.used, tuple(found))
