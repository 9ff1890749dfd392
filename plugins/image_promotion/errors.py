"""Everything that can go wrong, as one tree of data.

    PromotionError                  subject, attempted, advice, retryable
    ├── RegistryError               method, url, status, codes: what a registry answered
    │   ├── UnreachableError        no answer: DNS, refused, TLS, timeout, broken connection
    │   ├── AuthenticationError     401: who are you
    │   ├── DeniedError             403: you may not
    │   ├── NotFoundError           404: no such repository, tag, manifest, blob
    │   ├── RateLimitedError        429: retry_after_s
    │   └── ProtocolViolationError  an answer the distribution specification does not allow
    ├── ContentMismatchError        bytes that are not what their digest or size says
    ├── UnsupportedContentError     well-formed, but not promoted: schema 1, over 4 MiB
    ├── InvalidReferenceError       text that names no image, tag, digest or repository
    ├── ConnectionSettingsError     an Airflow connection that cannot be used as it is written
    ├── PolicyError                 file, line, column, key, allowed
    ├── DeliveryError               a message to people that was not delivered
    ├── NotificationError           what was sent to a webhook, and cannot be read as a notification
    ├── EvidenceError
    │   ├── UnreadableEvidenceError
    │   │   └── UnknownFormatError
    │   └── UntrustedEvidenceError  reason: why nobody who is trusted vouches for it
    ├── TagConflictError            the target tag belongs to another image
    ├── RollbackError               a target tag that cannot be set back as it was asked
    ├── VerificationError           the target does not hold what was promised
    ├── DagRefusedError             a run, or a pause, that Airflow does not take
    ├── BusyError                   the same is being asked already, or too much at once
    ├── TimeUpError                 what people wait for took longer than they wait
    └── LedgerError                 the ledger cannot be reached, or refuses a transition

Waiting, rejected and superseded are outcomes, not errors. Nobody branches on the text of a message:
what a caller may need to know is a field. No field ever holds a secret; URLs come in redacted.

This module imports nothing of the project and everything may import it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Subject:
    """What an error is about; as much of it as is known."""

    registry: str | None = None
    repository: str | None = None
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        name = "/".join(part for part in (self.registry, self.repository) if part)
        if self.tag:
            name += f":{self.tag}"
        if self.digest:
            name += f"@{self.digest}"
        return name


NOTHING_IN_PARTICULAR = Subject()


class PromotionError(Exception):
    """The root: something could not be done.

    Args:
        attempted: What was attempted and how it failed, as a sentence without a final stop.
        subject: The registry, repository, tag and digest it is about.
        advice: What the reader can do about it; empty when there is nothing to say.
        retryable: Whether the same attempt may succeed later without anybody doing anything.
    """

    retryable_by_default = False

    def __init__(
        self,
        attempted: str,
        *,
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
        retryable: bool | None = None,
    ) -> None:
        super().__init__(attempted)
        self.attempted = attempted
        self.subject = subject
        self.advice = advice
        self.retryable = self.retryable_by_default if retryable is None else retryable
        # Set by registry.retry: further attempts are for a later task, not for this one.
        self.was_retried = False

    def about(self, subject: Subject) -> PromotionError:
        """Fill in the parts of the subject that the raiser did not know, and return this error."""
        known = self.subject
        self.subject = replace(
            known,
            registry=known.registry or subject.registry,
            repository=known.repository or subject.repository,
            tag=known.tag or subject.tag,
            digest=known.digest or subject.digest,
        )
        return self

    def details(self) -> tuple[str, ...]:
        """Return further facts of the error's kind, each a short phrase; overridden below."""
        return ()

    def __str__(self) -> str:
        text = self.attempted
        if str(self.subject):
            text = f"{self.subject}: {text}"
        for detail in self.details():
            text += f"; {detail}"
        text += "."
        if self.advice:
            text += f" {self.advice}"
        return text


@dataclass(frozen=True, slots=True)
class RegistryCode:
    """One entry of a registry's error body.

    Source: OCI Distribution Specification 1.1, "Error Codes".
    """

    code: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.code} ({self.message})" if self.message else self.code


