// The CIFAR binary format: records of some label bytes, then 32 x 32 red, green and blue values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/assemble.hpp"

namespace rtl::data {

/// What the folder of a data set in this format holds.
struct CifarFiles {
  std::int64_t label_bytes;  ///< of a record
  std::int64_t label_at;     ///< which of them is the label
  std::int64_t classes;
  std::vector<std::string> train;        ///< official names; else the only one with _train_ in its name
  std::vector<std::string> test;         ///< likewise with _test_
  std::vector<std::string> class_names;  ///< files that name the classes, where the first that is there counts
};

TrainTest load_cifar(const Spec& spec, const CifarFiles& known, const Device& host);

}  // namespace rtl::data
