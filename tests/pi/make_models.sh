#!/bin/sh
# Writes tests/fixtures/pi/models anew, then tries every kind of model that skl2onnx writes (some thousands).
#
#   tests/pi/make_models.sh [FOLDER FOR A VIRTUAL ENVIRONMENT]
#
# Needs `python3.11` and PyPI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$(mktemp -d)}
all=$(mktemp -d)
trap 'rm -rf "$all"' EXIT
if [ ! -d "$venv/bin" ]; then
    python3.11 -m venv "$venv"
    "$venv/bin/pip" install -q scikit-learn==1.6.1 numpy==1.26.4 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 pandas==2.2.3
fi
rm -rf "$here/../fixtures/pi/models"
"$venv/bin/python" "$here/make_models.py" "$here/../fixtures/pi/models" few
"$venv/bin/python" "$here/make_models.py" "$all"
cd "$here/../.."
PI_MODELS=$all cargo test --lib pi::tests::models_in_onnx -- --nocapture
"$venv/bin/python" "$here/write_numbers.py" > "$all/numbers.csv"
PI_NUMBERS=$all/numbers.csv cargo test --lib table::tests::numbers_are_written -- --nocapture
