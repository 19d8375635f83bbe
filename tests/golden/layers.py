"""Golden values of layers, computed by Keras in float64: outputs, gradients, and the state after the call."""

import keras
import keras64
import numpy as np
import torch

from cases import Cases, distinct, leaf, normal, to_numpy, uniform
from images import avg_pool2d, conv2d, max_pool2d


def set_weights(layer, id):
    """Replaces the initial weights by values that float32 holds, and returns them by name."""
    values = {}
    for weight in layer.weights:
        if weight.name.endswith("variance") or weight.name == "gamma":
            value = uniform(f"{id}/{weight.name}", *weight.shape, low=0.5, high=2.0)
        else:
            value = normal(f"{id}/{weight.name}", *weight.shape, scale=0.5)
        weight.assign(value)
        values[weight.name] = value
    return values


def add(cases, id, name, x, options=None, keras_options=None, training=False, call=None):
    """One call of a layer, by `call` where Keras's own is wrong. keras_options are the options in Keras's words, where
    they differ (positions)."""
    options = options or {}
    layer = getattr(keras.layers, name)(**(keras_options or options))
    layer.build(x.shape)
    weights = set_weights(layer, id)
    inputs = leaf(x)
    output = call(inputs) if call else layer(inputs, training=training)
    leaves = {"input1": inputs}
    leaves.update({weight.name: weight.value for weight in layer.trainable_weights})
    grad_outputs, grads = cases.differentiate(id, [output], leaves)
    fields = {
        "training": training,
        "inputs": [cases.store(f"{id}/input1", x)],
        "weights": {key: cases.store(f"{id}/{key}", value) for key, value in weights.items()},
        "outputs": [cases.store(f"{id}/output1", to_numpy(output))],
        "grad_outputs": grad_outputs,
        "grads": {"inputs": [grads.pop("input1")], "weights": grads},
    }
    if layer.non_trainable_weights:
        fields["weights_after"] = {weight.name: cases.store(f"{id}/{weight.name}_after", to_numpy(weight.value))
                                   for weight in layer.non_trainable_weights}
    if layer.losses:
        total = to_numpy(sum(layer.losses))
        fields["regularization_loss"] = cases.store(f"{id}/regularization_loss", total)
    winograd = name == "Conv2D" and weights["kernel"].shape[:2] == (3, 3)
    winograd = winograd and not {"strides", "dilation_rate", "groups"} & set(options)
    cases.add(id, "layer", name, options, winograd=winograd or None, **fields)
    return x, weights, output


def agree(output, reference):
    """Keras's own result against the plain PyTorch functions that the ops are tested with."""
    assert torch.allclose(output, reference, rtol=1e-12, atol=1e-12)


def dense(cases):
    activations = ["relu", "tanh", "sigmoid", "softmax", "gelu", "leaky_relu", "silu"]
    add(cases, "Dense/plain", "Dense", normal("Dense/plain", 5, 7), {"units": 4})
    add(cases, "Dense/no_bias", "Dense", normal("Dense/no_bias", 5, 7), {"units": 4, "use_bias": False})
    add(cases, "Dense/sequence", "Dense", normal("Dense/sequence", 2, 3, 6), {"units": 5, "activation": "relu"})
    add(cases, "Dense/one_row", "Dense", normal("Dense/one_row", 1, 33), {"units": 17, "activation": "relu"})
    add(cases, "Dense/batch_33", "Dense", normal("Dense/batch_33", 33, 20), {"units": 10, "activation": "softmax"})
    for name in activations:
        add(cases, f"Dense/{name}", "Dense", normal(f"Dense/{name}", 4, 6), {"units": 5, "activation": name})
    regularized = {"units": 3, "kernel_regularizer": keras.regularizers.L2(0.02),
                   "bias_regularizer": keras.regularizers.L1(0.1)}
    shown = {"units": 3, "kernel_regularizer": {"class": "L2", "l2": 0.02},
             "bias_regularizer": {"class": "L1", "l1": 0.1}}
    add(cases, "Dense/regularized", "Dense", normal("Dense/regularized", 4, 6), shown, regularized)


def convolution(cases):
    def conv(id, shape, **options):
        x, weights, output = add(cases, f"Conv2D/{id}", "Conv2D", normal(f"Conv2D/{id}", *shape), options)
        if "activation" not in options:
            renamed = {"strides": "stride", "dilation_rate": "dilation", "groups": "groups", "padding": "padding"}
            arguments = {renamed[key]: value for key, value in options.items() if key in renamed}
            bias = weights.get("bias")
            agree(output, conv2d(leaf(x), leaf(weights["kernel"]), None if bias is None else leaf(bias), **arguments))

    conv("plain", (2, 6, 7, 3), filters=4, kernel_size=[3, 3])
    conv("number", (2, 6, 7, 3), filters=4, kernel_size=2)
    conv("article", (2, 12, 12, 1), filters=32, kernel_size=[3, 3], activation="relu")
    conv("no_bias", (2, 5, 5, 2), filters=3, kernel_size=3, use_bias=False)
    conv("same", (2, 7, 9, 3), filters=5, kernel_size=3, padding="same")
    conv("same_relu", (1, 8, 8, 4), filters=6, kernel_size=3, padding="same", activation="relu")
    conv("same_strides2", (2, 7, 8, 3), filters=5, kernel_size=3, padding="same", strides=2)
    conv("strides_2_1", (2, 8, 7, 3), filters=4, kernel_size=[3, 2], strides=[2, 1])
    conv("dilation2", (1, 9, 8, 2), filters=3, kernel_size=3, dilation_rate=2)
    conv("same_dilation", (1, 8, 6, 3), filters=2, kernel_size=3, padding="same", dilation_rate=[2, 1])
    conv("groups2", (2, 6, 6, 4), filters=6, kernel_size=3, groups=2, padding="same")
    conv("1x1_tanh", (2, 4, 5, 6), filters=8, kernel_size=1, activation="tanh")
    conv("5x5_same", (1, 8, 9, 3), filters=4, kernel_size=5, padding="same")
    conv("leaky_relu", (1, 6, 6, 2), filters=3, kernel_size=3, activation="leaky_relu")
    conv("softmax", (1, 4, 4, 2), filters=3, kernel_size=3, activation="softmax")


