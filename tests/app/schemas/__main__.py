"""Writes the schemas that are named."""

from __future__ import annotations

import sys

from tests.app.schemas import write

for name in sys.argv[1:]:
    print(write(name))
