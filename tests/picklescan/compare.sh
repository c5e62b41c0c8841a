#!/bin/sh
# What picklescan and fickling find in the corpus of pickles, beside what bundle finds: a Markdown table.
#
# Writes the corpus into a temporary folder; no scanner unpickles it, and nothing else may.
#
#     tests/picklescan/compare.sh > table.md
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet picklescan==1.0.5 fickling==0.1.12 typing_extensions numpy >&2

cargo build --quiet --manifest-path "$root/Cargo.toml" --example write_corpus --example audit_files >&2
target=${CARGO_TARGET_DIR:-$root/target}/debug/examples
"$target/write_corpus" "$work/corpus" >&2
cp "$root"/tests/fixtures/pickles/sklearn_* "$root"/examples/rods/models/* "$work/corpus/innocent/"
"$target/audit_files" "$work/corpus/hostile/"* "$work/corpus/innocent/"* > "$work/ours.tsv"
"$work/venv/bin/python" "$here/compare.py" "$work/corpus" "$work/ours.tsv"
