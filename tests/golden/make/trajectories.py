"""Writes tests/golden/trajectories/*.safetensors: networks, optimizers and the fused head in float64, by JAX.

Nothing of rtl is used. Inputs and start weights are those of tests/support/golden.hpp: Philox draws, rounded to float32.

    python -m venv VENV && VENV/bin/pip install numpy safetensors jax
    VENV/bin/python tests/golden/make/trajectories.py tests/golden/trajectories
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from draws import UniformDraws, philox_uniform

jax.config.update("jax_enable_x64", True)


class Draws(UniformDraws):
    def classes(self, count, classes):
        values = np.floor(philox_uniform(self.seed, self.stream, count) * classes).astype(np.int64)
        self.stream += 1
        return values

    def weights(self, shapes):
        """He's uniform bound for matrices and kernels; [0.5, 1.5) for scales; [-0.5, 0.5) for biases."""
        drawn = {}
        for name, shape in shapes.items():
            if len(shape) > 1:
                bound = np.sqrt(6.0 / float(np.prod(shape[1:])))
                drawn[name] = self.uniform(shape, -bound, bound)
            elif name.endswith(".weight") or name.endswith("running_var"):
                drawn[name] = self.uniform(shape, 0.5, 1.5)
            else:
                drawn[name] = self.uniform(shape, -0.5, 0.5)
        return drawn


def convolve(x, w, stride=1):
    """x [N, H, W, C], w [out, in, height, width], 3x3 with padding 1."""
    return jax.lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "OIHW", "NHWC"))


def linear(x, w, p):
    return x @ w[p + ".weight"].T + w[p + ".bias"]


def cross_entropy(logits, labels):
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])


# paper_cnn:C1-C2-C3-F

def paper_cnn_shapes(channels, features, size, classes):
    inputs, shapes = size[2], {}
    for i, outputs in enumerate(channels):
        shapes[f"conv{i + 1}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"conv{i + 1}.bias"] = (outputs,)
        inputs = outputs
    flat = inputs * (size[0] >> 3) * (size[1] >> 3)
    shapes |= {"fc1.weight": (features, flat), "fc1.bias": (features,), "head.weight": (classes, features), "head.bias": (classes,)}
    return shapes


def paper_cnn_features(w, x):
    for i in (1, 2, 3):
        x = jax.nn.relu(convolve(x, w[f"conv{i}.weight"]) + w[f"conv{i}.bias"])
        n, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    x = jnp.transpose(x, (0, 3, 1, 2)).reshape(x.shape[0], -1)
    return jax.nn.relu(linear(x, w, "fc1"))


# mlp:A-B

def mlp_features(w, x):
    return jax.nn.relu(linear(jax.nn.relu(linear(x, w, "fc1")), w, "fc2"))


def head_loss(features):
    return lambda w, x, labels: cross_entropy(linear(features(w, x), w, "head"), labels)


# resnet_cifar:6n+2 (He et al. 2016, shortcut A)

def resnet_shapes(blocks, classes):
    shapes, buffers = {"conv1.weight": (16, 3, 3, 3)}, {}

    def norm(name, channels):
        shapes[name + ".weight"] = shapes[name + ".bias"] = (channels,)
        buffers[name + ".running_mean"] = buffers[name + ".running_var"] = (channels,)

    norm("bn1", 16)
    inputs = 16
    for stage in range(3):
        outputs = 16 << stage
        for block in range(blocks):
            p = f"layer{stage + 1}.{block}"
            shapes[p + ".conv1.weight"] = (outputs, inputs, 3, 3)
            norm(p + ".bn1", outputs)
            shapes[p + ".conv2.weight"] = (outputs, outputs, 3, 3)
            norm(p + ".bn2", outputs)
            inputs = outputs
    shapes |= {"linear.weight": (classes, 64), "linear.bias": (classes,)}
    return shapes, buffers


def resnet_features(w, statistics, x, blocks, training):
    """Features and the new running statistics (momentum 0.1, unbiased variance, epsilon 1e-5)."""
    new = dict(statistics)

    def norm(x, p):
        if training:
            count = x.shape[0] * x.shape[1] * x.shape[2]
            mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
            new[p + ".running_mean"] = 0.9 * statistics[p + ".running_mean"] + 0.1 * mean
            new[p + ".running_var"] = 0.9 * statistics[p + ".running_var"] + 0.1 * variance * count / (count - 1)
        else:
            mean, variance = statistics[p + ".running_mean"], statistics[p + ".running_var"]
        return (x - mean) / jnp.sqrt(variance + 1e-5) * w[p + ".weight"] + w[p + ".bias"]

    x = jax.nn.relu(norm(convolve(x, w["conv1.weight"]), "bn1"))
    inputs = 16
    for stage in range(3):
        outputs = 16 << stage
        for block in range(blocks):
            p = f"layer{stage + 1}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            inner = jax.nn.relu(norm(convolve(x, w[p + ".conv1.weight"], stride), p + ".bn1"))
            shortcut = x
            if stride == 2:
                shortcut = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), ((outputs - inputs) // 2,) * 2))
            x = jax.nn.relu(norm(convolve(inner, w[p + ".conv2.weight"]), p + ".bn2") + shortcut)
            inputs = outputs
    return x.mean(axis=(1, 2)), new


# Optimizers: PyTorch's update rules, tensor by tensor

def sgd(rate, momentum=0.0, nesterov=False, decay=0.0, pull=0.0):
    def step(w, g, state, t, start):
        g = g + decay * w + pull * (w - start)
        v = g if t == 1 else momentum * state + g
        return w - rate * (g + momentum * v if nesterov else v), v

    return step


def adam(rate, decay=0.0, decoupled=False, pull=0.0):
    def step(w, g, state, t, start):
        first, second = (0.0, 0.0) if t == 1 else state
        g = g + pull * (w - start) + (0.0 if decoupled else decay * w)
        if decoupled:
            w = w * (1 - rate * decay)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        return w - rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8), (first, second)

    return step


