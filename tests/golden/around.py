"""Golden values of what stands around the networks: merging layers, convolutions and pooling of sequences, padding,
noise; losses, metrics and optimizers beyond the first ones; computed by Keras in float64."""

import keras
import keras64
import numpy as np
import torch

import losses
import metrics
import optimizers
from cases import Cases, distinct, leaf, normal, to_numpy, uniform
from images import avg_pool2d
from layers import set_weights


def add_layer(cases, id, name, inputs, options=None, keras_options=None, training=False, masks=None, call=None,
              winograd=False):
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
    cases.add(id, "layer", name, options, winograd=winograd or None, **fields)


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


def conv_transpose(x, weight, stride, padding, output_padding, dilation):
    """Keras's Conv2DTranspose as TensorFlow computes it; on PyTorch it shifts some paddings."""
    full = torch.nn.functional.conv_transpose2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), stride=stride,
                                                dilation=dilation).permute(0, 2, 3, 1)
    for i in range(2):
        size, reach = x.shape[1 + i], (weight.shape[i] - 1) * dilation[i] + 1
        if padding == "same":
            wanted = size * stride[i] if output_padding is None else (size - 1) * stride[i] + reach % 2 + output_padding
            start = max(full.shape[1 + i] - wanted, 0) // 2
        else:
            extra = max(stride[i] - reach, 0) if output_padding is None else output_padding
            wanted, start = full.shape[1 + i] + extra, 0
        missing = max(start + wanted - full.shape[1 + i], 0)
        full = torch.nn.functional.pad(full, [0, 0, 0, missing] if i == 1 else [0, 0, 0, 0, 0, missing])
        full = full.narrow(1 + i, start, wanted)
    return full


def convolution(cases):
    def conv(name, id, shape, call=None, winograd=False, **options):
        add_layer(cases, f"{name}/{id}", name, [normal(f"{name}/{id}", *shape)], options, call=call, winograd=winograd)

    name = "Conv1D"
    conv(name, "plain", (2, 8, 3), filters=4, kernel_size=3)
    conv(name, "same_strides2", (2, 9, 3), filters=4, kernel_size=3, strides=2, padding="same", activation="relu")
    conv(name, "causal", (2, 7, 3), filters=4, kernel_size=3, padding="causal")
    conv(name, "causal_dilation2", (2, 9, 4), filters=6, kernel_size=3, padding="causal", dilation_rate=2,
         activation="tanh")
    conv(name, "groups_no_bias", (2, 6, 4), filters=6, kernel_size=2, groups=2, use_bias=False)
    name = "DepthwiseConv2D"
    conv(name, "plain", (2, 6, 7, 3), kernel_size=3)
    conv(name, "multiplier_same", (2, 6, 5, 3), kernel_size=[3, 2], depth_multiplier=2, padding="same",
         activation="relu")
    conv(name, "strides2", (2, 7, 6, 4), kernel_size=3, strides=2, padding="same", use_bias=False)
    conv(name, "dilation", (1, 8, 7, 2), kernel_size=2, dilation_rate=[2, 3])
    name = "SeparableConv2D"
    conv(name, "plain", (2, 6, 7, 3), filters=5, kernel_size=3)
    conv(name, "multiplier_same", (2, 6, 5, 3), filters=4, kernel_size=[3, 2], depth_multiplier=2, padding="same",
         strides=2, activation="relu")
    name = "Conv2DTranspose"

    def transposed(id, shape, winograd=False, **options):
        pair = lambda key: [options.get(key, 1)] * 2 if isinstance(options.get(key, 1), int) else options[key]

        def call(layer, x):
            y = conv_transpose(x, layer.kernel.value, pair("strides"), options.get("padding", "valid"),
                               options.get("output_padding"), pair("dilation_rate"))
            y = y + layer.bias.value if layer.use_bias else y
            return layer.activation(y)

        conv(name, id, shape, call, winograd, **options)

    transposed("plain", (2, 4, 5, 3), winograd=True, filters=4, kernel_size=3)
    transposed("strides2", (2, 4, 3, 3), filters=4, kernel_size=3, strides=2)
    transposed("same_strides2", (2, 4, 3, 3), filters=5, kernel_size=3, strides=2, padding="same", activation="relu")
    transposed("same_even", (1, 3, 4, 2), filters=3, kernel_size=[4, 2], strides=2, padding="same")
    transposed("small_kernel", (2, 3, 4, 2), filters=3, kernel_size=1, strides=[3, 2], use_bias=False)
    transposed("output_padding", (2, 3, 4, 2), filters=3, kernel_size=3, strides=2, output_padding=1)
    transposed("same_output_padding", (2, 3, 4, 2), filters=3, kernel_size=3, strides=2, output_padding=0,
               padding="same")
    transposed("dilation", (1, 3, 4, 2), filters=3, kernel_size=[3, 2], dilation_rate=2)


