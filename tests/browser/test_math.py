"""Formulas in answers: drawn by our own copy of KaTeX, and nothing else taken for one."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import Server, answers, message_box
from .test_sidebar import converse

Open = Callable[..., Page]

ANSWER = r"""Mass $m$ and \(a_1*b*c\), for $5 and $10, or `$code$`.

$$
\begin{aligned}
E &= mc^2 \\
- p &= 0
\end{aligned}
$$

\[ \int_0^1 x\,dx \]

- a list with $\frac{1}{2}$

Broken: $\frac{1}{$ and $\nosuchcommand{1}$. Harmful: $\href{javascript:window.pwned=1}{x}$
$\includegraphics{http://picture.invalid/a.png}$
"""


def test_formulas_are_drawn_and_money_is_not(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "to be written anew")
    answers(page).get_by_role("button", name="Edit").click()
    answers(page).get_by_role("textbox", name="Edit message").fill(ANSWER)
    answers(page).get_by_role("button", name="Save").click()
    shown = answers(page)
    expect(shown.locator(".fs-math .katex")).to_have_count(5)
    expect(shown.locator(".fs-math-display .katex-display")).to_have_count(2)
    expect(shown).to_contain_text("for $5 and $10, or $code$.")
    for broken in (r"$\nosuchcommand{1}$", r"$\href{javascript:window.pwned=1}{x}$", r"$\includegraphics{http:"):
        expect(shown).to_contain_text(broken)
    expect(shown.locator("a, img")).to_have_count(0)
    assert page.evaluate("window.pwned") is None
    # It is read out as MathML.
    expect(shown.locator("math").first).to_be_attached()
    assert page.evaluate("document.fonts.check('16px KaTeX_Math')")
    message_box(page).focus()
