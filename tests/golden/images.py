"""Convolution and pooling as dlua does them (channels last, Keras's padding), from PyTorch's channels-first functions."""

import torch
import torch.nn.functional as F


def pair(value):
    return list(value) if isinstance(value, (list, tuple)) else [value, value]


def same_padding(size, kernel, stride, dilation):
    """Keras's "same": the output has ceil(size / stride) places, an odd zero goes to the end."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def paddings(padding, sizes, kernel, stride, dilation):
    """((top, bottom), (left, right)) for "same", "valid" or numbers."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        return tuple(same_padding(*numbers) for numbers in zip(sizes, kernel, stride, dilation))
    return tuple((number, number) for number in pair(padding))


def pad_images(x, around, value=0.0):
    (top, bottom), (left, right) = around
    return F.pad(x, (0, 0, left, right, top, bottom), value=value)


def conv2d(x, kernel, bias=None, stride=1, padding="valid", dilation=1, groups=1):
    """x (N, H, W, C), kernel (height, width, C / groups, filters), bias (filters) -> (N, H', W', filters)."""
    stride, dilation = pair(stride), pair(dilation)
    around = paddings(padding, x.shape[1:3], kernel.shape[:2], stride, dilation)
    channels_first = pad_images(x, around).permute(0, 3, 1, 2)
    y = F.conv2d(channels_first, kernel.permute(3, 2, 0, 1), bias, stride, 0, dilation, groups)
    return y.permute(0, 2, 3, 1)


def conv_transpose2d(x, kernel, stride=1, padding="valid", output_padding=None, dilation=1):
    """x (N, H, W, C), kernel (height, width, filters, C) -> (N, H', W', filters): what each cell adds to the cells that
    its window covers. "same" cuts the result to H stride, the smaller half of what is too much at the top; else
    output_padding zeros follow, or as many as make H stride at least."""
    stride, dilation = pair(stride), pair(dilation)
    y = F.conv_transpose2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), None, stride, 0, 0, 1, dilation)
    for side in (0, 1):
        size, there = x.shape[1 + side] * stride[side], y.shape[2 + side]
        more = max(size - there, 0)
        if output_padding is not None:
            more = pair(output_padding)[side]
        around = [0, 0, 0, 0]
        around[3 - 2 * side] = more
        y = F.pad(y, around)
        if padding == "same":
            y = y.narrow(2 + side, max(there - size, 0) // 2, size)
    return y.permute(0, 2, 3, 1)


def max_pool2d(x, kernel_size, stride=None, padding="valid"):
    """Largest value in each window of x (N, H, W, C); padding is never the largest."""
    kernel = pair(kernel_size)
    stride = kernel if stride is None else pair(stride)
    around = paddings(padding, x.shape[1:3], kernel, stride, [1, 1])
    padded = pad_images(x, around, float("-inf")).permute(0, 3, 1, 2)
    return F.max_pool2d(padded, kernel, stride).permute(0, 2, 3, 1)


def avg_pool2d(x, kernel_size, stride=None, padding="valid"):
    """Mean of each window of x (N, H, W, C); padding is not counted."""
    kernel = pair(kernel_size)
    stride = kernel if stride is None else pair(stride)
    around = paddings(padding, x.shape[1:3], kernel, stride, [1, 1])
    window_sum = lambda t: F.avg_pool2d(pad_images(t, around).permute(0, 3, 1, 2), kernel, stride, divisor_override=1)
    return (window_sum(x) / window_sum(torch.ones_like(x))).permute(0, 2, 3, 1)
