// Eigenvectors in a recorded computation.
#pragma once

#include "rtl/graph/graph.hpp"

namespace rtl::transfer::detail {

/// Orthonormal eigenvectors of the `count` smallest eigenvalues of a symmetric matrix [n, n], as rows [count, n], the
/// smallest first. f32 or f64, n up to 1024; only the lower triangle is read. No gradient. Throws ShapeError,
/// DTypeError, ValueError.
graph::Value smallest_eigenvectors(const graph::Value& matrix, std::int64_t count);

}  // namespace rtl::transfer::detail
