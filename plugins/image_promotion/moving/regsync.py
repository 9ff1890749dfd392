"""regsync's sync entries as drafts of ours.

Source: regclient, "regsync", "Configuration File", version 1; and for what it does not say, such as
how expressions are bound, regsync's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from image_promotion.errors import InvalidReferenceError, PolicyError
from image_promotion.moving.connections import Connection, Connections
from image_promotion.moving.export import Members, fields_of, notes_on_unknown, objects_in
from image_promotion.moving.findings import MANUAL, Draft, Findings, LeftOut, Place
from image_promotion.moving.patterns import ANY_TAG
from image_promotion.moving.regsync_filters import (
    TagSet,
    finds,
    plain_repositories,
    triggers_of,
)
from image_promotion.moving.schedules import cron_of, cron_of_interval, parse_duration
from image_promotion.moving.words import shown
from image_promotion.registry.document import Fields
from image_promotion.registry.reference import Reference

MAX_VERSION = 1
DOCKER_HUB = "docker.io"

_DEFAULTED = (
    *("backup", "digestTags", "referrers", "referrerFilters", "hooks", "ratelimit", "mediaTypes"),
    *("referrerSource", "referrerTarget", "referrerSlow", "includeExternal"),
)
_SAID = frozenset({"source", "target", "type", "tags", "tagSets", "repos", "platform", "platforms"})
_NO_MATTER = frozenset({"interval", "schedule", "forceRecursive", "fastCheck"})
_KNOWN = _SAID | _NO_MATTER | {*_DEFAULTED}

_NOT_CARRIED = {
    "backup": "It kept what it overwrote under another tag; here the ledger has its digest.",
    "hooks": "Its hooks were not carried.",
    "ratelimit": "Its ratelimit was not carried; a connection can have requests_per_second.",
    "mediaTypes": "Its mediaTypes were not carried: every kind of image counts.",
    "referrerSource": "Its referrerSource was not carried: attachments come from beside the image.",
    "referrerTarget": "Its referrerTarget was not carried: attachments go where the image goes.",
}

_CREDENTIALS = ("pass", "token", "credHelper", "clientKey")
_CREDS_KNOWN = frozenset(
    {
        *("registry", "hostname", "user", "tls", "regcert", "reqPerSec", "scheme", "api"),
        *("credExpire", "credHost", "repoAuth", "blobChunk", "blobMax", "reqConcurrent"),
        *("priority", *_CREDENTIALS),
    }
)


def read_regsync(content: Mapping[str, object]) -> Findings:
    """Read a regsync.yml.

    Args:
        content: What stands in the file.

    Returns:
        What became of each entry under `sync`.

    Raises:
        PolicyError: It is no configuration of regsync in version 1.
    """
    whole = fields_of(_merged(content), "regsync.yml")
    if (whole.optional_number("version") or MAX_VERSION) > MAX_VERSION:
        raise PolicyError("is of a later version of regsync's format", allowed="version: 1")
    if "sync" not in whole:
        raise PolicyError("has no list `sync`", advice="Is it a regsync.yml?")
    reader = _Reader(content)
    for number, members in enumerate(objects_in(content.get("sync")), start=1):
        reader.read(number, members)
    reader.findings.connections = reader.connections.made
    return reader.findings


def _merged(members: Members) -> Members:
    """Return a mapping with what YAML's merge key `<<` brings into it."""
    if "<<" not in members:
        return members
    own = {key: value for key, value in members.items() if key != "<<"}
    merged: dict[str, object] = {}
    brought = list(objects_in(members["<<"]))
    for each in reversed(brought):
        merged |= _merged(each) if each is not None else {}
    return merged | own


