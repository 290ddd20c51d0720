# The C interface of FAISS: a library of the system when there is one, else what tools/build_faiss_c.sh built in
# ${GLN_DEPS}/faiss (default ${XDG_CACHE_HOME:-~/.cache}/gleaner/deps). Defines FaissC::faiss_c.
#
# ${GLN_DEPS}/faiss/lib holds two builds of the one library, generic and AVX2 (glibc-hwcaps); the dynamic loader picks
# at start, through the run path that CMake records.

set(_faissc_deps "${GLN_DEPS}")
if(NOT _faissc_deps)
  if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(_faissc_deps "$ENV{XDG_CACHE_HOME}/gleaner/deps")
  else()
    set(_faissc_deps "$ENV{HOME}/.cache/gleaner/deps")
  endif()
endif()

# The private build first where it was asked for (GLN_FAISS_BUILD=always leaves one beside a system library), so that
# headers and library always come as a pair.
find_path(FaissC_INCLUDE_DIR faiss/c_api/Clustering_c.h HINTS "${_faissc_deps}/faiss/include")
find_library(FaissC_LIBRARY faiss_c HINTS "${_faissc_deps}/faiss/lib")
mark_as_advanced(FaissC_INCLUDE_DIR FaissC_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(FaissC REQUIRED_VARS FaissC_LIBRARY FaissC_INCLUDE_DIR
  REASON_FAILURE_MESSAGE
  "libfaiss_c is neither in the system nor in ${_faissc_deps}/faiss. Run `make setup` (or tools/build_faiss_c.sh), then configure again.")

if(FaissC_FOUND AND NOT TARGET FaissC::faiss_c)
  add_library(FaissC::faiss_c SHARED IMPORTED)
  set_target_properties(FaissC::faiss_c PROPERTIES
    IMPORTED_LOCATION "${FaissC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${FaissC_INCLUDE_DIR}")
endif()
