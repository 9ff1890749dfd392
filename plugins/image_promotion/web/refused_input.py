"""What is said of input that is not as the API's description has it."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette import status


def say_what_is_refused(_request: Request, error: Exception) -> Response:
    """Answer with what is wrong and where, and without the input itself.

    It may be long, it may be secret, and half a character in it would be no UTF-8.

    Args:
        error: What FastAPI found.

    Returns:
        The answer, in FastAPI's own form.
    """
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    return JSONResponse(
        {
            "detail": [
                {"type": each["type"], "loc": list(each["loc"]), "msg": each["msg"]}
                for each in found
            ]
        },
        status_code=status.HTTP_422_UNPROCESSABLE_CONTENT,
    )