class _Reader:
    def __init__(self, content: Mapping[str, object]) -> None:
        defaults = content.get("defaults")
        self._defaults = _merged(defaults) if isinstance(defaults, dict) else {}
        self._creds: dict[str, Members] = {}
        for each in objects_in(content.get("creds") or []):
            members = _merged(each) if each is not None else {}
            registry = members.get("registry")
            if isinstance(registry, str):
                self._creds[registry] = members
        self.connections = Connections()
        self.findings = Findings()

    def read(self, number: int, members: Members | None) -> None:
        """Read one entry, of which several policies may come."""
        origin = f"regsync entry {number}"
        if members is None:
            self.findings.left_out.append(LeftOut(origin, "is no mapping"))
            return
        own = _merged(members)
        whole = self._with_defaults(own)
        origin += f" ({shown(own.get('source'))})"
        try:
            self.findings.drafts += list(self._drafts(fields_of(whole, "the entry"), own, origin))
        except PolicyError as error:
            self.findings.left_out.append(LeftOut(origin, str(error)))

    def _with_defaults(self, own: Members) -> Members:
        given = {key: self._defaults[key] for key in _DEFAULTED if key in self._defaults}
        if not own.get("schedule") and not own.get("interval"):
            given |= {k: self._defaults[k] for k in ("schedule", "interval") if k in self._defaults}
        # What is empty is not set, as everywhere in Go.
        return given | {key: value for key, value in own.items() if value not in (None, "")}

    def _drafts(self, entry: Fields, own: Members, origin: str) -> Iterator[Draft]:
        for key in ("source", "target"):
            if "{{" in entry.text(key):
                raise PolicyError(f"its {key} is a template, which only regsync can fill in")
        notes: list[str] = []
        tag_triggers, tag = self._tags(entry, notes)
        schedule, zone = _schedule(entry, notes)
        platforms = _platforms(entry, notes)
        referrers = _referrers(entry, notes)
        foreign_layers = "copy" if entry.optional_flag("includeExternal") else None
        notes += [said for key, said in _NOT_CARRIED.items() if key in entry]
        notes += notes_on_unknown(own, _KNOWN)
        for source, target, note in self._sides(entry, notes):
            yield Draft(
                origin=origin,
                source=source,
                target=target,
                triggers=tag_triggers,
                tag=tag,
                timezone=zone,
                schedule=schedule,
                platforms=platforms,
                referrers=referrers,
                foreign_layers=foreign_layers,
                notes=(*notes, note) if note else tuple(notes),
            )

    def _tags(
        self, entry: Fields, notes: list[str]
    ) -> tuple[tuple[Mapping[str, object], ...], str]:
        """Return the triggers on tags, and the template."""
        if entry.text("type") == "image":
            source, target = _reference(entry.text("source")), _reference(entry.text("target"))
            if source.digest or target.digest:
                raise PolicyError("it copies one digest, and policies follow tags")
            tag, new = source.tag or "latest", target.tag or "latest"
            return ({"tag": {"equals": tag}},), "%n" if new == tag else new
        sets = [_tag_set(each) for each in _objects(entry, "tagSets")]
        if own := entry.optional_fields("tags"):
            sets.append(_tag_set(own))
        sets = [each for each in sets if not each.is_empty]
        if not sets:
            return (ANY_TAG,), "%n"
        return triggers_of(sets, notes), "%n"

    def _sides(self, entry: Fields, notes: list[str]) -> Iterator[tuple[Place, Place, str]]:
        """Yield source and target of each policy, and what is to be said of it alone."""
        source, target = entry.text("source"), entry.text("target")
        match entry.text("type"):
            case "registry":
                yield from self._registry(entry, source, target, notes)
            case "repository" | "image":
                yield self._place(source, notes), self._place(target, notes), ""
            case other:
                raise PolicyError(
                    f"there is no type {shown(other)}", allowed="registry, repository, image"
                )

    def _registry(
        self, entry: Fields, source: str, target: str, notes: list[str]
    ) -> Iterator[tuple[Place, Place, str]]:
        repos = entry.optional_fields("repos")
        allowed = _texts(repos, "allow") if repos else ()
        if not allowed:
            raise PolicyError(
                "it copies a whole registry, and a policy is for a repository or for a pattern",
                advice="List the repositories under repos.allow and import it again.",
            )
        denied = _texts(repos, "deny") if repos else ()
        for name, note in plain_repositories(allowed).items():
            if denied and "*" in name:
                raise PolicyError("it leaves out repositories of a pattern, which policies cannot")
            if any(finds(each, name) for each in denied):
                continue
            far = name.replace("*", "{name}")
            yield (
                self._place_within(source, name, notes),
                self._place_within(target, far, notes),
                note,
            )

    def _place_within(self, host: str, repository: str, notes: list[str]) -> Place:
        return Place(self._connection(host, notes).connection_id, repository)

    def _place(self, text: str, notes: list[str]) -> Place:
        reference = _reference(text)
        return self._place_within(reference.registry, reference.repository, notes)

    def _connection(self, registry: str, notes: list[str]) -> Connection:
        members = self._creds.get(registry)
        if members is None:
            connection = self.connections.add(registry)
            connection.note("regsync took its login, if it had one, from Docker's own file.")
            return connection
        creds = fields_of(members, f"creds of {shown(registry)}")
        tls = creds.said("tls")
        host = creds.said("hostname") or registry
        user = creds.said("user")
        connection = self.connections.add(
            f"http://{host}" if tls == "disabled" and registry != DOCKER_HUB else host,
            skip_tls_verification=tls == "insecure",
            login=user or None,
        )
        rate = creds.optional_number("reqPerSec")
        if rate:
            connection.requests_per_second = rate
        if creds.said("regcert"):
            connection.note("Its field ca_certificate needs the certificate of regcert.")
        for sentence in notes_on_unknown(members, _CREDS_KNOWN):
            connection.note(sentence)
        if any(name in creds for name in _CREDENTIALS):
            connection.note("It needs the password or access token that regsync used.")
            sentence = (
                "The login of the file was not carried: the Airflow connection "
                f"{connection.connection_id} must hold it."
            )
            if sentence not in notes:
                notes.append(sentence)
        return connection


