"""Regression by scratch, probe, refine and fine-tune, written again in PyTorch, beside `rtl transfer` on the same rows.

usage: regression_peer.py RTL DATA FOLDER wine|housing SEEDS
RTL is the program, DATA has tabular/, FOLDER takes the arrays and what rtl writes. Source and target are white and red
wine, or houses north and south of 36 degrees; a quarter of the target's rows is the test. Both have mlp:128, rtl's
defaults (30 epochs, batches of 64, SGD of rate 0.01 and momentum 0.9) and the network that rtl has pretrained, and draw
initial weights and batches of their own. Prints means and deviations over the seeds, and the difference of the means
with twice its standard error. See docs/results/regression.md.
"""

import csv
import gzip
import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

RTL, DATA, FOLDER, NAME, SEEDS = *sys.argv[1:5], int(sys.argv[5])
WIDTH, EPOCHS, BATCH, RATE, MOMENTUM = 128, 30, 64, 0.01, 0.9


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


def run_rtl():
    source, result = f"{FOLDER}/source.safetensors", f"{FOLDER}/{NAME}.json"
    specs = [f"npy:{FOLDER}/source_x.npy,{FOLDER}/source_y.npy?target=real"]
    specs.append(f"npy:{FOLDER}/x.npy,{FOLDER}/y.npy?test={FOLDER}/test_x.npy,{FOLDER}/test_y.npy&target=real")
    pretrain = ["pretrain", "--data", specs[0], "--model", f"mlp:{WIDTH}", "--seed", "1", "--out", source]
    transfer = ["transfer", "--source", source, "--target", specs[1], "--model", f"mlp:{WIDTH}"]
    transfer += ["--strategy", "scratch,probe,refine,fine-tune", "--seeds", str(SEEDS), "--json", result]
    for arguments in (pretrain, transfer):
        subprocess.run([RTL, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    strategies = json.load(open(result))["strategies"]
    return {name: value.float() for name, value in load_file(source).items()}, {s["name"]: s for s in strategies}


def linear(inputs, outputs, generator):
    """Weights and biases of one linear layer for each seed, drawn as torch.nn.Linear draws them."""
    bound = 1 / math.sqrt(inputs)
    shapes = (SEEDS, outputs, inputs), (SEEDS, 1, outputs)
    return [(torch.rand(shape, generator=generator) * 2 - 1) * bound for shape in shapes]


def apply(x, weight, bias):
    return x @ weight.transpose(1, 2) + bias


def train(parameters, outputs, y, generator):
    """All seeds at once, each with batches of its own; outputs(rows) [seeds, batch, 1]."""
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)
    for _ in range(EPOCHS):
        order = torch.stack([torch.randperm(len(y), generator=generator) for _ in range(SEEDS)])
        for begin in range(0, len(y), BATCH):
            rows = order[:, begin : begin + BATCH]
            loss = ((outputs(rows) - y[rows]) ** 2).mean(dim=(1, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def run_torch(data, source):
    generator = torch.Generator().manual_seed(5)
    mean, deviation = data["x"].mean(0, dtype=np.float64), data["x"].std(0, dtype=np.float64)
    shift, scale = data["y"].mean(dtype=np.float64), data["y"].std(dtype=np.float64)
    own = [torch.tensor((data[name] - mean) / deviation, dtype=torch.float32) for name in ("x", "test_x")]
    as_source = [(torch.tensor(data[n]) - source["input.mean"]) / source["input.deviation"] for n in ("x", "test_x")]
    features = [torch.relu(x @ source["fc1.weight"].T + source["fc1.bias"]) for x in as_source]
    y = torch.tensor((data["y"] - shift) / scale, dtype=torch.float32)

    def fit(parts, outputs):
        train(parts, lambda rows: outputs(own[0][rows], features[0][rows], as_source[0][rows]), y, generator)
        whole = [part[1].expand(SEEDS, -1, -1) for part in (own, features, as_source)]
        errors = outputs(*whole).detach().double().numpy()[..., 0] * scale + shift - data["test_y"][:, 0]
        squares = (errors**2).mean(1)
        return {"r2": 1 - squares / data["test_y"].var(dtype=np.float64), "rmse": np.sqrt(squares)}

    found, inputs = {}, own[0].shape[1]
    h, head = linear(inputs, WIDTH, generator), linear(WIDTH, 1, generator)
    found["scratch"] = fit(h + head, lambda x, f, s: apply(torch.relu(apply(x, *h)), *head))
    probe = linear(WIDTH, 1, generator)
    found["probe"] = fit(probe, lambda x, f, s: apply(f, *probe))
    h2, both = linear(inputs, WIDTH, generator), linear(2 * WIDTH, 1, generator)
    found["refine"] = fit(h2 + both, lambda x, f, s: apply(torch.cat([torch.relu(apply(x, *h2)), f], -1), *both))
    start = [source["fc1.weight"].expand(SEEDS, -1, -1).clone(), source["fc1.bias"].expand(SEEDS, 1, -1).clone()]
    fresh = linear(WIDTH, 1, generator)
    found["fine-tune"] = fit(start + fresh, lambda x, f, s: apply(torch.relu(apply(s, *start)), *fresh))
    return found


def main():
    torch.set_num_threads(1)
    os.makedirs(FOLDER, exist_ok=True)
    data = arrays()
    source, ours = run_rtl()
    for name, scores in run_torch(data, source).items():
        for score, theirs in scores.items():
            values = np.array(ours[name][score]["values"])
            difference = values.mean() - theirs.mean()
            error = math.sqrt((values.var(ddof=1) + theirs.var(ddof=1)) / SEEDS)
            print(
                f"{NAME} {name:9} {score:4}  rtl {values.mean():.4f} +- {values.std(ddof=1):.4f}"
                f"  torch {theirs.mean():.4f} +- {theirs.std(ddof=1):.4f}"
                f"  difference {difference:+.4f} +- {2 * error:.4f} ({100 * difference / theirs.mean():+.2f} %)"
            )


main()
