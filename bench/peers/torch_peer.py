"""PyTorch beside rtl: does a job once when asked, and says how long it took.

usage: torch_peer.py THREADS FOLDER; the rest is in answers.py. FOLDER has the pictures of rtl_bench.
"""

import sys

from answers import Answers

answers = Answers()
THREADS, FOLDER = int(sys.argv[1]), sys.argv[2]

import torch
import torch._inductor.config
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(THREADS)
torch.manual_seed(0)
BATCH = 128
HEAD_SAMPLES, HEAD_BATCH = 50000, 512


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.added:
            half = self.added // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        return F.relu(x + y)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, inputs = [], 16
        for outputs, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range(3):
                blocks.append(Block(inputs, outputs, stride if index == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)

    def features(self, x):
        return self.blocks(F.relu(self.bn1(self.conv1(x)))).mean((2, 3))

    def forward(self, x):
        return self.linear(self.features(x))


def autocast(setting):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in setting)


def compiled(setting, run):
    return torch.compile(run) if "compile" in setting else run


def resnet(setting):
    model, x = ResNet20(), torch.randn(BATCH, 3, 32, 32)
    if setting.startswith("channels_last"):
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    return model, x


def resnet20_features(setting):
    model, x = resnet(setting)
    model.eval()
    run = compiled(setting, model.features)
    if setting.endswith("jit"):
        # The linear layer, 10 x 64 a picture, comes along.
        with torch.inference_mode():
            run = torch.jit.optimize_for_inference(torch.jit.trace(model, x))

    def once():
        with torch.inference_mode(), autocast(setting):
            run(x)
        return BATCH

    return once


def resnet20_train(setting):
    model, x = resnet(setting)
    y = torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=1e-4)
    run = compiled(setting, model)

    def once():
        optimizer.zero_grad(set_to_none=True)
        with autocast(setting):
            loss = F.cross_entropy(run(x).float(), y)
        loss.backward()
        optimizer.step()
        return BATCH

    return once


def head_epoch(features, labels, setting):
    head = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(head.parameters(), 0.1, 0.9)

    def loss_of(x, y):
        with autocast(setting):
            return F.cross_entropy(head(x).float(), y)

    run = compiled(setting, loss_of)

    def epoch():
        order = torch.randperm(HEAD_SAMPLES)
        steps = 0
        for begin in range(0, HEAD_SAMPLES - HEAD_BATCH + 1, HEAD_BATCH):
            rows = order[begin : begin + HEAD_BATCH]
            optimizer.zero_grad(set_to_none=True)
            run(features[rows], labels[rows]).backward()
            optimizer.step()
            steps += 1
        return steps

    return epoch


def mlp_head(setting):
    return head_epoch(torch.randn(HEAD_SAMPLES, 64), torch.randint(0, 10, (HEAD_SAMPLES,)), setting)


def mlp_head_20_seeds(setting):
    """Twenty heads one by one, or, which is faster, stacked in batched products."""
    features, labels = torch.randn(HEAD_SAMPLES, 64), torch.randint(0, 10, (HEAD_SAMPLES,))
    if not setting.startswith("stacked"):
        epochs = [head_epoch(features, labels, setting) for _ in range(20)]
        return lambda: sum(epoch() for epoch in epochs)
    shapes = ((20, 64, 128), 8), ((20, 128, 10), 11)
    w1, w2 = ((torch.randn(shape) / scale).requires_grad_() for shape, scale in shapes)
    b1, b2 = (torch.zeros(20, 1, width, requires_grad=True) for width in (128, 10))
    optimizer = torch.optim.SGD([w1, b1, w2, b2], 0.1, 0.9)

    def loss_of(x, y):
        with autocast(setting):
            z = torch.baddbmm(b2, F.relu(torch.baddbmm(b1, x, w1)), w2)
            return F.cross_entropy(z.float().view(-1, 10), y.view(-1), reduction="sum") / HEAD_BATCH

    run = compiled(setting, loss_of)

    def once():
        orders = torch.stack([torch.randperm(HEAD_SAMPLES) for _ in range(20)])
        steps = 0
        for begin in range(0, HEAD_SAMPLES - HEAD_BATCH + 1, HEAD_BATCH):
            rows = orders[:, begin : begin + HEAD_BATCH]
            optimizer.zero_grad(set_to_none=True)
            run(features[rows], labels[rows]).backward()
            optimizer.step()
            steps += 20
        return steps

    return once


