"""How the model refuses a value: what is wrong, what is allowed and where, kept apart."""

from __future__ import annotations

from datetime import date


class RefusalError(ValueError):
    """A value that a policy must not have; the loader adds file, line and column.

    Args:
        said: What is wrong, as the rest of a sentence about the value.
        allowed: What may stand there; empty when `said` leaves no doubt.
        at: Where in the value that was being checked; empty for the value itself.
    """

    def __init__(self, said: str, allowed: str = "", *, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(said)
        self.said = said
        self.allowed = allowed
        self.at = at

    def __str__(self) -> str:
        return f"{self.said} (allowed: {self.allowed})" if self.allowed else self.said


class UnquotedTextError(RefusalError):
    """A text that YAML made a number, a date or a truth value of.

    Args:
        value: What YAML made of it. How it is written is for the loader to say: `1.10` and `no`
            are not to be had back from 1.1 and False.
    """

    def __init__(self, value: object) -> None:
        self.kind = kind_of(value)
        super().__init__(f"YAML reads this as {self.kind}", f'a text in quotes, such as "{value}"')


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a text"),
    (dict, "a mapping"),
    ((list, tuple), "a list"),
    (date, "a date"),
)


def kind_of(value: object) -> str:
    """Return what YAML made of a value, in words with their article."""
    return next((words for types, words in _KINDS if isinstance(value, types)), "something else")
