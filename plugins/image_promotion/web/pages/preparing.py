"""What the server does when it starts, so that nobody waits for it at the first page."""

from __future__ import annotations

import logging

from sqlalchemy.orm import configure_mappers

from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import environment

log = logging.getLogger(__name__)


def prepare(site: Site) -> None:
    """Compile the templates, read the policies, and have Airflow's models ready to be asked.

    The ledger is left alone: it may be created by then, or be down, and the first page says so.

    Args:
        site: Where pages have what they show from.
    """
    templates = environment()
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)
    try:
        # SQLAlchemy else does it at the first question, for all of Airflow's models at once.
        configure_mappers()
        site.shelf.written()
    except Exception as error:  # noqa: BLE001 - what is wrong is said by the page; Airflow's server starts
        log.warning("the first page will take a moment longer: %s", error)
