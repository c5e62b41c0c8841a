#!/usr/bin/env bash
# Times `bundle check` of checkpoints side by side with b3sum and picklescan, and prints the tables of docs/performance.md.
#
#   benches/weights.sh [FOLDER] [weights.py's options]
#
# FOLDER needs 2 GiB. Installs what is missing (b3sum from Debian, as root; picklescan in a virtual environment).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(realpath -m "${1:-$root/target/bench}")
shift || true
mkdir -p "$folder"

if ! command -v b3sum >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq b3sum >/dev/null
fi
if [[ ! -x $folder/venv/bin/picklescan ]]; then
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install -q picklescan
fi
cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bin bundle
exec python3 "$root/benches/weights.py" "$root/target/release/bundle" "$folder" --picklescan "$folder/venv/bin/picklescan" "$@"
