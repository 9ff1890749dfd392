"""The overview: each policy with how it stands, and the policy that is looked at closely."""

from __future__ import annotations

from collections.abc import Mapping

from image_promotion.errors import PolicyError
from image_promotion.ledger.chronicle import Tally
from image_promotion.policy.governance import Mode
from image_promotion.policy.model import Policy
from image_promotion.promotion.run_links import run_path
from image_promotion.web.api import models
from image_promotion.web.pages.addresses import dag_path
from image_promotion.web.pages.airflow_state import DagState
from image_promotion.web.pages.choosing import ALL_BY_NAME, Choice, chosen
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.pipeline import arrows_of, nodes_of
from image_promotion.web.pages.policy_shelf import ShelvedPolicy

_EXAMPLE_TAG = "1.4-stable"


def overview(site: Site, readable: frozenset[str], asked: Choice = ALL_BY_NAME) -> models.Overview:
    """Gather what the overview shows.

    Args:
        site: Where it is from.
        readable: The DAGs that whoever asks may see.
        asked: Which policies, and in which order.

    Returns:
        The policies, and the pipeline they make.
    """
    ledger = site.ledger()
    shelved = {
        name: each
        for name, each in site.shelf.policies(ledger, readable).items()
        if _is_found(each.policy, asked.search.strip().casefold())
    }
    tallies = ledger.chronicle.tallies(shelved, site.now())
    states = site.airflow.dags(shelved)
    policies = chosen(
        (_summary(each.policy, tallies[name], states.get(name)) for name, each in shelved.items()),
        asked,
    )
    return models.Overview(policies=policies, nodes=nodes_of(policies), arrows=arrows_of(policies))


def detail(site: Site, readable: frozenset[str], name: str) -> models.PolicyDetail | None:
    """Gather what there is to one policy.

    Args:
        site: Where it is from.
        readable: The DAGs that whoever asks may see.
        name: The policy.

    Returns:
        The policy; None when there is none of this name that they may see.
    """
    ledger = site.ledger()
    shelved = site.shelf.policies(ledger, readable & {name}).get(name)
    if shelved is None:
        return None
    tally = ledger.chronicle.tallies([name], site.now())[name]
    summary = _summary(shelved.policy, tally, site.airflow.dags([name]).get(name))
    return models.PolicyDetail(
        **dict(summary),
        words=shelved.policy.describe(),
        triggers=tuple(part.describe() for part in shelved.policy.criterion.parts),
        examples=_examples(shelved, tally, site),
        file=shelved.file,
        text=shelved.text,
        revision=_revision(site, shelved),
        connections=site.connection_states.of(
            site.registries,
            list(
                dict.fromkeys(
                    (shelved.policy.source.connection, *shelved.policy.target_connections)
                )
            ),
        ),
    )


def _revision(site: Site, shelved: ShelvedPolicy) -> models.Revision:
    if not shelved.file:
        return models.Revision(state=models.GitState.NONE)
    return site.git.of(site.shelf.folder / shelved.file)


def _is_found(policy: Policy, search: str) -> bool:
    where = (
        policy.name,
        policy.description,
        policy.source.connection,
        policy.source.repository,
        *(each.target.connection for each in policy.destinations),
        *(each.target.repository for each in policy.destinations),
    )
    return any(search in each.casefold() for each in where)


def _summary(policy: Policy, tally: Tally, state: DagState | None) -> models.PolicySummary:
    return models.PolicySummary(
        name=policy.name,
        description=policy.description,
        source=models.Repository(
            connection=policy.source.connection, repository=policy.source.repository
        ),
        targets=tuple(
            models.Target(
                connection=each.target.connection,
                repository=each.target.repository,
                tag=each.template,
                timezone=each.target.timezone,
                existing_tag=each.target.existing_tag.value,
            )
            for each in policy.destinations
        ),
        enabled=None if state is None else not state.is_paused,
        schedule=policy.schedule,
        next_run_at=state.next_run_at if state else None,
        last_run=_last_run(policy.name, state),
        promoted=tally.promoted,
        waiting=tally.waiting,
        failing=tally.failing,
        conflicts=tally.conflicts,
        last_result=tally.last.state if tally.last else None,
        audit=policy.mode is Mode.AUDIT,
    )


def _last_run(dag_id: str, state: DagState | None) -> models.LastRun | None:
    if state is None or state.last_run is None:
        return None
    run = state.last_run
    path = run_path(f"{dag_id}/{run.run_id}", "") or dag_path(dag_id)
    return models.LastRun(run_id=run.run_id, state=run.state, at=run.at, path=path)


def _examples(shelved: ShelvedPolicy, tally: Tally, site: Site) -> tuple[models.Example, ...]:
    """Render each template with the tag that was promoted last, or with one that is made up."""
    policy = shelved.policy
    source_tag = tally.last.source_tag if tally.last else _EXAMPLE_TAG
    found = []
    for each in policy.destinations:
        fields: Mapping[str, str | None]
        try:
            fields = {"tag": policy.render_tag(source_tag, site.now(), each)}
        except PolicyError as error:
            fields = {"tag": None, "problem": str(error)}
        found.append(
            models.Example.model_validate(
                {"template": each.template, "source_tag": source_tag, **fields}
            )
        )
    return tuple(found)
