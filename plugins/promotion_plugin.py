"""The only module of ours that Airflow's plugin loader imports: it makes the product known.

Every task process loads it too, so it imports nothing heavy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.configuration import conf

# Behind a proxy Airflow's server may have a prefix, by which the frames' addresses begin too.
_BASE = urlsplit(str(conf.get("api", "base_url", fallback="") or "")).path.rstrip("/")
_PAGES = f"{_BASE}/image-promotion"


def _forks_tasks(arguments: Sequence[str]) -> bool:
    """Say whether the program of Airflow's with these arguments is one that tasks are forked from.

    Celery's workers are, too, and do not load plugins; they have a setting of their own for it.
    """
    return arguments[:1] == ["scheduler"] and "LocalExecutor" in str(conf.get("core", "executor"))


class ImagePromotionPlugin(AirflowPlugin):
    """Adds the Promotions page and the webhooks to Airflow's server."""

    name = "image_promotion"

    external_views = [  # noqa: RUF012 - Airflow takes away from it what it cannot show
        {
            "name": "Promotions",
            "href": f"{_PAGES}/",
            "destination": "nav",
            "url_route": "promotions",
            "nav_top_level": True,
        },
        {
            "name": "Promotions",
            "href": f"{_PAGES}/policies/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "promotion_policy",
        },
        {
            "name": "Promotions",
            "href": f"{_PAGES}/runs/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "promotions_of_run",
        },
        {
            "name": "Promotions",
            "href": f"{_PAGES}/tasks/{{DAG_ID}}/{{RUN_ID}}"
            "?task={TASK_ID}&map_index={MAP_INDEX}",
            "destination": "task_instance",
            "url_route": "promotions_of_task",
        },
    ]

    @classmethod
    def on_load(cls, *_: object, **__: object) -> None:
        """Load what tasks need, where each task begins as a copy (a fork) of this process.

        Each would load it anew otherwise, which is more than half of what a small task costs.
        """
        if _forks_tasks(sys.argv[1:]):
            import image_promotion.dag_builder  # noqa: PLC0415 - see above
            import image_promotion.operators.execution  # noqa: F401, PLC0415 - see above

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow reads it, no more
        """What Airflow's server mounts; a property, so that no other process imports it."""
        from image_promotion.web.application import (  # noqa: PLC0415 - see above
            application,
        )

        return [{"app": application(), "url_prefix": "/image-promotion", "name": "Image promotion"}]
