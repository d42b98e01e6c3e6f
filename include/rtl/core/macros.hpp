// Markers for code that runs both on the host and inside CUDA kernels.
#pragma once

#if defined(__CUDACC__)
#define RTL_HOST_DEVICE __host__ __device__
#else
#define RTL_HOST_DEVICE
#endif
