// The emulator's answer to `#include <cuda_runtime.h>`: the CUDA language (language.hpp) and the few runtime calls
// that rtl makes (runtime.hpp), for a plain C++20 compiler. Kernels written for nvcc compile unchanged, save that
// shared memory is declared with RTL_SHARED and kernels are started with rtl::kernels::cuda::launch.
#pragma once

#include "emulation/language.hpp"
#include "emulation/runtime.hpp"
