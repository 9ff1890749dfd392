"""The only module of ours that Airflow's plugin loader imports: it makes the product known.

Every task process loads it too, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.configuration import conf

# Behind a proxy Airflow's server may have a prefix, by which the frames' addresses begin too.
_BASE = urlsplit(str(conf.get("api", "base_url", fallback="") or "")).path.rstrip("/")
_PAGES = f"{_BASE}/image-promotion"


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
    ]

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow reads it, no more
        """What Airflow's server mounts; a property, so that no other process imports it."""
        from image_promotion.web.application import (  # noqa: PLC0415 - see above
            application,
        )

        return [{"app": application(), "url_prefix": "/image-promotion", "name": "Image promotion"}]
