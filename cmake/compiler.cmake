# Warnings are errors; ccache and mold are used when they are there; MOONCAKE_SANITIZE instruments our own code.
set(MOONCAKE_SANITIZE "" CACHE STRING "Sanitizers for our code: empty, 'address,undefined' or 'thread'")
option(MOONCAKE_FUZZ "Build the fuzz targets with libFuzzer (clang only)" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
if(MOONCAKE_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")  # a third less to wait for a build that is run once
endif()

# Applied to our targets only: generated code and engines keep their own flags.
add_library(mooncake_flags INTERFACE)
target_compile_options(mooncake_flags INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -fno-omit-frame-pointer)
target_include_directories(mooncake_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(mooncake_flags INTERFACE -Wthread-safety)
else()
  # g++ 12 sees uninitialised members where std::optional and Asio move them; clang, which compiles the sanitizer
  # builds, warns of what is one.
  target_compile_options(mooncake_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(MOONCAKE_SANITIZE)
  target_compile_options(mooncake_flags INTERFACE -fsanitize=${MOONCAKE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MOONCAKE_SANITIZE})
endif()
if(MOONCAKE_FUZZ)
  target_compile_options(mooncake_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
