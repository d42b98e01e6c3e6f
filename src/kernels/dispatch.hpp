// Chooses the implementation of a checked call: namespace cpu or namespace cuda, by the device.
#pragma once

#include "kernels/cpu/threads.hpp"
#include "rtl/core/device.hpp"

// RTL_DISPATCH(device, softmax(device, x, y)) returns from the enclosing function with cpu::softmax or cuda::softmax.
#if RTL_WITH_CUDA
#define RTL_DISPATCH(device, call)                \
  do {                                            \
    if ((device).is_cuda()) return cuda::call;    \
    const cpu::ThreadScope rtl_threads((device)); \
    return cpu::call;                             \
  } while (false)
#else
#define RTL_DISPATCH(device, call)                \
  do {                                            \
    const cpu::ThreadScope rtl_threads((device)); \
    return cpu::call;                             \
  } while (false)
#endif
