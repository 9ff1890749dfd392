"""What the form shows besides the YAML: the tags that templates make, and when it would run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pendulum
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from image_promotion.errors import PolicyError
from image_promotion.policy.model import MANUAL, Policy
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.tag_template import ANY_GROUP, TagTemplate
from image_promotion.web.api.models import Example
from image_promotion.web.form.drafting import DraftedPolicy
from image_promotion.web.form.fields import PolicyFields
from image_promotion.web.form.vocabulary import CRON

EXAMPLE_TAG = "1.4-stable"
RUNS_SHOWN = 3


def examples(form: PolicyFields, policy: Policy | None, now: datetime) -> tuple[Example, ...]:
    """Render each tag template with the example tag.

    Args:
        form: The form.
        policy: The policy that it means; None while something is wrong, so that the groups of
            expressions are not known.
        now: The moment of the promotion, aware.

    Returns:
        What comes out, template by template.
    """
    tag = form.example_tag.strip() or EXAMPLE_TAG
    if policy is None:
        return tuple(_alone(form, tag, now))
    found = []
    for each in policy.destinations:
        try:
            made, problem = policy.render_tag(tag, now, each), ""
        except PolicyError as error:
            made, problem = None, error.attempted
        found.append(Example(template=each.template, source_tag=tag, tag=made, problem=problem))
    return tuple(found)


def _alone(form: PolicyFields, tag: str, now: datetime) -> Iterator[Example]:
    for target in form.targets:
        zone = _zone(target.timezone)
        for template in filter(None, map(str.strip, target.tag.splitlines())):
            made, problem = None, ""
            try:
                parsed = TagTemplate.parse(template, groups=ANY_GROUP)
                made = parsed.render(tag, now.astimezone(zone), {})
            except (RefusalError, PolicyError) as error:
                problem = error.said if isinstance(error, RefusalError) else error.attempted
            yield Example(template=template, source_tag=tag, tag=made, problem=problem)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name.strip() or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Runs:
    """When a schedule runs.

    Args:
        times: The next times, in the time zone of the schedule; none where people start it.
        zone: That time zone.
    """

    times: tuple[datetime, ...]
    zone: str


def next_runs(form: PolicyFields, drafted: DraftedPolicy, now: datetime) -> Runs:
    """Say when the policy would run, as Airflow's own timetable has it.

    Args:
        form: The form.
        drafted: What it means.
        now: The present moment, aware.

    Returns:
        The next times; none as long as the schedule is none.
    """
    zone = _zone(form.targets[0].timezone if form.targets else "").key
    schedule = form.cron if form.schedule == CRON else form.schedule
    is_wrong = not drafted.text or any(each.key == "schedule" for each in drafted.faults)
    if is_wrong or schedule in {"", MANUAL}:
        return Runs((), zone)
    timetable = CronTriggerTimetable(schedule, timezone=zone)
    times: list[datetime] = []
    after = pendulum.instance(now.astimezone(UTC))
    while len(times) < RUNS_SHOWN:
        restriction = TimeRestriction(earliest=after, latest=None, catchup=True)
        found = timetable.next_dagrun_info(
            last_automated_data_interval=None, restriction=restriction
        )
        if found is None:
            break
        times.append(found.run_after.astimezone(ZoneInfo(zone)))
        after = found.run_after + timedelta(microseconds=1)
    return Runs(tuple(times), zone)
