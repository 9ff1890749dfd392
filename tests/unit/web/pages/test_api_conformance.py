"""The JSON API keeps to its own description, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import schemathesis
from airflow.api_fastapi.app import create_auth_manager
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.result import Err, Ok

from image_promotion.web.pages.access import readable_dags
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.routes import add_pages
from tests.unit.web.pages.conftest import Pages, open_pages
from tests.unit.web.pages.populated import DIGESTS, POLICIES, populate

Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]
Case: TypeAlias = schemathesis.Case[Any]

_EXAMPLES = 10


def _described() -> list[Operation]:
    """Read the API's description; half of what is asked for will be there."""
    app = FastAPI(openapi_url=None)
    add_pages(app, Site())
    app.dependency_overrides[readable_dags] = lambda: frozenset(POLICIES)
    known = {
        "connections": {"values": ["dev_registry", "qa_registry"]},
        "digests": {"values": list(DIGESTS.values())},
        "policies": {"values": list(POLICIES)},
        "tags": {"values": list(DIGESTS)},
    }
    config = SchemathesisConfig.from_dict(
        {
            "dictionaries": known,
            # Here somebody is put in the place of whom Airflow would find; the other test asks it.
            "checks": {
                "ignored_auth": {"enabled": False},
                "negative_data_rejection": {"expected-statuses": ["4xx"]},
                # Whether a tag is one of the policy's source, no description can say.
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "400", "401", "403", "404"]
                },
            },
            "parameters": {
                "path.connection_id": {"dictionary": "connections", "probability": 0.5},
                "path.name": {"dictionary": "policies", "probability": 0.5},
                "path.digest": {"dictionary": "digests", "probability": 0.5},
                "query.tag": {"dictionary": "tags", "probability": 0.5},
            },
        }
    )
    api = schemathesis.openapi.from_asgi("/api/openapi.json", app, config=config)
    return [_readable(each) for each in api.get_all_operations()]


def _readable(described: Ok[Operation] | Err[InvalidSchema]) -> Operation:
    if isinstance(described, Err):
        raise described.err()
    return described.ok()


each_operation = pytest.mark.parametrize("operation", _described(), ids=lambda each: each.label)
bounded = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # the request that fails is short enough as it is
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def served(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages, with something of everything to show."""
    with open_pages(tmp_path_factory.mktemp("pages"), migrated) as pages:
        populate(pages)
        yield pages


def _some(operation: Operation) -> st.SearchStrategy[Case]:
    """Generate requests that the description allows, and such as it does not."""
    return st.one_of(*(operation.as_strategy(mode) for mode in schemathesis.GenerationMode))


def _shows_a_token(case: Case) -> bool:
    """Say whether a request names a token, which Airflow then finds to be none of its own."""
    scheme, _, token = str(case.headers.get("Authorization", "")).partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def _is_refused_unread(answer: schemathesis.Response) -> bool:
    """Say whether a body was too large, or no text, or no JSON."""
    if answer.status_code == 422:
        return {each["type"] for each in answer.json()["detail"]} == {"json_invalid"}
    return answer.status_code in {400, 413}


@each_operation
@bounded
@given(data=st.data())
def test_every_answer_is_as_described_and_none_is_a_server_error(
    served: Pages, operation: Operation, data: st.DataObject
) -> None:
    served.seen_by(*POLICIES)

    data.draw(_some(operation)).call_and_validate(app=served.app)


@each_operation
@bounded
@given(data=st.data())
def test_who_has_not_signed_in_gets_nothing(
    served: Pages, operation: Operation, data: st.DataObject
) -> None:
    create_auth_manager()  # Airflow's own, which is asked about invented tokens
    served.seen_by_nobody()
    case = data.draw(_some(operation))

    answer = case.call(app=served.app)

    # A body is read before anybody is asked, and refused when it is none.
    if case.method == "GET" or not _is_refused_unread(answer):
        assert answer.status_code == (403 if _shows_a_token(case) else 401)
    case.validate_response(answer)
