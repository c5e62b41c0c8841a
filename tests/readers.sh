#!/usr/bin/env bash
# Shows archives of ours to other people's readers: Python's zipfile, Info-ZIP's unzip, 7-Zip. They are the example
# bundle, one of 70,000 entries, and one with a model of more than 4 GiB and another one after it (10 GB of disk, two minutes).
#
#   tests/readers.sh
set -euo pipefail
cd "$(dirname "$0")/.."

install() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ]; then apt-get install -y "$2"; else sudo apt-get install -y "$2"; fi
}
install unzip unzip
install 7z p7zip-full
install python3 python3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cargo build --quiet --release --bin bundle --example write_archive
bundle=$PWD/target/release/bundle
export BUNDLE_CACHE_DIR=$folder/cache

"$bundle" build -q -c examples/rods/bundle.toml -o "$folder/rods.zip" --no-auto-date --locked
target/release/examples/write_archive "$folder/many.zip" 70000
mkdir "$folder/large"
truncate -s $((4 * 1024 * 1024 * 1024 + 12345)) "$folder/large/large.pth"
echo "after" >"$folder/large/after.pth"
cat >"$folder/large/bundle.toml" <<'TOML'
[a_large]
bundle_name = "A"
model_path = "large.pth"
[z_after]
bundle_name = "Z"
model_path = "after.pth"
TOML
"$bundle" build -q -c "$folder/large/bundle.toml" -o "$folder/large.zip" --no-auto-date
"$bundle" verify "$folder/large.zip" --lock "$folder/large/bundle.lock"
rm "$folder/large/large.pth"

for zip in "$folder"/*.zip; do
    echo "== $(basename "$zip")"
    python3 - "$zip" <<'PYTHON'
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as archive:
    bad = archive.testzip()
    entries = archive.infolist()
assert bad is None, bad
for entry in entries:
    assert entry.date_time == (1980, 1, 1, 0, 0, 0), entry
    assert entry.create_system == 3 and entry.external_attr >> 16 == 0o100644, entry
    assert entry.compress_type == zipfile.ZIP_STORED and entry.comment == b"", entry
print(f"Python {sys.version.split()[0]}: {len(entries)} entries, no error")
PYTHON
    unzip -tqq "$zip" && echo "$(unzip -v | sed 1q | cut -d' ' -f1,2): no error"
    7z t "$zip" >"$folder/7z.log" || { cat "$folder/7z.log"; exit 1; }
    grep -q 'Everything is Ok' "$folder/7z.log" && echo "7-Zip: no error"
    ! grep -qi 'warning' "$folder/7z.log" || { cat "$folder/7z.log"; exit 1; }
done
echo "all readers agree"
