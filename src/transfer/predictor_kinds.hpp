// The kinds of predictors: those of src/transfer/predictors, and what programs add.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer {

namespace predictors {

/// Of the library; the list is made by CMake.
const std::vector<const PredictorKind*>& all();

}  // namespace predictors

namespace detail {

/// Null if there is none of this name.
const PredictorKind* find_predictor_kind(const std::string& name);

}  // namespace detail
}  // namespace rtl::transfer
