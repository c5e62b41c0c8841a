#!/usr/bin/env bash
# Times bundle's CPU executor side by side with onnxruntime and PyTorch (with MONAI's windows, as HiTMicTools has them),
# and prints the tables of docs/performance.md. About twelve minutes on two cores, without --rust-peers.
#
#   benches/networks.sh [--venv VENV] [--rust-peers] [--record | --json OUT.json] [FOLDER] [networks.py's options]
#
# FOLDER has the networks: nafnet_w32 and monai_unet, each as .pth, .json and .onnx; without it they are made from a seed.
# VENV has the peers already (torch, monai, onnxruntime, onnx, tifffile); without it one is made in target/bench, which
# downloads PyTorch. --rust-peers compiles tract and burn too, hundreds of crates. --record writes docs/performance.md
# (its tables of networks), docs/networks.json (all rounds) and docs/roofline.svg anew.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/target/bench
venv=$work/venv-networks
networks=
rust_peers=
options=()
while (($#)); do
  case $1 in
    --venv) venv=$2; shift 2 ;;
    --rust-peers) rust_peers=yes; shift ;;
    --record)
      options+=(--json "$root/docs/networks.json" --page "$root/docs/performance.md" --roofline "$root/docs/roofline.svg")
      shift
      ;;
    --json | --page | --roofline) options+=("$1" "$(realpath -m "$2")"); shift 2 ;;
    --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit ;;
    --*) options+=("$1" "${2?a value of $1}"); shift 2 ;;
    *) networks=$(realpath "$1"); shift ;;
  esac
done
mkdir -p "$work"

python=$venv/bin/python
if [[ ! -x $python ]]; then
  python3 -m venv "$venv"
  "$python" -m pip install -q torch==2.6.0 monai==1.5.2 onnxruntime==1.32.0 onnx tifffile "numpy<2"
fi
if [[ -z $networks ]]; then
  networks=$work/networks
  [[ -e $networks/monai_unet.onnx ]] || PYTHONPATH=$root/tests/networks "$python" "$root/benches/make_networks.py" "$networks"
fi

cd "$root"
cargo build --release --quiet --bin bundle
# Where cargo has put the program of a bench.
bench() {
  cargo bench --quiet --no-run --bench "$1" --message-format json | grep -o "\"executable\":\"[^\"]*/$1-[^\"]*\"" | cut -d'"' -f4
}
rounds=$(bench networks)
kernels=$(bench kernels)
if [[ -n $rust_peers ]]; then
  for peer in tract burn; do
    if NETWORKS=$networks cargo build --release --quiet --manifest-path benches/peers/Cargo.toml --target-dir target/peers --features "$peer" --bin "$peer"; then
      options+=(--rust-peer "target/peers/release/$peer")
    else
      echo "$peer could not be compiled with these networks; see above" >&2
    fi
  done
fi
exec "$python" benches/networks.py target/release/bundle "$rounds" "$kernels" "$networks" "$work" "${options[@]}"
