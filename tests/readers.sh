#!/usr/bin/env bash
# Shows archives of ours to other people's readers: Python's zipfile, Info-ZIP's unzip, 7-Zip.
#
#   tests/readers.sh                  archives that the test suite writes: small, 70,000 entries, more than 4 GiB
#   tests/readers.sh BUNDLE CONFIG    besides, what this `bundle` program builds from this config
#
# The archive of more than 4 GiB is a file with a hole: it takes no space, but a minute to be read thrice.
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

READERS_FOLDER=$folder cargo test --quiet --test suite -- --ignored --exact archive::archives_for_other_readers
if [ $# -ge 2 ]; then
    "$1" build -c "$2" -o "$folder/built.zip" --no-auto-date
fi

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