def pooling(cases):
    for name in ("MaxPooling1D", "AveragePooling1D"):
        def pool(id, shape, call=None, **options):
            add_layer(cases, f"{name}/{id}", name, [distinct(f"{name}/{id}", *shape)], options, call=call)

        def same_average(layer, x):
            size, stride = layer.pool_size[0], layer.strides[0]
            return avg_pool2d(x[:, None], [1, size], [1, stride], "same")[:, 0]

        if name == "MaxPooling1D":
            pool("default", (2, 7, 3))
        pool("three", (2, 7, 3), pool_size=3)
        pool("strides1", (2, 6, 3), pool_size=3, strides=1)
        # Keras on PyTorch counts a repeated border in "same" averages; on TensorFlow and JAX it counts no padding.
        pool("same", (2, 7, 3), pool_size=3, padding="same", strides=2,
             call=same_average if name == "AveragePooling1D" else None)
    for name in ("GlobalAveragePooling1D", "GlobalMaxPooling1D"):
        add_layer(cases, f"{name}/default", name, [distinct(f"{name}/default", 2, 5, 3)])
        add_layer(cases, f"{name}/keepdims", name, [distinct(f"{name}/keepdims", 2, 5, 3)], {"keepdims": True})
    mask = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 0]], bool)
    add_layer(cases, "GlobalAveragePooling1D/mask", "GlobalAveragePooling1D", [normal("pool/mask", 2, 5, 3)],
              masks=[mask], call=lambda layer, x: layer.call(x, mask=leaf(mask)))


def resizing(cases):
    def layer(name, id, shape, options=None):
        add_layer(cases, f"{name}/{id}", name, [normal(f"{name}/{id}", *shape)], options)

    layer("ZeroPadding1D", "default", (2, 3, 4))
    layer("ZeroPadding1D", "pair", (2, 3, 4), {"padding": [2, 0]})
    layer("ZeroPadding2D", "default", (2, 3, 4, 2))
    layer("ZeroPadding2D", "number", (2, 3, 4, 2), {"padding": 2})
    layer("ZeroPadding2D", "pair", (2, 3, 4, 2), {"padding": [2, 1]})
    layer("ZeroPadding2D", "sides", (2, 3, 4, 2), {"padding": [[1, 0], [2, 3]]})
    layer("Cropping1D", "default", (2, 5, 3))
    layer("Cropping1D", "pair", (2, 5, 3), {"cropping": [0, 2]})
    layer("Cropping2D", "number", (2, 5, 6, 2), {"cropping": 1})
    layer("Cropping2D", "sides", (2, 5, 6, 2), {"cropping": [[1, 0], [2, 3]]})
    layer("UpSampling1D", "default", (2, 3, 4))
    layer("UpSampling1D", "three", (2, 3, 4), {"size": 3})
    layer("UpSampling2D", "default", (2, 3, 4, 2))
    layer("UpSampling2D", "pair", (2, 3, 4, 2), {"size": [3, 2]})
    layer("UpSampling2D", "bilinear", (2, 3, 4, 2), {"size": [3, 2], "interpolation": "bilinear"})
    layer("Permute", "rows", (2, 3, 4), {"dims": [2, 1]})
    layer("Permute", "images", (2, 3, 4, 5), {"dims": [3, 1, 2]})
    layer("RepeatVector", "three", (2, 4), {"n": 3})
    for name, options in (("SpatialDropout1D", {"rate": 0.5}), ("GaussianNoise", {"stddev": 0.5}),
                          ("GaussianDropout", {"rate": 0.5}), ("AlphaDropout", {"rate": 0.5})):
        layer(name, "inference", (2, 3, 4), options)
    layer("SpatialDropout2D", "inference", (2, 3, 4, 2), {"rate": 0.5})


