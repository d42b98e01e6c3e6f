# The program rtl: the only place that knows command lines, progress bars and plots. All but main and what
# runs before it is an object library, which its tests use too.
if(RTL_CLI_SOURCES)
  include(RtlStudies)
  find_package(CLI11 REQUIRED)
  list(FILTER RTL_CLI_SOURCES EXCLUDE REGEX "/(main|startup)\\.cpp$")
  add_library(rtl_cli OBJECT ${RTL_CLI_SOURCES})
  target_include_directories(rtl_cli PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(rtl_cli PUBLIC RTL_VERSION="${PROJECT_VERSION}" PRIVATE RTL_BUILD_TYPE="${CMAKE_BUILD_TYPE}"
    RTL_CUDA_BUILD="${RTL_CUDA_MODE}"
    RTL_COMPILER_NAME="${CMAKE_CXX_COMPILER_ID}" RTL_COMPILER_VERSION="${CMAKE_CXX_COMPILER_VERSION}")
  target_link_libraries(rtl_cli PUBLIC rtl_studies rtl rtl_options CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json
    PRIVATE OpenMP::OpenMP_CXX)
  # The arithmetic is in the library; the parser of the command line takes long to optimise.
  target_compile_options(rtl_cli PRIVATE $<$<CONFIG:Release>:-Os>)
  if(RTL_PRECOMPILE_HEADERS)
    target_precompile_headers(rtl_cli PRIVATE <algorithm> <functional> <map> <string> <vector> <fmt/format.h> <CLI/CLI.hpp>
      <nlohmann/json.hpp> <rtl/rtl.hpp>)
  endif()

  add_executable(rtl_program ${PROJECT_SOURCE_DIR}/src/cli/main.cpp ${PROJECT_SOURCE_DIR}/src/cli/startup.cpp)
  set_target_properties(rtl_program PROPERTIES OUTPUT_NAME rtl RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_compile_options(rtl_program PRIVATE $<$<CONFIG:Release>:-Os>)
  target_link_libraries(rtl_program PRIVATE rtl_cli rtl_studies)
endif()
