"""scikit-learn and NumPy beside rtl's ridge paths: does a job once when asked, and says how long it took.

usage: ridge_peer.py THREADS FOLDER, then lines "JOB SETTING" on standard input; one line of JSON answers each. x.npy and
y.npy in FOLDER are what rtl_bench fits. With one thread the clock is processor time, as in rtl_bench.
"""

import json
import os
import sys
import time

THREADS = sys.argv[1]
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = THREADS

import numpy as np
import sklearn
from sklearn.linear_model import RidgeCV

CLOCK = time.process_time if THREADS == "1" else time.perf_counter
ALPHAS = np.logspace(-2, 5, 100)


def data():
    return tuple(np.load(os.path.join(sys.argv[2], name)).astype(np.float64) for name in ("x.npy", "y.npy"))


def numpy_leave_one_out(x, y):
    """Exact leave-one-out of every penalty from the eigenvectors of the centred Gram matrix."""
    rows = len(x)
    centred, targets = x - x.mean(0), y - y.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    rotated = centred @ vectors
    products, squares = rotated.T @ targets, rotated * rotated
    errors = []
    for alpha in ALPHAS:
        residuals = targets - rotated @ (products / (values + alpha)[:, None])
        margins = 1 - 1 / rows - squares @ (1 / (values + alpha))
        errors.append(((residuals / margins[:, None]) ** 2).mean())
    return int(np.argmin(errors))


def sklearn_ridge_cv(x, y):
    return int(np.argmin(abs(ALPHAS - RidgeCV(ALPHAS).fit(x, y).alpha_)))


SETTINGS = {"numpy_leave_one_out": numpy_leave_one_out, "sklearn_RidgeCV": sklearn_ridge_cv}
JOBS = {"ridge_path": list(SETTINGS), "ridge_path_f32": ["numpy_leave_one_out"]}


def main():
    name = "NumPy " + np.__version__ + ", scikit-learn " + sklearn.__version__
    print(json.dumps({"name": name, "jobs": JOBS}), flush=True)
    for line in sys.stdin:
        job, setting = line.split()
        x, y = data()
        begin = CLOCK()
        best = SETTINGS[setting](x, y)
        seconds = CLOCK() - begin
        print(json.dumps({"seconds": seconds, "units": len(ALPHAS), "result": "best penalty %d" % best}), flush=True)


main()
