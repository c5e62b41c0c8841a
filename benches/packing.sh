#!/usr/bin/env bash
# Times `bundle` side by side with cp, b3sum, Python's zipfile and ninja, and prints the tables of docs/performance.md.
#
#   benches/packing.sh [FOLDER] [packing.py's options]
#
# FOLDER needs 20 GB on the disk that is to be measured. Installs what is missing (Debian, as root).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(realpath -m "${1:-$root/target/bench}")
shift || true
mkdir -p "$folder"

missing=()
command -v b3sum >/dev/null || missing+=(b3sum)
command -v ninja >/dev/null || missing+=(ninja-build)
if ((${#missing[@]})); then
  apt-get update -qq
  apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if [[ ! -x $folder/venv/bin/python ]]; then
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install -q "numpy<2" "PyYAML"
fi
cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bin bundle
exec "$folder/venv/bin/python" "$root/benches/packing.py" "$root/target/release/bundle" "$folder" "$@"
