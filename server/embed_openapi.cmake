# Writes openapi.json as a C file: cmake -DINPUT=openapi.json -DOUTPUT=openapi.c -P embed_openapi.cmake
file(READ "${INPUT}" hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR n "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "/* Generated from server/openapi.json by embed_openapi.cmake. */
#include \"server/openapi.h\"

const unsigned char gln_openapi[] = {
${bytes}0};
const size_t gln_n_openapi = ${n};
")
