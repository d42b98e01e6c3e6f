"""Writes tests/golden/trajectories/resnet18.safetensors: ResNet-18 at 32x32 in float64, by PyTorch.

Nothing of rtl is used. Inputs and start weights are those of tests/support/golden.hpp: Philox draws, rounded to float32.
Weights and gradients are stored as a weighted sum each.
The rate is small: Adam's first steps are as long for a gradient of rounding errors as for any other, which in float32
would soon lead elsewhere.

    python -m venv VENV && VENV/bin/pip install numpy safetensors torch
    VENV/bin/python tests/golden/make/resnet18.py tests/golden/trajectories
"""

import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from draws import UniformDraws, philox_uniform

SEED, BATCH, CLASSES, STEPS = 10, 6, 5, 10


class Draws(UniformDraws):
    def weights(self, name, shape):
        if len(shape) > 1:
            bound = np.sqrt(6.0 / float(np.prod(shape[1:])))
            return self.uniform(shape, -bound, bound)
        if name.endswith(".weight") or name.endswith("running_var"):
            return self.uniform(shape, 0.5, 1.5)
        return self.uniform(shape, -0.5, 0.5)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """As torchvision's."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage in range(4):
            outputs = 64 << stage
            blocks = [Block(inputs, outputs, 1 if stage == 0 else 2), Block(outputs, outputs, 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        y = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return self.fc(y.mean((2, 3)))


def sums(values, draws):
    """The sum of the elements, weighted by draws in [-1, 1), and the sum of their squares."""
    flat = values.detach().numpy().reshape(-1)
    return np.array([draws.uniform((flat.size,), -1, 1) @ flat, flat @ flat])


def trajectory(seed, change=None):
    """What the file holds, of inputs times 1 + change."""
    draws = Draws(seed)
    x = draws.uniform((BATCH, 32, 32, 3), -1, 1)
    if change is not None:
        x = x * (1 + change)
    labels = np.floor(philox_uniform(seed, draws.stream, BATCH).astype(np.float32).astype(np.float64) * CLASSES)
    draws.stream += 1
    network = ResNet18(CLASSES).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(draws.weights(name, tuple(parameter.shape))))
        for name, buffer in network.named_buffers():
            if not name.endswith("num_batches_tracked"):
                buffer.copy_(torch.from_numpy(draws.weights(name, tuple(buffer.shape))))

    images, classes = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64))
    golden = {}
    network.eval()
    golden["first/logits"] = network(images).detach().numpy()
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), classes)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            weights = Draws(seed + 2)
            for name, parameter in network.named_parameters():
                golden["gradient/" + name] = sums(parameter.grad, weights)
        optimizer.step()
    golden["losses"] = np.array(losses)
    weights = Draws(seed + 2)
    for name, parameter in network.named_parameters():
        golden["last/" + name] = sums(parameter, weights)
    for name, buffer in network.named_buffers():
        if not name.endswith("num_batches_tracked"):
            golden["last/" + name] = buffer.numpy().copy()
    network.eval()
    golden["last/logits"] = network(images).detach().numpy()
    return golden


def smooth(seed, golden):
    """Whether rounding moves no ReLU across its kink: where one of few pixels does, everything before it jumps, in any
    float32 arithmetic. Changes of the inputs that do to it what float32 does must keep to the test's bound."""
    size, bound = 3e-6, 1e-4
    for draw in range(8):
        change = size * np.random.default_rng(draw).uniform(-1, 1, (BATCH, 32, 32, 3))
        moved = trajectory(seed, change)
        for name, values in golden.items():
            distance = np.linalg.norm(moved[name] - values) / np.linalg.norm(values)
            if distance > bound and not name.startswith("gradient/"):
                print("seed", seed, "change", draw, name, distance)
                return False
    return True


golden = trajectory(SEED)
if not smooth(SEED, golden):
    sys.exit("a ReLU is at its kink: take another SEED")
print("losses", golden["losses"], "torch", torch.__version__)
save_file({name: np.ascontiguousarray(value, dtype=np.float64) for name, value in golden.items()},
          sys.argv[1] + "/resnet18.safetensors")
