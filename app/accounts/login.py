"""The login page, which needs no script, and what becomes of its form."""

from __future__ import annotations

import asyncio
import html
import re
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.accounts.errors import LoginRefused, TooManyAttempts
from app.accounts.people import COOKIE, Accounts, session_token
from app.store.users import LONGEST
from app.ui.assets import address
from app.ui.language import current, t, told
from app.ui.views import sentence
from app.workspace import Workspaces

NO_STORE = {"Cache-Control": "no-store"}
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 8_192
# Where one may be sent after the login: to a chat, or to nothing but the page.
NEXT = re.compile(r"/(?:\?c=[\w-]{1,64})?")


def login_routes(accounts: Accounts, workspaces: Workspaces) -> APIRouter:
    """GET and POST /login, POST /logout, GET /account: {name, admin} of who is logged in, name "" without accounts."""
    router = APIRouter()

    @router.get("/login")
    def login_page(request: Request, next: str = "/") -> Response:
        return _page("", next) if accounts.needed else RedirectResponse("/", 303, NO_STORE)

    @router.post("/login")
    async def log_in(request: Request) -> Response:
        form = await _form(request)
        client = request.client.host if request.client else ""
        try:
            token = await asyncio.to_thread(accounts.log_in, form.get("name", ""), form.get("password", ""), client)
        except LoginRefused as error:
            return _page(str(error), form.get("next", "/"), 401, name=form.get("name", ""))
        except TooManyAttempts as error:
            response = _page(str(error), form.get("next", "/"), 429, name=form.get("name", ""))
            response.headers["Retry-After"] = str(error.seconds)
            return response
        # Whoever was logged in here is not any more: a session that somebody else had set would stay theirs.
        await asyncio.to_thread(accounts.log_out, session_token(request.scope))
        response = RedirectResponse(_next(form.get("next", "/")), 303, NO_STORE)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, max_age=int(LONGEST.total_seconds()), httponly=True, samesite="lax",
                            secure=secure)  # fmt: skip
        return response

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        await asyncio.to_thread(accounts.log_out, session_token(request.scope))
        response = RedirectResponse("/login", 303, NO_STORE)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return response

    @router.get("/account")
    def account(request: Request) -> Response:
        person = workspaces.of(request).person
        return JSONResponse({"name": person.name, "admin": person.admin}, headers=NO_STORE)

    return router


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; none of what is no form or too large for ours."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return {}
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _next(path: str) -> str:
    return path if NEXT.fullmatch(path) else "/"


def _page(error: str, next: str, status: int = 200, *, name: str = "") -> HTMLResponse:
    """The page; a name that was given before is in its field again."""
    said = f'<p class="error" role="alert">{html.escape(sentence(told(error)))}.</p>' if error else ""
    text = PAGE.format(
        language=current.get(),
        base=address(),
        title=t("Log in"),
        said=said,
        next=html.escape(_next(next)),
        name_label=t("Name"),
        name=html.escape(name[:100]),
        password_label=t("Password"),
        button=t("Log in"),
        name_focus="" if name else "autofocus",
        password_focus="autofocus" if name else "",
    )
    return HTMLResponse(text, status, NO_STORE)


PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Fireside</title>
<link rel="icon" type="image/svg+xml" href="{base}/favicon.svg">
<link rel="stylesheet" href="{base}/css/login.css">
</head>
<body>
<main>
<h1><img src="{base}/favicon.svg" alt="" width="34" height="34">Fireside</h1>
<form method="post" action="/login">
{said}
<input type="hidden" name="next" value="{next}">
<label>{name_label}<input name="name" value="{name}" autocomplete="username" autocapitalize="none" required
 maxlength="80" {name_focus}></label>
<label>{password_label}<input name="password" type="password" autocomplete="current-password" required
 maxlength="1000" {password_focus}></label>
<button>{button}</button>
</form>
</main>
</body>
</html>
"""
