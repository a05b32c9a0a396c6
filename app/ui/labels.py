"""Gradio's own labels: written in English, shown in the page's language by Gradio."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.ui.language import SIMPLIFIED_CHINESE
from app.ui.zh import drawer

I18N = gr.I18n(**{"en": {text: text for text in drawer.CHINESE}, SIMPLIFIED_CHINESE: drawer.CHINESE})


def label(text: str) -> Any:
    """A label, help or placeholder of a Gradio component; its Chinese is in `app/ui/zh/drawer.py`."""
    return I18N(text)