def pooling(cases):
    for name, function in (("MaxPooling2D", max_pool2d), ("AveragePooling2D", avg_pool2d)):
        def pool(id, shape, **options):
            x = distinct(f"{name}/{id}", *shape)
            padding = options.get("padding", "valid")
            plain = lambda x: function(x, options.get("pool_size", 2), options.get("strides"), padding)
            # Keras on PyTorch repeats the border in "same" averages; on TensorFlow and JAX it counts no padding.
            call = plain if padding == "same" and name == "AveragePooling2D" else None
            _, _, output = add(cases, f"{name}/{id}", name, x, options, call=call)
            agree(output, plain(leaf(x)))

        if name == "MaxPooling2D":
            pool("default", (2, 6, 4, 3))
        pool("ragged", (1, 7, 5, 2), pool_size=[2, 2])
        pool("same", (1, 7, 5, 2), pool_size=2, padding="same")
        pool("same_strides1", (1, 5, 4, 2), pool_size=3, strides=1, padding="same")
        pool("same_strides2", (2, 6, 7, 2), pool_size=[3, 3], strides=[2, 2], padding="same")
        pool("3x2_strides_1_2", (2, 5, 6, 2), pool_size=[3, 2], strides=[1, 2])
    for name in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        add(cases, f"{name}/default", name, distinct(f"{name}/default", 3, 4, 5, 2))
        add(cases, f"{name}/keepdims", name, distinct(f"{name}/keepdims", 2, 3, 3, 4), {"keepdims": True})


def shape(cases):
    add(cases, "Flatten/images", "Flatten", normal("Flatten/images", 2, 3, 4, 2))
    add(cases, "Flatten/rows", "Flatten", normal("Flatten/rows", 3, 5))
    add(cases, "Reshape/images", "Reshape", normal("Reshape/images", 2, 12), {"target_shape": [2, 3, 2]})
    add(cases, "Reshape/inferred", "Reshape", normal("Reshape/inferred", 2, 4, 3), {"target_shape": [-1, 2]})
    add(cases, "Dropout/inference", "Dropout", normal("Dropout/inference", 3, 5), {"rate": 0.5})


def activation(cases):
    def layer(name, id, size=(3, 8), options=None, keras_options=None):
        x = uniform(f"{name}/{id}", *size, low=-4, high=7)
        add(cases, f"{name}/{id}", name, x, options, keras_options)

    for name in ("relu", "tanh", "softmax", "linear", "mish"):
        layer("Activation", name, options={"activation": name})
    layer("ReLU", "default")
    layer("ReLU", "options", options={"max_value": 3.0, "negative_slope": 0.1, "threshold": 0.5})
    layer("LeakyReLU", "default")
    layer("LeakyReLU", "slope", options={"negative_slope": 0.05})
    layer("ELU", "default")
    layer("ELU", "alpha", options={"alpha": 0.3})
    layer("PReLU", "default")
    layer("PReLU", "shared", (2, 3, 4, 2), {"shared_axes": [2, 3]}, {"shared_axes": [1, 2]})
    layer("Softmax", "default")
    layer("Softmax", "axis", (2, 5, 3), {"axis": 2}, {"axis": 1})


def normalization(cases):
    def norm(id, shape, training, options=None, keras_options=None):
        name = f"BatchNormalization/{id}_{'training' if training else 'inference'}"
        x = normal(name, *shape) * 2 + 1
        add(cases, name, "BatchNormalization", x.astype(np.float32), options, keras_options, training)

    for training in (True, False):
        norm("rows", (6, 5), training)
        norm("images", (3, 4, 5, 2), training)
        norm("options", (6, 3), training, {"momentum": 0.8, "epsilon": 0.01})
        norm("no_center_scale", (5, 4), training, {"center": False, "scale": False})
        norm("axis", (4, 3, 5), training, {"axis": 2}, {"axis": 1})
    norm("constant_feature", (2, 3), True, {"epsilon": 0.1})


def make():
    keras64.use()
    cases = Cases("layers")
    for group in (dense, convolution, pooling, shape, activation, normalization):
        group(cases)
    cases.save()
