// Backend functions of "rtl/kernels/fetch.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/fetch.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void fetch_features(const Device& device, const StoredFeatures& features, ConstView rows, View out,
                                         ConstView counters, std::int64_t after))

}  // namespace rtl::kernels
