// Finished results of a study in a folder, a file each, so that a study that was stopped goes on there.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "studies/study.hpp"
#include "transfer/state_folder.hpp"

namespace rtl::studies {

class Store {
 public:
  using Facts = transfer::detail::Facts;

  /// Makes the folder and tells the caller that it keeps these results ("trainings"); without a name nothing is kept.
  /// `is_result` says whether a file of that name is one. Throws IoError if the folder cannot be made, ValueError if it
  /// holds results that another version, kind of device or number of threads made. What is damaged is noted.
  Store(const std::string& folder, DeviceKind kind, int threads,
        const std::function<bool(const std::string&)>& is_result, const std::string& results,
        const RunOptions& options);

  bool keeps() const noexcept { return folder_.keeps(); }
  std::string path(const std::string& name) const { return folder_.path(name); }
  /// The result that is there under this name. Throws ValueError if other facts decided it.
  std::optional<Json> find(const std::string& name, const Facts& facts) const;
  /// May be called by several threads.
  void put(const std::string& name, const Facts& facts, Json result) const;
  void tell_damaged(const std::string& name, const std::string& fault) const { folder_.tell_damaged(name, fault); }

 private:
  Facts with_machine(const Facts& facts) const;

  Facts machine_;
  transfer::detail::StateFolder folder_;
};

}  // namespace rtl::studies