class RegistryError(PromotionError):
    """A registry answered with an error, or not at all.

    Args:
        attempted: As in PromotionError.
        method: The HTTP method of the failed request; empty before any request.
        url: Its URL without user info, and without the values of query parameters.
        status: The HTTP status; None when there was no answer.
        codes: The registry's own error codes and messages.
        subject: As in PromotionError.
        advice: As in PromotionError.
        retryable: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        method: str = "",
        url: str = "",
        status: int | None = None,
        codes: tuple[RegistryCode, ...] = (),
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
        retryable: bool | None = None,
    ) -> None:
        super().__init__(attempted, subject=subject, advice=advice, retryable=retryable)
        self.method = method
        self.url = url
        self.status = status
        self.codes = codes

    def details(self) -> tuple[str, ...]:
        """Return the request, the status and the registry's own words."""
        said = []
        if self.method and self.url:
            answer = "got no answer" if self.status is None else f"was answered {self.status}"
            said.append(f"{self.method} {self.url} {answer}")
        if self.codes:
            said.append("the registry said " + ", ".join(str(code) for code in self.codes))
        return tuple(said)


class UnreachableError(RegistryError):
    """No answer came: name not found, connection refused or broken, TLS refused, timed out."""

    retryable_by_default = True


class AuthenticationError(RegistryError):
    """The registry, or its token service, does not accept who we say we are (401)."""


class DeniedError(RegistryError):
    """The registry knows us and does not let us do this (403)."""


class NotFoundError(RegistryError):
    """The registry has no such repository, tag, manifest, blob or upload (404)."""


class RateLimitedError(RegistryError):
    """The registry asks us to slow down (429).

    Args:
        attempted: As in PromotionError.
        retry_after_s: How long it asks us to wait, in seconds; None when it does not say.
        method: As in RegistryError.
        url: As in RegistryError.
        status: As in RegistryError.
        codes: As in RegistryError.
        subject: As in PromotionError.
        advice: As in PromotionError.
    """

    retryable_by_default = True

    def __init__(
        self,
        attempted: str,
        *,
        retry_after_s: float | None = None,
        method: str = "",
        url: str = "",
        status: int | None = None,
        codes: tuple[RegistryCode, ...] = (),
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
    ) -> None:
        super().__init__(
            attempted,
            method=method,
            url=url,
            status=status,
            codes=codes,
            subject=subject,
            advice=advice,
        )
        self.retry_after_s = retry_after_s


class ProtocolViolationError(RegistryError):
    """The other side answered what the distribution specification does not allow."""


class ContentMismatchError(PromotionError):
    """Bytes are not what was announced.

    Args:
        attempted: As in PromotionError.
        expected: The digest or the size in bytes that was announced.
        actual: The digest or the size in bytes that was found.
        subject: As in PromotionError.
        advice: As in PromotionError.
        retryable: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        expected: str,
        actual: str,
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
        retryable: bool | None = None,
    ) -> None:
        super().__init__(attempted, subject=subject, advice=advice, retryable=retryable)
        self.expected = expected
        self.actual = actual

    def details(self) -> tuple[str, ...]:
        """Return what was expected and what was found."""
        return (f"expected {self.expected}, found {self.actual}",)


class UnsupportedContentError(PromotionError):
    """Content that is well-formed and that this product does not promote."""


class InvalidReferenceError(PromotionError):
    """Text that does not name an image.

    Args:
        attempted: As in PromotionError; says which rule the text breaks.
        text: The text that was read, without a login that stood in it.
        advice: As in PromotionError.
    """

    def __init__(self, attempted: str, *, text: str, advice: str = "") -> None:
        super().__init__(attempted, advice=advice)
        self.text = text


class ConnectionSettingsError(PromotionError):
    """A connection that cannot be used as it is written.

    Args:
        attempted: As in PromotionError.
        connection_id: The Airflow connection's id.
        field: The field that is wrong; empty when the connection itself is missing.
        advice: As in PromotionError.
    """

    def __init__(
        self, attempted: str, *, connection_id: str, field: str = "", advice: str = ""
    ) -> None:
        super().__init__(attempted, advice=advice)
        self.connection_id = connection_id
        self.field = field

    def details(self) -> tuple[str, ...]:
        """Return which connection, and which of its fields."""
        field = f", field {self.field}" if self.field else ""
        return (f"connection {self.connection_id}{field}",)


class PolicyError(PromotionError):
    """A policy file that means nothing, or not what its author thinks.

    Args:
        attempted: As in PromotionError.
        file: The policy file.
        line: Its line, from 1; None when the whole file is meant.
        column: Its column, from 1.
        key: The dotted path of the key, such as ``target.tag``.
        allowed: What may stand there, in words.
        advice: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str = "",
        allowed: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(attempted, advice=advice)
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.allowed = allowed

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{self.key}: {self.attempted}" if self.key else self.attempted
        if place:
            text = f"{place}: {text}"
        if self.allowed:
            text += f" (allowed: {self.allowed})"
        return f"{text}. {self.advice}" if self.advice else text


