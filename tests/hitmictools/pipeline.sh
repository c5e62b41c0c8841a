#!/bin/sh
# Runs HiTMicTools' own pipeline on a bundle of ours, with its PyTorch classes and with the classes of
# `model_bundle.hitmictools` in their place, and compares what comes out, value for value.
#
#   tests/hitmictools/pipeline.sh HITMICTOOLS
#
# HITMICTOOLS is a checkout of HiTMicTools, or its folder `src`. Needs Python (another one than `python3`: in $PYTHON) with
# HiTMicTools' dependencies and the package of `python/` of this repository. Uses the CPU, and the example of
# `examples/rods`; takes about two minutes.
set -eu
folder=$(dirname "$0")
[ $# -eq 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
source=$1
[ ! -d "$source/src/HiTMicTools" ] || source=$source/src
exec "${PYTHON:-python3}" "$folder/pipeline.py" "$source"
