#!/usr/bin/env python3
"""The networks in PyTorch: eager mode, a plain loop, batches sliced from memory. Channels-last convolutions and the fused
Adam are its faster settings on a processor."""

import torch
import torch.nn.functional as F
from torch import nn

from peer import CONTEXT, FEATURES, HEADS, VOCABULARY, Clock, Data, arguments, report


class Block(nn.Module):
    """A causal block as GPT-2 has it: one product for queries, keys and values, and the fused attention."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES)
        self.qkv, self.out = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, FEATURES)
        self.wide, self.narrow = nn.Linear(FEATURES, 4 * FEATURES), nn.Linear(4 * FEATURES, FEATURES)

    def forward(self, x):
        query, key, value = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, FEATURES), nn.Embedding(CONTEXT, FEATURES)
        self.blocks = nn.Sequential(*(Block() for _ in range(4)))
        self.norm, self.logits = nn.LayerNorm(FEATURES), nn.Linear(FEATURES, VOCABULARY)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions.weight
        return self.logits(self.norm(self.blocks(x))).flatten(0, 1)


class Recurrent(nn.Module):
    """The last output of an LSTM or GRU over the rows of the images, then the classes."""

    def __init__(self, kind):
        super().__init__()
        self.recurrent = kind(28, 128, batch_first=True)
        self.classes = nn.Linear(128, 10)

    def forward(self, x):
        return self.classes(self.recurrent(x.squeeze(1))[0][:, -1])


class Residual(nn.Module):
    """Two 3x3 convolutions and a way past them without weights: every second pixel, and zeros for new channels."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.stride, self.new = stride, filters - channels
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(filters), nn.BatchNorm2d(filters)

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return F.relu(y + x, inplace=True)


def resnet20():
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    shapes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    blocks = [Residual(*shape) for shape in shapes]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(64, 10)).to(memory_format=torch.channels_last)


def network(name):
    if name == "resnet20":
        return resnet20()
    if name in ("lstm", "gru"):
        return Recurrent(nn.LSTM if name == "lstm" else nn.GRU)
    if name == "decoder":
        return Decoder()
    if name == "cnn":
        return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(5408, 64), nn.ReLU(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    data = Data(options)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    model = network(options.network)
    if options.network == "decoder":
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, eps=1e-7, weight_decay=0.01, fused=True)
    else:
        x = x.permute(0, 3, 1, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7, fused=True)
        if options.network == "resnet20":
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()
    clock = Clock()
    for _ in range(options.epochs + 1):
        clock.start()
        total = 0.0
        for start in range(0, len(x), options.batch):
            optimizer.zero_grad()
            loss = criterion(model(x[start:start + options.batch]), y[start:start + options.batch].flatten())
            loss.backward()
            optimizer.step()
            total += loss.item()
        clock.stop()
    report(options, data, clock, total / options.steps)


if __name__ == "__main__":
    main()
