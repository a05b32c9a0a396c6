"""What every route of the API does around its own work: its refusals are envelopes, and it is counted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import ClientGone
from app.api.errors import ApiError, api_error
from app.api.metrics import Metrics

# nginx's, for a request whose client closed the connection: it is counted, nobody reads it.
CLIENT_CLOSED = 499


def route_class(metrics: Metrics, authorise: Callable[[Request], None]) -> type[APIRoute]:
    """The class of the routes of one server. authorise: raises ApiError for a request that may not be answered."""

    class ApiRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    authorise(request)
                    if self.body_field is not None:
                        _check_type(request)
                    response = await handler(request)
                except ClientGone:
                    response = Response(status_code=CLIENT_CLOSED)
                except Exception as error:
                    if (known := api_error(error)) is None:
                        metrics.answered(self.path, 500)
                        raise
                    response = known.response()
                metrics.answered(self.path, response.status_code)
                return response

            return handle

    return ApiRoute


def _check_type(request: Request) -> None:
    # Pages of other sites may send plain text without being asked whether they may, but not JSON.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(f"the body must be application/json, not {kind or 'untyped'!r:.60}", 415)
