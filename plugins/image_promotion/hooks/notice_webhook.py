"""An incoming webhook of a chat, behind an Airflow connection: it takes JSON by POST.

Who knows such a URL can post, so it is a secret: it stands in no log, error or rendered field.
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from airflow.sdk.log import mask_secret

from image_promotion.errors import ConnectionSettingsError, DeliveryError
from image_promotion.hooks.lookup import require_connection

TIMEOUT_S = 15.0

_SCHEMES = ("http", "https")
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True, repr=False)
class NoticeWebhook:
    """Where messages are posted to.

    Attributes:
        connection_id: The Airflow connection.
        url: The whole URL.
        authorization: The header of that name; empty for none.
    """

    connection_id: str
    url: str
    authorization: str = ""

    def __repr__(self) -> str:
        return f"NoticeWebhook({self.connection_id!r})"

    def post(self, document: Mapping[str, object]) -> None:
        """Post a document.

        Args:
            document: What is sent as JSON.

        Raises:
            DeliveryError: It was not taken.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "image-promotion"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            self.url, json.dumps(document).encode(), headers, method="POST"
        )
        # Not httpx, which writes the URL to the log.
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_S):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            is_passing = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _PASSING
            raise self._refusal(
                f"was answered {error.code}",
                "Look at the webhook's URL and at what it accepts.",
                retryable=is_passing,
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            said = reason.strerror if isinstance(reason, OSError) else None
            raise self._refusal(
                f"got no answer ({said or type(reason).__name__})",
                "Check the connection's URL, and that workers reach it.",
                retryable=True,
            ) from None

    def _refusal(self, what: str, advice: str, *, retryable: bool) -> DeliveryError:
        return DeliveryError(
            f"the message to the webhook of connection {self.connection_id} {what}",
            advice=advice,
            retryable=retryable,
        )


class _NoRedirect(urllib.request.HTTPErrorProcessor):
    """Follows no redirect: the body would be lost, or go to somebody else; it is an error."""

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        """Refuse what is no success."""
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        raise urllib.error.HTTPError(
            request.full_url, response.status, response.reason, response.headers, response
        )

    https_response = http_response


def find_webhook(connection_id: str) -> NoticeWebhook:
    """Return where an Airflow connection leads to whom messages are posted.

    The URL is the password, when that is one; else it is made of the connection's schema, host and
    port and of `path` in its extras.

    Args:
        connection_id: The connection's id.

    Returns:
        The webhook.

    Raises:
        ConnectionSettingsError: There is no such connection, or it leads nowhere.
    """
    connection = require_connection(
        connection_id,
        advice="Make it in Admin, Connections, of type HTTP, with the webhook's URL as its "
        "password.",
    )
    password = (connection.password or "").strip()
    if urlsplit(password).scheme in _SCHEMES:
        mask_secret(password)
        return NoticeWebhook(connection_id, _checked(password, connection_id, "password"))
    extra = connection.extra_dejson
    host = (connection.host or "").strip().rstrip("/")
    if "://" not in host:
        scheme = connection.schema or extra.get("schema") or "https"
        host = f"{scheme}://{host}{f':{connection.port}' if connection.port else ''}"
    path = str(extra.get("path") or "")
    url = f"{host}/{path.lstrip('/')}" if path else host
    authorization = ""
    if connection.login:
        pair = f"{connection.login}:{password}".encode()
        authorization = f"Basic {base64.b64encode(pair).decode()}"
    elif password:
        authorization = f"Bearer {password}"
    return NoticeWebhook(connection_id, _checked(url, connection_id, "host"), authorization)


def _checked(url: str, connection_id: str, field: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in _SCHEMES and bool(parts.hostname)
        # Reading it is what finds a port that is none.
        is_good = is_good and parts.port != 0 and url.isascii() and url.isprintable()
    except ValueError:
        is_good = False
    if not is_good or " " in url:
        raise ConnectionSettingsError(
            "it leads to no http or https URL",
            connection_id=connection_id,
            field=field,
            advice="Write the webhook's whole URL into the password, or fill in host, port, schema "
            "and `path` in the extras.",
        )
    return url
