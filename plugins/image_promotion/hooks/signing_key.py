"""The connection type `signing_key`: a private key that signs, and its Test button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from image_promotion.errors import ConnectionSettingsError
from image_promotion.hooks.lookup import require_connection

if TYPE_CHECKING:
    from image_promotion.evidence.trust.signing import PrivateSigningKey


class SigningKeyHook(BaseHook):
    """Gives the private key of an Airflow connection, to sign with.

    Args:
        signing_key_conn_id: The id of a connection of type ``signing_key``.
    """

    conn_name_attr = "signing_key_conn_id"
    default_conn_name = "signing_key_default"
    conn_type = "signing_key"
    hook_name = "Signing key"

    def __init__(self, signing_key_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.signing_key_conn_id = signing_key_conn_id

    def signing_key(self) -> PrivateSigningKey:
        """Return the private key that the connection holds.

        Returns:
            The key.

        Raises:
            ConnectionSettingsError: There is no such connection, or no key in it that can be used.
        """
        # Not every process that loads hooks pays for the cryptography.
        from image_promotion.evidence.trust.signing import signing_key_of  # noqa: PLC0415

        connection = require_connection(
            self.signing_key_conn_id,
            advice="Make it in Admin, Connections, of the type Signing key.",
        )
        return signing_key_of(
            self.signing_key_conn_id,
            conn_type=connection.conn_type,
            password=connection.password,
            extra=connection.extra_dejson,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Read the key, and say which one it is; it asks nobody.

        Returns:
            Whether it can sign, and what to show to the person who pressed the button.
        """
        try:
            key = self.signing_key()
        except ConnectionSettingsError as error:
            return False, str(error)
        return True, f"The key {key.key_id} ({key.public.kind}) can sign."


def find_signing_key(connection_id: str) -> PrivateSigningKey:
    """Return the key of an Airflow connection.

    Args:
        connection_id: The connection's id.

    Returns:
        The key.

    Raises:
        ConnectionSettingsError: The connection cannot be used as it is written.
    """
    return SigningKeyHook(connection_id).signing_key()
