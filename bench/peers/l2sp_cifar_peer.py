"""The CIFAR-10 networks of `rtl reproduce l2sp --networks`, written again in PyTorch: is it the protocol or the program?

usage: l2sp_cifar_peer.py DATA SEEDS DECAY..    (DATA has images/cifar10/cifar10_{train_6000,test_2000}.bin.gz)
Prints for each source weight decay and seed: test accuracies in % of the source, of its plain and of its L2-SP
fine-tuning, and the distances of both from the source. See docs/results/l2sp.md.
"""

import copy
import gzip
import sys

import numpy as np
import torch
from torch import nn

SOURCE_CLASSES, TARGET_CLASSES = [2, 3, 4, 5, 6], [0, 1, 7, 8, 9]
TARGET_IMAGES, BATCH, STRENGTH = 1250, 128, 1e-4


def task(path, classes):
    """Standardised images [n, 3, 32, 32] and labels 0 .. 4 of the records of some classes."""
    records = np.frombuffer(gzip.open(path).read(), np.uint8).reshape(-1, 3073)
    records = records[np.isin(records[:, 0], classes)]
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    images = (records[:, 1:].reshape(-1, 3, 32, 32) / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    return torch.tensor(images, dtype=torch.float32), torch.tensor([classes.index(c) for c in records[:, 0]])


def network():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4096, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 5))  # fmt: skip


def train(net, data, epochs, decay, start=None):
    """Adam with coupled weight decay; with a start point, (STRENGTH / 2) ||w - start||^2 is added to the loss."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=decay)
    net.train()
    images, labels = data
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
            if start is not None:
                loss = loss + STRENGTH / 2 * sum(((w - s) ** 2).sum() for w, s in zip(net.parameters(), start))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def accuracy(net, data):
    net.eval()
    with torch.no_grad():
        return 100 * (net(data[0]).argmax(1) == data[1]).float().mean().item()


def distance(net, start):
    return sum(((w - s) ** 2).sum().item() for w, s in zip(net.parameters(), start)) ** 0.5


def main():
    torch.set_num_threads(1)
    files = [f"{sys.argv[1]}/images/cifar10/cifar10_{part}.bin.gz" for part in ("train_6000", "test_2000")]
    source_train, source_test = (task(file, SOURCE_CLASSES) for file in files)
    target_train, target_test = (task(file, TARGET_CLASSES) for file in files)
    for decay in map(float, sys.argv[3:]):
        for seed in range(int(sys.argv[2])):
            torch.manual_seed(seed)
            source = network()
            train(source, source_train, 15, decay)
            start = [w.detach().clone() for w in source.parameters()]
            rows = torch.randperm(len(target_train[1]))[:TARGET_IMAGES]
            samples = (target_train[0][rows], target_train[1][rows])
            plain, l2sp = copy.deepcopy(source), copy.deepcopy(source)
            train(plain, samples, 8, STRENGTH)
            train(l2sp, samples, 8, 0, start)
            values = [accuracy(source, source_test), accuracy(plain, target_test), accuracy(l2sp, target_test)]
            print(f"decay {decay:g} seed {seed}: accuracy source %.2f, plain %.2f, L2-SP %.2f;" % tuple(values),
                  f"distance plain {distance(plain, start):.2f}, L2-SP {distance(l2sp, start):.2f}", flush=True)  # fmt: skip


main()
