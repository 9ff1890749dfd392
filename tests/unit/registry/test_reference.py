from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.digest import Digest
from image_promotion.registry.reference import (
    Reference,
    is_registry,
    is_repository,
    is_tag,
    split_port,
)

DIGEST = str(Digest.of(b""))


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("debian", "docker.io", "library/debian", None, None),
        ("debian:12", "docker.io", "library/debian", "12", None),
        (f"debian@{DIGEST}", "docker.io", "library/debian", None, DIGEST),
        (f"debian:12@{DIGEST}", "docker.io", "library/debian", "12", DIGEST),
        ("team/site", "docker.io", "team/site", None, None),
        ("docker.io/debian", "docker.io", "library/debian", None, None),
        ("index.docker.io/debian", "docker.io", "library/debian", None, None),
        ("index.docker.io/team/site:1", "docker.io", "team/site", "1", None),
        ("localhost/site", "localhost", "site", None, None),
        ("localhost:5000/site:1.4", "localhost:5000", "site", "1.4", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        ("example.com/a/b/c:X_y-Z.0", "example.com", "a/b/c", "X_y-Z.0", None),
        ("192.168.0.1:8080/site", "192.168.0.1:8080", "site", None, None),
        ("[::1]/site", "[::1]", "site", None, None),
        ("[::1]:5000/site:1", "[::1]:5000", "site", "1", None),
        (f"[fe80::A]:5000/a/b@{DIGEST}", "[fe80::A]:5000", "a/b", None, DIGEST),
        # Upper case can only be a host's, so the first component is one.
        ("Registry/site", "Registry", "site", None, None),
        ("a_b/c__d/e---f/g.h", "docker.io", "a_b/c__d/e---f/g.h", None, None),
        ("0/1", "docker.io", "0/1", None, None),
        ("a-" + "b" * 10, "docker.io", "library/a-" + "b" * 10, None, None),
    ],
)
def test_a_reference_reads_as_docker_reads_it(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert Reference.parse(text).parts() == {
        "registry": registry,
        "repository": repository,
        "tag": tag,
        "digest": digest,
    }


def test_the_full_name_holds_every_part() -> None:
    assert str(Reference.parse("debian")) == "docker.io/library/debian"
    assert str(Reference.parse(f"d:1@{DIGEST}")) == f"docker.io/library/d:1@{DIGEST}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is empty"),
        (" debian", "white space"),
        ("debian\n", "white space"),
        ("https://example.com/site", "begins with https://"),
        ("oci://example.com/site", "begins with oci://"),
        ("a" * 64, "image id"),
        ("Debian", "upper-case letters in its repository"),
        ("example.com/Site", "upper-case letters in its repository"),
        ("team/Site", "upper-case letters in its repository"),
        ("debian:", "no tag after it"),
        ("example.com/site:", "no tag after it"),
        ("debian:-1", "illegal tag"),
        ("debian:.1", "illegal tag"),
        ("debian:1:2", "illegal tag"),
        ("debian:1+2", "illegal tag"),
        ("debian:" + "a" * 129, "tag of 129 characters"),
        ("debian@", "no colon between algorithm and value"),
        ("debian@sha256:abc", "3 characters after the colon"),
        (f"debian@{DIGEST}@{DIGEST}", "characters after the colon"),
        ("debian@md5:" + "a" * 32, "algorithm md5"),
        ("/site", "empty component"),
        ("example.com//site", "empty component"),
        ("team/site/", "empty component"),
        ("example.com/", "names no repository"),
        ("localhost:5000/", "names no repository"),
        ("[::1]:5000", "names a registry and no repository"),
        (":1", "names no repository"),
        (f"@{DIGEST}", "names no repository"),
        ("::1/site", "illegal registry"),
        ("[::1/site", "illegal registry"),
        ("[example]:5000/site", "illegal registry"),
        ("-bad.example.com/site", "illegal registry"),
        ("bad-.example.com/site", "illegal registry"),
        ("a..b/site", "illegal registry"),
        ("under_score.com/site", "illegal registry"),
        ("example.com:/site", "illegal registry"),
        ("example.com:http/site", "illegal registry"),
        ("example.com:65536/site", "illegal registry"),
        ("_site", "illegal component '_site'"),
        ("team/-site", "illegal component '-site'"),
        ("site-", "illegal component 'site-'"),
        ("a___b", "illegal component 'a___b'"),
        ("a._b", "illegal component 'a._b'"),
        ("team/../etc", "illegal component '..'"),
        ("caf\u00e9", "illegal component"),
        ("team/" + "a" * 241, "256 characters of registry and repository"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_rule_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        Reference.parse(text)

    assert rule in refused.value.attempted
    assert refused.value.text == text
    assert refused.value.advice


def test_an_address_without_brackets_is_told_where_they_go() -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        Reference.parse("::1/site")

    assert "[::1]:5000" in refused.value.advice


def test_registry_and_repository_share_255_characters() -> None:
    assert len(str(Reference.parse("docker.io/a/" + "b" * 243))) == 255
    with pytest.raises(InvalidReferenceError):
        Reference.parse("docker.io/a/" + "b" * 244)


components = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
repositories = st.lists(components, min_size=1, max_size=4).map("/".join)
registries = st.from_regex(
    r"((localhost|[A-Za-z0-9]{1,8}(\.[A-Za-z0-9-]{0,3}[a-z0-9]){1,3}|\[[0-9a-f]{0,4}::[0-9a-f]{1,4}\])"
    r"(:[1-9][0-9]{0,3})?|[a-z]{1,5}:[1-9][0-9]{0,3})",
    fullmatch=True,
).filter(is_registry)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
digests = st.binary().map(Digest.of)


@given(registries, repositories, st.none() | tags, st.none() | digests)
def test_what_follows_the_grammar_is_read_part_by_part(
    registry: str, repository: str, tag: str | None, digest: Digest | None
) -> None:
    text = f"{registry}/{repository}"
    text += f":{tag}" if tag is not None else ""
    text += f"@{digest}" if digest is not None else ""

    parsed = Reference.parse(text)

    assert parsed == Reference(registry, repository, tag, digest)
    assert str(parsed) == text


alphabet = st.sampled_from("aZ0/:@.-_[]") | st.sampled_from(
    ["docker.io", "index.docker.io", "localhost", "library/", "sha256:", DIGEST, "::1", "5000"]
)


@given(st.lists(alphabet, max_size=12).map("".join) | st.text())
@example("index.docker.io/docker.io/a")
@example("docker.io/library")
@example("docker.io/localhost")
def test_any_text_is_refused_or_its_full_name_reads_as_itself(text: str) -> None:
    try:
        parsed = Reference.parse(text)
    except InvalidReferenceError as error:
        assert error.advice  # noqa: PT017 - either outcome is right
        return
    assert Reference.parse(str(parsed)) == parsed
    assert str(Reference.parse(str(parsed))) == str(parsed)
    assert is_registry(parsed.registry)
    assert is_repository(parsed.repository)


@pytest.mark.parametrize("text", ["1", "_", "latest", "1.4-stable", "A" * 128])
def test_tags_of_the_grammar_are_tags(text: str) -> None:
    assert is_tag(text)


@pytest.mark.parametrize("text", ["", "-a", ".a", "a" * 129, "a b", "a\n", "a/b", "\u00e9", "%"])
def test_other_texts_are_not_tags(text: str) -> None:
    assert not is_tag(text)


def test_a_repository_has_255_characters_at_most() -> None:
    assert is_repository("a" * 255)
    assert not is_repository("a" * 256)
    assert not is_repository("")
    assert not is_repository("a/../b")


@pytest.mark.parametrize(
    ("registry", "host", "port"),
    [
        ("localhost", "localhost", None),
        ("localhost:5000", "localhost", 5000),
        ("[::1]", "[::1]", None),
        ("[::1]:5000", "[::1]", 5000),
    ],
)
def test_a_registry_comes_apart_into_host_and_port(
    registry: str, host: str, port: int | None
) -> None:
    assert split_port(registry) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "https://canary:canary@host.example/a/b:1",
        "canary:canary@host.example/a/b:1",
        "http://canary@host.example/a",
    ],
)
def test_a_login_that_was_pasted_with_a_url_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        Reference.parse(text)

    assert "canary" not in f"{refused.value} {refused.value.text}"
    assert "***@host.example" in refused.value.text


def test_a_digest_is_no_login() -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        Reference.parse("Team/App:1@sha256:1234")

    assert refused.value.text == "Team/App:1@sha256:1234"
