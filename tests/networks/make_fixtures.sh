#!/bin/sh
# Writes tests/fixtures/networks/ anew: what PyTorch and MONAI make of many sets of network arguments, and compute.
#
# usage: tests/networks/make_fixtures.sh [VENV] [METADATA.json WEIGHTS.pth]...
#
# VENV (default: target/networks-venv) is made if it does not exist; that downloads PyTorch. Pairs of metadata and
# weights that HiTMicTools loads are recorded too: names and shapes of their tensors, not their values. Without pairs,
# those recorded before are kept.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=${1:-$root/target/networks-venv}
[ $# -eq 0 ] || shift
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import monai, onnxscript, safetensors, torch' 2>/dev/null ||
    "$venv/bin/pip" install -q 'torch==2.6.0' 'monai==1.5.*' 'numpy<2' safetensors onnx onnxscript
"$venv/bin/python" "$root/tests/networks/make_forward.py" "$root/tests/fixtures/networks"
exec "$venv/bin/python" "$root/tests/networks/make_fixtures.py" "$root/tests/fixtures/networks" "$@"
