#include "transfer/column_moments.hpp"

#include <algorithm>
#include <numeric>

#include "rtl/kernels/reduce.hpp"

namespace rtl::transfer::detail {

ColumnMoments column_moments(const Tensor& features) {
  const Device& device = features.device();
  const std::int64_t columns = features.extent(1);
  Tensor mean({columns}, DType::f64, device), variance({columns}, DType::f64, device);
  kernels::column_moments(device, features, mean, variance);
  return {mean.to_vector<double>(), variance.to_vector<double>()};
}

ColumnMoments column_moments(const FeatureTable& features, const std::vector<std::int64_t>* rows, const Device& device,
                             std::size_t piece_bytes) {
  const std::size_t count = rows != nullptr ? rows->size() : static_cast<std::size_t>(features.rows());
  const std::size_t row_bytes = sizeof(float) * static_cast<std::size_t>(features.columns());
  const std::size_t piece = std::max<std::size_t>(1, piece_bytes / std::max<std::size_t>(1, row_bytes));
  if (count <= piece) return column_moments(features.gather(rows, device));
  ColumnMoments all{std::vector<double>(static_cast<std::size_t>(features.columns())), {}};
  all.variances = all.means;
  for (std::size_t begin = 0; begin < count; begin += piece) {
    std::vector<std::int64_t> chosen(std::min(piece, count - begin));
    if (rows != nullptr) {
      std::copy_n(rows->begin() + static_cast<std::ptrdiff_t>(begin), chosen.size(), chosen.begin());
    } else {
      std::iota(chosen.begin(), chosen.end(), static_cast<std::int64_t>(begin));
    }
    const ColumnMoments own = column_moments(features.gather(&chosen, device));
    const auto before = static_cast<double>(begin), more = static_cast<double>(chosen.size());
    for (std::size_t c = 0; c < all.means.size(); ++c) {
      const double apart = own.means[c] - all.means[c], share = more / (before + more);
      all.means[c] += share * apart;
      all.variances[c] += share * (own.variances[c] - all.variances[c]) + share * (1 - share) * apart * apart;
    }
  }
  return all;
}

}  // namespace rtl::transfer::detail
