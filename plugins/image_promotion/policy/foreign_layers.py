"""The choice about layers that must not be pushed; apart, since who copies loads no policies."""

from __future__ import annotations

from enum import StrEnum


class ForeignLayers(StrEnum):
    """What to do with layers that are fetched from elsewhere and are not to be pushed.

    Their media types say so (Docker's `foreign`, OCI's `nondistributable`), and their `urls` say
    where they are. Nothing is ever fetched from there.
    """

    SKIP = "skip"
    COPY = "copy"
    REFUSE = "refuse"
