"""Between fields as a page posts them, each a name and a text, and the form that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError
from starlette import status

from image_promotion.web.form.fields import PolicyFields

MAX_POSTED_FIELDS = 50_000
MAX_DEPTH = 64

Nested = dict[str, "Nested"] | str


async def posted_pairs(request: Request) -> list[tuple[str, str]]:
    """Read the fields that a page posted.

    Args:
        request: The request, whose body is that of an HTML form without files; its size is limited
            where it is received.

    Returns:
        Names and values in the order of the page; line ends are those of this system.

    Raises:
        HTTPException: It is no such body.
    """
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_POSTED_FIELDS,
        )
    except ValueError:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "what was sent is no form") from None
    return [(name, _with_own_line_ends(value)) for name, value in pairs]


def form_of(pairs: Iterable[tuple[str, str]]) -> PolicyFields:
    """Make the form of posted fields.

    Args:
        pairs: Names and values.

    Returns:
        The form; fields that it does not have are passed over.

    Raises:
        HTTPException: Names or values are not those of the page.
    """
    try:
        return PolicyFields.model_validate(_listed(_nested(pairs)))
    except ValidationError:
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT, "what was sent is not this form"
        ) from None


def pairs_of(form: BaseModel, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names and values by which a page posts a form.

    Args:
        form: The form, or a part of it.
        at: The name of the part; empty for the form.

    Yields:
        Names and values; of what is empty there are none.
    """
    yield from _pairs(form.model_dump(), at)


def _pairs(value: object, at: str) -> Iterator[tuple[str, str]]:
    inner: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        yield at, str(value)
        return
    for key, each in inner:
        yield from _pairs(each, f"{at}.{key}" if at else str(key))


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Nested]:
    """Put fields into one another by the steps of their names; of two of one name the last counts.

    Where a name is also the beginning of another one, the shorter is passed over.
    """
    root: dict[str, Nested] = {}
    for name, value in pairs:
        steps = name.split(".")
        if len(steps) > MAX_DEPTH:
            continue
        inner = root
        for step in steps[:-1]:
            found = inner.get(step)
            if not isinstance(found, dict):
                found = inner[step] = {}
            inner = found
        if not isinstance(inner.get(steps[-1]), dict):
            inner[steps[-1]] = value
    return root


def _listed(value: Nested) -> object:
    """Make lists of what is numbered, in the order of the numbers, whatever is left out."""
    if isinstance(value, str):
        return value
    if value and all(each.isascii() and each.isdigit() for each in value):
        return [_listed(value[each]) for each in sorted(value, key=lambda step: (len(step), step))]
    return {step: _listed(inner) for step, inner in value.items()}


def _with_own_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
