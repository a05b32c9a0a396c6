"""The Chromium of this machine, without a screen."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What its address bar shows are pages of its own, some 300 files, which every window loads anew.
ADDRESS_BAR = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup"]
# Of several lists Chromium obeys the last, so here are those of Playwright 1.65 that are for Chromium, too.
BY_PLAYWRIGHT = [
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
]


def executable() -> str | None:
    """Where it is; None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def launch(playwright: Playwright, *, address_bar: bool = True) -> Browser:
    """Start it; without its address bar's pages a new window takes a fifth of the processor time."""
    flags = FLAGS if address_bar else [*FLAGS, f"--disable-features={','.join([*BY_PLAYWRIGHT, *ADDRESS_BAR])}"]
    return playwright.chromium.launch(executable_path=executable(), args=flags)
