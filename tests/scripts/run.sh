#!/usr/bin/env bash
# scripts/run in a checkout of its own, in a folder with spaces, that holds the scripts and the presets as they are and
# a small C program in the place of dlua, which prints what it was called with.
set -u
. tests/scripts/common.sh

checkout="$scratch/a folder/check out"
elsewhere="$scratch/else where"
mkdir -p "$checkout/scripts" "$checkout/examples" "$elsewhere" "$scratch/tools"
cp scripts/lib.sh scripts/run "$checkout/scripts/"
cp CMakePresets.json "$checkout/"
cat >"$checkout/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.21)
project(stand_in C)
add_executable(dlua_program program.c)
set_target_properties(dlua_program PROPERTIES OUTPUT_NAME dlua)
END
cat >"$checkout/program.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    printf("first program");
    for (int i = 1; i < argc; i++)
        printf(" [%s]", argv[i]);
    if (fcntl(0, F_GETFD) < 0)
        printf(" stdin closed\n");
    else
        printf(" stdin %s\n", getchar() == EOF ? "empty" : "full");
    return argc > 1 && strcmp(argv[1], "fail") == 0 ? 7 : 0;
}
END
# Whatever this machine has installed, the packages are there.
cat >"$scratch/tools/dpkg-query" <<'END'
#!/usr/bin/env bash
for package; do
  echo "$package installed"
done
END
chmod +x "$scratch/tools/dpkg-query"
export PATH="$scratch/tools:$PATH"

# run ARGUMENT...: calls the checkout's scripts/run from elsewhere without stdin. Sets output, errors and status.
run() {
  output=$(cd "$elsewhere" && "$checkout/scripts/run" "$@" 2>"$scratch/errors" <&-)
  status=$?
  errors=$(cat "$scratch/errors")
}

run script.lua "two words"
expect_equal "the first call: status" "$status" 0
expect_equal "the first call: stdout is the program's own" "$output" \
  "first program [script.lua] [two words] stdin empty"
expect_contains "the first call says what it does" "$errors" "building dlua (release) in $checkout/build"
built=$(stat -c %y "$checkout/build/dlua")

run script.lua
expect_equal "the second call: stdout" "$output" "first program [script.lua] stdin empty"
expect_equal "the second call says nothing" "$errors" ""
expect_equal "the second call builds nothing" "$(stat -c %y "$checkout/build/dlua")" "$built"

run
expect_equal "without a script: the example" "$output" \
  "first program [$checkout/examples/fashion_mnist.lua] stdin empty"
run fail
expect_equal "the status is the program's" "$status" 7
output=$(cd "$elsewhere" && echo "text" | "../a folder/check out/scripts/run" -)
expect_equal "stdin is the program's, and the way to the script may be relative" "$output" \
  "first program [-] stdin full"
ln -s "$checkout/scripts/run" "$elsewhere/a link"
output=$("$elsewhere/a link" x <&-)
expect_equal "through a symbolic link" "$output" "first program [x] stdin empty"
output=$(cd "$checkout" && CDPATH=/:/tmp bash -c 'scripts/run x' <&-)
expect_equal "from the top of the checkout, with CDPATH" "$output" "first program [x] stdin empty"

sed -i 's/first program/second program/' "$checkout/program.c"
run x
expect_equal "after a change: stdout" "$output" "second program [x] stdin empty"
expect_equal "after a change: no noise" "$errors" ""

sed -i 's/return argc/return unknown/' "$checkout/program.c"
run x
expect_equal "a broken source: status" "$status" 1
expect_equal "a broken source: nothing is run" "$output" ""
expect_contains "a broken source: the compiler's message" "$errors" "unknown"
expect_contains "a broken source: the error" "$errors" "error: the build failed"
sed -i 's/return unknown/return argc/' "$checkout/program.c"

mv "$checkout" "$scratch/moved here"
checkout="$scratch/moved here"
sed -i 's/second program/third program/' "$checkout/program.c"
run x
expect_equal "a moved checkout: status" "$status" 0
expect_equal "a moved checkout: stdout" "$output" "third program [x] stdin empty"
run x
expect_equal "a moved checkout, again: no noise" "$errors" ""

cmake -S "$checkout" -B "$checkout/build" -DCMAKE_BUILD_TYPE=Debug >/dev/null
run x
expect_equal "configured otherwise by hand: status" "$status" 0
expect_contains "configured otherwise by hand: release again" \
  "$(grep CMAKE_BUILD_TYPE: "$checkout/build/CMakeCache.txt")" "Release"
rm -rf "$checkout/build"
cmake -S "$checkout" -B "$checkout/build" -G "Unix Makefiles" >/dev/null 2>&1
run x
expect_equal "configured for make by hand: stdout" "$output" "third program [x] stdin empty"
finish
