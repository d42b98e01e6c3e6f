// The claims of the parts of optimal-features that are done in seconds.
#include "studies/run_study.hpp"

namespace rtl::test {
namespace {

TEST(OptimalFeatures, TheGroundTruthDivergesTwice) { run_part("optimal-features", "divergence"); }

TEST(OptimalFeatures, PhasesOfTheBestFeatures) { run_part("optimal-features", "phases"); }

TEST(OptimalFeatures, DescentReachesTheClosedForms) { run_part("optimal-features", "descent"); }

}  // namespace
}  // namespace rtl::test
