// Which vector instruction sets the host kernels are compiled for; Highway picks one when the program runs. To be
// included before <hwy/foreach_target.h>.
#pragma once

// SSE2, AVX2 and AVX-512 stay: the sets between them gain little here and cost compile time.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
