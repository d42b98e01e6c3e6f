// Tables of wines as small as they may be, where studies look for the real ones.
#pragma once

#include <sstream>
#include <string>

#include "rtl/core/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {

/// Two wines whose quality depends alike on their eleven properties, so many rows of each.
inline void write_wines(const TemporaryFolder& folder, int rows = 80) {
  for (const std::string colour : {"red", "white"}) {
    RandomSequence random(colour == "red" ? 1 : 2);
    std::ostringstream table;
    for (int j = 0; j < 11; ++j) table << "\"property " << j << "\";";
    table << "\"quality\"\n";
    for (int i = 0; i < rows; ++i) {
      double quality = 5 + 0.3 * random.normal();
      for (int j = 0; j < 11; ++j) {
        const double value = random.normal();
        quality += value * (j % 3 - 1);
        table << value << ';';
      }
      table << quality << '\n';
    }
    folder.write("tabular/wine_quality/winequality-" + colour + ".csv", table.str());
  }
}

}  // namespace rtl::test