SCHEDULES = {
    "ExponentialDecay": [{"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
                         {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}],
    "InverseTimeDecay": [{"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
                         {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}],
    "PolynomialDecay": [{"initial_learning_rate": 0.1, "decay_steps": 10},
                        {"initial_learning_rate": 0.1, "decay_steps": 10, "end_learning_rate": 0.01, "power": 2.0},
                        {"initial_learning_rate": 0.1, "decay_steps": 10, "cycle": True}],
    "PiecewiseConstantDecay": [{"boundaries": [10, 20], "values": [0.1, 0.05, 0.001]},
                               {"boundaries": [15], "values": [1.0, 0.5]}],
    "CosineDecay": [{"initial_learning_rate": 0.1, "decay_steps": 20},
                    {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1},
                    {"initial_learning_rate": 0.0, "decay_steps": 20, "warmup_target": 0.2, "warmup_steps": 7}],
    "CosineDecayRestarts": [{"initial_learning_rate": 0.1, "first_decay_steps": 10},
                            {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.0, "m_mul": 0.5},
                            {"initial_learning_rate": 0.1, "first_decay_steps": 8, "t_mul": 1.5, "alpha": 0.2}],
}


def schedules(cases):
    for name, choices in SCHEDULES.items():
        for number, options in enumerate(choices, 1):
            schedule = getattr(keras.optimizers.schedules, name)(**options)
            rates = [float(schedule(step)) for step in range(46)]
            id = f"schedule/{name}/{number}"
            cases.add(id, "schedule", name, options, ["float64"], outputs=[cases.store(f"{id}/rates", np.array(rates))])


OPTIMIZERS = {
    "Nadam": [{}, {"learning_rate": 0.05}, {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.001}],
    "Adamax": [{}, {"learning_rate": 0.05}, {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.001}],
    "Adagrad": [{}, {"learning_rate": 0.05, "initial_accumulator_value": 0.5, "epsilon": 0.01}],
    "Adadelta": [{}, {"learning_rate": 1.0, "rho": 0.8, "epsilon": 0.01}],
    "Lion": [{}, {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95}],
}


def optimizer_steps(cases):
    for name, own in OPTIMIZERS.items():
        for options in own + [{"learning_rate": 0.05, **shared} for shared in optimizers.SHARED]:
            optimizers.add(cases, name, options)


def loss_values(cases):
    group = losses.Losses(cases)
    positive = lambda id, *shape: uniform(id, *shape, low=0.1, high=3)
    pairs = {
        "KLDivergence": (losses.probabilities("kl/true", 5, 4), losses.probabilities("kl/pred", 5, 4)),
        "Poisson": (positive("poisson/true", 5, 4), positive("poisson/pred", 5, 4)),
        "Hinge": (losses.bits("hinge/true", 5, 4) * 2 - 1, normal("hinge/pred", 5, 4)),
        "SquaredHinge": (losses.bits("hinge2/true", 5, 4), normal("hinge2/pred", 5, 4)),
        "CategoricalHinge": (losses.one_hot("hinge3/true", 5, 4), distinct("hinge3/pred", 5, 4) * np.float32(0.5)),
        "LogCosh": (normal("log_cosh/true", 5, 4, scale=2), normal("log_cosh/pred", 5, 4, scale=2)),
        "MeanAbsolutePercentageError": (normal("mape/true", 5, 4), normal("mape/pred", 5, 4)),
        "MeanSquaredLogarithmicError": (positive("msle/true", 5, 4), positive("msle/pred", 5, 4)),
        "CosineSimilarity": (normal("cosine/true", 5, 4), normal("cosine/pred", 5, 4)),
        "BinaryFocalCrossentropy": (losses.bits("focal/true", 5, 4), uniform("focal/pred", 5, 4, low=0.05, high=0.95)),
        "CategoricalFocalCrossentropy": (losses.one_hot("focal/t", 5, 4), losses.probabilities("focal/p", 5, 4)),
    }
    for name, (y_true, y_pred) in pairs.items():
        group.reductions(name, y_true, y_pred)
    group.add("axis", "CosineSimilarity", normal("cosine/a", 2, 3, 4), normal("cosine/b", 2, 3, 4), None, {"axis": 2},
              {"axis": 1})
    for name, logits in (("BinaryFocalCrossentropy", normal("focal/logits", 5, 4)),
                         ("CategoricalFocalCrossentropy", normal("focal/logits", 5, 4))):
        options = {"alpha": 0.4, "gamma": 1.5, "from_logits": True, "label_smoothing": 0.1}
        if name == "BinaryFocalCrossentropy":
            options["apply_class_balancing"] = True
        group.add("logits", name, pairs[name][0], logits, None, options)
    text = np.array([[1, 2, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0], [2, 1, 3, 1]], np.int64)
    for reduction in ("sum_over_batch_size", "none"):
        group.add(reduction, "CTC", text, normal("ctc/logits", 4, 8, 5), None, {"reduction": reduction})
    weight = uniform("ctc/weight", 4, low=0.5, high=2)
    group.add("weighted", "CTC", text, normal("ctc/logits2", 4, 6, 4, scale=2), weight)


def labelled_areas(cases, yes_no):
    """AUC of several columns. Their weights go through float32 in Keras, so these have few bits."""
    def both(place, options, batch=yes_no):
        batches = [batch(f"AUC/{place}{i}", n) for i, n in enumerate(metrics.SIZES)]
        metrics.add(cases, f"AUC/{place}", "AUC", batches, options)
        for i, arrays in enumerate(batches):
            arrays.append(np.round(uniform(f"AUC/{place}/weight{i}", len(arrays[0]), low=0, high=2) * 8) / 8)
        metrics.add(cases, f"AUC/{place}_weighted", "AUC", batches, options)

    labels = {"multi_label": True}
    weights = {"label_weights": [0.5, 2.0, 0.25]}
    for curve in ("ROC", "PR", "PRGAIN"):
        both(f"labels_{curve}", {**labels, "curve": curve})
        both(f"label_weights_{curve}", {**labels, "num_labels": 3, **weights, "curve": curve,
                                        "summation_method": "minoring"})
    both("labels_thresholds", {**labels, "thresholds": [0.1, 0.5, 0.6]})
    both("labels_logits", {**labels, "from_logits": True},
         lambda id, n: [losses.bits(id, n, 3), normal(id + "p", n, 3)])
    both("column_weights", weights)


def metric_results(cases):
    both = metrics.both
    yes_no = lambda id, n: [losses.bits(id, n, 3), uniform(id + "p", n, 3, low=0, high=1)]
    column = lambda id, n: [losses.bits(id, n, 1), uniform(id + "p", n, 1, low=0, high=1)]
    classes = lambda id, n: [losses.one_hot(id, n, 4), losses.probabilities(id + "p", n, 4)]
    for name in ("Precision", "Recall"):
        both(cases, name, yes_no)
        both(cases, name, column, {"thresholds": 0.3}, place="threshold")
        both(cases, name, yes_no, {"thresholds": [0.2, 0.5, 0.8]}, place="thresholds")
        both(cases, name, classes, {"top_k": 2}, place="top_k")
        both(cases, name, yes_no, {"class_id": 2}, {"class_id": 1}, place="class_id")
    for curve in ("ROC", "PR", "PRGAIN"):
        for method in ("interpolation", "minoring", "majoring"):
            options = {"curve": curve, "summation_method": method}
            both(cases, "AUC", column, options, place=f"{curve}_{method}")
    # Weights for several columns go through float32 in Keras.
    metrics.add(cases, "AUC/seven", "AUC", [yes_no(f"AUC/seven{i}", n) for i, n in enumerate(metrics.SIZES)],
                {"num_thresholds": 7})
    both(cases, "AUC", column, {"thresholds": [0.1, 0.5, 0.6]}, place="thresholds")
    both(cases, "AUC", lambda id, n: [losses.bits(id, n, 1), normal(id + "p", n, 1)], {"from_logits": True},
         place="logits")
    labelled_areas(cases, yes_no)
    for average in ("micro", "macro", "weighted", None):
        options = {"average": average} if average else {}
        both(cases, "F1Score", classes, options, place=f"{average}")
        both(cases, "FBetaScore", classes, {**options, "beta": 2.0}, place=f"{average}")
    both(cases, "F1Score", yes_no, {"threshold": 0.4, "average": "macro"}, place="threshold")
    numbers = lambda id, n: [normal(id, n, 3), normal(id + "p", n, 3)]
    positive = lambda id, n: [uniform(id, n, 3, low=0.1, high=3), uniform(id + "p", n, 3, low=0.1, high=3)]
    for name in ("RootMeanSquaredError", "CosineSimilarity", "LogCoshError", "MeanAbsolutePercentageError"):
        both(cases, name, numbers)
    for name in ("MeanSquaredLogarithmicError", "Poisson"):
        both(cases, name, positive)
    both(cases, "KLDivergence", lambda id, n: [losses.probabilities(id, n, 4), losses.probabilities(id + "p", n, 4)])
    for name in ("Hinge", "SquaredHinge"):
        both(cases, name, lambda id, n: [losses.bits(id, n, 3) * 2 - 1, normal(id + "p", n, 3)])
    both(cases, "CategoricalHinge", lambda id, n: [losses.one_hot(id, n, 4), normal(id + "p", n, 4)])
    both(cases, "R2Score", numbers)
    both(cases, "R2Score", numbers, {"class_aggregation": "variance_weighted_average"}, place="weighted_average")
    both(cases, "R2Score", numbers, {"class_aggregation": None}, place="each")
    both(cases, "R2Score", numbers, {"num_regressors": 2}, place="adjusted")


GROUPS = [merging, convolution, pooling, resizing, schedules, optimizer_steps, loss_values, metric_results]


def make():
    keras64.use()
    cases = Cases("around")
    for group in GROUPS:
        group(cases)
    cases.save()
