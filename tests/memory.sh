#!/bin/bash
# Runs a time series of 3 GiB, TIFF and NPY in and out, and fails unless memory stays that of a few frames.
#
#   tests/memory.sh BUNDLE
#
# BUNDLE is the program, built with --release. The series are sparse and take no space; what is written of them takes
# 1.5 GiB of the folder for temporary files at a time. Takes a few minutes. Linux only: the peak is read from /proc.
set -euo pipefail
bundle=$(realpath "$1")
folder=$(mktemp -d "${TMPDIR:-/tmp}/memory.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export BUNDLE_CACHE_DIR="$folder/cache"

frames=384 side=2048 # uint16: 8 MiB a frame, 3 GiB in all
limit_kib=$((400 * 1024)) # fifty frames; the file is 384 of them

# number BYTES: a little-endian number for printf.
little() {
    local number=$1 bytes=$2 text=
    for ((byte = 0; byte < bytes; byte++)); do
        text+=$(printf '\\x%02x' $((number >> (8 * byte) & 255)))
    done
    printf '%s' "$text"
}

# The smallest NAFNet: a convolution in, one out, and the input added.
header='{"intro.weight":{"dtype":"F32","shape":[1,1,3,3],"data_offsets":[0,36]},"intro.bias":{"dtype":"F32","shape":[1],"data_offsets":[36,40]},"ending.weight":{"dtype":"F32","shape":[1,1,3,3],"data_offsets":[40,76]},"ending.bias":{"dtype":"F32","shape":[1],"data_offsets":[76,80]}}'
{
    printf "$(little ${#header} 8)%s" "$header"
    head -c 80 /dev/zero
} > tiny.safetensors
printf '{"model_type": "NAFNet", "model_args": {"img_channel": 1, "width": 1, "middle_blk_num": 0, "enc_blk_nums": [], "dec_blk_nums": []}}' > tiny.json
cat > bundle.toml <<'TOML'
[bf_focus]
model_path = "tiny.safetensors"
model_metadata = "tiny.json"
inferer_args = { scale_method = "fixed_range", patch_size = 512, overlap_ratio = 0.0, scaler_args = { bit_depth = 16 } }
TOML

# entry TAG TYPE VALUE: an entry of a TIFF's directory, of one number.
entry() { printf '%s%s%s%s' "$(little "$1" 2)" "$(little "$2" 2)" "$(little 1 4)" "$(little "$3" 4)"; }

# An ImageJ stack as ImageJ writes large ones: one directory, `images=N`, the planes one after another behind it.
text=$(printf 'ImageJ=1.54f\nimages=%d\nframes=%d\n' $frames $frames)
described=$((8 + 2 + 10 * 12 + 4))
planes=$((described + 256))
{
    printf 'II\x2a\x00'"$(little 8 4)$(little 10 2)"
    printf "$(entry 256 4 $side)$(entry 257 4 $side)$(entry 258 3 16)$(entry 259 3 1)$(entry 262 3 1)"
    printf "$(little 270 2)$(little 2 2)$(little 256 4)$(little $described 4)"
    printf "$(entry 273 4 $planes)$(entry 277 3 1)$(entry 278 4 $side)$(entry 279 4 $((side * side * 2)))"
    printf "$(little 0 4)%s" "$text"
} > series.tif
truncate -s $((planes + frames * side * side * 2)) series.tif

shape="{'descr': '<u2', 'fortran_order': False, 'shape': ($frames, $side, $side), }"
printf '\x93NUMPY\x01\x00'"$(little 118 2)%-117s\n" "$shape" > series.npy
truncate -s $((128 + frames * side * side * 2)) series.npy

# peak COMMAND...: runs it and prints its largest memory in KiB, sampled by the kernel.
peak() {
    "$@" > /dev/null &
    local child=$! seen=0 now
    while now=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$child/status" 2> /dev/null) && [ -n "$now" ]; do
        seen=$now
        sleep 0.05
    done
    wait "$child"
    echo "$seen"
}

for input in tif npy; do
    for output in tif npy; do
        used=$(peak "$bundle" run bundle.toml bf_focus -i "series.$input" -o "out.$output" --output-type uint8)
        size=$(stat -c %s "out.$output")
        echo "$input to $output: $(stat -c %s "series.$input") bytes in, $size out, at most $((used / 1024)) MiB of memory"
        if ((size < frames * side * side)) || ((used > limit_kib)); then
            echo "memory.sh: expected $((frames * side * side)) bytes or more, and at most $((limit_kib / 1024)) MiB" >&2
            exit 1
        fi
        rm "out.$output"
    done
done
