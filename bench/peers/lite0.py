"""EfficientNet-Lite0 in PyTorch: what peers run beside rtl's lite0 jobs. RTL_DATA names the folder with its weights."""

import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

# Blocks, kernel, stride, expansion, outputs of each stage.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
STAGES += ((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


class SameConv2d(nn.Conv2d):
    """TensorFlow's "same": with a stride the smaller half of the padding goes in front."""

    def forward(self, x):
        padding = []
        for extent, kernel, stride in ((x.shape[3], self.kernel_size[1], self.stride[1]),
                                       (x.shape[2], self.kernel_size[0], self.stride[0])):
            total = max((-(-extent // stride) - 1) * stride + kernel - extent, 0)
            padding += [total // 2, total - total // 2]
        if padding[0] == padding[1] and padding[2] == padding[3]:
            return F.conv2d(x, self.weight, None, self.stride, (padding[2], padding[0]), 1, self.groups)
        return F.conv2d(F.pad(x, padding), self.weight, None, self.stride, 0, 1, self.groups)


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(inputs, inner, 1, bias=False), norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = norm(inner)
        self._project_conv, self._bn2 = nn.Conv2d(inner, outputs, 1, bias=False), norm(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class Lite0(nn.Module):
    """Features [N, 1280] of pictures [N, 3, H, W]."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, 32, 3, 2, bias=False), norm(32)
        blocks, inputs = [], 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for index in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = nn.Conv2d(inputs, 1280, 1, bias=False), norm(1280)

    def forward(self, x):
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def network():
    weights = load_file(os.environ["RTL_DATA"] + "/models/efficientnet_lite0_imagenet.safetensors")
    model = Lite0()
    absent, spare = model.load_state_dict(weights, strict=False)
    absent = [name for name in absent if not name.endswith("num_batches_tracked")]
    assert not absent and all(name.startswith("_fc.") for name in spare), (absent, spare)
    return model.eval()


def side_of(job):
    return 96 if "_96" in job else 224


def pictures(folder, job):
    """What rtl_bench evaluates, as it planes: [N, 3, H, W]."""
    nhwc = np.load(f"{folder}/pictures_{side_of(job)}.npy")
    return np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))


def first_numbers(features):
    return " ".join("%.4f" % value for value in np.asarray(features, np.float32)[0, :3])
