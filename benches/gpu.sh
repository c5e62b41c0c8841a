#!/usr/bin/env bash
# Checks and times a GPU with a release binary that was built elsewhere. Needs bash and coreutils, and no Rust; where
# `python3` (or $PYTHON) has PyTorch with CUDA, and MONAI, PyTorch does the same work beside it.
#
#   benches/gpu.sh [--device DEVICE] [--side PIXELS] [--frames N] [--rounds N] [--work DIR] BINARY FOLDER
#
# FOLDER has nafnet_w32 and monai_unet, each as .pth and .json: `benches/networks.sh` makes them in target/bench/networks.
# DEVICE is as `bundle run` takes it, by default the first GPU; PIXELS, of the frame's side, a multiple of 256. The exit
# status is 1 if a check fails.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "$0")/.." && pwd)
device=gpu side=2048 frames=9 rounds=5 work='' python=${PYTHON:-python3}
while (($#)); do
  case $1 in
    --device) device=$2; shift 2 ;;
    --side) side=$2; shift 2 ;;
    --frames) frames=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --work) work=$2; shift 2 ;;
    *) break ;;
  esac
done
if (($# != 2 || side % 256 || frames < 2)); then
  sed -n '2,10s/^# \{0,1\}//p' "$0"
  exit 2
fi
binary=$(realpath "$1") networks=$(realpath "$2")
if [[ -z $work ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
export BUNDLE_CACHE_DIR=$work/cache
# Vulkan's loader complains where it is not set.
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$work}

failures=()
title() { printf '\n## %s\n\n' "$1"; }

# Says whether a check passed, and remembers that it did not.
check() {
  local what=$1
  shift
  if "$@"; then
    echo "ok: $what"
  else
    echo "FAILED: $what"
    failures+=("$what")
  fi
}

# Writes a stack of COUNT frames of SIDE pixels, uint16: dark rods on an uneven background, with noise. One tile of 256
# pixels is made, and repeated.
stack() {
  local side=$1 count=$2 seed=7 x y value pixel row header across
  for ((y = 0; y < 256; y++)); do
    row=
    for ((x = 0; x < 256; x++)); do
      ((seed = (seed * 1103515245 + 12345) & 0x7fffffff, value = 1800 + x + 2 * y + (seed >> 16) % 160)) || true
      if (((x % 32 - 16) ** 2 * 9 + (y % 64 - 32) ** 2 < 500)); then ((value -= 900)); fi
      printf -v pixel '\\x%02x\\x%02x' $((value & 255)) $((value >> 8))
      row+=$pixel
    done
    for ((across = 0; across < side; across += 256)); do printf '%b' "$row"; done
  done > "$work/band"
  printf -v header "{'descr': '<u2', 'fortran_order': False, 'shape': (%d, %d, %d), }" "$count" "$side" "$side"
  {
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"
    for ((y = 0; y < count * side; y += 256)); do cat "$work/band"; done
  } > "$work/frames_$side.npy"
}

# One in seven of the numbers of an NPY file of one frame of SIDE pixels, float32, into the array `fixed`, in units of 2^-30.
# Bash has whole numbers alone: these are made of the bits. Fails at a number that is not finite, or 2^24 or larger.
read_fixed() {
  local index bits exponent
  mapfile -t fixed < <(tail -c $((4 * $2 * $2)) "$1" | od -An -v -t u4 -w28 | cut -c1-11)
  for index in "${!fixed[@]}"; do
    ((bits = fixed[index], exponent = bits >> 23 & 255)) || true
    if ((exponent > 150)); then return 1; fi
    ((bits = bits >> 31 ? -(bits & 0x7fffff | 0x800000) : bits & 0x7fffff | 0x800000)) || true
    ((fixed[index] = exponent < 97 ? 0 : exponent < 120 ? bits / (1 << 120 - exponent) : bits * (1 << exponent - 120))) || true
  done
}

# Whether FOUND, a frame of SIDE pixels, is that of WANTED within so many billionths of its largest number. It is looked at
# here, so that the program that is checked has no say in it.
near() {
  local wanted=$1 found=$2 side=$3 tolerance=$4 index a b most=0 largest=1 fixed numbers
  read_fixed "$wanted" "$side" || { echo "$wanted holds what is no number"; return 1; }
  numbers=("${fixed[@]}")
  read_fixed "$found" "$side" || { echo "$found holds what is no number"; return 1; }
  for index in "${!numbers[@]}"; do
    ((a = numbers[index], b = fixed[index] - a, a = a < 0 ? -a : a, b = b < 0 ? -b : b)) || true
    ((largest = a > largest ? a : largest, most = b > most ? b : most)) || true
  done
  while ((most >> 32)); do ((most >>= 1, largest >>= 1)) || true; done
  ((most = largest ? most * 1000000000 / largest : 1 << 40)) || true
  printf 'apart by %d.%03d millionths of the largest number\n' $((most / 1000)) $((most % 1000))
  ((most <= tolerance))
}

# Runs a model on frames of a stack: KEY SIDE FRAMES OUT.npy, then more options.
run() {
  local key=$1 side=$2 frames=$3 out=$4
  shift 4
  "$binary" run -q "$work/bundle.toml" "$key" -i "$work/frames_$side.npy" --frames "0..$frames" -o "$out" "$@"
}

# Sets `elapsed`, in microseconds.
timed() {
  local begun=${EPOCHREALTIME/./}
  "$@" > "$work/log"
  elapsed=$((${EPOCHREALTIME/./} - begun))
}

# Sets `median`, of the microseconds of a frame when many follow each other, and `spread`: what a run with many takes more
# than a run with one, so that the start does not count.
per_frame() {
  local key=$1 side=$2 frames=$3 round one sorted=()
  shift 3
  local taken=()
  for ((round = 0; round < rounds; round++)); do
    timed run "$key" "$side" 1 "$work/out.npy" "$@"
    one=$elapsed
    timed run "$key" "$side" "$frames" "$work/out.npy" "$@"
    taken+=($(((elapsed - one) / (frames - 1))))
  done
  mapfile -t sorted < <(printf '%s\n' "${taken[@]}" | sort -n)
  median=${sorted[rounds / 2]}
  spread=$(milliseconds "${sorted[0]}")" to "$(milliseconds "${sorted[rounds - 1]}")
}

# Of microseconds, which are negative where the noise is larger than what was measured.
milliseconds() {
  local microseconds=$1 sign=
  if ((microseconds < 0)); then sign=- microseconds=$((-microseconds)); fi
  printf '%s%d.%02d' "$sign" $((microseconds / 1000)) $((microseconds % 1000 / 10))
}

title 'Devices'
"$binary" --version
"$binary" devices -v || check 'every device computes what the CPU does' false
title 'Kernels'
check 'every kernel does what its twin on the CPU does' "$binary" devices --check --device "$device"
title 'The example on all devices, against references of PyTorch'
check 'the models of examples/rods' "$binary" test "$root/examples/rods/bundle.toml" --all-devices

cp "$networks"/{nafnet_w32,monai_unet}.{pth,json} "$work"
cp "$root/benches/networks.toml" "$work/bundle.toml"
# The sides of frames, and how many frames follow each other: one window alone, and a whole frame.
declare -A lengths=([256]=$((frames * 8)) [$side]=$frames)
for length in "${!lengths[@]}"; do stack "$length" "${lengths[$length]}"; done

rows=()
: > "$work/measured"
for key in bf_focus segmentation; do
  title "$key, frames of $side x $side"
  timed run "$key" "$side" 1 "$work/cpu_$key.npy" --device cpu
  cpu=$elapsed
  echo "on the CPU: $(milliseconds "$cpu") ms from start to end"
  for precision in f32 f16; do
    case $key-$precision in
      bf_focus-f32) tolerance=20000 ;;
      segmentation-f32) tolerance=100000 ;;
      *) tolerance=5000000 ;;
    esac
    options=(--device "$device" --precision "$precision")
    if ! run "$key" "$side" 1 "$work/gpu.npy" "${options[@]}" > "$work/log" 2> "$work/errors"; then
      cat "$work/errors"
      # A device without float16 is not wrong.
      if ! { [[ $precision == f16 ]] && grep -q float16 "$work/errors"; }; then check "$key in $precision runs" false; fi
      continue
    fi
    check "$key in $precision against the CPU" near "$work/cpu_$key.npy" "$work/gpu.npy" "$side" "$tolerance"
    check "$key in $precision with its profile" run "$key" "$side" "$frames" "$work/out.npy" "${options[@]}" --profile
    for length in "${!lengths[@]}"; do
      per_frame "$key" "$length" "${lengths[$length]}" "${options[@]}"
      rows+=("| $key | $precision | $length x $length | $(milliseconds "$median") ms | $spread |")
      echo "$key $precision $length $median" >> "$work/measured"
    done
  done
done

title 'Summary: a frame in a stack, file to file'
"$binary" devices | grep -v -e '^CPU' || true
printf '\n| model | precision | frame | median of %s | min to max |\n|---|---|---|---|---|\n' "$rounds"
printf '%s\n' "${rows[@]}"

title 'PyTorch'
if "$python" -c 'import monai, torch; assert torch.cuda.is_available()' 2> /dev/null || [[ ${TORCH_DEVICE:-cuda} != cuda ]]; then
  check 'PyTorch gives the same' env PYTHONPATH="$root/tests/tasks:$root/tests/networks" \
    "$python" "$root/benches/gpu_torch.py" "$work" "$rounds" "${TORCH_DEVICE:-cuda}"
else
  echo "not timed: $python has no PyTorch with CUDA, or no MONAI"
fi

title 'Checks'
if ((${#failures[@]})); then
  printf 'FAILED: %s\n' "${failures[@]}"
  exit 1
fi
echo 'all passed'
