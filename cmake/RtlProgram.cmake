# The program rtl: the only place that knows command lines, progress bars and plots.
if(RTL_CLI_SOURCES)
  find_package(CLI11 REQUIRED)
  add_executable(rtl_program ${RTL_CLI_SOURCES})
  set_target_properties(rtl_program PROPERTIES OUTPUT_NAME rtl RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_include_directories(rtl_program PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(rtl_program PRIVATE RTL_VERSION="${PROJECT_VERSION}" RTL_BUILD_TYPE="${CMAKE_BUILD_TYPE}"
    RTL_CUDA_MODE="${RTL_CUDA_MODE}" RTL_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
  target_link_libraries(rtl_program PRIVATE rtl rtl_options CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
endif()
