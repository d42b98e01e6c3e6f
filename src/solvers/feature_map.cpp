#include "rtl/solvers/feature_map.hpp"

#include <fmt/format.h>

#include <charconv>

#include "rtl/core/error.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/gemm.hpp"
#include "solvers/dense.hpp"

namespace rtl::solvers {
namespace {

constexpr const char* tensor_name = "feature_map";

/// 17 digits: the number that comes back is the number that was written.
std::string exact(double value) { return fmt::format("{:.17g}", value); }

double number(const std::string& path, const io::Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) throw FormatError(path, fmt::format("the metadata has no '{}': not a feature map", key));
  double value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto [stop, error] = std::from_chars(found->second.data(), end, value);
  if (error != std::errc() || stop != end) {
    throw FormatError(path, fmt::format("the metadata's '{}' is '{}', not a number", key, found->second));
  }
  return value;
}

Tensor to_dtype(const Tensor& matrix, DType dtype, const Device& device) {
  if (dtype == DType::f64) return matrix.to(device);
  const auto wide = matrix.to_vector<double>();
  return Tensor::from(std::vector<float>(wide.begin(), wide.end()), matrix.shape(), device);
}

}  // namespace

FeatureMap::FeatureMap(ConstView matrix, Facts facts)
    : matrix_(dense_copy("FeatureMap", "matrix", matrix).tensor()), facts_(std::move(facts)) {
  if (matrix.rank() != 2) {
    throw ShapeError(fmt::format("FeatureMap: matrix is {}; it must be [p, q]", matrix.shape().to_string()));
  }
}

Tensor FeatureMap::apply(const Device& device, ConstView x) const {
  if (x.rank() != 2 || x.extent(1) != inputs()) {
    throw ShapeError(fmt::format("FeatureMap::apply: x is {}; the map takes [n, {}]", x.shape().to_string(), inputs()));
  }
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64) {
    throw DTypeError(fmt::format("FeatureMap::apply: x is {}; it must be f32 or f64", name_of(x.dtype())));
  }
  Tensor out({x.extent(0), features()}, x.dtype(), device);
  if (x.extent(0) == 0) return out;
  const Tensor matrix = to_dtype(matrix_, x.dtype(), device);
  kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::no, 1, x, matrix, 0, out);
  return out;
}

Tensor FeatureMap::coefficients(ConstView theta) const {
  const Dense right = dense_copy("FeatureMap::coefficients", "theta", theta);
  if (right.rows() != features()) {
    throw ShapeError(fmt::format("FeatureMap::coefficients: theta is {}; the map has {} features",
                                 theta.shape().to_string(), features()));
  }
  const Device& host = matrix_.device();
  Tensor out({inputs(), right.columns()}, DType::f64, host);
  kernels::gemm(host, kernels::Transpose::no, kernels::Transpose::no, 1, matrix_, right.view(), 0, out);
  return out;
}

Tensor FeatureMap::metric() const {
  const Device& host = matrix_.device();
  Tensor out({inputs(), inputs()}, DType::f64, host);
  kernels::gemm(host, kernels::Transpose::no, kernels::Transpose::yes, 1, matrix_, matrix_, 0, out);
  return out;
}

void FeatureMap::save(const std::string& path) const {
  io::write_safetensors(path, {{tensor_name, matrix_}},
                        {{"kind", facts_.kind},
                         {"penalty", exact(facts_.penalty)},
                         {"samples", exact(facts_.samples)},
                         {"noise", exact(facts_.noise)},
                         {"expected_risk", exact(facts_.expected_risk)}});
}

FeatureMap FeatureMap::load(const std::string& path, const Device& device) {
  const io::SafetensorsFile file(path);
  const auto& entry = file.entry(tensor_name);
  if (entry.dtype != DType::f64 || entry.shape.rank() != 2 || entry.shape.count() == 0) {
    throw FormatError(path, fmt::format("the tensor '{}' is {} {}; a feature map is f64 [p, q]", tensor_name,
                                        name_of(entry.dtype), entry.shape.to_string()));
  }
  const auto& metadata = file.metadata();
  const auto kind = metadata.find("kind");
  if (kind == metadata.end()) throw FormatError(path, "the metadata has no 'kind': not a feature map");
  Facts facts{kind->second, number(path, metadata, "penalty"), number(path, metadata, "samples"),
              number(path, metadata, "noise"), number(path, metadata, "expected_risk")};
  try {
    return {file.load(tensor_name, device.host()), std::move(facts)};
  } catch (const ValueError& error) {
    throw FormatError(path, error.what());
  }
}

}  // namespace rtl::solvers
