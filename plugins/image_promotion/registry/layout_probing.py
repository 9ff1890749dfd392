"""The Test button's answer for a folder of OCI layouts: is it there, may we read and write it.

It writes one empty file, and removes it again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import aclosing
from pathlib import Path

from image_promotion.errors import NotFoundError, PromotionError
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.probe_result import ProbeResult, Side, Trouble, Use


async def probe_layout(root: Path, namespace: str, test_repository: str | None) -> ProbeResult:
    """Try a folder of layouts.

    Args:
        root: The folder.
        namespace: What goes before each repository; empty for nothing.
        test_repository: A repository to look at, as policies name it; None for none.

    Returns:
        Whether it can be used, and what was found. A folder that may be read, and not written, can
        be used: as a source.
    """
    access = await asyncio.to_thread(_look_at_folder, root)
    if isinstance(access, str):
        return ProbeResult(ok=False, message=access)
    try:
        async with LayoutStore(root, namespace=namespace) as store:
            number = len([name async for name in store.list_repositories()])
            found = "" if test_repository is None else await _look_at(store, test_repository)
    except PromotionError as error:
        return ProbeResult(ok=False, message=f"{root} is a folder that cannot be used. {error}")
    kind = "image layout" if number == 1 else "image layouts"
    sentences = [f"{root} is a folder with {number} {kind} in it."]
    if allowed := [verb for verb, reason in access.items() if reason is None]:
        sentences.append(f"The connection may {' and '.join(allowed)} it.")
    sentences += [
        f"It may not {verb} it: {reason}." for verb, reason in access.items() if reason is not None
    ]
    return ProbeResult(ok=access["read"] is None, message=" ".join([*sentences, found]).rstrip())


async def probe_layout_side(root: Path, namespace: str, side: Side) -> ProbeResult:
    """Try what a policy does in a folder of layouts.

    Args:
        root: The folder.
        namespace: What goes before each repository; empty for nothing.
        side: The repository, and what is done there.

    Returns:
        Whether all of it may be done, and what was found.

    Raises:
        PromotionError: The folder cannot be read as one of layouts.
    """
    access = await asyncio.to_thread(_look_at_folder, root)
    if isinstance(access, str):
        return ProbeResult(ok=False, message=access, trouble=Trouble.SETTINGS)
    needed = ("read",) if side.use is Use.READ else ("read", "write")
    if missing := [f"{verb} {root}: {access[verb]}" for verb in needed if access[verb]]:
        return ProbeResult(
            ok=False,
            message=f"The connection may not {' and not '.join(missing)}.",
            trouble=Trouble.RIGHT_MISSING,
        )
    may = f"The connection may {' and '.join(needed)} {root}."
    if side.use is Use.WRITE:
        return ProbeResult(ok=True, message=may)
    async with LayoutStore(root, namespace=namespace) as store:
        matches = side.matches or (lambda name: name == side.repository)
        if any([matches(name) async for name in store.list_repositories()]):
            return ProbeResult(ok=True, message=f"{may} {side.repository} is there.")
    return ProbeResult(
        ok=False,
        message=f"{may} There is no {side.repository} in it.",
        trouble=Trouble.REPOSITORY_MISSING,
    )


async def _look_at(store: LayoutStore, repository: str) -> str:
    full = store.full_repository(repository)
    try:
        async with aclosing(store.list_tags(repository)) as tags:
            number = len([tag async for tag in tags])
    except NotFoundError:
        return f"{full} is not there yet; the first promotion into it makes it."
    return f"{full} has {number} {'tag' if number == 1 else 'tags'}."


def _look_at_folder(root: Path) -> dict[str, str | None] | str:
    """Say why a folder may not be read or written, None for what may be done; or what is wrong."""
    if not root.exists():
        return (
            f"{root} does not exist on this machine. Create it, or mount it; every worker of "
            "Airflow must reach it by this path."
        )
    if not root.is_dir():
        return f"{root} is not a folder."
    return {"read": _why_not_read(root), "write": _why_not_write(root)}


def _why_not_read(root: Path) -> str | None:
    try:
        os.listdir(root)  # noqa: PTH208 - iterdir() asks for nothing before it is used
        (root / "anything").exists()  # needs the right to search, which listing does not
    except OSError as error:
        return _words(error)
    return None


def _why_not_write(root: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=root):
            return None
    except OSError as error:
        return _words(error)


def _words(error: OSError) -> str:
    return (os.strerror(error.errno) if error.errno else type(error).__name__).lower()
