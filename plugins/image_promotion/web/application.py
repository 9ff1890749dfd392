"""The application that Airflow's server mounts."""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI

from image_promotion.web.asset_events import AirflowAssets
from image_promotion.web.connections import usable_endpoint
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.preparing import prepare
from image_promotion.web.pages.routes import add_pages
from image_promotion.web.webhooks import webhook_routes


@cache
def application() -> FastAPI:
    """Return the application, the same one whoever asks.

    Returns:
        The application. Airflow asks nobody who they are before it: each route does.
    """
    app = FastAPI(title="Image promotion", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(webhook_routes(AirflowAssets(), usable_endpoint))
    site = Site()
    add_pages(app, site)
    prepare(site)
    return app
