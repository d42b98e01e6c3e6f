"""Writes tests/golden/files/hdf5: what h5py and AnnData write, to be read by rtl.

    python -m venv VENV && VENV/bin/pip install numpy h5py scipy anndata
    VENV/bin/python tests/golden/make/hdf5.py tests/golden/files/hdf5
"""

import sys

import anndata
import h5py
import numpy as np
import pandas
import scipy.sparse


def main():
    folder = sys.argv[1]
    rows = np.arange(24).reshape(6, 4)
    kinds = ["b", "a", "b", "c", "a", "b"]

    with h5py.File(f"{folder}/arrays.h5", "w") as file:
        file["f64"] = rows / 8
        file["f32"] = (rows / 8).astype(np.float32)
        file["f16"] = (rows / 8).astype(np.float16)
        file["big"] = (rows / 8).astype(">f8")
        file["i16"] = rows.astype(np.int16) - 5
        file["u64"] = rows.astype(np.uint64)
        file["u8"] = rows.astype(np.uint8)
        file["flags"] = rows % 2 == 0
        file.create_dataset("packed", data=rows / 8, chunks=(2, 4), compression="gzip", shuffle=True)
        file.create_dataset("sealed", data=rows / 8, chunks=(6, 4), fletcher32=True)
        file["y"] = np.array([1, 0, 1, 2, 0, 1])
        file["real"] = rows[:, 0] / 4 + 0.5
        file["group/fixed"] = np.array(kinds, "S3")
        file["group/variable"] = np.array(kinds, dtype=h5py.string_dtype())
        file["images"] = np.arange(6 * 3 * 2 * 3).reshape(6, 3, 2, 3).astype(np.uint8)
        hole = rows / 8
        hole[2, 1] = np.nan
        file["hole"] = hole
        file["cube"] = rows.reshape(6, 2, 2, 1, 1)
        file["beyond"] = np.array([1, 2**63], np.uint64)
        file["pairs"] = np.zeros(6, [("a", "i4"), ("b", "f4")])
        file.create_dataset("unwritten", (10**6, 10**3), "f4")
        file.create_dataset("promise", (10**6, 10**6), "f4", chunks=(10, 10), compression="gzip")
        file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/X")
        layout = h5py.VirtualLayout((6, 4), np.float64)
        layout[:] = h5py.VirtualSource("other.h5", "X", (6, 4))
        file.create_virtual_dataset("virtual", layout)

    dense = (rows * (rows % 3 == 0)).astype(np.float32)
    table = pandas.DataFrame({"kind": pandas.Categorical(kinds), "depth": rows[:, 0] / 4 + 0.5},
                             index=[f"cell{i}" for i in range(6)])
    for name, x in {"sparse": scipy.sparse.csr_matrix(dense), "columns": scipy.sparse.csc_matrix(dense),
                    "dense": dense}.items():
        cells = anndata.AnnData(x, obs=table)
        cells.obsm["spatial"] = rows[:, :2] / 2
        cells.write_h5ad(f"{folder}/{name}.h5ad")

    with h5py.File(f"{folder}/old.h5ad", "w") as file:  # as AnnData wrote before 0.8
        file["X"] = dense
        file["obs/kind"] = np.array([1, 0, 1, 2, 0, 1], np.int8)
        file["obs/__categories/kind"] = np.array(["a", "b", "c"], dtype=h5py.string_dtype())
        file["obs/missing/codes"] = np.array([1, 0, -1, 2, 0, 1], np.int8)
        file["obs/missing/categories"] = np.array(["a", "b", "c"], dtype=h5py.string_dtype())

    with h5py.File(f"{folder}/hostile.h5ad", "w") as file:  # sparse matrices that are none
        for name, shape, indptr, indices in [
                ("many", (3, 2**40), [0, 1, 1, 1], [0]), ("outside", (3, 2), [0, 1, 1, 1], [2]),
                ("unsorted", (3, 2), [0, 2, 1, 1], [0]), ("rows", (4, 2), [0, 1, 1, 1], [0])]:
            group = file.create_group(name)
            group.attrs["encoding-type"] = "csr_matrix"
            group.attrs["shape"] = np.array(shape)
            group["data"], group["indices"], group["indptr"] = np.ones(1), np.array(indices), np.array(indptr)


if __name__ == "__main__":
    main()
