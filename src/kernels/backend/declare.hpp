// Declares one function in both backend namespaces.
#pragma once

#define RTL_DECLARE_BACKENDS(...) \
  namespace cpu {                 \
  __VA_ARGS__;                    \
  }                               \
  namespace cuda {                \
  __VA_ARGS__;                    \
  }
