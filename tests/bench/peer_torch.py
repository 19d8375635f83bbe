#!/usr/bin/env python3
"""The networks in PyTorch: eager mode, a plain loop, batches sliced from memory. Channels-last convolutions and the fused
Adam are its faster settings on a processor."""

import torch
from torch import nn

from peer import Clock, Data, arguments, report


class Recurrent(nn.Module):
    """The last output of an LSTM or GRU over the rows of the images, then the classes."""

    def __init__(self, kind):
        super().__init__()
        self.recurrent = kind(28, 128, batch_first=True)
        self.classes = nn.Linear(128, 10)

    def forward(self, x):
        return self.classes(self.recurrent(x.squeeze(1))[0][:, -1])


def network(name):
    if name in ("lstm", "gru"):
        return Recurrent(nn.LSTM if name == "lstm" else nn.GRU)
    if name == "cnn":
        return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(5408, 64), nn.ReLU(), nn.Linear(64, 10)).to(memory_format=torch.channels_last)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    data = Data(options)
    x = torch.from_numpy(data.x).permute(0, 3, 1, 2)
    y = torch.from_numpy(data.y)
    model = network(options.network)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7, fused=True)
    criterion = nn.CrossEntropyLoss()
    clock = Clock()
    for _ in range(options.epochs + 1):
        clock.start()
        total = 0.0
        for start in range(0, len(x), options.batch):
            optimizer.zero_grad()
            loss = criterion(model(x[start:start + options.batch]), y[start:start + options.batch])
            loss.backward()
            optimizer.step()
            total += loss.item()
        clock.stop()
    report(options, data, clock, total / options.steps)


if __name__ == "__main__":
    main()
