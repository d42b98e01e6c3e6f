"""Writes tests/golden/files: what NumPy and the safetensors package write, to be read by rtl.

    python -m venv VENV && VENV/bin/pip install numpy safetensors ml_dtypes
    VENV/bin/python tests/golden/make/files.py tests/golden/files
"""

import sys
import zipfile

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file


def main():
    folder = sys.argv[1]
    numbers = np.arange(24)
    np.save(f"{folder}/f32_rows.npy", (numbers / 8 - 1).astype(np.float32).reshape(2, 3, 4))
    np.save(f"{folder}/f64_columns.npy", np.asfortranarray((numbers / 10).reshape(4, 6)))
    np.save(f"{folder}/i32.npy", numbers.astype(np.int32) - 5)
    np.save(f"{folder}/u8.npy", (numbers * 10).astype(np.uint8).reshape(24, 1))
    arrays = {"weights": np.zeros((40, 25)), "labels": numbers, "one": np.float32(2.5)}
    np.savez(f"{folder}/stored.npz", **arrays)
    np.savez_compressed(f"{folder}/deflated.npz", **arrays)
    limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 0  # as if all were larger than 4 GiB
    np.savez(f"{folder}/zip64.npz", **arrays)
    zipfile.ZIP64_LIMIT = limit
    eighths = numbers / 8
    save_file({
        "wide": eighths.reshape(4, 6),
        "single": eighths.astype(np.float32).reshape(2, 12),
        "brain": eighths.astype(ml_dtypes.bfloat16),
        "half": eighths.astype(np.float16),
        "counts": numbers.astype(np.int64),
        "bytes": numbers.astype(np.uint8).reshape(3, 8),
    }, f"{folder}/mixed.safetensors", metadata={"format": "np"})


if __name__ == "__main__":
    main()
