# The imported target `llama`: llama.cpp and ggml as static libraries, built once by tools/llama/build into a cache
# outside the clone. All presets share one build: sanitizers instrument our own code, not the engine's.
set(MOONCAKE_CACHE_DIR "" CACHE PATH "Where llama.cpp and models are cached; empty: $MOONCAKE_CACHE_DIR, else $XDG_CACHE_HOME/mooncake or ~/.cache/mooncake")
set(mc_llama_env)
if(MOONCAKE_CACHE_DIR)
  set(mc_llama_env MOONCAKE_CACHE_DIR=${MOONCAKE_CACHE_DIR})
endif()
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env ${mc_llama_env} ${CMAKE_SOURCE_DIR}/tools/llama/build --where
  OUTPUT_VARIABLE mc_llama_dir OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT EXISTS ${mc_llama_dir}/lib/cmake/llama/llama-config.cmake)
  message(FATAL_ERROR "llama.cpp is not built yet (looked in ${mc_llama_dir}): run tools/llama/build, or `make build`, which does")
endif()
# What was found before is forgotten when the version, its flags or the machine have changed.
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/llama/cache.sh)
if(DEFINED llama_DIR AND NOT llama_DIR STREQUAL "${mc_llama_dir}/lib/cmake/llama")
  foreach(found llama_DIR ggml_DIR llama_LIBRARY GGML_LIBRARY GGML_BASE_LIBRARY GGML_CPU_LIBRARY)
    unset(${found} CACHE)
  endforeach()
endif()
find_package(llama 0.5 REQUIRED CONFIG PATHS ${mc_llama_dir} NO_DEFAULT_PATH)
