# The commit that a binary was built from, for `mooncake --version` and benchmark reports.
execute_process(
  COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE MOONCAKE_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT MOONCAKE_COMMIT)
  set(MOONCAKE_COMMIT "unknown")
endif()
