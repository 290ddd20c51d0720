# What every target of gleaner shares: the language, the warnings, the sanitizers, and the two ways to add one.

include_guard(GLOBAL)
if(NOT GLN_SLIM)
  find_package(PkgConfig REQUIRED)
endif()
find_package(Threads REQUIRED)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# CUDA is optional. AUTO says what it chose, ON insists.
set(GLN_HAVE_CUDA OFF)
if(NOT GLN_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    find_package(CUDAToolkit QUIET)
    if(CUDAToolkit_FOUND AND TARGET CUDA::cublas)
      set(GLN_HAVE_CUDA ON)
    endif()
  endif()
  if(GLN_CUDA STREQUAL "ON" AND NOT GLN_HAVE_CUDA)
    message(FATAL_ERROR "GLN_CUDA=ON, but no CUDA toolkit with cuBLAS was found. Install one, or set GLN_CUDA=AUTO.")
  endif()
endif()
if(GLN_HAVE_CUDA)
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION} found; this version of gleaner computes on the CPU")
else()
  message(STATUS "CUDA: off (GLN_CUDA=${GLN_CUDA}); gleaner computes on the CPU")
endif()

add_library(gln_options INTERFACE)
target_compile_options(gln_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -fno-math-errno
  $<$<BOOL:${GLN_WERROR}>:-Werror>)
target_compile_definitions(gln_options INTERFACE _POSIX_C_SOURCE=200809L GLN_VERSION="${PROJECT_VERSION}")
target_include_directories(gln_options INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/generated")
target_link_libraries(gln_options INTERFACE Threads::Threads m)
if(GLN_SANITIZE)
  target_compile_options(gln_options INTERFACE -fsanitize=${GLN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(gln_options INTERFACE -fsanitize=${GLN_SANITIZE})
endif()

# gln_module(NAME SOURCES a.c b.c LINKS other libraries): a static library gln_NAME, one folder of the tree.
# Libraries after PRIVATE_LINKS are not visible to those who use the module.
function(gln_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(gln_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(gln_${name} PUBLIC gln_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# gln_check(NAME LABELS unit SOURCES test_x.c LINKS gln_x): a test program on the check library, named test_NAME.
function(gln_check name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;SOURCES;LINKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${ARG_LINKS} gln_test_support PkgConfig::CHECK)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "${GLN_TEST_ENVIRONMENT}")
endfunction()
