# Adds the CUDA emulator to the target rtl: its headers stand in for the toolkit's, its sources for the runtime, and
# the stand-ins for the wrappers of the vendor libraries. Included by cmake/RtlLibrary.cmake with RTL_CUDA=EMULATED.
set(RTL_EMULATION_DIR ${PROJECT_SOURCE_DIR}/tests/emulation)
target_include_directories(rtl PRIVATE ${RTL_EMULATION_DIR}/include)

# Fibers switch stacks under the sanitizers' feet, so these files are compiled without them; optimised, for every thread of
# a kernel passes through them.
set(RTL_EMULATOR ${RTL_EMULATION_DIR}/fiber.cpp ${RTL_EMULATION_DIR}/scheduler.cpp ${RTL_EMULATION_DIR}/runtime.cpp
  ${RTL_EMULATION_DIR}/recording.cpp)
set_source_files_properties(${RTL_EMULATOR} PROPERTIES COMPILE_OPTIONS "-fno-sanitize=all;-O2"
  SKIP_PRECOMPILE_HEADERS ON)
if(RTL_SANITIZE)
  set_source_files_properties(${RTL_EMULATOR} PROPERTIES COMPILE_DEFINITIONS RTL_EMULATION_ASAN=1)
endif()
target_sources(rtl PRIVATE ${RTL_EMULATOR} ${RTL_EMULATION_DIR}/blas.cpp ${RTL_EMULATION_DIR}/dnn.cpp
  ${RTL_EMULATION_DIR}/solver.cpp)
# What each thread of a kernel asks is thread_local in them, and all programs with them are linked statically.
target_compile_options(rtl PRIVATE -ftls-model=initial-exec)
