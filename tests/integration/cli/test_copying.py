"""`promotion copy` between real registries and folders, by the installed command."""

from __future__ import annotations

import base64
import json
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import OCI_INDEX, OCI_MANIFEST, ImagePusher, PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.token_service import TokenService, User
from tests.integration.cli.conftest import (
    PASSWORD,
    PROMOTION,
    SOURCE,
    TARGET,
    TIMEOUT_S,
    USER,
    Workplace,
    connection,
)
from tests.integration.registry.raw_http import RawRegistry
from tests.support.attachments import SBOM_TYPE, Built, artifact, cosign_manifest, list_of
from tests.support.json_shape import Record, records
from tests.support.listeners import SilentListener


@pytest.fixture
def target(place: Workplace) -> RawRegistry:
    return RawRegistry(place.target)


@pytest.fixture
def pusher(place: Workplace) -> Iterator[ImagePusher]:
    with ImagePusher(place.source.url, auth=(USER, PASSWORD)) as pusher:
        yield pusher


def one(document: object) -> Record:
    return records([document])[0]


def push_index(pusher: ImagePusher, tag: str = "2.0") -> PushedImage:
    return pusher.push_index(
        SOURCE,
        tag,
        images={
            "linux/amd64": [noise_layer(3000, "amd64")],
            "linux/arm64/v8": [noise_layer(3000, "arm64")],
            "linux/s390x": [noise_layer(3000, "s390x")],
        },
    )


def at(registry: RegistryProcess, rest: str) -> str:
    return f"{registry.host}/{rest}"


def anonymously(place: Workplace, **variables: str) -> Workplace:
    """A workplace whose environment has no connections."""
    environment = {name: place.environment[name] for name in ("PATH", "HOME")}
    return replace(place, environment={**environment, **variables})


