"""Golden losses of the first 20 training steps of networks, computed by Keras in float64.

Both sides make the initial weights from a formula, so the file need not hold them. Element i (row-major) of variable k
(kernel, bias, kernel, ... in the model's order), both counted from 0, is

    z = ((k << 32) + i + 1) * 0x9E3779B97F4A7C15        all modulo 2^64; >> shifts in zeros
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z = z ^ (z >> 31)                                   splitmix64
    w = ((z >> 40) - 2^23) / 2^23 * limit[k]

where limit[k] is a power of two near Glorot's limit, or 0 for biases. It has 24 bits, so float32 holds it exactly.

A case's fields: `data` (the data set; its first `count` training images in file order, without shuffling, in batches of
`batch_size`), `scale` (pixels are divided by it, in float32), `input_shape`, `layers` (class and options), `optimizer`,
`loss`, `limits`. `outputs` has one tensor: each step's loss before its update, on that step's batch alone. `norms_after`
has the Euclidean norm of each variable after the last step; with averages of the variables (use_ema), after they have
been put in their place. The kind `constrained_training` has an optimizer with options, and constraints, both as objects.
"""

import gzip
import pathlib

import keras
import keras64
import numpy as np

from cases import FOLDER, Cases, to_numpy

STEPS = 20
BATCH = 32

DATA = {
    "fashion_mnist": (pathlib.Path("/usr/share/datasets/fashion-mnist"), "train-"),
    "digits": (FOLDER.parents[1] / "scripts/dlua/datasets/digits", ""),
}

NETWORKS = {
    "fashion_cnn": {
        "data": "fashion_mnist", "scale": 255, "input_shape": [28, 28, 1],
        "layers": [["Conv2D", {"filters": 32, "kernel_size": [3, 3], "activation": "relu"}],
                   ["MaxPooling2D", {"pool_size": [2, 2]}], ["Flatten", {}],
                   ["Dense", {"units": 64, "activation": "relu"}],
                   ["Dense", {"units": 10, "activation": "softmax"}]],
        "limits": [2**-3, 0, 2**-5, 0, 2**-2, 0],
    },
    "digits_cnn": {
        "data": "digits", "scale": 16, "input_shape": [8, 8, 1],
        "layers": [["Conv2D", {"filters": 16, "kernel_size": [3, 3], "activation": "relu"}],
                   ["MaxPooling2D", {"pool_size": [2, 2]}], ["Flatten", {}],
                   ["Dense", {"units": 32, "activation": "relu"}],
                   ["Dense", {"units": 10, "activation": "softmax"}]],
        "limits": [2**-3, 0, 2**-3, 0, 2**-2, 0],
    },
    "digits_constrained": {
        "data": "digits", "scale": 16, "input_shape": [8, 8, 1],
        "layers": [["Conv2D", {"filters": 8, "kernel_size": [3, 3], "activation": "relu",
                               "kernel_constraint": {"class": "MaxNorm", "max_value": 0.25, "axis": [1, 2, 3]},
                               "bias_constraint": {"class": "NonNeg"}}],
                   ["Flatten", {}],
                   ["Dense", {"units": 16, "activation": "relu",
                              "kernel_constraint": {"class": "MinMaxNorm", "min_value": 0.9, "max_value": 1.1,
                                                    "rate": 0.5}}],
                   ["Dense", {"units": 10, "activation": "softmax", "kernel_constraint": {"class": "UnitNorm"}}]],
        "limits": [2**-3, 0, 2**-3, 0, 2**-2, 0],
        "optimizer": {"class": "SGD", "learning_rate": 0.05, "momentum": 0.9, "use_ema": True, "ema_momentum": 0.8,
                      "ema_overwrite_frequency": 7},
    },
}


def made(module, description):
    """The object of {"class": ..., options}, whose axis counts from 1."""
    options = {key: value for key, value in description.items() if key != "class"}
    if "axis" in options:
        options["axis"] = [place - 1 for place in options["axis"]]
    return getattr(module, description["class"])(**options)


def layer(name, options):
    options = {key: made(keras.constraints, value) if isinstance(value, dict) else value
               for key, value in options.items()}
    return getattr(keras.layers, name)(**options)


def read_idx(path):
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def formula(variable, shape, limit):
    """The initial weights that this file's head describes."""
    count = np.prod(shape, dtype=np.int64)
    with np.errstate(over="ignore"):
        z = (np.uint64(variable << 32) + np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    values = ((z >> np.uint64(40)).astype(np.float64) - 2**23) / 2**23 * limit
    assert np.array_equal(values, values.astype(np.float32))
    return values.reshape(shape)


def train(network):
    """The losses of the first steps, and the norms of the variables after them."""
    folder, prefix = DATA[network["data"]]
    count = STEPS * BATCH
    images = read_idx(folder / f"{prefix}images-idx3-ubyte.gz")[:count].astype(np.float32) / np.float32(network["scale"])
    images = images.reshape(count, *network["input_shape"]).astype(keras.config.floatx())
    labels = read_idx(folder / f"{prefix}labels-idx1-ubyte.gz")[:count]
    stack = [layer(name, options) for name, options in network["layers"]]
    model = keras.Sequential([keras.Input(network["input_shape"]), *stack])
    optimizer = made(keras.optimizers, network["optimizer"]) if "optimizer" in network else "adam"
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    for k, (variable, limit) in enumerate(zip(model.weights, network["limits"], strict=True)):
        variable.assign(formula(k, variable.shape, limit))
    losses = []
    for step in range(STEPS):
        batch = slice(step * BATCH, (step + 1) * BATCH)
        model.reset_metrics()
        losses.append(float(model.train_on_batch(images[batch], labels[batch])))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    norms = [np.linalg.norm(to_numpy(variable.value)) for variable in model.weights]
    return np.array(losses), np.array(norms, np.float64)


def make():
    cases = Cases("training")
    for name, network in NETWORKS.items():
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        single, _ = train(network)
        keras64.use()
        losses, norms = train(network)
        # Keras's own float32 must stay within the bound that dlua's float32 is held to.
        assert np.abs(single - losses).max() < 1e-4, np.abs(single - losses).max()
        kind = "constrained_training" if "optimizer" in network else "training"
        cases.add(f"training/{name}", kind, name, count=STEPS * BATCH, batch_size=BATCH,
                  loss="sparse_categorical_crossentropy", tolerance=1e-4, **{"optimizer": "adam", **network},
                  outputs=[cases.store(f"{name}/losses", losses)],
                  norms_after=cases.store(f"{name}/norms", norms))
        print(f"{name}: loss {losses[0]:.4f} to {losses[-1]:.4f}, float32 differs by {np.abs(single - losses).max():.1e}")
    cases.save()
