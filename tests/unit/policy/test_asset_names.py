from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.asset_names import asset_name, asset_uri, named_repository


@pytest.mark.parametrize("repository", ["website", "dev/website", "dev/*", "a/b/c"])
def test_an_asset_tells_which_repository_it_stands_for(repository: str) -> None:
    name, uri = asset_name("dev_registry", repository), asset_uri("dev_registry", repository)

    assert (name, uri) == (f"dev_registry/{repository}", f"oci://dev_registry/{repository}")
    assert named_repository(name, uri) == ("dev_registry", repository)


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("dev_registry/website", "s3://dev_registry/website"),
        ("dev_registry/website", "oci://dev_registry/shop"),
        ("dev_registry", "oci://dev_registry"),
        ("dev_registry/", "oci://dev_registry/"),
        ("", ""),
    ],
)
def test_an_asset_of_somebody_else_stands_for_none(name: str, uri: str) -> None:
    assert named_repository(name, uri) is None


@given(st.text(), st.text())
def test_any_asset_is_ours_or_not(name: str, uri: str) -> None:
    named = named_repository(name, uri)
    assert named is None or asset_name(*named) == name
