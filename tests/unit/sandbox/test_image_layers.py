from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

from sandbox.image_layers import Layer, base_layer, noise_layer, sha256


def _members(layer: Layer) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer.content)) as archive:
        return archive.getmembers()


def test_equal_files_make_equal_layers_whatever_their_times_and_modes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path, mode, moment in ((first, 0o600, 1_000_000), (second, 0o755, 2_000_000)):
        path.write_bytes(b"the same")
        path.chmod(mode)
        os.utime(path, (moment, moment))
    assert Layer.from_files({"srv/file": first}) == Layer.from_files({"srv/file": second})


def test_the_order_in_which_files_are_named_does_not_matter() -> None:
    assert Layer.from_files({"a": b"1", "b": b"2"}) == Layer.from_files({"b": b"2", "a": b"1"})


def test_another_content_is_another_digest() -> None:
    assert Layer.from_files({"a": b"1"}).digest != Layer.from_files({"a": b"2"}).digest


def test_the_diff_id_is_the_digest_of_the_uncompressed_archive() -> None:
    layer = Layer.from_files({"srv/file": b"content"})
    assert layer.compressed
    assert layer.digest == sha256(layer.content)
    assert layer.diff_id == sha256(gzip.decompress(layer.content))


def test_bytes_taken_as_a_layer_are_described_as_the_files_they_came_from() -> None:
    layer = Layer.from_files({"srv/file": b"content"})
    assert Layer.of(layer.content) == layer


def test_bytes_that_are_not_gzip_are_an_uncompressed_layer() -> None:
    layer = Layer.of(b"an archive")
    assert not layer.compressed
    assert layer.digest == layer.diff_id == sha256(b"an archive")


def test_folders_come_before_what_is_in_them() -> None:
    members = _members(Layer.from_files({"srv/deep/file": b"", "etc/file": b""}))
    assert [(member.name, member.isdir()) for member in members] == [
        ("etc", True),
        ("etc/file", False),
        ("srv", True),
        ("srv/deep", True),
        ("srv/deep/file", False),
    ]


def test_the_base_layer_is_a_few_megabytes_of_real_files() -> None:
    layer = base_layer()
    files = {member.name: member for member in _members(layer)}
    assert 1_000_000 < len(layer.content) < 10_000_000
    assert files["usr/lib/python3/json/decoder.py"].size > 0


def test_noise_does_not_compress_and_depends_on_its_seed() -> None:
    layer = noise_layer(100_000, "a")
    assert len(layer.content) >= 100_000
    assert noise_layer(100_000, "a") == layer
    assert noise_layer(100_000, "b") != layer