class DeliveryError(PromotionError):
    """A message to people was not delivered; what it is about is not touched by that."""

    retryable_by_default = True


class NotificationError(PromotionError):
    """What was sent to a webhook is no notification of a registry, or breaks its own format."""


class EvidenceError(PromotionError):
    """A report that cannot serve as evidence."""


class UnreadableEvidenceError(EvidenceError):
    """A report that is of no known format, or breaks its own."""


class UnknownFormatError(UnreadableEvidenceError):
    """A document that does not say that it is of any format known here."""


class Distrust(StrEnum):
    """Why a document is not trusted."""

    NO_SIGNATURE = "no_signature"
    """Nothing in it is signed, or the signatures were taken off."""

    NOT_BY_SIGNER = "not_by_signer"
    """No trusted signer made the signature over these bytes: another key, or changed bytes."""

    OTHER_IDENTITY = "other_identity"
    """Its certificate names another identity, or another issuer, than the trusted ones."""

    OTHER_IMAGE = "other_image"
    """It is rightly signed, and about another image."""

    OTHER_PAYLOAD = "other_payload"
    """What is rightly signed is neither a statement nor the signature of an image."""

    NOT_IMAGE_SIGNATURE = "not_image_signature"
    """It is a signed claim about the image, where a signature of the image itself is asked for."""

    NO_SIGNER = "no_signer"
    """Nobody is trusted, or what the policy trusts cannot be used, such as a broken trust root."""


class UntrustedEvidenceError(EvidenceError):
    """A report that the policy does not trust.

    Args:
        attempted: As in PromotionError.
        reason: Why; None where that needs no name.
        subject: As in PromotionError.
        advice: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        reason: Distrust | None = None,
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
    ) -> None:
        super().__init__(attempted, subject=subject, advice=advice)
        self.reason = reason


class TagConflictError(PromotionError):
    """A target tag belongs to another image.

    Args:
        attempted: As in PromotionError.
        held_digest: The digest that the target tag points at now; None when another candidate of
            the same run wants the tag.
        subject: As in PromotionError.
        advice: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        held_digest: str | None,
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
    ) -> None:
        super().__init__(attempted, subject=subject, advice=advice)
        self.held_digest = held_digest


class RollbackError(PromotionError):
    """A target tag cannot be set back: it is not where it should be, or the image is gone."""


class VerificationError(PromotionError):
    """The target does not hold what the promotion promised.

    Args:
        attempted: As in PromotionError.
        problems: Each thing that is missing or different, as a phrase.
        subject: As in PromotionError.
        advice: As in PromotionError.
        retryable: As in PromotionError.
    """

    def __init__(
        self,
        attempted: str,
        *,
        problems: tuple[str, ...],
        subject: Subject = NOTHING_IN_PARTICULAR,
        advice: str = "",
        retryable: bool | None = None,
    ) -> None:
        super().__init__(attempted, subject=subject, advice=advice, retryable=retryable)
        self.problems = problems

    def details(self) -> tuple[str, ...]:
        """Return the problems."""
        return self.problems


class DagRefusedError(PromotionError):
    """Airflow does not take a run of a policy's DAG, or does not know the DAG.

    Args:
        attempted: As in PromotionError.
        dag_id: The DAG, which has the policy's name.
        advice: As in PromotionError.
        retryable: As in PromotionError.
    """

    def __init__(
        self, attempted: str, *, dag_id: str, advice: str = "", retryable: bool | None = None
    ) -> None:
        super().__init__(attempted, advice=advice, retryable=retryable)
        self.dag_id = dag_id


class BusyError(PromotionError):
    """What was asked is being asked already, or too much is asked at once."""

    retryable_by_default = True


class TimeUpError(PromotionError):
    """What people wait for took longer than they wait."""

    retryable_by_default = True


class LedgerError(PromotionError):
    """The ledger cannot be reached, cannot be written, or refuses a transition."""
