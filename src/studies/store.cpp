#include "studies/store.hpp"

#include <utility>

namespace rtl::studies {

Store::Store(const std::string& folder, DeviceKind kind, int threads,
             const std::function<bool(const std::string&)>& is_result, const std::string& results,
             const RunOptions& options)
    : machine_(transfer::detail::machine_facts(kind, threads)), folder_(folder, machine_, is_result, options.note) {
  if (!folder.empty()) options.keeps(folder, results);
}

Store::Facts Store::with_machine(const Facts& facts) const {
  Facts all = machine_;
  all.insert(all.end(), facts.begin(), facts.end());
  return all;
}

void Store::put(const std::string& name, const Facts& facts, Json result) const {
  folder_.store(name, with_machine(facts), std::move(result));
}

}  // namespace rtl::studies
