"""Gradio's theme: the ember accent, stone neutrals and the system's own fonts."""

from __future__ import annotations

from gradio.themes import Base
from gradio.themes.utils.colors import Color, stone
from gradio.themes.utils.sizes import radius_md

EMBER = Color(
    name="ember",
    c50="#fdf5f0",
    c100="#fae7db",
    c200="#f3ccb4",
    c300="#eaab86",
    c400="#df8656",
    c500="#d06a37",
    c600="#bf5a28",
    c700="#9c4820",
    c800="#7c3b1d",
    c900="#5f2f19",
    c950="#33180c",
)

# Plain names only: nothing is fetched. CJK faces follow the Latin ones.
SANS = (
    "Inter",
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Helvetica Neue",
    "Arial",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Noto Sans Mono", "monospace")


def build_theme() -> Base:
    """Colours come from the variables of assets/css/tokens.css, so that light and dark are told in one place."""
    theme = Base(
        primary_hue=EMBER,
        secondary_hue=EMBER,
        neutral_hue=stone,
        font=SANS,
        font_mono=MONO,
        radius_size=radius_md,
    )
    both = {
        "body_background_fill": "var(--fs-page)",
        "body_text_color": "var(--fs-text)",
        "body_text_color_subdued": "var(--fs-muted)",
        "background_fill_primary": "var(--fs-page)",
        "background_fill_secondary": "var(--fs-side)",
        "block_background_fill": "transparent",
        "block_label_text_color": "var(--fs-text)",
        "block_title_text_color": "var(--fs-text)",
        "block_info_text_color": "var(--fs-muted)",
        "border_color_primary": "var(--fs-line)",
        "border_color_accent": "var(--fs-accent)",
        "color_accent_soft": "var(--fs-accent-soft)",
        "input_background_fill": "var(--fs-field)",
        "input_background_fill_focus": "var(--fs-field)",
        "input_border_color": "var(--fs-line)",
        "input_border_color_focus": "var(--fs-accent)",
        "input_placeholder_color": "var(--fs-faint)",
        "button_secondary_background_fill": "var(--fs-field)",
        "button_secondary_background_fill_hover": "var(--fs-hover)",
        "button_secondary_border_color": "var(--fs-line)",
        "button_secondary_text_color": "var(--fs-text)",
        "slider_color": "var(--fs-accent)",
    }
    single = {
        "block_border_width": "0px",
        "block_padding": "0px",
        "block_shadow": "none",
        "input_shadow": "none",
        "input_shadow_focus": "none",
        "input_radius": "10px",
        "input_text_size": "13.5px",
        "block_title_text_size": "13px",
        "block_title_text_weight": "500",
        "button_secondary_shadow": "none",
        "layout_gap": "0px",
        "form_gap_width": "0px",
    }
    return theme.set(**single, **both, **{f"{name}_dark": value for name, value in both.items()})
