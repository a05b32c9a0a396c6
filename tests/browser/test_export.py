"""Exported pages in a real browser: they show whatever a text says, and do nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.store import Store
from app.transfer.exporting import export
from app.transfer.formats import FORMATS
from app.transfer.html import LINKS

# What a text would try: tags, events, addresses, styles, entities, and ends of what it stands in.
ATTACKS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "<svg onload=window.pwned=3>",
    "<iframe src='https://evil.invalid/'></iframe>",
    "</title><script>window.pwned = 4</script>",
    "</style><script>window.pwned = 5</script>",
    "--><script>window.pwned = 6</script><!--",
    "]]><script>window.pwned = 7</script>",
    "<style>@import 'https://evil.invalid/a.css'; body { display: none }</style>",
    "<link rel=stylesheet href=https://evil.invalid/a.css>",
    "<meta http-equiv=refresh content='0; url=https://evil.invalid/'>",
    "<base href=https://evil.invalid/>",
    "<form action=https://evil.invalid/><button autofocus>go</button></form>",
    "<object data=https://evil.invalid/></object>",
    "<a href='javascript:window.pwned=8'>x</a>",
    "<details open ontoggle=window.pwned=9>x</details>",
    "<input autofocus onfocus=window.pwned=10>",
    "<video><source onerror=window.pwned=11></video>",
    "<body onload=window.pwned=12>",
    "<math><mtext></mtext><script>window.pwned=13</script></math>",
    '" onmouseover="window.pwned=14',
    "' autofocus onfocus='window.pwned=15",
    "&lt;script&gt;window.pwned=16&lt;/script&gt;",
    "&#60;script&#62;window.pwned=17&#60;/script&#62;",
    "[x](javascript:window.pwned=18)",
    "[x](JaVaScRiPt&colon;window.pwned=19)",
    "[x](data:text/html;base64,PHNjcmlwdD53aW5kb3cucHduZWQ9MjA8L3NjcmlwdD4=)",
    "[x](vbscript:window.pwned=21)",
    '[x](https://a.invalid "\\" onclick=window.pwned=22")',
    "![x](https://evil.invalid/a.png)",
    "![x](x){onerror=window.pwned=23}",
    "<https://evil.invalid/?q=<script>window.pwned=24</script>>",
    "[x]: https://evil.invalid/ '<script>window.pwned=25</script>'\n\n[x]",
    "```<script>window.pwned=26</script>\ncode\n```",
    '```" onclick="window.pwned=27\ncode\n```',
    "```html\n<script>window.pwned=28</script>\n```",
    "```python\n</code></pre><script>window.pwned=29</script>\n```",
    "`</code><script>window.pwned=30</script>`",
    "    </pre><script>window.pwned=31</script>",
    "| <script>window.pwned=32</script> | b |\n| --- | --- |\n| c | <img src=x onerror=window.pwned=33> |",
    "# <script>window.pwned=34</script>",
    "> <script>window.pwned=35</script>",
    "- <script>window.pwned=36</script>",
    "<scr\x00ipt>window.pwned=37</script>",
    "\u202e<script>window.pwned=38</script>",
    "<ſcript>window.pwned=39</ſcript>",
    "${window.pwned=40} {{constructor.constructor('window.pwned=41')()}} <%= 1 %>",
    "<template><script>window.pwned=42</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=window.pwned=43>'>",
    "<textarea></textarea><script>window.pwned=44</script>",
    "<xmp><script>window.pwned=45</script></xmp>",
    "<embed src=https://evil.invalid/>",
    "<audio src=https://evil.invalid/a.mp3 autoplay></audio>",
    "<div style='background: url(https://evil.invalid/b.png)'>x</div>",
    "<table background=https://evil.invalid/c.png><tr><td>x</table>",
    "<p onpointerover=window.pwned=46>x</p>",
    "<marquee onstart=window.pwned=47>x</marquee>",
    "<isindex action=javascript:window.pwned=48 type=image>",
    "<img srcset='https://evil.invalid/d.png 1x'>",
    "<portal src=https://evil.invalid/></portal>",
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which each text is a title, a system prompt, a question, an answer, a thought and a model's name."""
    folder = tmp_path_factory.mktemp("export")
    with Store.open(folder / "home") as store:
        ids = [_attacked(store, attack) for attack in ATTACKS]
        path = folder / "page.html"
        path.write_bytes(b"".join(export(store, ids, FORMATS["html"]).pieces))
    return path


def _attacked(store: Store, attack: str) -> str:
    chat = store.conversations.create(title=attack, system_prompt=attack)
    question = store.messages.add(chat.id, parent_id=None, role="user", content=attack)
    failed = {"status": "error", "extra": {"error": attack}, "model": attack}
    store.messages.add(chat.id, parent_id=question.id, role="assistant", content=attack, reasoning=attack, **failed)
    return chat.id


def test_hostile_texts_are_shown_and_do_nothing(exported: Path, browser: Browser) -> None:
    assert len(ATTACKS) == 60
    page = browser.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(exported.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("window.pwned") is None
    # Not even tried: that nothing ran is not left to the page's policy.
    assert errors == []
    assert requests == [exported.as_uri()]
    assert (
        page.locator("body :is(script, img, iframe, svg, form, object, embed, style, link, meta, input)").count() == 0
    )
    for link in page.get_by_role("link").all():
        assert (link.get_attribute("href") or "").startswith(LINKS)
    titles = page.locator("main > h1").all_inner_texts()
    assert [" ".join(title.split()) for title in titles] == [
        " ".join(attack.replace("\x00", "").split())[:200] for attack in ATTACKS
    ]
    page.close()


def test_the_page_is_read_in_the_dark_on_a_phone_and_on_paper(exported: Path, browser: Browser) -> None:
    page: Page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.goto(exported.as_uri())
    expect(page.locator("main").first).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(28, 25, 23)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 253, 250)"
    page.close()