def train(gradients, w, optimizer, steps, start=None):
    """Weights after each step, and the loss before it. `gradients(w)` gives (loss, gradients)."""
    start, state, trace, losses = start or w, {name: None for name in w}, [], []
    for t in range(1, steps + 1):
        loss, g = gradients(w)
        losses.append(float(loss))
        updated = {name: optimizer(w[name], np.asarray(g[name]), state[name], t, start[name]) for name in w}
        w = {name: pair[0] for name, pair in updated.items()}
        state = {name: pair[1] for name, pair in updated.items()}
        trace.append(w)
    return trace, losses


def check_gradients(loss, w, g, draws):
    """Central differences along one random direction."""
    direction = {name: draws.uniform(value.shape, -1, 1) for name, value in w.items()}
    step = 1e-7
    up, down = ({name: w[name] + sign * step * direction[name] for name in w} for sign in (1, -1))
    difference = (float(loss(up)) - float(loss(down))) / (2 * step)
    product = sum(float((np.asarray(g[name]) * direction[name]).sum()) for name in w)
    assert abs(difference - product) < 1e-6 * max(1.0, abs(product)), (difference, product)


def wide(tensors):
    return {name: np.ascontiguousarray(np.asarray(value, dtype=np.float64)) for name, value in tensors.items()}


def classifier(features, shapes, size, batch, classes, seed, optimizers, steps):
    """A file's tensors for a network without batch norm: everything at the start, and ten steps of each optimizer."""
    draws = Draws(seed)
    x, labels = draws.uniform((batch, *size), -1, 1), draws.classes(batch, classes)
    w, start = draws.weights(shapes), draws.weights(shapes)
    loss = head_loss(features)
    value_and_gradients = jax.jit(jax.value_and_grad(loss))
    value, g = value_and_gradients(w, x, labels)
    check_gradients(lambda w: loss(w, x, labels), w, g, draws)
    out = {"x": x, "labels": labels, "features": features(w, x), "logits": linear(features(w, x), w, "head"), "loss": [value]}
    out |= {f"gradient/{name}": value for name, value in g.items()}
    for name, (optimizer, pulled) in optimizers.items():
        trace, losses = train(lambda w: value_and_gradients(w, x, labels), w, optimizer, steps, start if pulled else None)
        out[f"{name}/losses"] = losses
        if name == "sgd":
            out |= {f"{name}/first/{tensor}": value for tensor, value in trace[0].items()}
        out |= {f"{name}/last/{tensor}": value for tensor, value in trace[-1].items()}
        out[f"{name}/logits"] = linear(features(trace[-1], x), trace[-1], "head")
    return wide(out)


def projections(tensors, seed):
    """Four sums of each tensor's elements, weighted by draws in [-1, 1)."""
    out, draws = {}, Draws(seed)
    for name, value in tensors.items():
        weights = draws.uniform((4, value.size), -1, 1)
        out[name] = weights @ np.asarray(value).reshape(-1)
    return out


