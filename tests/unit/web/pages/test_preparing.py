"""What is done when the server starts, and that nothing of it keeps the server from starting."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from image_promotion.web.pages import policy_shelf
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.policy_shelf import PolicyShelf
from image_promotion.web.pages.preparing import prepare
from tests.unit.web.pages.conftest import Pages


def test_the_first_page_finds_the_policies_read(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.write_policy()
    site = Site(lambda: pages.ledger, pages.airflow, PolicyShelf(pages.folder))

    prepare(site)

    monkeypatch.setattr(policy_shelf, "load_policies", None)
    assert list(site.shelf.policies(pages.ledger, ["website-to-qa"])) == ["website-to-qa"]


def test_what_is_wrong_with_the_policies_is_said_and_the_server_starts(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    class Broken(PolicyShelf):
        def written(self) -> dict[str, policy_shelf.ShelvedPolicy]:
            raise OSError("the disk is gone")

    with caplog.at_level(logging.WARNING):
        prepare(Site(shelf=Broken(tmp_path)))

    assert "the disk is gone" in caplog.text