def _reference(text: str) -> Reference:
    if "://" in text:
        raise PolicyError(
            f"{shown(text)} is no registry",
            advice="For folders of OCI layouts make a connection of the type oci_layout, and write "
            "the policy by hand.",
        )
    try:
        return Reference.parse(text)
    except InvalidReferenceError as error:
        raise PolicyError(error.attempted) from None


def _objects(entry: Fields, name: str) -> tuple[Fields, ...]:
    return entry.each_fields(name) if name in entry else ()


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    return fields.texts(name) if name in fields else ()


def _tag_set(fields: Fields) -> TagSet:
    ranges = tuple(each for each in _texts(fields, "semverRange") if each)
    return TagSet(_texts(fields, "allow"), _texts(fields, "deny"), ranges)


def _schedule(entry: Fields, notes: list[str]) -> tuple[str, str]:
    if schedule := entry.said("schedule"):
        expression, zone, said = cron_of(schedule)
        if said:
            notes.append(f"Its schedule was {shown(schedule)}; {said}.")
        return expression, zone
    text = entry.said("interval")
    if not text:
        notes.append("It had neither schedule nor interval, so that it runs by hand alone.")
        return MANUAL, "UTC"
    interval = parse_duration(text)
    if interval is None:
        raise PolicyError(f"its interval {shown(text)} cannot be read", allowed="such as 60m")
    expression, exact = cron_of_interval(interval)
    if not exact:
        notes.append(f"Its interval {shown(text)} is no cron expression; it runs by {expression}.")
    return expression, "UTC"


def _platforms(entry: Fields, notes: list[str]) -> tuple[str, ...]:
    single = entry.said("platform")
    several = _texts(entry, "platforms")
    if single or several:
        notes.append(
            "regsync left the digest of an index, or of one platform's image, as it was; here the "
            "platforms arrive in a new index with a digest of its own."
        )
    return (single,) if single else several


def _referrers(entry: Fields, notes: list[str]) -> Mapping[str, object] | None:
    """Return what goes along; regsync brings nothing unless it is told to."""
    if not (entry.optional_flag("referrers") or entry.optional_flag("digestTags")):
        return {"carry": "none"}
    filters = _objects(entry, "referrerFilters")
    if any("annotations" in each for each in filters):
        notes.append("Attachments go along whatever their annotations; regsync looked at them.")
    types = [each.said("artifactType") for each in filters]
    return {"carry": "all", "artifact_types": types} if types and all(types) else None
