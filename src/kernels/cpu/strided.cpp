#include "kernels/cpu/strided.hpp"

namespace rtl::kernels::cpu {

template class StridedLoop<1>;
template class StridedLoop<2>;
template class StridedLoop<3>;

}  // namespace rtl::kernels::cpu