def resnet(seed):
    """Depth 8 in training: 5 Nesterov steps. Too many weights to store, so projections of them are."""
    draws = Draws(seed)
    x, labels = draws.uniform((6, 9, 8, 3), -1, 1), draws.classes(6, 5)
    shapes, buffers = resnet_shapes(1, 5)
    w, statistics = draws.weights(shapes), draws.weights(buffers)

    def loss(w, statistics):
        features, new = resnet_features(w, statistics, x, 1, True)
        return cross_entropy(linear(features, w, "linear"), labels), new

    value_and_gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, _), g = value_and_gradients(w, statistics)
    check_gradients(lambda w: loss(w, statistics)[0], w, g, Draws(seed + 1))
    out = {f"gradient/{name}": value for name, value in projections({name: g[name] for name in w}, seed + 2).items()}

    def gradients(w):
        nonlocal statistics
        (value, statistics), g = value_and_gradients(w, statistics)
        return value, g

    trace, out["losses"] = train(gradients, w, sgd(0.05, 0.9, True, 5e-4), 5)
    out |= {f"last/{name}": value for name, value in projections(trace[-1], seed + 2).items()}
    out |= {f"last/{name}": value for name, value in statistics.items()}
    features, _ = resnet_features(trace[-1], statistics, x, 1, False)
    out["features"], out["logits"] = features, linear(features, trace[-1], "linear")
    return wide(out)


def resnet20(seed):
    """Depth 20 in evaluation, with running statistics that are not those of a new network."""
    draws = Draws(seed)
    x = draws.uniform((5, 32, 32, 3), -1, 1)
    shapes, buffers = resnet_shapes(3, 10)
    w, statistics = draws.weights(shapes), draws.weights(buffers)
    features, _ = resnet_features(w, statistics, x, 3, False)
    return wide({"features": features, "logits": linear(features, w, "linear")})


def fused_head(seed):
    """REFINE's head on three blocks of features with scales, per-sample masks and a gradient from above."""
    draws = Draws(seed)
    samples, classes, widths, scales = 9, 4, (5, 7, 3), (1.0, 0.5, 2.0)
    blocks = [draws.uniform((samples, width), -1, 1) for width in widths]
    keep = [np.floor(2 * philox_uniform(seed, 10 + k, samples)) * 2 for k in range(3)]
    w, bias = draws.uniform((classes, sum(widths)), -1, 1), draws.uniform((classes,), -1, 1)
    above = draws.uniform((samples, classes), -1, 1)

    def logits(blocks, w, bias):
        z = jnp.concatenate([s * m[:, None] * f for s, m, f in zip(scales, keep, blocks)], axis=1)
        return z @ w.T + bias

    value, pullback = jax.vjp(logits, blocks, w, bias)
    dblocks, dw, dbias = pullback(above)
    out = {"logits": value, "dw": dw, "dbias": dbias}
    out |= {f"dfeatures{k}": value for k, value in enumerate(dblocks)}
    return wide(out)


def main():
    folder = sys.argv[1]
    plain = {"sgd": (sgd(0.01, 0.9), False), "adam": (adam(1e-3), False), "adamw": (adam(1e-3, 0.01, True), False)}
    save_file(classifier(paper_cnn_features, paper_cnn_shapes((6, 8, 8), 16, (13, 11, 3), 5), (13, 11, 3), 8, 5, PAPER_CNN_SEED, plain, 10),
              f"{folder}/paper_cnn.safetensors")
    pulled = {"sgd": (sgd(0.05, 0.9, True, 0.01, 0.1), True), "adam": (adam(1e-2, 0.05, False, 0.1), True),
              "adamw": (adam(1e-2, 0.1, True, 0.2), True)}
    shapes = {"fc1.weight": (7, 9), "fc1.bias": (7,), "fc2.weight": (5, 7), "fc2.bias": (5,), "head.weight": (4, 5), "head.bias": (4,)}
    save_file(classifier(mlp_features, shapes, (9,), 6, 4, MLP_SEED, pulled, 10), f"{folder}/mlp.safetensors")
    save_file(resnet(RESNET_SEED), f"{folder}/resnet8.safetensors")
    save_file(resnet20(RESNET20_SEED), f"{folder}/resnet20.safetensors")
    save_file(fused_head(FUSED_HEAD_SEED), f"{folder}/fused_head.safetensors")


# With these, a run in float32 ends within 1e-5 of the update: no ReLU input and no pair of pooled values lies so near
# to zero that rounding decides.
PAPER_CNN_SEED, MLP_SEED, RESNET_SEED, RESNET20_SEED, FUSED_HEAD_SEED = 1, 2, 3, 4, 5

if __name__ == "__main__":
    main()
