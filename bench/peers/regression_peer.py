"""Regression by scratch, probe, refine and fine-tune, written again in PyTorch, beside `rtl transfer` on the same rows.

usage: regression_peer.py RTL DATA FOLDER wine|housing SEEDS [EPOCHS BATCH]
RTL is the program, DATA has tabular/, FOLDER takes the arrays and what rtl writes. Source and target are white and red
wine, or houses north and south of 36 degrees; a quarter of the target's rows is the test. Both have mlp:128, rtl's
optimizer (SGD of rate 0.01 and momentum 0.9) and the network that rtl has pretrained, and 30 EPOCHS with a BATCH of 64,
rtl's own, if not given; a BATCH of 0 is all rows. PyTorch starts from the weights that rtl starts from, written by
`rtl transfer --epochs 0 --out`, and takes the rows in the same order, so scores are compared seed by seed. Prints both
means and deviations over the seeds, the largest difference of a seed, and that between PyTorch in f32 and in f64. See
docs/results/regression.md.
"""

import csv
import gzip
import io
import json
import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

RTL, DATA, FOLDER, NAME, SEEDS = *sys.argv[1:5], int(sys.argv[5])
STRATEGIES = ("scratch", "probe", "refine", "fine-tune")
EPOCHS, BATCH = map(int, sys.argv[6:8] or (30, 64))
WIDTH, RATE, MOMENTUM = 128, 0.01, 0.9


def wine(color):
    path = f"{DATA}/tabular/wine_quality/winequality-{color}.csv"
    table = np.genfromtxt(path, delimiter=";", skip_header=1)
    return table[:, :-1], table[:, -1:]


def houses(north):
    with gzip.open(f"{DATA}/tabular/california_housing/housing.csv.gz") as file:
        rows = [row for row in csv.DictReader(io.TextIOWrapper(file)) if (float(row["latitude"]) > 36) == north]
    names = ("housing_median_age", "total_rooms", "population", "households", "median_income")
    values = np.array([[float(row[name]) for name in names] for row in rows])
    return values, np.array([[float(row["median_house_value"]) / 1e5] for row in rows])


