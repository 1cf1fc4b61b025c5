# Sanitizer builds are compiled once and run once, and most of that time is the parsing of the same headers and the
# instantiation of the same templates: clang does both once, ahead (g++ cannot do the latter ahead and gains nothing).
# The release build does not use this, so that a file that forgot an include fails there.
if(MOONCAKE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cc CONTENT "")
  add_library(mc_precompiled OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
  target_link_libraries(mc_precompiled PRIVATE mooncake_flags fmt::fmt nlohmann_json::nlohmann_json GTest::gmock)
  target_compile_options(mc_precompiled PRIVATE "SHELL:-Xclang -fno-pch-timestamp")  # ccache compares contents
  target_precompile_headers(mc_precompiled PRIVATE
    <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <cstring> <deque> <filesystem> <fstream> <functional> <future>
    <limits> <map> <memory> <mutex> <numeric> <optional> <set> <span> <sstream> <string> <string_view> <thread>
    <unordered_map> <utility> <variant> <vector> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
    <absl/functional/any_invocable.h> <fmt/format.h> <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp>)
endif()

# Lets TARGET use the headers above, where they are precompiled.
function(mooncake_precompile target)
  if(TARGET mc_precompiled)
    # The options of mc_precompiled must be the target's: -fPIC, where programs would have -fPIE.
    target_compile_options(${target} PRIVATE -fPIC "SHELL:-Xclang -fno-pch-timestamp" $<TARGET_PROPERTY:GTest::gtest,INTERFACE_COMPILE_OPTIONS>)
    target_precompile_headers(${target} REUSE_FROM mc_precompiled)
  endif()
endfunction()
