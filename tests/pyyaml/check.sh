#!/bin/sh
# Asks PyYAML itself about the YAML that we write and the scalars that we refuse.
# With --keep, its answers to the fixed cases become the fixtures that the ordinary tests read.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "PyYAML==${PYYAML_VERSION:-6.0.3}"
BUNDLE_PYYAML_CASES="$folder" cargo test --quiet --test suite cases_for_pyyaml
"$folder/venv/bin/python" tests/pyyaml/check.py "$folder" tests/fixtures/config/pyyaml "$@"
