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

# CUDA is optional. AUTO says what it chose, ON insists. cuBLASLt is opened at run time, so only its headers are needed here: those
# of the toolkit, or those that set-up fetched into ${GLN_DEPS}/cublas-VERSION.
set(GLN_HAVE_CUDA OFF)
set(gln_no_cuda "GLN_CUDA=${GLN_CUDA}")
if(NOT GLN_CUDA STREQUAL "OFF")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "A100, H100, and PTX for what comes after them")
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  set(gln_no_cuda "no CUDA compiler (nvcc) was found")
  if(CMAKE_CUDA_COMPILER)
    find_package(CUDAToolkit QUIET)
    file(GLOB gln_cublas_folders "${GLN_DEPS}/cublas-*")
    find_path(GLN_CUBLAS_INCLUDE_DIR cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${gln_cublas_folders} PATH_SUFFIXES include)
    mark_as_advanced(GLN_CUBLAS_INCLUDE_DIR)
    if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cudart_static)
      set(gln_no_cuda "${CMAKE_CUDA_COMPILER} is there, but not the static CUDA runtime")
    elseif(NOT GLN_CUBLAS_INCLUDE_DIR)
      set(gln_no_cuda "${CMAKE_CUDA_COMPILER} is there, but not cublasLt.h; tools/setup.sh fetches it")
    else()
      set(GLN_HAVE_CUDA ON)
    endif()
  endif()
  if(GLN_CUDA STREQUAL "ON" AND NOT GLN_HAVE_CUDA)
    message(FATAL_ERROR "GLN_CUDA=ON, but ${gln_no_cuda}. Mend that, or set GLN_CUDA=AUTO.")
  endif()
endif()
if(GLN_HAVE_CUDA)
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  enable_language(CUDA)
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION}, kernels for ${CMAKE_CUDA_ARCHITECTURES}")
else()
  message(STATUS "CUDA: off (${gln_no_cuda}); gleaner computes on the CPU")
endif()

add_library(gln_options INTERFACE)
target_compile_options(gln_options INTERFACE
  "$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wstrict-prototypes;-fno-math-errno;$<$<BOOL:${GLN_WERROR}>:-Werror>>"
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;$<$<BOOL:${GLN_WERROR}>:-Werror>>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;$<$<BOOL:${GLN_WERROR}>:-Werror=all-warnings>>")
target_compile_definitions(gln_options INTERFACE _POSIX_C_SOURCE=200809L GLN_VERSION="${PROJECT_VERSION}")
target_include_directories(gln_options INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/generated")
target_link_libraries(gln_options INTERFACE Threads::Threads m)
if(GLN_SANITIZE)
  target_compile_options(gln_options INTERFACE
    "$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:-fsanitize=${GLN_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  target_link_options(gln_options INTERFACE -fsanitize=${GLN_SANITIZE})
endif()

# gln_module(NAME SOURCES a.c b.c LINKS other libraries): a static library gln_NAME, one folder of the tree.
# Libraries after PRIVATE_LINKS are not visible to those who use the module.
function(gln_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(gln_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(gln_${name} PUBLIC gln_options ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# gln_cuda_sources(a.cu b.c): files of the current folder that need CUDA. They go into gln_cuda where CUDA is, and into the tests'
# host device (tests/gpu) in any case.
function(gln_cuda_sources)
  foreach(source ${ARGN})
    set_property(GLOBAL APPEND PROPERTY GLN_CUDA_SOURCES "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
    if(GLN_HAVE_CUDA)
      target_sources(gln_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
    endif()
  endforeach()
endfunction()

# gln_check(NAME LABELS unit SOURCES test_x.c LINKS gln_x): a test program on the check library, named test_NAME.
function(gln_check name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;SOURCES;LINKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${ARG_LINKS} gln_test_support)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "${GLN_TEST_ENVIRONMENT}")
endfunction()
