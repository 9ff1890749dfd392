from __future__ import annotations

from pathlib import Path

import httpx

from sandbox.image_layers import sha256
from sandbox.image_pusher import OCI_MANIFEST
from sandbox.registry_process import RegistryProcess
from sandbox.registry_storage import RegistryStorage


def test_a_registry_serves_what_was_written_into_its_folder(tmp_path: Path) -> None:
    storage = RegistryStorage(tmp_path / "content")
    image = storage.add_image("dev/app", "1.0", layer=b"own", base=b"base")
    other = storage.add_image("dev/app", "2.0", layer=b"other", base=b"base")
    storage.set_tags("dev/app", ["latest", "stable"], other.digest)
    with (
        RegistryProcess.start(tmp_path, logs_requests=True) as registry,
        httpx.Client(base_url=f"{registry.url}/v2/dev/app", trust_env=False) as client,
    ):
        assert sorted(client.get("/tags/list").json()["tags"]) == ["1.0", "2.0", "latest", "stable"]
        answer = client.get("/manifests/1.0", headers={"Accept": OCI_MANIFEST})
        assert sha256(answer.content) == answer.headers["Docker-Content-Digest"] == image.digest
        manifest = answer.json()
        for part in (manifest["config"], *manifest["layers"]):
            content = client.get(f"/blobs/{part['digest']}").content
            assert (sha256(content), len(content)) == (part["digest"], part["size"])
        latest = client.head("/manifests/latest", headers={"Accept": OCI_MANIFEST})
        assert latest.headers["Docker-Content-Digest"] == other.digest
        asked = registry.requests()
    assert asked[-1] == "HEAD /v2/dev/app/manifests/latest"
