"""Golden values of what stands around the networks: merging layers, convolutions and pooling of sequences, padding,
noise; losses, metrics and optimizers beyond the first ones; computed by Keras in float64."""

import keras
import keras64
import numpy as np

from cases import Cases, distinct, leaf, normal, to_numpy, uniform
from layers import set_weights


def add_layer(cases, id, name, inputs, options=None, keras_options=None, training=False, masks=None, call=None):
    """One call of a layer on several inputs, with masks as a model passes them on. call: a function of the layer and the
    inputs, where Keras's own result is wrong."""
    options = options or {}
    layer = getattr(keras.layers, name)(**(keras_options or options))
    shapes = [x.shape for x in inputs]
    layer.build(shapes if len(shapes) > 1 or name in MERGING else shapes[0])
    weights = set_weights(layer, id)
    leaves = [leaf(x) for x in inputs]
    tensors = [x * 1.0 for x in leaves]  # masks hang on these
    for tensor, mask in zip(tensors, masks or []):
        if mask is not None:
            keras.src.backend.set_keras_mask(tensor, leaf(mask))
    argument = tensors if len(tensors) > 1 or name in MERGING else tensors[0]
    output = call(layer, argument) if call else layer(argument, training=training)
    wanted = {f"input{i + 1}": x for i, x in enumerate(leaves)}
    wanted.update({weight.name: weight.value for weight in layer.trainable_weights})
    grad_outputs, grads = cases.differentiate(id, [output], wanted)
    fields = {
        "training": training,
        "inputs": [cases.store(f"{id}/input{i + 1}", x) for i, x in enumerate(inputs)],
        "weights": {key: cases.store(f"{id}/{key}", value) for key, value in weights.items()},
        "outputs": [cases.store(f"{id}/output1", to_numpy(output))],
        "grad_outputs": grad_outputs,
        "grads": {"inputs": [grads.pop(f"input{i + 1}") for i in range(len(inputs))], "weights": grads},
    }
    if masks:
        fields["masks"] = [None if m is None else cases.store(f"{id}/mask{i + 1}", m) for i, m in enumerate(masks)]
        mask = keras.src.backend.get_keras_mask(output)
        fields["output_mask"] = None if mask is None else cases.store(f"{id}/output_mask", to_numpy(mask))
    if layer.non_trainable_weights:
        fields["weights_after"] = {weight.name: cases.store(f"{id}/{weight.name}_after", to_numpy(weight.value))
                                   for weight in layer.non_trainable_weights}
    if layer.losses:
        fields["regularization_loss"] = cases.store(f"{id}/regularization_loss", to_numpy(sum(layer.losses)))
    cases.add(id, "layer", name, options, **fields)


ELEMENTWISE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
MERGING = ELEMENTWISE + ("Concatenate", "Dot")


def merging(cases):
    first, second = np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool)
    for name in ELEMENTWISE:
        def inputs(id, *shapes):
            return [distinct(f"{name}/{id}{i}", *shape) * np.float32(0.5) for i, shape in enumerate(shapes)]

        add_layer(cases, f"{name}/rows", name, inputs("rows", (3, 4), (3, 4)))
        add_layer(cases, f"{name}/broadcast", name, inputs("broadcast", (2, 3, 4), (2, 1, 4)))
        add_layer(cases, f"{name}/ranks", name, inputs("ranks", (2, 4), (2, 3, 4)))
        if name != "Subtract":
            add_layer(cases, f"{name}/three", name, inputs("three", (2, 3, 4), (2, 3, 4), (2, 3, 4)))
        add_layer(cases, f"{name}/masks", name, inputs("masks", (2, 3, 4), (2, 3, 4)), masks=[first, second])
        add_layer(cases, f"{name}/one_mask", name, inputs("one_mask", (2, 3, 4), (2, 3, 4)), masks=[None, second])
    name = "Concatenate"
    pair = [normal(f"{name}/a", 2, 3, 4), normal(f"{name}/b", 2, 3, 4)]
    add_layer(cases, f"{name}/default", name, [normal("cat/a", 3, 4), normal("cat/b", 3, 2), normal("cat/c", 3, 1)])
    add_layer(cases, f"{name}/steps", name, [pair[0], normal(f"{name}/c", 2, 2, 4)], {"axis": 2}, {"axis": 1})
    add_layer(cases, f"{name}/masks", name, pair, masks=[first, second])
    add_layer(cases, f"{name}/one_mask_steps", name, pair, {"axis": 2}, {"axis": 1}, masks=[None, second])
    name = "Dot"
    add_layer(cases, f"{name}/rows", name, [normal("dot/a", 3, 4), normal("dot/b", 3, 4)], {"axes": 2}, {"axes": 1})
    add_layer(cases, f"{name}/last", name, [normal("dot/c", 2, 3, 4), normal("dot/d", 2, 5, 4)], {"axes": -1})
    add_layer(cases, f"{name}/pair", name, [normal("dot/e", 2, 3, 4), normal("dot/f", 2, 4, 5)], {"axes": [3, 2]},
              {"axes": (2, 1)})
    add_layer(cases, f"{name}/normalize", name, [normal("dot/g", 2, 3, 4), normal("dot/h", 2, 3)],
              {"axes": 2, "normalize": True}, {"axes": 1, "normalize": True})
    add_layer(cases, "Rescaling/sequence", "Rescaling", [normal("Rescaling", 2, 3, 4)], {"scale": 0.5, "offset": -2})


GROUPS = [merging]


def make():
    keras64.use()
    cases = Cases("around")
    for group in GROUPS:
        group(cases)
    cases.save()
