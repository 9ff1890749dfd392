from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.cli.places import Place, parse_place
from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.digest import Digest

DIGEST = Digest.of(b"an image")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("localhost:5000/a/b:1", Place("a/b", "1", registry="localhost:5000")),
        ("debian:12", Place("library/debian", "12", registry="docker.io")),
        (
            f"registry.example.com/a@{DIGEST}",
            Place("a", digest=DIGEST, registry="registry.example.com"),
        ),
        # A host may be called like one of the other two ways.
        ("conn:5000/a:1", Place("a", "1", registry="conn:5000")),
        ("layout.example/a:1", Place("a", "1", registry="layout.example")),
        ("conn://dev_registry/a/b:1", Place("a/b", "1", connection_id="dev_registry")),
        ("conn://2nd.dev-registry/a", Place("a", connection_id="2nd.dev-registry")),
        (
            f"conn://dev/a:1@{DIGEST}",
            Place("a", "1", DIGEST, connection_id="dev"),
        ),
        ("layout:///mnt/disk//a/b:1", Place("a/b", "1", folder=Path("/mnt/disk"))),
        ("layout://images//a:1", Place("a", "1", folder=Path("images"))),
        ("layout://.//a", Place("a", folder=Path())),
        ("layout://///a:1", Place("a", "1", folder=Path("/"))),
        (
            "layout:///mnt//my disk: 2@home//a:1",
            Place("a", "1", folder=Path("/mnt//my disk: 2@home")),
        ),
    ],
)
def test_each_way_of_writing_a_place_is_read(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("conn://dev", "names no repository"),
        ("conn://dev/", "names no repository"),
        ("conn:///a:1", "no connection's id"),
        ("conn://user:password@host/a:1", "no connection's id"),
        ("conn://dev/A:1", "names no repository"),
        ("conn://dev//a:1", "names no repository"),
        ("conn://dev/a:", "no legal tag"),
        ("conn://dev/a:-1", "no legal tag"),
        ("conn://dev/a@sha256:12", "digest"),
        ("layout://disk/a:1", "names no folder and repository"),
        ("layout:////a:1", "names no folder and repository"),
        ("layout://///", "names no repository"),
        ("layout:///mnt//a b:1", "names no repository"),
        ("layout://", "names no folder and repository"),
        ("layout:// //../a:1", "names no repository"),
        ("https://registry.example.com/a:1", "https://"),
        ("oci://dev/a:1", "oci://"),
        ("", "empty"),
    ],
)
def test_what_names_no_place_is_refused_with_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        parse_place(text)
    assert rule in str(refused.value)
    assert "password" not in str(refused.value)


_NAMES = st.from_regex(r"[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,2}", fullmatch=True)
_TAGS = st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,5}", fullmatch=True)
_FOLDERS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=9)


@settings(max_examples=100, deadline=None)
@given(_FOLDERS, _NAMES, _TAGS, st.sampled_from([None, DIGEST]))
def test_no_name_of_a_folder_confuses_what_follows_it(
    folder: str, repository: str, tag: str | None, digest: Digest | None
) -> None:
    name = repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    # A slash at its end says nothing about a folder, and would move the separator.
    folder = folder.rstrip("/") or "/"
    assert parse_place(f"layout://{folder}//{name}") == Place(
        repository, tag, digest, folder=Path(folder)
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["", "conn://", "layout://", "conn://a/", "layout:a"]))
def test_any_text_is_a_place_or_is_refused(text: str, beginning: str) -> None:
    try:
        place = parse_place(beginning + text)
    except InvalidReferenceError:
        return
    ways = (place.registry, place.connection_id, place.folder)
    assert sum(way is not None for way in ways) == 1
