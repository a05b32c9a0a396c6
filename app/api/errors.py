"""What goes wrong with a request, as clients of OpenAI's API read it: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from app.errors import AppError
from app.models import ModelUnavailable
from app.remote.errors import BreakerOpen, Overloaded, Rejected, RemoteError, Starting, Unreachable
from app.store.text import storable
from engine import ContextOverflow, EngineClosed, EngineError, InvalidPrompt, InvalidSampling
from engine.errors import EngineBusy, InvalidSchema, InvalidTools, TemplateError

# Clients wait so long before they ask again; an answer of a small model takes about that.
RETRY_SECONDS = 2
MAX_MESSAGE_CHARACTERS = 500
FIELD = re.compile(r"(?!(?:str|int|float|bool|dict|list)$)[a-z_]+")


class ApiError(AppError):
    """A request that is refused.

    status: of HTTP. type, param, code: as OpenAI's API has them; param: the field at fault. retry: whether the same
    request may succeed a little later.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {}) | ({"Retry-After": str(RETRY_SECONDS)} if retry else {})

    def body(self) -> dict[str, Any]:
        """The envelope."""
        message = " ".join(storable(str(self)).split())[:MAX_MESSAGE_CHARACTERS]
        return {"error": {"message": message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The envelope with its status."""
        return JSONResponse(self.body(), self.status, headers={"Cache-Control": "no-store"} | self.headers)


def api_error(error: Exception) -> ApiError | None:
    """What a client is told of an error; None for one that nobody expects."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return ApiError("the body is not JSON that can be read", error.status_code)
        case ContextOverflow():
            return ApiError(str(error), param="messages", code="context_length_exceeded")
        case InvalidSchema():
            return ApiError(str(error), param="response_format", code="invalid_json_schema")
        case InvalidTools():
            return ApiError(str(error), param="tools", code="invalid_tools")
        case Rejected():
            return ApiError(str(error))
        case Overloaded():
            return ApiError(str(error), 429, type="rate_limit_error", code="queue_full", retry=True)
        case Starting() | Unreachable() | BreakerOpen():
            return ApiError(str(error), 503, type="server_error", code="model_not_ready", retry=True)
        case RemoteError():
            return ApiError(str(error), 502, type="server_error")
        case InvalidSampling():
            return ApiError(str(error), param=error.setting)
        case InvalidPrompt() | TemplateError():
            return ApiError(str(error))
        case EngineBusy():
            return ApiError(str(error), 429, type="rate_limit_error", code="queue_full", retry=True)
        case EngineClosed() | ModelUnavailable():
            return ApiError(str(error), 503, type="server_error", code="model_not_ready", retry=True)
        case EngineError():
            return ApiError(str(error), 500, type="server_error")
        case _:
            return None


def _invalid(error: RequestValidationError) -> ApiError:
    """Of what pydantic found, the first; of a field that may be of several types, what fits the given one best."""
    errors = error.errors()
    if errors[0]["type"] == "json_invalid":
        return ApiError(f"the body is not JSON: {errors[0]['ctx']['error']} at character {errors[0]['loc'][-1]}")
    field = _field(errors[0])
    found = max((each for each in errors if _field(each)[: len(field)] == field), key=lambda each: len(_field(each)))
    if not (field := _field(found)):
        return ApiError("the body must be a JSON object")
    name = ".".join(map(str, field))
    return ApiError(f"{name}: {found['msg']}", param=name)


def _field(error: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where it is in the body, without the types that pydantic names there."""
    return tuple(part for part in error["loc"][1:] if isinstance(part, int) or FIELD.fullmatch(part))
