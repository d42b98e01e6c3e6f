# Imported targets for the native libraries that librtl.a calls. Used by the build and, installed, by rtlConfig.cmake,
# so that a program linked to the static library gets them too. All are Debian 12 packages, see scripts/setup.

# rtl_native_library(NAME library [header [path suffix of both]]) makes rtl::NAME.
function(rtl_native_library name library header suffix)
  if(TARGET rtl::${name})
    return()
  endif()
  string(TOUPPER RTL_${name} variable)
  find_library(${variable}_LIBRARY ${library} PATH_SUFFIXES ${suffix} REQUIRED)
  find_path(${variable}_INCLUDE_DIR ${header}
    PATH_SUFFIXES ${suffix} ${CMAKE_LIBRARY_ARCHITECTURE}/${suffix} ${CMAKE_LIBRARY_ARCHITECTURE} REQUIRED)
  mark_as_advanced(${variable}_LIBRARY ${variable}_INCLUDE_DIR)
  add_library(rtl::${name} UNKNOWN IMPORTED)
  set_target_properties(rtl::${name} PROPERTIES
    IMPORTED_LOCATION ${${variable}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${${variable}_INCLUDE_DIR})
endfunction()

# oneDNN by name: Debian's package file of oneDNN 2.6 names targets that do not exist.
rtl_native_library(dnnl dnnl oneapi/dnnl/dnnl.hpp "")
# The OpenMP variant of OpenBLAS: the pthread one competes with OpenMP threads for the cores.
rtl_native_library(openblas openblas cblas.h openblas-openmp)
rtl_native_library(lapacke lapacke lapacke.h "")
rtl_native_library(hwy hwy hwy/highway.h "")
# libzip by name: its package file in Debian asks for programs that libzip-dev does not bring.
rtl_native_library(zip zip zip.h "")
# What a build may lack; with it RTL_HAS_NAME says whether it is there.
function(rtl_optional_library name library header suffix)
  string(TOUPPER RTL_${name} variable)
  find_library(${variable}_LIBRARY ${library} PATH_SUFFIXES ${suffix})
  find_path(${variable}_INCLUDE_DIR ${header} PATH_SUFFIXES ${suffix} ${CMAKE_LIBRARY_ARCHITECTURE})
  mark_as_advanced(${variable}_LIBRARY ${variable}_INCLUDE_DIR)
  string(TOUPPER RTL_HAS_${name} has)
  if(${variable}_LIBRARY AND ${variable}_INCLUDE_DIR)
    rtl_native_library(${name} ${library} ${header} "${suffix}")
    set(${has} 1 PARENT_SCOPE)
  else()
    set(${has} 0 PARENT_SCOPE)
  endif()
endfunction()
rtl_optional_library(png png png.h "")
rtl_optional_library(jpeg jpeg jpeglib.h "")

if(TARGET CUDA::cudart)
  cmake_path(GET CUDAToolkit_LIBRARY_DIR PARENT_PATH rtl_cuda_root)
  list(APPEND CMAKE_LIBRARY_PATH ${CUDAToolkit_LIBRARY_DIR} ${rtl_cuda_root}/lib)
  list(APPEND CMAKE_INCLUDE_PATH ${CUDAToolkit_INCLUDE_DIRS})
  # Of cuDNN 9, whose libcudnn loads the others of its libraries.
  rtl_native_library(cudnn cudnn cudnn_graph.h "")
endif()
