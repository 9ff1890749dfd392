"""From the form to the policy: its YAML, what it means, and what is wrong, field by field."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from image_promotion.policy.loading import check_policy_text
from image_promotion.policy.model import Policy
from image_promotion.web.form.documents import Document, document_of, form_of, rendered
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.findings import Draft, Fault
from image_promotion.web.form.source_text import SourceText, content_of
from image_promotion.web.form.splicing import spliced

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a policy stands beside.

    Args:
        file: The file that it is in, or would be.
        others: The other policies of the folder, by name.
        taken: Names that it must not have, each with what has it.
        own_name: The name that it must keep; empty for a new one.
    """

    file: Path
    others: Mapping[str, Policy]
    taken: Mapping[str, str]
    own_name: str = ""


@dataclass(frozen=True, slots=True)
class DraftedPolicy:
    """What the form means.

    Args:
        text: The YAML; empty while a field has no YAML that could be part of it.
        policy: The policy; None while something is wrong.
        faults: What is wrong.
    """

    text: str
    policy: Policy | None
    faults: tuple[Fault, ...]


def opened(raw: bytes, file: Path) -> PolicyFields | None:
    """Open a policy file in the form.

    Args:
        raw: The file's bytes.
        file: The file.

    Returns:
        The form; None when the file is not the YAML of a policy.
    """
    text = _text_of(raw)
    content = content_of(text, file) if text is not None else None
    if text is None or content is None:
        return None
    form = form_of(content, SourceText(text).texts(content))
    form.base = base64.b64encode(raw).decode("ascii")
    return form


def drafted(form: PolicyFields, beside: Neighbours) -> DraftedPolicy:
    """Make the policy of the form.

    Args:
        form: The form.
        beside: What it stands beside.

    Returns:
        The policy, or what is wrong.
    """
    draft = Draft()
    document = document_of(form, draft)
    if draft.faults:
        return DraftedPolicy("", None, tuple(draft.faults))
    text = _written(form, document, beside.file)
    policy, faults = check_policy_text(text, beside.file, beside.others)
    found = [draft.fault_of(each) for each in faults]
    name = form.name.strip()
    if beside.own_name and name != beside.own_name:
        said = "changes, and a policy's Dag and history go by its name"
        found.append(Fault("name", "name", said, beside.own_name))
    elif name in beside.taken:
        said = f"is taken by {beside.taken[name]}"
        found.append(Fault("name", "name", said, "a name of its own for each policy"))
    return DraftedPolicy(text, None if found else policy, tuple(found))


def base_of(form: PolicyFields) -> bytes | None:
    """Return the file as it was when the form was opened; None where there was none."""
    try:
        return base64.b64decode(form.base, validate=True) or None
    except (ValueError, binascii.Error):
        return None


def encoded(text: str, base: bytes | None) -> bytes:
    """Return a file's bytes, beginning as it did before."""
    mark = _BYTE_ORDER_MARK if base is not None and base.startswith(_BYTE_ORDER_MARK) else b""
    return mark + text.encode()


def _text_of(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _written(form: PolicyFields, document: Document, file: Path) -> str:
    raw = base_of(form)
    text = _text_of(raw) if raw is not None else None
    old = _meaning(text, file) if text is not None else None
    if text is None or old is None:
        return rendered(document)
    return spliced(text, old, document, lambda changed: _meaning(changed, file))


def _meaning(text: str, file: Path) -> Document | None:
    """Return what a file's text means, as the form has it."""
    content = content_of(text, file)
    if content is None:
        return None
    draft = Draft()
    document = document_of(form_of(content, SourceText(text).texts(content)), draft)
    return None if draft.faults else document
