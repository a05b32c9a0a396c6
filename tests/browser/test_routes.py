"""What the running server answers beside the page's events."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

import httpx

from app.store import Store

from .conftest import Server


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, timeout=20, trust_env=False)


def test_health_tells_when_the_model_is_ready(scripted: Callable[..., Server], shared: Server) -> None:
    assert get(shared, "/health").status_code == 200
    loading = get(scripted(loading=30.0), "/health")
    assert (loading.status_code, loading.json()["status"]) == (503, "loading")


def test_the_page_is_ours_from_the_first_line(shared: Server) -> None:
    page = get(shared, "/")
    assert page.headers["cache-control"] == "no-store"
    head = page.text.split("<head>", 1)[1]
    assert head.startswith("<script>")
    styles = re.findall(r'<link rel="stylesheet" href="(/fireside/[^"]+)"', head)
    scripts = re.findall(r'<script type="module" async src="(/fireside/[^"]+)"', head)
    assert styles
    assert scripts
    for path in (*styles, *scripts):
        response = get(shared, path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]


def test_gradio_endpoints_beyond_the_page_are_closed(shared: Server) -> None:
    for path in (
        "/gradio_api/info",
        "/gradio_api/token",
        "/gradio_api/file=/etc/passwd",
        "/monitoring/summary",
    ):
        response = get(shared, path)
        assert response.status_code == 404
        assert "content-security-policy" in response.headers
    assert get(shared, "/", Host="evil.invalid").status_code == 421


def test_export_names_the_file_safely(scripted: Callable[..., Server]) -> None:
    server = scripted()
    server.stop()
    with Store.open(server.log.parent / "data") as store:
        chat = store.conversations.create(title='"naïve"; x=/../\r\nX: y')
        store.messages.add(chat.id, parent_id=None, role="user", content="hi there")
    server.start()
    response = get(server, f"/export/md/{chat.id}")
    assert response.headers["content-disposition"].startswith('attachment; filename="')
    assert unquote(response.headers["content-disposition"]).endswith("''naïve x .. X y.md")
    assert "x" not in response.headers
    assert "hi there" in response.text
    assert get(server, "/export/md/nothing").status_code == 404
    assert get(server, f"/export/exe/{chat.id}").status_code == 404
    everything = get(server, "/export/json")
    assert [each["id"] for each in everything.json()["conversations"]] == [chat.id]
    archive = get(server, "/export/llama.cpp/" + chat.id)
    assert "hi there" in archive.text
