"""Runs the command `llm` as often as it is told to, in one process: to start one takes it seconds.

A line of standard input is the arguments of one run, as JSON; a line of standard output its exit code and both outputs.
"""

from __future__ import annotations

import json
import sys

from click.testing import CliRunner
from llm.cli import cli


def main() -> None:
    for line in sys.stdin:
        result = CliRunner().invoke(cli, json.loads(line))
        print(json.dumps([result.exit_code, result.stdout, result.stderr]), flush=True)


if __name__ == "__main__":
    main()
