// The judgement behind host_blas_warning(), apart from the library it judges so that it can be tested.
#pragma once

#include <string>
#include <string_view>

namespace rtl::kernels::cpu {

/// What there is to say about OpenBLAS having chosen `core` on a processor with or without AVX2 and AVX-512.
std::string blas_core_warning(std::string_view core, bool has_avx2, bool has_avx512);

}  // namespace rtl::kernels::cpu
