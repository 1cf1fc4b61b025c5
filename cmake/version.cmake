# The commit that a binary was built from, for `mooncake --version` and benchmark reports.
execute_process(
  COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE MOONCAKE_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT MOONCAKE_COMMIT)
  set(MOONCAKE_COMMIT "unknown")
endif()
# Configured again after a commit, so that an incremental build does not tell an old one.
execute_process(
  COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --path-format=absolute --git-path logs/HEAD
  OUTPUT_VARIABLE mc_git_log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(mc_git_log AND EXISTS ${mc_git_log})
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${mc_git_log})
endif()
