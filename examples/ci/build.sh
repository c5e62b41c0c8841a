#!/usr/bin/env bash
# Builds a bundle in CI from its committed lock, verifies it against that lock, and runs its test vectors on the CPU.
#
#   CONFIG=bundle.toml OUTPUT=dist examples/ci/build.sh
#
# CONFIG         the config; bundle.toml
# OUTPUT         the folder for the ZIP and its checksum; dist
# TEST           false: the models are not run
# BASE           the commit whose lock tells whether the bundle has changed
# BUNDLE         the program; without it, it is installed from BUNDLE_SOURCE into BUNDLE_ROOT
#
# path, sha256 and changed are written to $GITHUB_OUTPUT, as GitHub has it, or to $BUNDLE_ENV.
set -euo pipefail

config=${CONFIG:-bundle.toml}
output=${OUTPUT:-dist}
bundle=${BUNDLE:-}

if [ -z "$bundle" ]; then
  bundle=$BUNDLE_ROOT/bin/bundle
  [ -x "$bundle" ] || cargo install --locked --path "$BUNDLE_SOURCE" --root "$BUNDLE_ROOT"
fi

stem=${config%.*}
lock=$stem.lock
# The ZIP's name is the project's, with the lock's date: it is built where the config says, then moved.
zip=$("$bundle" build --locked -q -c "$config")
"$bundle" verify "$zip" --lock "$lock"
if [ "${TEST:-true}" != false ]; then
  "$bundle" test "$zip" --device cpu
fi
mkdir -p "$output"
mv "$zip" "$zip.sha256" "$output/"
path=$output/$(basename "$zip")
read -r sha256 _ < "$path.sha256"

# The committed lock names the bytes that it was built to.
changed=true
if [ -n "${BASE:-}" ]; then
  git cat-file -e "$BASE^{commit}" 2> /dev/null || git fetch -q --depth=1 origin "$BASE" || true
  was=$(git show "$BASE:./$lock" 2> /dev/null | sed -n 's/^sha256 = "\([0-9a-f]*\)"$/\1/p' || true)
  [ "$was" != "$sha256" ] || changed=false
fi

{
  echo "path=$path"
  echo "sha256=$sha256"
  echo "changed=$changed"
} | tee -a "${GITHUB_OUTPUT:-${BUNDLE_ENV:-/dev/null}}"
