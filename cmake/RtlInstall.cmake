# `cmake --install`: library, headers, program, the CMake package (find_package(rtl)) and rtl.pc (pkg-config --static).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(RTL_SANITIZE OR RTL_CUDA_MODE STREQUAL "EMULATED")
  message(STATUS "rtl: no install target: a sanitized or emulated build is for tests only")
  return()
endif()

set(RTL_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/rtl)
install(TARGETS rtl EXPORT rtlTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/rtl DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT rtlTargets NAMESPACE rtl:: DESTINATION ${RTL_PACKAGE_DIR})
if(TARGET rtl_program)
  install(TARGETS rtl_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/rtlConfig.cmake.in ${PROJECT_BINARY_DIR}/rtlConfig.cmake
  INSTALL_DESTINATION ${RTL_PACKAGE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rtlConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/rtlConfig.cmake ${PROJECT_BINARY_DIR}/rtlConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/RtlNativeLibraries.cmake DESTINATION ${RTL_PACKAGE_DIR})

# What a static link needs besides librtl.a, for pkg-config.
set(RTL_PC_LIBS "")
set(RTL_PC_NAMES dnnl lapacke openblas hwy zip)
foreach(name png jpeg)
  string(TOUPPER ${name} upper)
  if(RTL_HAS_${upper})
    list(APPEND RTL_PC_NAMES ${name})
  endif()
endforeach()
foreach(name ${RTL_PC_NAMES})
  string(TOUPPER RTL_${name} variable)
  cmake_path(GET ${variable}_LIBRARY PARENT_PATH folder)
  list(APPEND RTL_PC_LIBS -L${folder} -l${name})
endforeach()
list(APPEND RTL_PC_LIBS ${OpenMP_CXX_FLAGS})
# The C++ library, for programs whose main part is C, or that another linker driver than g++ links.
foreach(name ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
  if(name MATCHES "^(stdc\\+\\+|c\\+\\+|m)$")
    list(APPEND RTL_PC_LIBS -l${name})
  endif()
endforeach()
if(RTL_CUDA_MODE STREQUAL "NVCC")
  cmake_path(GET RTL_CUDNN_LIBRARY PARENT_PATH folder)
  list(APPEND RTL_PC_LIBS -L${CUDAToolkit_LIBRARY_DIR} -L${folder}
    -lcudnn -lcusolver -lcublasLt -lcublas -lcudart_static -ldl -lrt -lpthread)
endif()
list(REMOVE_DUPLICATES RTL_PC_LIBS)
list(JOIN RTL_PC_LIBS " " RTL_PC_LIBS)
configure_file(${PROJECT_SOURCE_DIR}/cmake/rtl.pc.in ${PROJECT_BINARY_DIR}/rtl.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/rtl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
