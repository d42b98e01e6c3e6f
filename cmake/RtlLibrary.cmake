# librtl.a: every file under src/ but the program in src/cli and its studies.
file(GLOB_RECURSE RTL_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cpp)
file(GLOB_RECURSE RTL_CLI_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.cpp)
file(GLOB_RECURSE RTL_STUDY_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/studies/*.cpp)
file(GLOB_RECURSE RTL_CUDA_KERNELS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cu)
list(REMOVE_ITEM RTL_SOURCES ${RTL_CLI_SOURCES} ${RTL_STUDY_SOURCES} "")
rtl_generated_list(RTL_SOURCES FOLDER src/data/formats NAMESPACE rtl::data::formats HEADER data/format.hpp TYPE Format
  FUNCTION all)
rtl_generated_list(RTL_SOURCES FOLDER src/data/steps NAMESPACE rtl::data::steps HEADER data/steps.hpp TYPE StepKind
  FUNCTION all)
rtl_generated_list(RTL_SOURCES FOLDER src/layers/models NAMESPACE rtl::layers::architectures
  HEADER layers/model.hpp TYPE Model FUNCTION built_in)
rtl_generated_list(RTL_SOURCES FOLDER src/transfer/strategies NAMESPACE rtl::transfer::recipes
  HEADER transfer/strategy_list.hpp TYPE Strategy FUNCTION all)
rtl_generated_list(RTL_SOURCES FOLDER src/transfer/predictors NAMESPACE rtl::transfer::predictors
  HEADER transfer/predictor_kinds.hpp TYPE PredictorKind FUNCTION all)

# Plain .cpp files that call the CUDA runtime or its libraries live in a folder called cuda; those that call
# a vendor library (and have a stand-in in tests/emulation) in src/kernels/cuda/vendor.
set(RTL_CUDA_HOST ${RTL_SOURCES})
list(FILTER RTL_CUDA_HOST INCLUDE REGEX "/src/[a-z]+/cuda/")
if(RTL_CUDA_HOST)
  list(REMOVE_ITEM RTL_SOURCES ${RTL_CUDA_HOST})
endif()

add_library(rtl STATIC ${RTL_SOURCES})
add_library(rtl::rtl ALIAS rtl)
target_compile_features(rtl PUBLIC cxx_std_20)
target_include_directories(rtl
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
  PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(rtl PRIVATE RTL_VERSION="${PROJECT_VERSION}" OMPI_SKIP_MPICXX)
# No code reads errno or the floating-point exception flags; without this, square roots and selections do not vectorise.
target_compile_options(rtl PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno -fno-trapping-math>)
target_link_libraries(rtl
  PRIVATE $<BUILD_INTERFACE:rtl_options> fmt::fmt $<BUILD_INTERFACE:nlohmann_json::nlohmann_json> ZLIB::ZLIB
    OpenMP::OpenMP_CXX rtl::dnnl rtl::lapacke rtl::openblas rtl::hwy rtl::zip)

# Pictures: what is not there is reported by NotCompiled when it is needed.
foreach(name png jpeg)
  string(TOUPPER ${name} upper)
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/io/${name}.cpp APPEND PROPERTY
    COMPILE_DEFINITIONS RTL_WITH_${upper}=${RTL_HAS_${upper}})
  if(RTL_HAS_${upper})
    target_link_libraries(rtl PRIVATE rtl::${name})
  else()
    message(STATUS "rtl: lib${name} was not found; this build reads no ${upper} files")
  endif()
endforeach()

# HDF5, by Debian's serial variant, beside which there may be one with MPI. It is loaded when it is needed, by its soname.
find_library(RTL_HDF5_LIBRARY hdf5 PATH_SUFFIXES hdf5/serial)
find_path(RTL_HDF5_INCLUDE_DIR hdf5.h PATH_SUFFIXES hdf5/serial)
mark_as_advanced(RTL_HDF5_LIBRARY RTL_HDF5_INCLUDE_DIR)
if(RTL_HDF5_LIBRARY AND RTL_HDF5_INCLUDE_DIR)
  file(REAL_PATH ${RTL_HDF5_LIBRARY} file)
  cmake_path(GET file FILENAME file)
  string(REGEX REPLACE "(\\.so\\.[0-9]+).*" "\\1" file ${file})
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/io/hdf5.cpp ${PROJECT_SOURCE_DIR}/src/io/hdf5_library.cpp
    APPEND PROPERTY COMPILE_DEFINITIONS RTL_WITH_HDF5=1 RTL_HDF5_LIBRARY="${file}")
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/io/hdf5.cpp ${PROJECT_SOURCE_DIR}/src/io/hdf5_library.cpp
    APPEND PROPERTY INCLUDE_DIRECTORIES ${RTL_HDF5_INCLUDE_DIR})
  target_link_libraries(rtl PRIVATE ${CMAKE_DL_LIBS})
else()
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/io/hdf5.cpp ${PROJECT_SOURCE_DIR}/src/io/hdf5_library.cpp
    APPEND PROPERTY COMPILE_DEFINITIONS RTL_WITH_HDF5=0)
  message(STATUS "rtl: libhdf5 was not found; this build reads no HDF5 files")
endif()

# The arithmetic is in kernels, solvers and theory; elsewhere unrolled loops only make the library larger, and in builds
# with sanitizers optimising takes longer than it saves.
foreach(source ${RTL_SOURCES})
  if(source MATCHES "/src/(graph|layers|optim|transfer)/")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:Release>:-Os>")
  elseif(source MATCHES "/src/(core|io|data)/")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:Release>:-O2>")
  endif()
  if(RTL_SANITIZE AND source MATCHES "/src/(graph|layers|optim|transfer|core|io|data)/")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:RelWithDebInfo>:-Og>")
  endif()
endforeach()

if(RTL_CUDA_MODE STREQUAL "NVCC")
  target_sources(rtl PRIVATE ${RTL_CUDA_HOST} ${RTL_CUDA_KERNELS})
  target_compile_definitions(rtl PRIVATE RTL_WITH_CUDA=1)
  # 554: a conversion of BasicView that only one of its two instantiations can use.
  target_compile_options(rtl PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-warn-spills -lineinfo --expt-relaxed-constexpr --diag-suppress=554>)
  target_link_libraries(rtl PRIVATE CUDA::cudart_static CUDA::cublas CUDA::cublasLt CUDA::cusolver rtl::cudnn)
elseif(RTL_CUDA_MODE STREQUAL "EMULATED")
  list(FILTER RTL_CUDA_HOST EXCLUDE REGEX "/src/kernels/cuda/vendor/")
  target_sources(rtl PRIVATE ${RTL_CUDA_HOST} ${RTL_CUDA_KERNELS})
  target_compile_definitions(rtl PRIVATE RTL_WITH_CUDA=1 RTL_CUDA_EMULATED=1)
  set_source_files_properties(${RTL_CUDA_KERNELS} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-O1;-g1;-Wno-unknown-pragmas")
  include(${PROJECT_SOURCE_DIR}/tests/emulation/emulation.cmake)
endif()

if(RTL_PRECOMPILE_HEADERS AND RTL_SANITIZE)
  target_precompile_headers(rtl PRIVATE <algorithm> <array> <cmath> <filesystem> <functional> <limits> <map> <memory> <mutex>
    <numeric> <optional> <span> <string> <vector> <fmt/format.h> <rtl/graph/operations.hpp> <rtl/io/file.hpp>)
  set_property(SOURCE ${RTL_CUDA_KERNELS} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
endif()
