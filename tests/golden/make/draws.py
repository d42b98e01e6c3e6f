"""What the scripts of this folder draw inputs and start weights with: the numbers of tests/support/golden.hpp."""

import numpy as np


def philox_uniform(seed, stream, count):
    """Draws 0..count-1 of Philox 4x32-10 with this key and stream, in [0, 1), multiples of 2^-24."""
    mask = np.uint64(0xFFFFFFFF)
    index = np.arange((count + 3) // 4, dtype=np.uint64)
    c0, c1 = index & mask, index >> np.uint64(32)
    c2 = np.full_like(index, stream & 0xFFFFFFFF)
    c3 = np.full_like(index, stream >> 32)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), p1 & mask, (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count]
    return (words >> np.uint64(8)).astype(np.float64) * 2.0**-24


class UniformDraws:
    """Tensors drawn one after another: number k comes from stream k."""

    def __init__(self, seed):
        self.seed, self.stream = seed, 0

    def uniform(self, shape, low, high):
        values = low + (high - low) * philox_uniform(self.seed, self.stream, int(np.prod(shape)))
        self.stream += 1
        return values.astype(np.float32).astype(np.float64).reshape(shape)
