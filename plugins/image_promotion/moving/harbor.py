"""Harbor's replication rules as drafts of ours.

Source: Harbor API 2.0, "ReplicationPolicy", "ReplicationFilter", "Registry"; for what becomes of a
repository's name, Harbor's `replaceNamespace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_promotion.errors import PolicyError
from image_promotion.moving.connections import Connections
from image_promotion.moving.export import Members, fields_of, notes_on_unknown, objects_in
from image_promotion.moving.findings import MANUAL, Draft, Findings, LeftOut, Place
from image_promotion.moving.patterns import (
    ANY_TAG,
    narrowed,
    repositories_of_glob,
    trigger_of_glob,
)
from image_promotion.moving.schedules import EVERY_FIVE_MINUTES, cron_of
from image_promotion.moving.words import shown
from image_promotion.policy.repositories import NAME_PLACEHOLDER, STAR
from image_promotion.registry.document import Fields
from image_promotion.registry.endpoint import RegistryType

LOCAL_ID = 0
"""The id under which Harbor has itself among its registries."""

LEGACY = -1
"""The count that replaces all of a repository's path but its last part."""

_TYPES = {"harbor": RegistryType.HARBOR, "docker-hub": RegistryType.DOCKER_HUB}
_PLAIN_TYPES = frozenset({"docker-registry", "quay", "gitlab", "jfrog-artifactory", "github-ghcr"})

_KNOWN = frozenset(
    {
        *("id", "name", "description", "src_registry", "dest_registry", "dest_namespace"),
        *("dest_namespace_replace_count", "trigger", "filters", "deletion", "replicate_deletion"),
        *("override", "enabled", "creation_time", "update_time", "speed", "copy_by_chunk"),
        *("creator", "single_active_replication"),
    }
)


def read_harbor(documents: Iterable[object], *, local: str) -> Findings:
    """Read what Harbor's API answered.

    Args:
        documents: Lists of replication rules and lists of registries, as the API gives them, or
            objects with such lists under `policies` and `registries`.
        local: The id of the connection to this Harbor.

    Returns:
        What became of each rule.
    """
    rules: list[Members] = []
    registries: dict[int, Members] = {}
    findings = Findings()
    for document in documents:
        for members in _flat(document):
            if members is not None and ("filters" in members or "trigger" in members):
                rules.append(members)
            elif members is not None and isinstance(members.get("url"), str):
                identity = members.get("id")
                if isinstance(identity, int):
                    registries[identity] = members
            else:
                findings.left_out.append(
                    LeftOut("an item of the export", "is neither a replication rule nor a registry")
                )
    reader = _Reader(local, registries, findings)
    for each in rules:
        reader.read(each)
    findings.connections = reader.connections.made
    return findings


def _flat(document: object) -> Iterable[Members | None]:
    for members in objects_in(document):
        if members is not None and ("policies" in members or "registries" in members):
            for name in ("policies", "registries"):
                yield from objects_in(members.get(name) or [])
        else:
            yield members


@dataclass(frozen=True, slots=True)
class _Filters:
    """What a rule's filters say.

    Args:
        repositories: The repositories, or patterns of ours.
        triggers: What tags must fulfil.
    """

    repositories: tuple[str, ...]
    triggers: tuple[Mapping[str, object], ...]


class _Reader:
    def __init__(self, local: str, registries: Mapping[int, Members], findings: Findings) -> None:
        self._local = local
        self._registries = registries
        self._findings = findings
        self.connections = Connections()

    def read(self, members: Members) -> None:
        """Read one rule, of which several policies may come."""
        origin = f"Harbor replication rule {shown(members.get('name') or members.get('id'))}"
        try:
            fields = fields_of(members, "the rule")
            notes: list[str] = []
            filters = _filters(fields, notes)
            schedule, zone = _schedule(fields, notes)
            source, target = self._sides(fields, notes)
            _note_the_rest(fields, notes)
        except PolicyError as error:
            self._findings.left_out.append(LeftOut(origin, str(error)))
            return
        for repository in filters.repositories:
            own, is_narrower = narrowed(repository)
            own_notes = list(notes)
            if is_narrower:
                own_notes.append(
                    f"{shown(repository)} also means repositories further down; this policy means "
                    f"{shown(own)} alone, without another slash."
                )
            try:
                far = _target_repository(fields, own)
            except PolicyError as error:
                self._findings.left_out.append(LeftOut(f"{origin}, {shown(own)}", str(error)))
                continue
            self._findings.drafts.append(
                Draft(
                    origin=origin,
                    source=Place(source, own),
                    target=Place(target, far),
                    triggers=filters.triggers or (ANY_TAG,),
                    timezone=zone,
                    existing_tag="skip"
                    if fields.optional_flag("override") is False
                    else "overwrite",
                    schedule=schedule,
                    notes=(*own_notes, *notes_on_unknown(members, _KNOWN)),
                )
            )

    def _sides(self, fields: Fields, notes: list[str]) -> tuple[str, str]:
        """Return the connections of source and target: one of them is this Harbor."""
        return (
            self._side(fields.optional_fields("src_registry"), notes),
            self._side(fields.optional_fields("dest_registry"), notes),
        )

    def _side(self, registry: Fields | None, notes: list[str]) -> str:
        if registry is None or registry.is_empty():
            return self._local
        identity = registry.whole_number("id") if "id" in registry else None
        if identity == LOCAL_ID:
            return self._local
        if identity is not None and identity in self._registries:
            registry = fields_of(self._registries[identity], "the registry")
        word = registry.said("type")
        credential = registry.said_fields("credential")
        connection = self.connections.add(
            registry.text("url"),
            registry_type=_TYPES.get(word, RegistryType.OCI),
            skip_tls_verification=bool(registry.optional_flag("insecure")),
            login=credential.said("access_key") if credential and _has_plain_login(word) else None,
        )
        if credential is not None and not credential.is_empty():
            notes.append(
                "Its secret was not carried: the Airflow connection "
                f"{connection.connection_id} must hold it."
            )
            connection.note("It needs the user name and secret that Harbor used.")
        if word and not _has_plain_login(word):
            connection.note(
                f"Harbor logs in to {shown(word)} in its own way; here it is a user name and a "
                "password or access token."
            )
        return connection.connection_id


