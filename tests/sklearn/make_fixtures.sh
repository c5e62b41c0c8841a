#!/bin/sh
# Writes tests/fixtures/weights/sklearn anew, with every version of scikit-learn that is read.
#
#   tests/sklearn/make_fixtures.sh [FOLDER FOR VIRTUAL ENVIRONMENTS]
#
# Needs `python3.9` (for 1.0 and 1.1) and `python3.11`, and PyPI. Models are the same in every run, but for the bytes that
# compilers and BLAS decide; a test that fails afterwards has found something.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venvs=${1:-$(mktemp -d)}
out=$here/../fixtures/weights/sklearn
rm -rf "$out"

make() {
    version=$1 python=$2
    shift 2
    if [ ! -d "$venvs/$version" ]; then
        "$python" -m venv "$venvs/$version"
        "$venvs/$version/bin/pip" install -q --only-binary :all: "$@"
    fi
    "$venvs/$version/bin/python" "$here/make_fixtures.py" "$out"
}

make 1.0 python3.9 scikit-learn==1.0.2 numpy==1.22.4 scipy==1.8.1 joblib==1.1.1 lz4 pandas==1.4.4
make 1.1 python3.9 scikit-learn==1.1.3 numpy==1.23.5 scipy==1.9.3 joblib==1.2.0 pandas==1.5.3
make 1.2 python3.11 scikit-learn==1.2.2 numpy==1.24.4 scipy==1.10.1 joblib==1.2.0 pandas==2.0.3
make 1.3 python3.11 scikit-learn==1.3.2 numpy==1.25.2 scipy==1.11.4 joblib==1.3.2 pandas==2.1.4
make 1.4 python3.11 scikit-learn==1.4.2 numpy==1.26.4 scipy==1.13.1 joblib==1.4.2 pandas==2.2.2
make 1.5 python3.11 scikit-learn==1.5.2 numpy==2.0.2 scipy==1.14.1 joblib==1.4.2 pandas==2.2.3
make 1.6 python3.11 scikit-learn==1.6.1 numpy==2.2.6 scipy==1.15.3 joblib==1.5.0 lz4 pandas==2.2.3
make 1.7 python3.11 scikit-learn==1.7.2 numpy==2.4.6 joblib pandas
make 1.8 python3.11 scikit-learn==1.8.0 numpy==2.4.6 joblib pandas
