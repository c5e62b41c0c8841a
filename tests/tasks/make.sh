#!/bin/sh
# Writes tests/fixtures/tasks/ anew: what HiTMicTools' scaling, windows, regions of interest and networks give, by
# PyTorch and MONAI in float32 on the CPU.
#
# usage: tests/tasks/make.sh [VENV]
#
# VENV (default: target/networks-venv) is made if it does not exist; that downloads PyTorch.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=${1:-$root/target/networks-venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import monai, torch' 2>/dev/null ||
    "$venv/bin/pip" install -q 'torch==2.6.0' 'monai==1.5.*' 'numpy<2'
PYTHONPATH="$root/tests/networks" exec "$venv/bin/python" "$root/tests/tasks/make.py" "$root/tests/fixtures/tasks"