def _has_plain_login(word: str) -> bool:
    return word in _TYPES or word in _PLAIN_TYPES


def _filters(fields: Fields, notes: list[str]) -> _Filters:
    names: list[str] = []
    triggers: list[Mapping[str, object]] = []
    for each in fields.each_fields("filters") if "filters" in fields else ():
        kind, excludes = each.text("type"), each.said("decoration") == "excludes"
        if kind == "label" and each.said_each("value"):
            raise PolicyError("it filters by label, which triggers do not know")
        value = each.said("value")
        if not value:
            continue
        match kind:
            case "name" if excludes or names:
                raise PolicyError("it filters by name more than once, or leaves names out")
            case "name":
                names.append(value)
            case "tag":
                trigger = trigger_of_glob(value)
                triggers.append({"not": trigger} if excludes else trigger)
            case "resource" if value in ("image", "artifact"):
                notes.append(f"It was for {value}s alone; here every artifact with a tag counts.")
            case _:
                raise PolicyError(f"its filter {shown(kind)} = {shown(value)} cannot be carried")
    if not names:
        raise PolicyError(
            "it is for every repository, and a policy is for one, or for a pattern with one *",
            advice="Give it a filter by name, or write a policy for each project.",
        )
    return _Filters(repositories_of_glob(names[0]), tuple(triggers))


def _schedule(fields: Fields, notes: list[str]) -> tuple[str, str]:
    trigger = fields.optional_fields("trigger")
    kind = trigger.said("type") if trigger else ""
    schedule, zone = MANUAL, "UTC"
    if trigger is not None and kind == "scheduled":
        settings = trigger.fields("trigger_settings")
        schedule, zone, said = cron_of(settings.text("cron"))
        if said:
            notes.append(f"Its schedule was {shown(settings.text('cron'))}; {said}.")
    elif kind == "event_based":
        schedule = EVERY_FIVE_MINUTES
        notes.append(
            f"It ran on each push; this one looks by {schedule}, and at once where the registry "
            "sends events."
        )
    elif kind not in ("", "manual"):
        raise PolicyError(f"there is no trigger {shown(kind)} of replication rules")
    if fields.optional_flag("enabled") is False and schedule != MANUAL:
        notes.append(
            f"It was disabled in Harbor, so that it runs by hand alone; its schedule was "
            f"{shown(schedule)}."
        )
        schedule = MANUAL
    return schedule, zone


def _note_the_rest(fields: Fields, notes: list[str]) -> None:
    if fields.optional_flag("replicate_deletion") or fields.optional_flag("deletion"):
        notes.append("It deleted at the target what was deleted at the source; policies do not.")
    speed = fields.optional_number("speed")
    if speed is not None and speed > 0:
        notes.append(
            f"It was limited to {speed:g} KB/s; that is bytes_per_second of a connection here."
        )


def _target_repository(fields: Fields, repository: str) -> str:
    """Return where a repository goes.

    Source: Harbor, `replaceNamespace`: of a/b/c with namespace n, -1 gives n/c, 0 n/a/b/c, 1 n/b/c,
    2 n/c and 3 n.
    """
    parts = repository.replace(STAR, NAME_PLACEHOLDER).split("/")
    namespace = fields.said("dest_namespace")
    if not namespace:
        return "/".join(parts)
    count = fields.optional_number("dest_namespace_replace_count")
    replaced = LEGACY if count is None else int(count)
    if replaced > len(parts):
        raise PolicyError(
            f"it replaces {replaced} parts of the name {shown(repository)}, which has {len(parts)}"
        )
    rest = parts[-1:] if replaced < 0 else parts[replaced:]
    far = "/".join([namespace, *rest])
    if STAR in repository and NAME_PLACEHOLDER not in far:
        raise PolicyError(
            f"it brings all repositories of {shown(repository)} into one, {shown(far)}"
        )
    return far
