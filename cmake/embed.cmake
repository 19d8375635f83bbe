# cmake -DLIST=FILE -DROOT=FOLDER -DOUTPUT=FILE.c -P embed.cmake
#
# Writes a C file with the bytes of every file named in LIST (one path a line, from ROOT), as the table
# dlua_embedded[] of bindings/resources.h. Runs when the project is built, whenever one of the files changed.

file(STRINGS "${LIST}" names)
set(arrays "")
set(rows "")
set(index 0)
foreach(name IN LISTS names)
  file(READ "${ROOT}/${name}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  # One byte more, so that an empty file is no empty array.
  string(APPEND arrays "static const unsigned char file_${index}[] = {${hex}0};\n")
  string(APPEND rows "    {\"${name}\", file_${index}, ${bytes}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE "${OUTPUT}" "/* Made by cmake/embed.cmake from the files of scripts/dlua. */
#include \"resources.h\"

${arrays}
const dlua_resource dlua_embedded[] = {
${rows}    {NULL, NULL, 0},
};
")