def test_an_image_is_copied_tagged_and_verified(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    ran = place.promotion("copy", at(place.source, f"{SOURCE}:2.0"), at(place.target, TARGET))
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{place.target.host}/{TARGET}:2.0@{image.digest} is verified: ")
    assert "kB copied, 0 B skipped, 0 B mounted; " in ran.stdout
    assert ran.stdout.count("\n") == 1
    target.assert_holds(TARGET, image)
    assert target.manifest(TARGET, "2.0").content == image.manifest
    assert target.tags(TARGET) == ["2.0"]


def test_a_repeated_copy_sends_nothing(place: Workplace, pusher: ImagePusher) -> None:
    image = push_index(pusher)
    arguments = ("copy", at(place.source, f"{SOURCE}:2.0"), at(place.target, TARGET), "--json")
    first, again = (one(place.promotion(*arguments).json) for _ in range(2))
    assert (first["tag_was_set"], again["tag_was_set"]) == (True, False)
    size_bytes = sum(blob.size_bytes for child in image.children for blob in child.blobs)
    assert (first["bytes_copied"], first["bytes_skipped"]) == (size_bytes, 0)
    assert (again["bytes_copied"], again["bytes_skipped"]) == (0, size_bytes)
    assert first["verified"] == again["verified"]
    assert one(first["verified"])["manifests"] == 4


def test_a_digest_is_copied_under_the_tag_that_is_named(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    push_index(pusher, "3.0")
    source = at(place.source, f"{SOURCE}@{image.children[0].digest}")
    assert place.promotion("copy", source, at(place.target, TARGET)).status == 2
    assert place.promotion("copy", source, at(place.target, f"{TARGET}:new")).status == 0
    assert target.manifest(TARGET, "new").content == image.children[0].manifest


def test_another_image_under_the_tag_is_left_alone_unless_asked(
    place: Workplace, target: RawRegistry
) -> None:
    arguments = ("copy", at(place.source, f"{SOURCE}:1"), at(place.target, TARGET), "--json")
    old = place.push("1", "old")
    assert place.promotion(*arguments).status == 0
    new = place.push("1", "new")
    refused = place.promotion(*arguments)
    assert (refused.status, refused.stdout) == (1, "")
    assert old.digest in refused.stderr
    assert new.digest in refused.stderr
    assert "--overwrite" in refused.stderr
    assert target.manifest(TARGET, "1").digest == old.digest
    assert not target.has_blob(TARGET, new.blobs[-1].digest)
    taken = place.promotion(*arguments, "--overwrite")
    assert taken.status == 0
    assert one(taken.json)["replaced_digest"] == old.digest
    assert f"warning: the tag 1 pointed at {old.digest} before" in taken.stderr
    assert target.manifest(TARGET, "1").digest == new.digest


def test_within_one_registry_blobs_are_mounted(place: Workplace) -> None:
    image = place.push("1", "one")
    source, other = at(place.source, f"{SOURCE}:1"), at(place.source, "another/website")
    done = one(place.promotion("copy", source, other, "--json").json)
    size_bytes = sum(blob.size_bytes for blob in image.blobs)
    assert (done["bytes_copied"], done["bytes_mounted"]) == (0, size_bytes)
    raw = RawRegistry(place.source, auth=(USER, PASSWORD))
    raw.assert_holds("another/website", image)


def test_a_named_connection_brings_its_namespace(place: Workplace, target: RawRegistry) -> None:
    image = place.push("1", "one")
    ran = place.promotion(
        "copy",
        f"conn://dev_registry/{SOURCE}:1",
        "conn://QA_REGISTRY/website:new",
        AIRFLOW_CONN_QA_REGISTRY=connection(place.target.url, extra={"namespace": "team"}),
    )
    assert ran.status == 0
    assert f"{place.target.host}/team/website:new@" in ran.stdout
    target.assert_holds("team/website", image)


def test_an_image_crosses_an_air_gap_by_a_folder(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    disk = f"layout://{place.folder}/my disk//{SOURCE}"
    assert place.promotion("copy", at(place.source, f"{SOURCE}:2.0"), disk).status == 0
    layout = place.folder / "my disk" / SOURCE
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert place.promotion("copy", f"{disk}:2.0", at(place.target, TARGET)).status == 0
    target.assert_holds(TARGET, image)


def test_a_folder_that_is_not_there_is_told_and_not_made(place: Workplace) -> None:
    ran = place.promotion("copy", "layout://nowhere//a:1", at(place.target, TARGET))
    assert ran.status == 1
    assert "no such folder" in ran.stderr
    assert not (place.folder / "nowhere").exists()


def test_the_platforms_asked_for_make_a_new_index(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    amd64, arm64, s390x = image.children
    arguments = ("copy", at(place.source, f"{SOURCE}:2.0"), at(place.target, TARGET), "--json")
    wanted = ("--platform", "linux/s390x", "--platform", "linux/amd64")
    ran = place.promotion(*arguments, *wanted)
    assert ran.status == 0
    done = one(ran.json)
    assert done["platforms"] == ["linux/amd64", "linux/s390x"]
    assert (done["source_digest"], done["signatures_apply"]) == (image.digest, False)
    held = target.manifest(TARGET, "2.0")
    assert held.digest == done["digest"] != image.digest
    assert held.media_type == OCI_INDEX
    entries = json.loads(image.manifest)["manifests"]
    assert json.loads(held.content)["manifests"] == [entries[0], entries[2]]
    for child in (amd64, s390x):
        target.assert_holds(TARGET, child)
    assert not target.has_manifest(TARGET, arm64.digest)
    assert not target.has_blob(TARGET, arm64.blobs[-1].digest)
    [warning] = ran.stderr.splitlines()
    assert warning.startswith("promotion: warning: this is a new index of linux/amd64, linux/s390x")
    assert image.digest in warning
    assert "signatures over the old one" in warning
    assert done["warnings"] == [warning.removeprefix("promotion: warning: ")]
    again = one(place.promotion(*arguments, *wanted).json)
    assert (again["digest"], again["tag_was_set"]) == (done["digest"], False)


def test_a_platform_that_is_not_there_is_told_with_those_that_are(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    push_index(pusher)
    place.push("1", "a single image")
    for tag, there in (("2.0", "linux/amd64, linux/arm64/v8, linux/s390x"), ("1", "linux/amd64")):
        source = at(place.source, f"{SOURCE}:{tag}")
        ran = place.promotion(
            "copy", source, at(place.target, TARGET), "--platform", "linux/riscv64"
        )
        assert (ran.status, ran.stdout) == (1, "")
        assert f"{SOURCE}:{tag}: there is no image for linux/riscv64. There is {there}." in (
            ran.stderr
        )
    assert target.tags(TARGET) == []


def test_a_single_image_of_the_platform_is_copied_as_it_is(place: Workplace) -> None:
    image = place.push("1", "one")
    arguments = ("copy", at(place.source, f"{SOURCE}:1"), at(place.target, TARGET), "--json")
    ran = place.promotion(*arguments, "--platform", "linux/amd64")
    done = one(ran.json)
    assert (done["digest"], done["signatures_apply"]) == (image.digest, True)
    assert (done["platforms"], done["warnings"], ran.stderr) == (["linux/amd64"], [], "")


def attach(pusher: ImagePusher, image: PushedImage, words: str) -> Mapping[str, str]:
    """Attach an SBOM under the fallback tag and a signature under cosign's.

    Returns:
        The digests of the two by these tags.
    """
    digest = Digest.parse(image.digest)
    subject = Descriptor(image.media_type, digest, len(image.manifest))
    sbom = artifact(subject, SBOM_TYPE, f"sbom {words}".encode())
    signature = cosign_manifest(digest, [words])
    listed, signed = fallback_tag(digest), cosign_tags(digest)[0]
    for tag, built in (
        (None, sbom),
        (listed, Built(list_of(sbom.manifest), ())),
        (signed, signature),
    ):
        for blob in built.blobs:
            pusher.push_blob(SOURCE, blob)
        manifest = built.manifest
        pusher.push_manifest_bytes(SOURCE, tag, manifest.content, manifest.media_type)
    return {listed: str(sbom.digest), signed: str(signature.digest)}


def test_what_is_attached_comes_along_when_asked(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    of_index = attach(pusher, image, "of the index")
    of_child = attach(pusher, image.children[1], "of a child")
    arguments = ("copy", at(place.source, f"{SOURCE}:2.0"), at(place.target, TARGET))
    assert one(place.promotion(*arguments, "--json").json)["referrers"] is None
    assert target.tags(TARGET) == ["2.0"]
    ran = place.promotion(*arguments, "--referrers")
    assert ran.status == 0
    assert "; 4 attachments with it; " in ran.stdout
    attached = {**of_index, **of_child}
    assert set(target.tags(TARGET)) == {"2.0", *attached}
    for digest in attached.values():
        assert target.manifest(TARGET, digest).media_type == OCI_MANIFEST
    again = one(place.promotion(*arguments, "--referrers", "--json").json)
    assert one(again["referrers"]) == {"carried": 4, "left_out": 0, "bytes_copied": 0}


def test_of_chosen_platforms_what_is_attached_to_their_images_comes_along(
    place: Workplace, target: RawRegistry, pusher: ImagePusher
) -> None:
    image = push_index(pusher)
    attach(pusher, image, "of the index")
    kept = attach(pusher, image.children[1], "of a child")
    attach(pusher, image.children[0], "of another child")
    ran = place.promotion(
        "copy",
        at(place.source, f"{SOURCE}:2.0"),
        at(place.target, TARGET),
        "--platform",
        "linux/arm64",
        "--referrers",
    )
    assert ran.status == 0
    assert set(target.tags(TARGET)) == {"2.0", *kept}


def test_dockers_login_is_used_where_no_connection_leads(
    place: Workplace, target: RawRegistry
) -> None:
    image = place.push("1", "one")
    arguments = ("copy", at(place.source, f"{SOURCE}:1"), at(place.target, TARGET))
    docker = place.folder / "docker"
    docker.mkdir()
    alone = anonymously(place, DOCKER_CONFIG=str(docker))
    refused = alone.promotion(*arguments)
    assert refused.status == 1
    assert "401" in refused.stderr
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config = docker / "config.json"
    config.write_text(json.dumps({"auths": {place.source.host: {"auth": auth}}}))
    assert alone.promotion(*arguments).status == 0
    target.assert_holds(TARGET, image)


def test_a_credential_helper_is_asked(place: Workplace, tmp_path: Path) -> None:
    place.push("1", "one")
    helper = tmp_path / "docker-credential-sandbox"
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    config = json.dumps({"credHelpers": {place.source.host: "sandbox"}})
    (tmp_path / "config.json").write_text(config)
    alone = anonymously(
        place, DOCKER_CONFIG=str(tmp_path), PATH=f"{tmp_path}:{place.environment['PATH']}"
    )
    arguments = ("copy", at(place.source, f"{SOURCE}:1"), at(place.target, TARGET))
    assert alone.promotion(*arguments).status == 0


def test_an_identity_token_buys_tokens(place: Workplace, tmp_path: Path) -> None:
    token = "canary-identity-token"
    user = User(PASSWORD, {SOURCE: ["pull"]}, identity_token=token)
    with (
        TokenService.start(tmp_path / "tokens", users={USER: user}) as tokens,
        RegistryProcess.start(tmp_path / "closed", token_auth=tokens) as closed,
    ):
        with ImagePusher(closed.url, auth=tokens.pusher_auth(SOURCE)) as pusher:
            push_index(pusher)
        coded = base64.b64encode(f"{USER}:".encode()).decode()
        login = {"auth": coded, "identitytoken": token}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {closed.host: login}}))
        ran = anonymously(place, DOCKER_CONFIG=str(tmp_path)).promotion(
            "copy", at(closed, f"{SOURCE}:2.0"), at(place.target, TARGET)
        )
    assert ran.status == 0
    assert token not in ran.stdout + ran.stderr


def test_a_private_authority_is_trusted_when_it_is_named(place: Workplace, tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    with RegistryProcess.start(tmp_path / "tls", tls=authority.server()) as secure:
        with ImagePusher(secure.url, verify=authority.path) as pusher:
            push_index(pusher)
        connected = connection(secure.url)
        arguments = ("copy", at(secure, f"{SOURCE}:2.0"), f"conn://qa_registry/{TARGET}")
        untrusted = place.promotion(*arguments, AIRFLOW_CONN_SECURE=connected)
        assert untrusted.status == 1
        assert "certificate" in untrusted.stderr
        named = place.promotion(*arguments, "--ca-certificate", str(authority.path))
        assert named.status == 0, named.stderr
        assert place.promotion(*arguments, "--skip-tls-verification").status == 0


def test_a_lost_layer_is_told_and_leaves_no_tag(place: Workplace, target: RawRegistry) -> None:
    image = place.push("1", "one")
    layer = image.blobs[-1].digest.removeprefix("sha256:")
    [lost] = place.source.content.glob(f"**/blobs/sha256/*/{layer}/data")
    lost.unlink()
    ran = place.promotion("copy", at(place.source, f"{SOURCE}:1"), at(place.target, TARGET))
    assert (ran.status, ran.stdout) == (1, "")
    assert layer in ran.stderr
    assert target.tags(TARGET) == []


def test_a_tag_that_is_not_there_is_told_in_words(place: Workplace) -> None:
    ran = place.promotion(
        "copy", at(place.source, f"{SOURCE}:9"), at(place.target, TARGET), "--json"
    )
    assert (ran.status, ran.stdout) == (1, "")
    assert f"{place.source.host}/{SOURCE}:9" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_copy_says_so(place: Workplace, number: signal.Signals) -> None:
    place.push("1", "one")
    with SilentListener() as silent:
        host = silent.url.partition("://")[2]
        places = [at(place.source, f"{SOURCE}:1"), f"{host}/{TARGET}"]
        process = subprocess.Popen(
            # Whoever runs the tests may be deaf to Ctrl-C.
            ["env", "--default-signal=INT", PROMOTION, "copy", *places],
            env=place.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            silent.wait_for_a_caller(process)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 1
    assert stderr == "promotion: interrupted; run it again to go on\n"
    assert not stdout
