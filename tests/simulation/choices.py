"""The choices that make one history differ from another: drawn from a seed, recorded, repeated, and made fewer.

A choice has a name and counts among those of its name: the third of ``fault s3 CopyObject``. Zero is what usually
happens: no fault, no delay. Only the others are recorded, so a recording without some of its choices is again a
history, and most of the others still mean the same. That makes the shortest history of a failure easy to find.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

Made = Mapping[tuple[str, int], int]
"""Choices other than zero: by name and count."""


class Choices:
    """The choices of one history."""

    def __init__(self, seed: int | None = None, made: Made | None = None) -> None:
        """
        Args:
            made: choices to repeat, instead of drawing them.
        """
        self.made: dict[tuple[str, int], int] = {}
        self._random = random.Random(seed).random  # noqa: S311 - a simulation
        self._counts: dict[str, int] = {}
        self._repeated = made

    def pick(self, name: str, weights: Sequence[float]) -> int:
        """An index of ``weights``, whose sum is at most 1: the rest is the probability of zero, of which ``weights[0]``
        says nothing.
        """
        if self._repeated is not None:
            return self._made(name, self._repeated_choice(name, len(weights)))
        chosen, drawn = 0, self._random()
        for index in range(1, len(weights)):
            drawn -= weights[index]
            if drawn < 0:
                chosen = index
                break
        return self._made(name, chosen)

    def one_of(self, name: str, size: int) -> int:
        """A number below ``size``, each with the same probability."""
        if self._repeated is not None:
            return self._made(name, self._repeated_choice(name, size))
        return self._made(name, (1 + int(self._random() * size)) % size)

    def _repeated_choice(self, name: str, size: int) -> int:
        assert self._repeated is not None
        return min(self._repeated.get((name, self._counts.get(name, 0)), 0), size - 1)

    def _made(self, name: str, chosen: int) -> int:
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        if chosen:
            self.made[name, count] = chosen
        return chosen


def shrink(made: Made, fails: Callable[[Made], Made | None]) -> Made:
    """The fewest and smallest choices with which ``fails`` still returns choices, those that such a history made.

    It removes ever smaller groups of choices, then single ones, until nothing more can go; then it lowers the numbers.
    """
    best: dict[tuple[str, int], int] = dict(made)
    size = max(1, len(best) // 2)
    while True:
        shorter = _without_some(best, size, fails)
        if shorter is not None:
            best = dict(shorter)
        elif size > 1:
            size //= 2
        else:
            break
    for choice, number in sorted(best.items()):
        for lower in range(1, number):
            if choice in best and (found := fails({**best, choice: lower})) is not None:
                best = dict(found)
                break
    return best


def _without_some(made: dict[tuple[str, int], int], size: int, fails: Callable[[Made], Made | None]) -> Made | None:
    choices = list(made)
    for start in range(0, len(choices), size):
        left_out = set(choices[start : start + size])
        found = fails({choice: number for choice, number in made.items() if choice not in left_out})
        # What a shorter history chose on its way counts, too, so that the search ends.
        if found is not None and len(found) < len(made):
            return dict(found)
    return None
