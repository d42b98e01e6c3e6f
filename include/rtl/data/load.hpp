// Loading data sets by SPEC: KIND:PATH?option=value&option=value.
#pragma once

#include <map>
#include <string>

#include "rtl/data/dataset.hpp"

namespace rtl::data {

/// A parsed SPEC.
struct Spec {
  std::string kind;
  std::string path;
  std::map<std::string, std::string> options;
  static Spec parse(const std::string& text);  ///< Throws ValueError, listing the kinds.
};

/// Loads train and test parts. Kinds: idx:DIR, cifar10:DIR, cifar100:DIR (options labels=fine|coarse), npy:X.npy,Y.npy,
/// glyphs: (synthetic). All take limit=N, offset=N (on the train part) and split=train|test (with it, both parts are
/// that one). Files may be plain or .gz, with the usual names or *_train_*, *_test_*. Throws IoError for a missing
/// file, FormatError for a damaged one, ValueError for a bad SPEC.
TrainTest load(const std::string& spec, const Device& device);

}  // namespace rtl::data
