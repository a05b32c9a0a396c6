"""The page: Gradio as the frame, our own components where Gradio's event round trip is too slow."""

from __future__ import annotations

import os

# Gradio reads these when it is imported: no version check, no telemetry, no look-up of any host.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from app.ui.stubs import leave_out_stubs

leave_out_stubs()

from app.ui.layout import build_page, mount_page  # noqa: E402

__all__ = ["build_page", "mount_page"]
