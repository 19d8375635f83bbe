#!/usr/bin/env bash
# Every shell script parses, and shellcheck, where it is installed, has nothing to say about it.
set -eu
files=(scripts/run scripts/test scripts/lib.sh .ci/run tests/*/*.sh)
for file in "${files[@]}"; do
  bash -n "$file"
done
if command -v shellcheck >/dev/null; then
  shellcheck -x -P SCRIPTDIR -P . "${files[@]}"
fi
echo "${#files[@]} scripts are clean"
