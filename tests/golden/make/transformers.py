"""Writes tests/golden/trajectories/transformer.safetensors and vit_ti.safetensors: in float64, by PyTorch.

Nothing of rtl is used. Inputs and start weights are those of tests/support/golden.hpp: Philox draws, rounded to float32.

    python -m venv VENV && VENV/bin/pip install numpy torch
    VENV/bin/python tests/golden/make/transformers.py tests/golden/trajectories
"""

import json
import struct
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from draws import UniformDraws


class Draws(UniformDraws):
    def classes(self, count, classes):
        return np.floor(self.uniform((count,), 0, 1) * classes).astype(np.int64)

    def weight(self, name, shape):
        """He's uniform bound for matrices and kernels; [0.5, 1.5) for scales; [-0.5, 0.5) for biases."""
        if len(shape) > 1:
            bound = np.sqrt(6.0 / float(np.prod(shape[1:])))
            return self.uniform(shape, -bound, bound)
        return self.uniform(shape, 0.5, 1.5) if name.endswith(".weight") else self.uniform(shape, -0.5, 0.5)


class Patches(nn.Module):
    """Patches of images [N, C, H, W], a class token in front, learned positions."""

    def __init__(self, patch, width, positions, name):
        super().__init__()
        self.add_module(name, nn.Conv2d(3, width, patch, patch))
        self.name = name
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))

    def embedded(self, x):
        tokens = getattr(self, self.name)(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1) + self.pos_embed


class Transformer(Patches):
    """Two of PyTorch's own encoder layers."""

    def __init__(self):
        super().__init__(4, 24, 17, "patch_embed")
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(24, 4, 40, 0.0, batch_first=True) for _ in range(2))
        self.fc, self.head = nn.Linear(24, 20), nn.Linear(20, 5)

    def forward(self, x):
        x = self.embedded(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(F.relu(self.fc(x[:, 0])))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class VitTi(Patches):
    """ViT-Ti with patches of 4, timm's names."""

    def __init__(self):
        super().__init__(4, 192, 65, "proj")
        self.blocks = nn.ModuleList(Block(192, 3) for _ in range(12))
        self.norm, self.head = nn.LayerNorm(192, 1e-6), nn.Linear(192, 10)

    def forward(self, x):
        x = self.embedded(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def attention_block_names(block, order):
    return [f"{block}.{part}.{kind}" for part in order for kind in ("weight", "bias")]


def transformer_names():
    """In the order in which they are drawn, with what PyTorch calls them."""
    names = ["patch_embed.weight", "patch_embed.bias", "cls_token", "pos_embed"]
    for i in range(2):
        layer = f"layers.{i}"
        names += [f"{layer}.self_attn.in_proj_weight", f"{layer}.self_attn.in_proj_bias"]
        names += attention_block_names(layer, ["self_attn.out_proj", "norm1", "linear1", "linear2", "norm2"])
    names += ["fc.weight", "fc.bias", "head.weight", "head.bias"]
    return {name: name for name in names}


def vit_names():
    names = ["patch_embed.proj.weight", "patch_embed.proj.bias", "cls_token", "pos_embed"]
    for i in range(12):
        names += attention_block_names(f"blocks.{i}", ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"])
    names += ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    return {name: name.replace("patch_embed.", "") for name in names}


def projections(tensors, seed):
    """Four sums of each tensor's elements, weighted by draws in [-1, 1)."""
    draws = Draws(seed)
    return {name: draws.uniform((4, value.size), -1, 1) @ value.reshape(-1) for name, value in tensors.items()}


def trajectory(model, names, seed, batch, size, classes):
    draws = Draws(seed)
    x, labels = draws.uniform((batch, size, size, 3), -1, 1), draws.classes(batch, classes)
    model = model.double()
    parameters = dict(model.named_parameters())
    assert sorted(parameters) == sorted(names.values())
    with torch.no_grad():
        for name, own in names.items():
            parameters[own].copy_(torch.from_numpy(draws.weight(name, tuple(parameters[own].shape))))
    images, wanted = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    out, losses = {"logits": model(images).detach().numpy()}, []
    for step in range(10):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), wanted)
        loss.backward()
        if step == 0:
            gradients = {name: parameters[own].grad.numpy() for name, own in names.items()}
            out |= {f"gradient/{name}": value for name, value in projections(gradients, seed + 1).items()}
        optimizer.step()
        losses.append(loss.item())
    last = {name: parameters[own].detach().numpy() for name, own in names.items()}
    out |= {f"last/{name}": value for name, value in projections(last, seed + 1).items()}
    out |= {"losses": np.array(losses), "last logits": model(images).detach().numpy()}
    return out


def save(tensors, path):
    """A safetensors file of float64."""
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    folder = sys.argv[1]
    save(trajectory(Transformer(), transformer_names(), 21, 6, 16, 5), f"{folder}/transformer.safetensors")
    save(trajectory(VitTi(), vit_names(), 23, 2, 32, 10), f"{folder}/vit_ti.safetensors")
