// Real data that several studies transfer between: domains that share columns, read from the folder of data sets (its
// README describes the files) into host matrices.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "transfer/protocol.hpp"

namespace rtl::studies {

enum class Task : std::uint8_t {
  regression,   ///< scored by R^2
  two_classes,  ///< targets -1 and 1, scored by accuracy
  classes,      ///< one target a class, -1 or 1, scored by accuracy
};

/// Host matrices, row-major; NaN stands for a missing value in `x`.
struct Domain {
  std::string name;
  std::int64_t rows = 0, features = 0, outputs = 0;
  std::vector<float> x;   ///< [rows, features]
  std::vector<double> y;  ///< [rows, outputs]
  /// Rows beyond this are for testing only; `rows` if any row may be either.
  std::int64_t training_rows = 0;
  /// The first so many are fitted where the domain is a source.
  std::int64_t source_rows = 0;
  Task task = Task::regression;
};

/// Of the data: what decides a kept result.
transfer::detail::Fact domain_fact(const std::string& name, const Domain& domain);

namespace domains {

/// Of labels from 0: `outputs` columns, -1 everywhere but at the class.
void set_classes(Domain& domain, const std::vector<std::int64_t>& labels, std::int64_t classes);
/// u8 or i32, as they are read.
std::vector<std::int64_t> label_values(const Tensor& labels);

// Each by the folder of data sets and the domain's name. They throw as the readers of rtl/data and rtl/io do.
Domain wine(const std::string& folder, const std::string& colour);
Domain heart(const std::string& folder, const std::string& site);
Domain amazon(const std::string& folder, const std::string& product);
Domain office(const std::string& folder, const std::string& camera);
Domain housing(const std::string& folder, const std::string& area);
Domain adult(const std::string& folder, const std::string& status);
Domain race(const std::string& folder, const std::string& race);
Domain cortex(const std::string& folder, const std::string& region);
Domain myelin(const std::string& folder, const std::string& region);
Domain aldolase(const std::string& folder, const std::string& region);

}  // namespace domains

/// Fills missing values with the medians of a source's rows, then centres and scales: each column by its deviation
/// among them, or all by one number.
class SourceScaling {
 public:
  SourceScaling(const Domain& source, bool scale_each_feature);
  /// [rows, features] of the chosen rows of a domain with the same columns.
  std::vector<double> scaled(const Domain& domain, std::span<const std::int64_t> rows) const;

 private:
  std::vector<double> median_, mean_, scale_;
};

/// A third of the names, rounded, that is kept aside while rules are made: those whose hashes with the seed are least.
std::vector<bool> held_out(const std::vector<std::string>& names, int seed);

}  // namespace rtl::studies