def arrays():
    source, (x, y) = (wine("white"), wine("red")) if NAME == "wine" else (houses(True), houses(False))
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[: 3 * len(x) // 4], order[3 * len(x) // 4 :]
    found = dict(source_x=source[0], source_y=source[1], x=x[train], y=y[train], test_x=x[test], test_y=y[test])
    found = {name: values.astype(np.float32) for name, values in found.items()}
    for name, values in found.items():
        np.save(f"{FOLDER}/{name}.npy", values)
    return found


def run_rtl(rows):
    """The source's tensors, by strategy the weights of all seeds before training, and what rtl reports."""
    source, result, start = f"{FOLDER}/source.safetensors", f"{FOLDER}/{NAME}.json", f"{FOLDER}/start"
    specs = [f"npy:{FOLDER}/source_x.npy,{FOLDER}/source_y.npy?target=real"]
    specs.append(f"npy:{FOLDER}/x.npy,{FOLDER}/y.npy?test={FOLDER}/test_x.npy,{FOLDER}/test_y.npy&target=real")
    pretrain = ["pretrain", "--data", specs[0], "--model", f"mlp:{WIDTH}", "--seed", "1", "--out", source]
    transfer = ["transfer", "--source", source, "--target", specs[1], "--model", f"mlp:{WIDTH}"]
    transfer += ["--strategy", ",".join(STRATEGIES), "--seeds", str(SEEDS), "--batch-size", str(BATCH or rows)]
    trained = ["--epochs", str(EPOCHS), "--json", result]
    for arguments in (pretrain, [*transfer, "--epochs", "0", "--out", start], [*transfer, *trained]):
        subprocess.run([RTL, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = {s: [load_file(f"{start}/{s}_seed{seed}.safetensors") for seed in range(1, SEEDS + 1)] for s in STRATEGIES}
    starts = {s: {name: torch.stack([one[name] for one in all]) for name in all[0]} for s, all in files.items()}
    strategies = {s["name"]: s for s in json.load(open(result))["strategies"]}
    return load_file(source), starts, strategies


def mix(a, b):
    z = (a + 0x9E3779B97F4A7C15 * (b + 1)) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def philox(seed, stream, blocks):
    """Words of the first counters of Philox 4x32 with 10 rounds (Salmon et al. 2011), in order."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.arange(blocks, dtype=np.uint64), np.uint64(0), np.uint64(stream) & low, np.uint64(stream >> 32)]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        above, below = (p >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), (q >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0])
        c = [below, q & low, above, p & low]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(np.broadcast_arrays(*c), 1).ravel()


def order_of_rows(rows, seed, epoch):
    """Fisher and Yates' permutation of an epoch. A draw that rtl would reject has a probability below 2^-48."""
    words = philox(seed, mix(0x6F726465, epoch), (rows + 1) // 2)
    draws = (words[0::2] << np.uint64(32) | words[1::2])[: rows - 1]
    order = list(range(rows))
    for i, j in zip(range(rows - 1, 0, -1), draws % np.arange(rows, 1, -1, dtype=np.uint64)):
        order[i], order[j] = order[j], order[i]
    return order


def apply(x, weight, bias):
    return x @ weight.transpose(1, 2) + bias.unsqueeze(1)


def train(parameters, outputs, y, orders):
    """All seeds at once, each with batches of its own; outputs(rows) [seeds, batch, 1]."""
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)
    for order in orders:
        for rows in order.split(BATCH or len(y), dim=1):
            loss = ((outputs(rows) - y[rows]) ** 2).mean(dim=(1, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def orders_of_rows(rows):
    """[epochs, seeds, rows]; with all rows in a batch their order does not matter."""
    if BATCH == 0:
        return torch.arange(rows).expand(EPOCHS, SEEDS, -1)
    return torch.tensor([[order_of_rows(rows, seed, epoch) for seed in range(1, SEEDS + 1)] for epoch in range(EPOCHS)])


def run_torch(data, source, starts, dtype):
    mean, deviation = data["x"].mean(0, dtype=np.float64), data["x"].std(0, dtype=np.float64)
    shift, scale = data["y"].mean(dtype=np.float64), data["y"].std(dtype=np.float64)
    own = [torch.tensor((data[name] - mean) / deviation, dtype=dtype) for name in ("x", "test_x")]
    source = {name: value.to(dtype) for name, value in source.items()}
    raw = [torch.tensor(data[name], dtype=dtype) for name in ("x", "test_x")]
    as_source = [(x - source["input.mean"]) / source["input.deviation"] for x in raw]
    features = [torch.relu(x @ source["fc1.weight"].T + source["fc1.bias"]) for x in as_source]
    y = torch.tensor((data["y"] - shift) / scale, dtype=dtype)
    orders = orders_of_rows(len(y))

    def fit(strategy, layers, outputs):
        names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
        parts = [starts[strategy][name].to(dtype, copy=True) for name in names]
        train(parts, lambda rows: outputs(own[0][rows], features[0][rows], as_source[0][rows], *parts), y, orders)
        whole = [part[1].expand(SEEDS, -1, -1) for part in (own, features, as_source)]
        errors = outputs(*whole, *parts).detach().double().numpy()[..., 0] * scale + shift - data["test_y"][:, 0]
        squares = (errors**2).mean(1)
        return {"r2": 1 - squares / data["test_y"].var(dtype=np.float64), "rmse": np.sqrt(squares)}

    def network(x, weight, bias, head, head_bias):
        return apply(torch.relu(apply(x, weight, bias)), head, head_bias)

    def beside(x, frozen, weight, bias, head, head_bias):
        return apply(torch.cat([torch.relu(apply(x, weight, bias)), frozen], -1), head, head_bias)

    whole = ("fc1", "head")
    return {
        "scratch": fit("scratch", whole, lambda x, f, s, *parts: network(x, *parts)),
        "probe": fit("probe", ("model.head",), lambda x, f, s, *parts: apply(f, *parts)),
        "refine": fit("refine", ("model.h.fc1", "model.head"), lambda x, f, s, *parts: beside(x, f, *parts)),
        "fine-tune": fit("fine-tune", whole, lambda x, f, s, *parts: network(s, *parts)),
    }


def largest(values, others):
    difference = np.abs(values - others)
    return f"{difference.max():.1e} ({100 * (difference / np.abs(others)).max():.1e} %)"


def main():
    torch.set_num_threads(1)
    os.makedirs(FOLDER, exist_ok=True)
    data = arrays()
    source, starts, ours = run_rtl(len(data["x"]))
    single, double = (run_torch(data, source, starts, dtype) for dtype in (torch.float32, torch.float64))
    for name, scores in single.items():
        for score, theirs in scores.items():
            values = np.array(ours[name][score]["values"])
            print(
                f"{NAME} {name:9} {score:4}  rtl {values.mean():.5f} +- {values.std(ddof=1):.5f}"
                f"  torch {theirs.mean():.5f} +- {theirs.std(ddof=1):.5f}  largest difference of a seed"
                f" {largest(values, theirs)}, of torch f32 and f64 {largest(theirs, double[name][score])}"
            )


main()
