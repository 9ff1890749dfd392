"""Many small questions to a registry at once, but never too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


async def ask_each(
    ask: Callable[[Question], Awaitable[Answer]],
    questions: Sequence[Question],
    *,
    at_once: int,
) -> list[Answer]:
    """Ask every question, some at a time, and return the answers in the questions' order.

    A fixed number of askers share one line of questions, so that 50,000 of them do not become
    50,000 waiting tasks.

    Args:
        ask: What answers one question.
        questions: The questions.
        at_once: How many may be under way at a time; at least 1.

    Returns:
        One answer for each question.

    Raises:
        Exception: The first error that a question raised, as it was raised, never a group; the
            other questions are cancelled.
    """
    answers: dict[int, Answer] = {}
    line = iter(enumerate(questions))

    async def answer_until_none_is_left() -> None:
        for position, question in line:
            answers[position] = await ask(question)

    try:
        async with asyncio.TaskGroup() as askers:
            for _ in range(min(max(1, at_once), len(questions))):
                askers.create_task(answer_until_none_is_left())
    except BaseExceptionGroup as group:
        first = _first_of(group)
        # Not "from None": that would wipe out the cause the error already carries.
        raise first from first.__cause__
    return [answers[position] for position in range(len(questions))]


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
