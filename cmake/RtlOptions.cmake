# Flags shared by every target of this project. Users of the library inherit none of them.
add_library(rtl_options INTERFACE)
target_compile_options(rtl_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra --Werror=cross-execution-space-call>)
if(RTL_NATIVE)
  target_compile_options(rtl_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
endif()
if(RTL_SANITIZE)
  set(RTL_SANITIZE_FLAGS -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  # The sanitizers' own code makes g++ see uninitialised values where there are none (in libstdc++'s regex).
  target_compile_options(rtl_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:${RTL_SANITIZE_FLAGS};-Wno-maybe-uninitialized>)
  target_link_options(rtl_options INTERFACE ${RTL_SANITIZE_FLAGS})
endif()
if(RTL_BUILD_FUZZ)
  target_compile_options(rtl_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
endif()
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND PROJECT_IS_TOP_LEVEL)
  foreach(language C CXX CUDA)
    if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
    endif()
  endforeach()
endif()