class PaperCnn(nn.Module):
    """REFINE's residual encoder, its features beside the frozen ones before one linear layer."""

    def __init__(self, frozen, classes):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(i, o, 3, 1, 1) for i, o in ((3, 32), (32, 64), (64, 64)))
        self.fc1, self.head = nn.Linear(1024, 512), nn.Linear(512 + frozen, classes)

    def forward(self, x, frozen):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        h = F.dropout(F.relu(self.fc1(x.flatten(1))), 0.5, self.training)
        return self.head(torch.cat((h, frozen), 1))


def transfer_main_job(setting):
    images, classes, epochs, batch = 512, 100, 4, 64
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, classes, (images,))
    layout = torch.channels_last if setting == "channels_last" else torch.contiguous_format
    source = ResNet20().eval().to(memory_format=layout)

    def inputs(rows):
        return ((pixels[rows] / 255 - 0.5) / 0.5).to(memory_format=layout)

    def once():
        with torch.inference_mode():
            parts = [source.features(inputs(slice(i, i + BATCH))) for i in range(0, images, BATCH)]
        frozen = torch.cat(parts).clone()
        model = PaperCnn(64, classes).to(memory_format=layout)
        optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
        for _ in range(epochs):
            for rows in torch.randperm(images).split(batch):
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(model(inputs(rows), frozen[rows]), labels[rows]).backward()
                optimizer.step()
        return images * epochs

    return once


def lite0_features(setting, side):
    """With "freezing" inductor folds norms and packs weights."""
    import lite0

    model, x = lite0.network(), torch.from_numpy(lite0.pictures(FOLDER, f"_{side}"))
    if setting.startswith("channels_last"):
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    torch._inductor.config.freezing = "freezing" in setting
    run = compiled(setting, model)
    if "jit" in setting:
        with torch.inference_mode():
            run = torch.jit.optimize_for_inference(torch.jit.trace(model, x))

    def once():
        with torch.inference_mode(), autocast(setting):
            return len(x), lite0.first_numbers(run(x).float())

    return once


def transformer_train(setting):
    sequences = 64
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 512, 0.0, batch_first=True), 4)
    head = nn.Linear(128, 10)
    x, y = torch.randn(sequences, 64, 128), torch.randint(0, 10, (sequences,))
    optimizer = torch.optim.AdamW(list(encoder.parameters()) + list(head.parameters()), 1e-3)

    def loss_of(x, y):
        with autocast(setting):
            return F.cross_entropy(head(encoder(x).mean(1)).float(), y)

    run = compiled(setting, loss_of)

    def once():
        optimizer.zero_grad(set_to_none=True)
        run(x, y).backward()
        optimizer.step()
        return sequences

    return once


LITE0 = ["nchw", "channels_last", "channels_last_jit", "channels_last_compile", "channels_last_compile_freezing"]
JOBS = {
    "resnet20_features": (
        resnet20_features,
        ["nchw", "channels_last", "jit", "channels_last_jit", "nchw_compile", "channels_last_compile"],
    ),
    "resnet20_train": (resnet20_train, ["nchw", "channels_last", "nchw_compile", "channels_last_compile"]),
    "mlp_head": (mlp_head, ["sgd", "sgd_compile"]),
    "mlp_head_20_seeds": (mlp_head_20_seeds, ["sgd", "stacked", "stacked_compile"]),
    "transformer_train": (transformer_train, ["adamw", "adamw_compile"]),
    "lite0_features": (lambda setting: lite0_features(setting, 224), LITE0),
    "lite0_features_96": (lambda setting: lite0_features(setting, 96), LITE0),
    "transfer_main_job": (transfer_main_job, ["nchw", "channels_last"]),
}
for name in [name for name in JOBS if name != "transfer_main_job"]:
    job, settings = JOBS[name]
    JOBS[name + "_bf16"] = (job, [f"{setting}_bf16" for setting in settings if "jit" not in setting])


jobs = {name: settings for name, (_, settings) in JOBS.items()}
answers.serve("torch " + torch.__version__, jobs, lambda job, setting: JOBS[job][0](setting), THREADS)
