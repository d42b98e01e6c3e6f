// Runs studies, or one part of them, as their callers do.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>

#include "studies/study.hpp"

namespace rtl::test {

inline const studies::Study& study_named(const std::string& name) {
  for (const studies::Study* study : studies::all()) {
    if (study->name == name) return *study;
  }
  throw Error("there is no study " + name);
}

/// Gives an option of the run a value of its own type.
template <typename Value>
void set(studies::Run& run, const std::string& name, Value value) {
  for (const studies::Option& option : run.options()) {
    if (option.name == name) *std::get<Value*>(option.value) = std::move(value);
  }
}

/// Runs one part quickly; every claim of it must hold.
inline studies::Reproduction run_part(const std::string& study, const std::string& part) {
  studies::RunOptions options;
  options.only = part;
  studies::Reproduction result = study_named(study).begin()->run(options);
  EXPECT_FALSE(result.claims.empty());
  for (const studies::Claim& claim : result.claims) {
    EXPECT_TRUE(claim.passed()) << claim.name << ": " << claim.measured << ", expected " << claim.expected;
  }
  return result;
}

}  // namespace rtl::test
