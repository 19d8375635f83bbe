"""Functions from their published formulas, in plain PyTorch, where the frameworks' own are off."""

import torch


def hard_sigmoid(x):
    """min(max(x / 6 + 1/2, 0), 1). PyTorch's derivative has 1/6 in single precision."""
    return torch.clamp(x / 6 + 0.5, 0, 1)


def sparsemax(x, axis=-1):
    """Martins and Astudillo 2016, algorithm 1. Keras adds up the wrong partial sums."""
    ordered = torch.sort(x, dim=axis, descending=True).values.transpose(axis, -1)
    sums = torch.cumsum(ordered, -1)
    places = torch.arange(1, x.shape[axis] + 1, dtype=x.dtype)
    count = (1 + places * ordered > sums).sum(-1, keepdim=True)
    threshold = (torch.gather(sums, -1, count - 1) - 1) / count
    return torch.clamp(x - threshold.transpose(axis, -1), min=0)
