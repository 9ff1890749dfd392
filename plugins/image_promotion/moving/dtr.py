"""DTR's promotion, push-mirroring and poll-mirroring policies as drafts of ours.

Source: DTR 2.6 API, `/api/v0/repositories/{namespace}/{reponame}`: `promotionPolicies`,
`pushMirroringPolicies`, `pollMirroringPolicies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from image_promotion.errors import PolicyError
from image_promotion.moving.connections import Connections
from image_promotion.moving.dtr_rules import Trigger, trigger_of
from image_promotion.moving.export import Members, fields_of, notes_on_unknown, objects_in
from image_promotion.moving.findings import MANUAL, Draft, Findings, LeftOut, Place
from image_promotion.moving.patterns import ANY_TAG
from image_promotion.moving.schedules import EVERY_FIVE_MINUTES
from image_promotion.moving.words import shown
from image_promotion.registry.document import Fields

EVERY_HALF_HOUR = "*/30 * * * *"
"""How often DTR polls."""

REFUSED = "refused"
"""Where a repository's object says which kinds of policies could not be read."""


class Kind(StrEnum):
    """DTR's policies, by the name under which its API has them."""

    PROMOTION = "promotionPolicies"
    PUSH = "pushMirroringPolicies"
    POLL = "pollMirroringPolicies"

    @property
    def words(self) -> str:
        """What people call one of them."""
        return {
            Kind.PROMOTION: "promotion policy",
            Kind.PUSH: "push-mirroring policy",
            Kind.POLL: "poll-mirroring policy",
        }[self]


_COMMON = frozenset({"id", "enabled", "initialEvaluation"})
_RULED = _COMMON | {"rules", "tagTemplate"}
_REMOTE = {
    *("remoteHost", "remoteRepository", "remoteCA", "skipTLSVerification", "localRepository"),
    *("username", "password", "authToken", "lastMirroredAt", "lastStatus"),
}
_KNOWN = {
    Kind.PROMOTION: _RULED | {"sourceRepository", "targetRepository", "lastPromotedAt"},
    Kind.PUSH: _RULED | _REMOTE,
    Kind.POLL: _COMMON | _REMOTE,
}
_SECRETS = ("password", "authToken")


def read_dtr(documents: Iterable[object], *, local: str) -> Findings:
    """Read what DTR's API answered.

    Args:
        documents: Each an object with lists under `promotionPolicies`, `pushMirroringPolicies` and
            `pollMirroringPolicies`, and perhaps the `repository` that was asked for; or a list of
            such objects; or a list of policies, as the API gives it.
        local: The id of the connection to this DTR.

    Returns:
        What became of each policy. One that was fetched twice, by its source and by its target,
        counts once.
    """
    reader = _Reader(local)
    for document in documents:
        for members in objects_in(document):
            reader.read(members)
    reader.findings.connections = reader.connections.made
    return reader.findings


