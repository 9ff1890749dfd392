"""The commands about names alone: what a tag template gives, and what a reference consists of."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from image_promotion.errors import InvalidReferenceError, PolicyError
from image_promotion.policy.tag_template import TagTemplate
from image_promotion.registry.reference import Reference


def render_tag(options: argparse.Namespace) -> bool:
    """Print what a tag template gives for a source tag at a time.

    Args:
        options: ``template``, ``tag``, ``at``, ``timezone``.

    Returns:
        True.

    Raises:
        PolicyError: The template, the time zone or the tag it gives is not allowed.
    """
    try:
        zone = ZoneInfo(options.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PolicyError(
            f"there is no time zone {options.timezone!r}",
            key="timezone",
            allowed="a name of the IANA database, such as Europe/Berlin",
        ) from None
    try:
        template = TagTemplate.parse(options.template, zone=zone)
    except ValueError as error:
        raise PolicyError(f"{options.template!r} {error}", key="template") from None
    at: datetime = options.at
    at = at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)
    print(template.render(options.tag, at, {}))
    return True


def reference(options: argparse.Namespace) -> bool:
    """Print the parts of an image reference, or why it is none.

    Args:
        options: ``reference``, ``json``.

    Returns:
        Whether it is a reference.

    Raises:
        InvalidReferenceError: It is none, and JSON was not asked for.
    """
    try:
        parsed = Reference.parse(options.reference)
    except InvalidReferenceError as error:
        if not options.json:
            raise
        found = {"valid": False, "text": error.text, "reason": error.attempted}
        print(json.dumps({**found, "advice": error.advice}, indent=2))
        return False
    parts = parsed.parts()
    if options.json:
        print(json.dumps({"valid": True, **parts, "reference": str(parsed)}, indent=2))
    else:
        for name, value in parts.items():
            print(f"{name}: {value or '-'}")
    return True
