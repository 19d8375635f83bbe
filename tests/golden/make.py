#!/usr/bin/env python3
"""Makes the golden values: make.py [FILE ...], where FILE is ops, layers ... (all of them by default)."""

import importlib
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import torch

FILES = ["ops", "activations", "layers", "losses", "metrics", "optimizers", "initializers", "training", "around",
         "recurrent", "attention", "defaults"]


def main():
    names = sys.argv[1:] or FILES
    unknown = [name for name in names if name not in FILES]
    if unknown:
        sys.exit(f"make.py: no such file: {', '.join(unknown)}; there are {', '.join(FILES)}")
    torch.set_num_threads(1)  # sums in one order, so that a new call changes the files as little as possible
    for name in names:
        importlib.import_module(name).make()


if __name__ == "__main__":
    main()
