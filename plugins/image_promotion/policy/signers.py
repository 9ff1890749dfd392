"""Whose signatures count: the signers of a policy, with what is beside it in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import Strict, Text

FOLDER = "folder"
"""The key of the validation context that holds the folder of the policy file."""

MAX_FILE_SIZE_BYTES = 1024 * 1024
"""The largest key or trust root; Sigstore's own trust root has 7 kB."""


class Signer(Strict):
    """Somebody whose signature counts: a public key, or for keyless signing an identity."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    key: Text | None = Field(
        default=None,
        description="A public key in PEM, as `cosign.pub` has it: ECDSA, Ed25519 or RSA.",
    )
    key_file: Text | None = Field(
        default=None, description="A file with the key, beside the policy or in a folder below."
    )
    identity: Text | None = Field(
        default=None,
        description="Keyless: the identity in the certificate, to the letter, such as "
        "`https://github.com/acme/website/.github/workflows/release.yml@refs/heads/main`.",
    )
    issuer: Text | None = Field(
        default=None,
        description="Keyless: who vouches for the identity, such as "
        "`https://token.actions.githubusercontent.com`.",
    )
    trust_root: Text | None = Field(
        default=None, description="Keyless: the trust root as JSON, instead of a file."
    )
    trust_root_file: Text | None = Field(
        default=None,
        description="Keyless: a file with the trust root, Sigstore's `trusted_root.json` or your "
        "own instance's. Nothing is fetched from the internet.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, value: object, info: ValidationInfo) -> object:
        return _content_of_file(_content_of_file(value, "key", info), "trust_root", info)

    @model_validator(mode="after")
    def _is_one_kind(self) -> Signer:
        keyless = [self.identity, self.issuer, self.trust_root or self.trust_root_file]
        allowed = "key or key_file; or identity, issuer and trust_root_file together"
        if self.key or self.key_file:
            if any(keyless):
                raise RefusalError("has a key and a keyless identity", allowed)
            self._check_key()
        elif not all(keyless):
            raise RefusalError("is incomplete", allowed)
        return self

    def _check_key(self) -> None:
        if self.key is None:
            return
        if "PRIVATE KEY" in self.key:
            # What stands there must not be repeated, and should be replaced by its owner.
            raise RefusalError(
                "is a private key, which nobody but the signer may have", "the public key"
            )
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - rarely needed
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - rarely needed
            load_pem_public_key,
        )

        try:
            load_pem_public_key(self.key.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise RefusalError(
                "has a key that is no public key in PEM",
                "what stands in cosign.pub: -----BEGIN PUBLIC KEY----- and so on",
                at=("key_file",) if self.key_file else ("key",),
            ) from None


def file_beside(name: object, info: ValidationInfo, *, at: tuple[str, ...]) -> Path | None:
    """Find a file that a policy names.

    Args:
        name: What stands there.
        info: The validation, whose context has the policy's folder.
        at: Where it stands.

    Returns:
        The file; None when it is no name, which the model itself refuses, or when a policy is read
        that was recorded: then the content stands beside the name.

    Raises:
        RefusalError: It is outside the folder.
    """
    folder = (info.context or {}).get(FOLDER)
    if not isinstance(folder, Path) or not isinstance(name, str) or not name:
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RefusalError(f"{name!r} leaves the folder of the policies", "a path within it", at=at)
    return folder / path


def _content_of_file(value: object, key: str, info: ValidationInfo) -> object:
    """Put the content of a file beside the policy where its name stands under ``<key>_file``.

    A recorded policy has both, so that it means the same whatever has become of the file.
    """
    file_key = f"{key}_file"
    if not isinstance(value, Mapping) or file_key not in value:
        return value
    path = file_beside(value[file_key], info, at=(file_key,))
    if path is None:
        return value
    if key in value:
        raise RefusalError(f"has {key} and {file_key}", "one of the two")
    return {**value, key: _read(path, at=(file_key,))}


def _read(path: Path, *, at: tuple[str, ...]) -> str:
    try:
        content = path.read_bytes()
        if len(content) > MAX_FILE_SIZE_BYTES:
            raise RefusalError(
                f"{path.name} has more than {MAX_FILE_SIZE_BYTES} bytes",
                "a key, or a trust root",
                at=at,
            )
        return content.decode()
    except OSError as error:
        raise RefusalError(
            f"{path.name} cannot be read: {error.strerror}",
            "a file in the folder of the policies, or below it",
            at=at,
        ) from None
    except UnicodeDecodeError:
        raise RefusalError(f"{path.name} is no text", "a text file in UTF-8", at=at) from None
