#include "rtl/io/hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace rtl::io {
namespace {

// The five primes of the XXH64 specification.
constexpr std::uint64_t prime1 = 0x9E3779B185EBCA87u;
constexpr std::uint64_t prime2 = 0xC2B2AE3D27D4EB4Fu;
constexpr std::uint64_t prime3 = 0x165667B19E3779F9u;
constexpr std::uint64_t prime4 = 0x85EBCA77C2B2AE63u;
constexpr std::uint64_t prime5 = 0x27D4EB2F165667C5u;

template <typename Word>
std::uint64_t read_word(const std::byte* from) noexcept {
  static_assert(std::endian::native == std::endian::little);
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) noexcept {
  return std::rotl(lane + word * prime2, 31) * prime1;
}

std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) noexcept {
  return (hash ^ round(0, lane)) * prime1 + prime4;
}

/// The last 0 to 31 bytes and the final mixing.
std::uint64_t finish(std::uint64_t hash, const std::byte* at, std::size_t left) noexcept {
  for (; left >= 8; left -= 8, at += 8) {
    hash = std::rotl(hash ^ round(0, read_word<std::uint64_t>(at)), 27) * prime1 + prime4;
  }
  if (left >= 4) {
    hash = std::rotl(hash ^ (read_word<std::uint32_t>(at) * prime1), 23) * prime2 + prime3;
    left -= 4;
    at += 4;
  }
  for (; left > 0; --left, ++at) hash = std::rotl(hash ^ (static_cast<std::uint64_t>(*at) * prime5), 11) * prime1;
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

}  // namespace

Hash64::Hash64(std::uint64_t seed) noexcept
    : lanes_{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}, seed_(seed) {}

Hash64& Hash64::add(std::span<const std::byte> bytes) noexcept {
  total_ += bytes.size();
  const auto consume = [this](const std::byte* stripe) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes_[lane] = round(lanes_[lane], read_word<std::uint64_t>(stripe + 8 * lane));
    }
  };
  if (pending_size_ > 0) {
    const std::size_t taken = std::min(bytes.size(), pending_.size() - pending_size_);
    std::copy_n(bytes.begin(), taken, pending_.begin() + static_cast<std::ptrdiff_t>(pending_size_));
    pending_size_ += taken;
    bytes = bytes.subspan(taken);
    if (pending_size_ < pending_.size()) return *this;
    consume(pending_.data());
    pending_size_ = 0;
  }
  for (; bytes.size() >= pending_.size(); bytes = bytes.subspan(pending_.size())) consume(bytes.data());
  std::copy(bytes.begin(), bytes.end(), pending_.begin());
  pending_size_ = bytes.size();
  return *this;
}

Hash64& Hash64::add(std::string_view text) noexcept {
  add(static_cast<std::uint64_t>(text.size()));
  return add(std::as_bytes(std::span(text)));
}

Hash64& Hash64::add(std::uint64_t number) noexcept { return add(std::as_bytes(std::span(&number, 1))); }

std::uint64_t Hash64::value() const noexcept {
  std::uint64_t hash = seed_ + prime5;
  if (total_ >= pending_.size()) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (const std::uint64_t lane : lanes_) hash = merge(hash, lane);
  }
  return finish(hash + total_, pending_.data(), pending_size_);
}

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return Hash64(seed).add(bytes).value();
}

std::string to_hex(std::uint64_t value) { return fmt::format("{:016x}", value); }

}  // namespace rtl::io
