// Backend functions of "rtl/kernels/gather.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/gather.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void gather_rows(const Device& device, ConstView table, ConstView rows, View out,
                                      ConstView counters))
RTL_DECLARE_BACKENDS(void gather_features(const Device& device, const StoredFeatures& features, ConstView rows,
                                          View out, ConstView counters))
RTL_DECLARE_BACKENDS(void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale,
                                        ConstView shift, View out, ConstView counters))
RTL_DECLARE_BACKENDS(void gather_augmented_images(const Device& device, ConstView table, ConstView rows,
                                                  ConstView scale, ConstView shift,
                                                  const ImageAugmentation& augmentation, std::uint64_t name,
                                                  ConstView counters, View out))
RTL_DECLARE_BACKENDS(void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table))

}  // namespace rtl::kernels