class _Reader:
    def __init__(self, local: str) -> None:
        self._local = local
        self._seen: list[Members] = []
        self.connections = Connections()
        self.findings = Findings()

    def read(self, members: Members | None) -> None:
        """Read one object: a repository's policies, or one policy."""
        if members is None:
            self.findings.left_out.append(LeftOut("an item of the export", "is no object"))
            return
        if not any(kind in members for kind in (*Kind, REFUSED)):
            self._read_policy(members, _kind_of(members), "")
            return
        repository = members.get("repository")
        repository = repository if isinstance(repository, str) else ""
        for kind in Kind:
            for policy in objects_in(members.get(kind) or []):
                self._read_policy(policy, kind, repository)
            if kind in fields_of(members, "the repository").said_each(REFUSED):
                self.findings.left_out.append(
                    LeftOut(
                        f"each DTR {kind.words} of {shown(repository)}",
                        "the connection may not read them; an administrator's can",
                    )
                )

    def _read_policy(self, members: Members | None, kind: Kind | None, repository: str) -> None:
        if members is None or kind is None:
            self.findings.left_out.append(
                LeftOut("an item of the export", "is none of DTR's policies")
            )
            return
        if members in self._seen:
            return
        self._seen.append(members)
        identity = members.get("id")
        origin = f"DTR {kind.words}" + (f" {shown(identity)}" if identity else "")
        try:
            fields = fields_of(members, "the policy")
            own = "sourceRepository" if kind is Kind.PROMOTION else "localRepository"
            repository = fields.optional_text(own) or repository or fields.text(own)
            origin += f" of {shown(repository)}"
            self.findings.drafts.append(self._draft(fields, members, kind, repository, origin))
        except PolicyError as error:
            self.findings.left_out.append(LeftOut(origin, str(error)))

    def _draft(
        self, fields: Fields, members: Members, kind: Kind, repository: str, origin: str
    ) -> Draft:
        local = Place(self._local, repository)
        notes: list[str] = []
        if kind is Kind.PROMOTION:
            far = Place(self._local, fields.text("targetRepository"))
        else:
            far = Place(self._remote(fields, notes), fields.text("remoteRepository"))
        tag = "%n" if kind is Kind.POLL else fields.optional_text("tagTemplate") or "%n"
        schedule = EVERY_HALF_HOUR if kind is Kind.POLL else EVERY_FIVE_MINUTES
        if fields.optional_flag("enabled") is False:
            notes.append(
                f"It was disabled in DTR, so that it runs by hand alone; when it was enabled its "
                f"schedule would have been {schedule}."
            )
            schedule = MANUAL
        return Draft(
            origin=origin,
            source=far if kind is Kind.POLL else local,
            target=local if kind is Kind.POLL else far,
            triggers=(ANY_TAG,) if kind is Kind.POLL else tuple(_triggers(fields, notes)),
            tag=tag,
            schedule=schedule,
            existing_images=_existing_images(fields, tag, notes),
            notes=(*notes, *notes_on_unknown(members, _KNOWN[kind])),
        )

    def _remote(self, fields: Fields, notes: list[str]) -> str:
        connection = self.connections.add(
            fields.text("remoteHost"),
            skip_tls_verification=bool(fields.optional_flag("skipTLSVerification")),
            login=fields.said("username") or None,
        )
        if any(name in fields for name in _SECRETS):
            notes.append(
                "Its password or access token was not carried: the Airflow connection "
                f"{connection.connection_id} must hold it."
            )
            connection.note("It needs the password or access token that DTR used.")
        if fields.said("remoteCA"):
            connection.note("Its field ca_certificate needs the certificate of remoteCA in DTR.")
        return connection.connection_id


def _kind_of(members: Members) -> Kind | None:
    """Say what a policy is that comes without a heading."""
    if "targetRepository" in members:
        return Kind.PROMOTION
    if "remoteHost" not in members:
        return None
    has_rules = bool(members.get("rules")) or bool(members.get("tagTemplate"))
    return Kind.PUSH if has_rules else Kind.POLL


def _triggers(fields: Fields, notes: list[str]) -> Iterator[Trigger]:
    rules = fields.each_fields("rules") if "rules" in fields else ()
    if not rules:
        notes.append("It had no rules: every tag is promoted.")
        yield ANY_TAG
    for rule in rules:
        yield trigger_of(rule)


def _existing_images(fields: Fields, tag: str, notes: list[str]) -> str:
    """Say whether images that are there now count.

    DTR has decided about them already. With their own tag it changes nothing to ask again; with the
    time in the tag each of them would arrive a second time.
    """
    wanted = fields.optional_flag("initialEvaluation")
    if wanted is None and "%" in tag.replace("%n", ""):
        notes.append(
            "Images that are there now are left alone, since under the time of day they would "
            "arrive a second time; existing_images: consider promotes them too."
        )
        return "ignore"
    return "ignore" if wanted is False else "consider"
