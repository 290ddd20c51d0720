# Writes a C file that holds every migration: cmake -DFOLDER=.../migrations -DOUTPUT=migrations.c -P embed_migrations.cmake
# A gap or a repeated number stops the build.

file(GLOB files "${FOLDER}/*.sql")
list(SORT files)
set(arrays "")
set(entries "")
set(expected 1)
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME_WE)
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+$")
    message(FATAL_ERROR "${file}: a migration is named like 0002_what_it_does.sql")
  endif()
  string(REGEX REPLACE "^0+" "" number "${CMAKE_MATCH_1}")
  if(NOT number STREQUAL "${expected}")
    message(FATAL_ERROR "${file}: the next migration is number ${expected}")
  endif()
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char sql_${number}[] = {\n${bytes}0};\n")
  string(APPEND entries "    { \"${name}\", (const char *)sql_${number} },\n")
  math(EXPR expected "${expected} + 1")
endforeach()
math(EXPR n "${expected} - 1")
file(WRITE "${OUTPUT}" "/* Generated from migrations/ by embed_migrations.cmake. */
#include \"store/migrate.h\"

${arrays}
const gln_migration gln_migrations[] = {
${entries}};
const size_t gln_n_migrations = ${n};
")
