#include "rtl/io/hash.hpp"

#include <fmt/format.h>

#include <bit>
#include <new>
#include <type_traits>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rtl::io {

static_assert(std::endian::native == std::endian::little);
static_assert(std::is_trivially_copyable_v<XXH64_state_t> && std::is_trivially_destructible_v<XXH64_state_t>);

Hash64::Hash64(std::uint64_t seed) noexcept {
  static_assert(sizeof(state_) >= sizeof(XXH64_state_t) && alignof(Hash64) >= alignof(XXH64_state_t));
  XXH64_reset(new (state_.data()) XXH64_state_t, seed);
}

Hash64& Hash64::add(std::span<const std::byte> bytes) noexcept {
  auto* const state = std::launder(reinterpret_cast<XXH64_state_t*>(state_.data()));
  if (!bytes.empty()) XXH64_update(state, bytes.data(), bytes.size());
  return *this;
}

Hash64& Hash64::add(std::string_view text) noexcept {
  add(static_cast<std::uint64_t>(text.size()));
  return add(std::as_bytes(std::span(text)));
}

Hash64& Hash64::add(std::uint64_t number) noexcept { return add(std::as_bytes(std::span(&number, 1))); }

std::uint64_t Hash64::value() const noexcept {
  return XXH64_digest(std::launder(reinterpret_cast<const XXH64_state_t*>(state_.data())));
}

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH64(bytes.data(), bytes.size(), seed);
}

std::string to_hex(std::uint64_t value) { return fmt::format("{:016x}", value); }

}  // namespace rtl::io
