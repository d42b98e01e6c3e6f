// Eigenvectors of one small symmetric matrix by cyclic Jacobi rotations, in one block: nothing waits for the device.
#include <cmath>
#include <limits>

#include "kernels/backend/linear_algebra.hpp"
#include "kernels/cuda/launch.cuh"

namespace rtl::kernels::cuda {
namespace {

constexpr int most_pairs = 512;
constexpr int most_sweeps = 30;
constexpr int most_of_a_thread = 2 * most_pairs / block_size;

/// The pair `i` of a round of a tournament of `players`, an even number, in which everyone meets everyone.
struct Pair {
  int p, q;
};
__device__ inline Pair pair_of(int i, int round, int players) {
  const int others = players - 1;
  if (i == 0) return {round, others};
  const int one = (round + i) % others, other = (round - i + others) % others;
  return one < other ? Pair{one, other} : Pair{other, one};
}

/// By an angle: its sine, and the tangent of its half. Identity as Rotation{0, 0}.
template <typename T>
struct Rotation {
  T sine, half;
};

/// Makes the elements (p, q) of J'AJ zero.
template <typename T>
__device__ Rotation<T> rotation_of(T app, T apq, T aqq) {
  if (apq == T(0)) return {T(0), T(0)};
  const T tau = (aqq - app) / (T(2) * apq);
  const T tangent = (tau < T(0) ? T(-1) : T(1)) / (std::abs(tau) + std::sqrt(T(1) + tau * tau));
  const T cosine = T(1) / std::sqrt(T(1) + tangent * tangent);
  const T sine = tangent * cosine;
  return {sine, sine / (T(1) + cosine)};
}

/// (cos p - sin q, sin p + cos q), of which small rotations leave the lengths alone (Rutishauser 1966).
template <typename T>
__device__ void rotate(T& first, T& second, const Rotation<T>& rotation) {
  const T p = first, q = second;
  first = p - rotation.sine * (q + rotation.half * p);
  second = q + rotation.sine * (p - rotation.half * q);
}

/// Whether what is off the diagonal is rounding; the same answer in all threads.
template <typename T>
__device__ bool is_diagonal(int n, const T* a, T epsilon, T* partial) {
  const int thread = static_cast<int>(threadIdx.x);
  T off = 0, all = 0;
  for (int index = thread; index < n * n; index += block_size) {
    const T square = a[index] * a[index];
    all += square;
    if (index / n != index % n) off += square;
  }
  partial[thread] = off;
  partial[block_size + thread] = all;
  __syncthreads();
  off = all = 0;
  for (int i = 0; i < block_size; ++i) {
    off += partial[i];
    all += partial[block_size + i];
  }
  __syncthreads();
  return off <= epsilon * epsilon * all;
}

/// J'AJ for the rotations of one round, which do not overlap; the rows of `vectors` turn with it.
template <typename T>
__device__ void rotate_round(int n, int round, T* a, T* vectors, Rotation<T>* rotations) {
  const int thread = static_cast<int>(threadIdx.x), players = n + n % 2, pairs = players / 2;
  for (int i = thread; i < pairs; i += block_size) {
    const Pair pair = pair_of(i, round, players);
    rotations[i] = pair.q < n ? rotation_of(a[pair.p * n + pair.p], a[pair.p * n + pair.q], a[pair.q * n + pair.q])
                              : Rotation<T>{T(0), T(0)};
  }
  __syncthreads();
  for (int index = thread; index < pairs * n; index += block_size) {
    const Pair pair = pair_of(index / n, round, players);
    const int row = index % n;
    if (pair.q < n) rotate(a[row * n + pair.p], a[row * n + pair.q], rotations[index / n]);
  }
  __syncthreads();
  for (int index = thread; index < pairs * n; index += block_size) {
    const Pair pair = pair_of(index / n, round, players);
    const int column = index % n;
    if (pair.q >= n) continue;
    rotate(a[pair.p * n + column], a[pair.q * n + column], rotations[index / n]);
    rotate(vectors[pair.p * n + column], vectors[pair.q * n + column], rotations[index / n]);
  }
  __syncthreads();
}

/// Eigenvalues in ascending order, and the vectors in the place of `a`.
template <typename T>
__device__ void sort_into(int n, T* a, const T* vectors, T* values) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < n; i += block_size) values[i] = a[i * n + i];
  __syncthreads();
  int ranks[most_of_a_thread];  // in registers, since the loops over slots are unrolled
  T own[most_of_a_thread];
#pragma unroll
  for (int slot = 0; slot < most_of_a_thread; ++slot) {
    const int i = thread + slot * block_size;
    if (i >= n) break;
    own[slot] = values[i];
    ranks[slot] = 0;
    for (int j = 0; j < n; ++j) {
      // What is no number is behind all others.
      const bool before = values[j] < own[slot] || (own[slot] != own[slot] && values[j] == values[j]);
      const bool after = own[slot] < values[j] || (values[j] != values[j] && own[slot] == own[slot]);
      if (before || (!after && j < i)) ++ranks[slot];
    }
  }
  __syncthreads();
#pragma unroll
  for (int slot = 0; slot < most_of_a_thread; ++slot) {
    const int i = thread + slot * block_size;
    if (i >= n) break;
    values[ranks[slot]] = own[slot];
    for (int j = 0; j < n; ++j) a[ranks[slot] * n + j] = vectors[i * n + j];
  }
}

template <typename T>
__global__ void jacobi_kernel(int n, T epsilon, T* a, T* values, T* vectors) {
  RTL_SHARED(Rotation<T>, rotations, [most_pairs]);
  RTL_SHARED(T, partial, [2 * block_size]);
  const int thread = static_cast<int>(threadIdx.x), rounds = n + n % 2 - 1;
  for (int index = thread; index < n * n; index += block_size) {
    const int row = index / n, column = index % n;
    if (column > row) a[index] = a[column * n + row];
    vectors[index] = row == column ? T(1) : T(0);
  }
  __syncthreads();
  for (int sweep = 0; sweep < most_sweeps; ++sweep) {
    if (is_diagonal(n, a, epsilon, &partial[0])) break;
    for (int round = 0; round < rounds; ++round) rotate_round(n, round, a, vectors, &rotations[0]);
  }
  sort_into(n, a, vectors, values);
}

template <typename T>
void eigen_typed(const Device& device, const View& a, const View& values, const View& work) {
  const auto n = static_cast<int>(a.extent(0));
  launch(jacobi_kernel<T>, 1, block_size, 0, activate(device), n, std::numeric_limits<T>::epsilon() / 4, a.data_as<T>(),
         values.data_as<T>(), work.data_as<T>());
}

}  // namespace

void queued_symmetric_eigen(const Device& device, View a, View values, View work) {
  a.dtype() == DType::f32 ? eigen_typed<float>(device, a, values, work) : eigen_typed<double>(device, a, values, work);
}

}  // namespace rtl::kernels::cuda
