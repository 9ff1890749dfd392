from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from sandbox.certificates import CertificateAuthority, TlsFiles
from sandbox.ports import LOOPBACK


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), name="The Test CA")


def _handshake(files: TlsFiles, client: ssl.SSLContext, name: str) -> None:
    """Let a client that asks for a name meet a server with a certificate."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate, files.key)
    server_side, client_side = socket.socketpair()

    def serve() -> None:
        with server_side:
            try:
                server_context.wrap_socket(server_side, server_side=True).close()
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_side:
            client.wrap_socket(client_side, server_hostname=name).close()
    finally:
        thread.join()


@pytest.mark.parametrize("name", [LOOPBACK, "::1", "localhost"])
def test_a_client_that_trusts_the_ca_trusts_its_servers(
    authority: CertificateAuthority, name: str
) -> None:
    client = authority.client_context()
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    _handshake(authority.server(), client, name)


def test_a_client_that_does_not_know_the_ca_distrusts_its_servers(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    stranger = CertificateAuthority.create(tmp_path).client_context()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        _handshake(authority.server(), stranger, LOOPBACK)


def test_an_expired_certificate_is_refused_as_such(authority: CertificateAuthority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        _handshake(authority.expired(), authority.client_context(), LOOPBACK)


def test_a_certificate_of_another_host_is_refused_as_such(authority: CertificateAuthority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _handshake(authority.wrong_host(), authority.client_context(), LOOPBACK)


def test_private_keys_are_readable_by_their_owner_alone(authority: CertificateAuthority) -> None:
    assert authority.issue("private").key.stat().st_mode & 0o077 == 0
