#!/bin/sh
# Compares what HiTMicTools' own bundler and this program make of the same config, value for value.
#
#   tests/hitmictools/compare.sh MODEL_BUNDLER.py BUNDLE CONFIG.yml...
#
# MODEL_BUNDLER.py is `src/HiTMicTools/model_bundler.py` of HiTMicTools, BUNDLE this program. Needs Python with PyYAML
# (another one than `python3`: in $PYTHON); if it has PyTorch too, the packed checkpoints are loaded.
# What other readers of ZIPs say is the business of tests/readers.sh.
set -eu
folder=$(dirname "$0")
python=${PYTHON:-python3}
[ $# -ge 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
bundler=$1
bundle=$2
shift 2
status=0
for config; do
    "$python" "$folder/compare.py" "$bundler" "$bundle" "$config" || status=1
done
exit $status
