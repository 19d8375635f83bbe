#!/usr/bin/env bash
# The real thing in a fresh place: the files of this checkout in a folder with spaces, without a terminal and with stdin
# closed, called from another folder. Installs, builds, trains the example in its short mode, runs the engine's tests.
set -u
. tests/scripts/common.sh

source_files=$PWD
checkout="$scratch/a fresh clone"
mkdir "$checkout" "$scratch/else where"
git ls-files -z --cached --others --exclude-standard |
  tar --null --files-from - --create --ignore-failed-read | tar --extract --directory "$checkout"
[ -x "$checkout/scripts/run" ] || fail "no files to test: is $source_files a git checkout?"
cd "$scratch/else where" || exit 1

output=$(DLUA_EXAMPLE_QUICK=1 "$checkout/scripts/run" <&- 2>"$scratch/errors")
expect_equal "the example: status" "$?" 0
if [ -z "$output" ]; then
  fail "the example printed nothing: $(cat "$scratch/errors")"
fi
output=$("$checkout/scripts/run" -e 'print(1 + 1)' <&- 2>"$scratch/errors")
expect_equal "the second call: stdout" "$output" 2
expect_equal "the second call: messages" "$(cat "$scratch/errors")" ""

output=$("$checkout/scripts/test" -R 'engine/' <&- 2>&1)
expect_equal "scripts/test: status" "$?" 0
expect_contains "scripts/test: the summary" "$output" "100% tests passed"
finish
