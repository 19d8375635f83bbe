# shellcheck shell=bash
# What the tests of the scripts share: a scratch folder that goes away, and checks that count their failures.

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# fail TEXT: notes a failure and goes on.
fail() {
  echo "FAILED: $1" >&2
  failures=$((failures + 1))
}

# expect_equal WHAT GOT WANT
expect_equal() {
  if [ "$2" != "$3" ]; then
    fail "$1
  got:  $2
  want: $3"
  fi
}

# expect_contains WHAT GOT PART
expect_contains() {
  if [[ $2 != *"$3"* ]]; then
    fail "$1
  got:  $2
  want: ...$3..."
  fi
}

# finish: the end of a test; fails if any check did.
finish() {
  if [ "$failures" -gt 0 ]; then
    echo "$failures checks failed" >&2
    exit 1
  fi
  echo "all checks held"
}
