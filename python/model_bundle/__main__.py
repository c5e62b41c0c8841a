"""The command ``bundle``: ``python -m model_bundle`` is the same."""

import os
import sys

from ._core import run_command


def main() -> None:
    """Runs the command, and ends the process with its exit status."""
    sys.stdout.flush()
    name = os.path.basename(sys.argv[0])
    program = "bundle" if name == "__main__.py" else name
    sys.exit(run_command([program, *sys.argv[1:]]))


if __name__ == "__main__":
    main()
