#!/bin/sh
# Packs weights of more than 4 GiB (a file with a hole, so only the ZIP takes space), verifies them, and has Python's
# zipfile, which HiTMicTools' loader reads with, read them back.
#
#   tests/hitmictools/large.sh BUNDLE
set -eu
bundle=$(realpath "$1")
folder=$(mktemp -d "${TMPDIR:-/tmp}/large.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export BUNDLE_CACHE_DIR="$folder/cache"

python3 - <<'PYTHON'
with open("large.pth", "wb") as file:
    for place in (0, 2**31, 2**32 - 3, 2**32 + 4096):
        file.seek(place)
        file.write(b"weights at %d" % place)
PYTHON
printf 'behind it' > small.pth
cat > bundle.toml <<'TOML'
[bundle]
auto_date = false

[large]
bundle_name = "A-large"
model_path = "large.pth"

[small]
bundle_name = "B-small"
model_path = "small.pth"
TOML

"$bundle" build -o large.zip
"$bundle" verify large.zip --lock bundle.lock
python3 - <<'PYTHON'
import tomllib
import zipfile
import zlib

with open("bundle.lock", "rb") as lock:
    locked = {file["path"]: file for file in tomllib.load(lock)["file"]}
with zipfile.ZipFile("large.zip") as archive:
    entry = archive.getinfo("models/A-large.pth")
    assert entry.file_size == locked[entry.filename]["size"] > 2**32, entry
    crc = 0
    with archive.open(entry) as packed, open("large.pth", "rb") as source:
        while block := packed.read(1 << 20):
            assert block == source.read(1 << 20)
            crc = zlib.crc32(block, crc)
        assert not source.read(1)
    assert crc == entry.CRC, (crc, entry)
    assert f"{crc:08x}" == str(locked[entry.filename]["crc32"]), locked[entry.filename]
    last = archive.getinfo("models/B-small.pth")
    assert last.header_offset > 2**32 and archive.read(last) == b"behind it", last
print(f"zipfile: {entry.file_size} bytes, crc32 {crc:08x}, as packed and as locked; the next entry is at {last.header_offset}")
PYTHON
