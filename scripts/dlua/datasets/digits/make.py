#!/usr/bin/env python3
"""Writes images-idx3-ubyte.gz and labels-idx1-ubyte.gz, the data of dlua.datasets.digits, from the copy of the
UCI optical digits that scikit-learn ships. The same input gives the same bytes: gzip headers carry no time."""

import gzip
import pathlib
import struct

import numpy as np
from sklearn.datasets import load_digits

IDX_UBYTE = 0x08


def write_idx(path, array):
    """Writes a uint8 array in the idx format (magic, big-endian sizes, bytes), compressed."""
    header = struct.pack(">BBBB", 0, 0, IDX_UBYTE, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


def main():
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    assert images.shape == (1797, 8, 8) and images.max() == 16 and np.array_equal(images, digits.images)
    assert labels.shape == (1797,) and labels.min() == 0 and labels.max() == 9
    folder = pathlib.Path(__file__).parent
    write_idx(folder / "images-idx3-ubyte.gz", images)
    write_idx(folder / "labels-idx1-ubyte.gz", labels)


if __name__ == "__main__":
    main()
