"""A preset as a JSON file, to keep, to share, and to take back in."""

from __future__ import annotations

import json
from typing import Any

from app.errors import AppError
from app.store import Preset
from app.store.presets import plain_settings
from engine import InvalidSampling

FORMAT = "fireside preset"
VERSION = 1
# A thousand logit biases and sixteen stop strings of a thousand characters fit many times over.
MAX_BYTES = 256 * 1024


class PresetFileError(AppError):
    """The file is no preset, or holds settings that are not possible."""


def write(preset: Preset) -> str:
    """The file's text: format, version, name and settings."""
    content = {"format": FORMAT, "version": VERSION, "name": preset.name, "settings": preset.settings}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def read(data: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the checked settings in a file from anywhere; raises PresetFileError."""
    if len(data) > MAX_BYTES:
        raise PresetFileError(f"the file has {len(data):,} bytes, but a preset has at most {MAX_BYTES:,}")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    # Deep nesting ends in a RecursionError, a number of very many digits in a ValueError.
    except (ValueError, RecursionError) as error:
        raise PresetFileError(f"the file is not JSON: {' '.join(str(error).split()):.100}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PresetFileError("the file is JSON, but no preset of Fireside: export one to see what it looks like")
    if content.get("version") != VERSION:
        raise PresetFileError(
            f"the preset has version {content.get('version')!r:.20}, known is {VERSION}: update Fireside"
        )
    name, settings = content.get("name"), content.get("settings")
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise PresetFileError("the preset has no name, or no settings")
    try:
        return name, plain_settings(settings)
    except InvalidSampling as error:
        raise PresetFileError(f"the preset cannot be used: {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise PresetFileError(f"the preset cannot be used: {' '.join(str(error).split()):.100}") from None
