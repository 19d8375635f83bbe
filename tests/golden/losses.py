"""Golden values of losses, regularizers and constraints, computed by Keras in float64."""

import keras
import keras64
import numpy as np
import torch

from cases import Cases, leaf, normal, random, to_numpy, uniform

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "none"]


def probabilities(id, *shape):
    """Rows that sum to 1 as nearly as float32 holds them."""
    x = np.exp(normal(id, *shape).astype(np.float64))
    return (x / x.sum(-1, keepdims=True)).astype(np.float32)


def labels(id, *shape, classes):
    """Class labels as Lua counts them: 1 to classes."""
    return random(id).integers(1, classes + 1, shape).astype(np.int64)


def one_hot(id, rows, classes):
    return np.eye(classes, dtype=np.float32)[labels(id, rows, classes=classes) - 1]


def bits(id, *shape):
    return (random(id).random(shape) < 0.5).astype(np.float32)


class Losses:
    """Adds the cases of losses: every reduction, with and without weights."""

    def __init__(self, cases):
        self.cases = cases

    def add(self, id, constructor, y_true, y_pred, weight=None, options=None, keras_options=None, **fields):
        options = options or {}
        loss = getattr(keras.losses, constructor)(**(keras_options or options))
        name = loss.name.removesuffix("_loss")
        id = f"{name}/{id}"
        target = leaf(y_true, grad=False)
        if constructor == "SparseCategoricalCrossentropy":
            target = target - 1
        prediction = leaf(y_pred)
        sample_weight = None if weight is None else leaf(weight, grad=False)
        value = loss(target, prediction, sample_weight)
        inputs = [self.cases.store(f"{id}/y_true", y_true), self.cases.store(f"{id}/y_pred", y_pred)]
        if weight is not None:
            inputs.append(self.cases.store(f"{id}/sample_weight", weight))
        grad_outputs, grads = self.cases.differentiate(id, [value], {"y_pred": prediction})
        gradients = [None, grads["y_pred"], None][:len(inputs)]
        self.cases.add(id, "loss", name, options, **{"class": constructor}, inputs=inputs,
                       outputs=[self.cases.store(f"{id}/output", to_numpy(value))], grad_outputs=grad_outputs,
                       grads={"inputs": gradients}, **fields)

    def reductions(self, constructor, y_true, y_pred, options=None, prefix=""):
        """The four reductions, plain and with one weight a sample."""
        weight = uniform(f"{constructor}{prefix}weight", y_true.shape[0], low=0, high=2)
        weight[1] = 0
        for reduction in REDUCTIONS:
            given = dict(options or {})
            if reduction != "sum_over_batch_size":
                given["reduction"] = reduction
            self.add(f"{prefix}{reduction}", constructor, y_true, y_pred, None, given)
            self.add(f"{prefix}{reduction}_weighted", constructor, y_true, y_pred, weight, given)


def regression(losses):
    for name in ("MeanSquaredError", "MeanAbsoluteError", "Huber"):
        y_true, y_pred = normal(f"{name}true", 5, 4, scale=2), normal(f"{name}pred", 5, 4, scale=2)
        losses.reductions(name, y_true, y_pred)
        losses.add("one_column", name, y_true[:, :1].copy(), y_pred[:, :1].copy())
        losses.add("images", name, normal(f"{name}i", 2, 3, 4, 2), normal(f"{name}j", 2, 3, 4, 2))
    y_true, y_pred = normal("huber_true", 5, 4, scale=2), normal("huber_pred", 5, 4, scale=2)
    losses.add("delta", "Huber", y_true, y_pred, None, {"delta": 0.3})


def binary(losses):
    name = "BinaryCrossentropy"
    y_true, y_pred = bits("binary_true", 6, 3), uniform("binary_pred", 6, 3, low=0.02, high=0.98)
    logits = normal("binary_logits", 6, 3, scale=3)
    losses.reductions(name, y_true, y_pred)
    losses.reductions(name, y_true, logits, {"from_logits": True}, "logits_")
    losses.add("smoothed", name, y_true, y_pred, None, {"label_smoothing": 0.1})
    losses.add("logits_smoothed", name, y_true, logits, None, {"from_logits": True, "label_smoothing": 0.2})
    far = np.float32([[40, -40, 90], [-90, 0, 15]])
    losses.add("logits_far", name, np.float32([[1, 1, 0], [0, 1, 0]]), far, None, {"from_logits": True})
    certain = np.float32([[0, 1, 0], [1, 0.5, 0.25]])
    losses.add("clipped", name, np.float32([[1, 1, 0], [1, 1, 0]]), certain, None)
    losses.add("one_column", name, y_true[:, :1].copy(), y_pred[:, :1].copy())


def categorical(losses):
    name = "CategoricalCrossentropy"
    y_true, y_pred = one_hot("categorical_true", 5, 4), probabilities("categorical_pred", 5, 4)
    logits = normal("categorical_logits", 5, 4, scale=2)
    losses.reductions(name, y_true, y_pred)
    losses.reductions(name, y_true, logits, {"from_logits": True}, "logits_")
    losses.add("smoothed", name, y_true, y_pred, None, {"label_smoothing": 0.1})
    losses.add("logits_smoothed", name, y_true, logits, None, {"from_logits": True, "label_smoothing": 0.2})
    losses.add("soft_targets", name, probabilities("soft_targets", 5, 4), y_pred)
    losses.add("not_normalized", name, y_true, uniform("not_normalized", 5, 4, low=0.1, high=2))
    losses.add("sequence", name, probabilities("sequence_true", 2, 3, 4), probabilities("sequence_pred", 2, 3, 4))


def sparse(losses):
    name = "SparseCategoricalCrossentropy"
    y_true, y_pred = labels("sparse_true", 6, classes=5), probabilities("sparse_pred", 6, 5)
    logits = normal("sparse_logits", 6, 5, scale=2)
    losses.reductions(name, y_true, y_pred)
    losses.reductions(name, y_true, logits, {"from_logits": True}, "logits_")
    losses.add("column_of_labels", name, y_true[:, None].copy(), y_pred)
    losses.add("sequence", name, labels("sequence_labels", 2, 3, classes=4), probabilities("sequence_p", 2, 3, 4))
    large = np.float32([[1000, 0, -1000], [0, 50, 0], [-3, -2, -1]])
    losses.add("logits_large", name, np.int64([1, 3, 2]), large, None, {"from_logits": True})
    ignored = y_true.copy()
    ignored[[1, 4]] = 0
    weight = uniform("ignored_weight", 6, low=0.5, high=2)
    for reduction in REDUCTIONS:
        if reduction == "none":
            continue
        for from_logits, prediction in ((False, y_pred), (True, logits)):
            options = {"ignore_class": 0, "reduction": reduction}
            options.update({"from_logits": True} if from_logits else {})
            place = f"{'logits_' if from_logits else ''}ignored_{reduction}"
            losses.add(place, name, ignored, prediction, None, options, {**options, "ignore_class": -1})
            losses.add(f"{place}_weighted", name, ignored, prediction, weight, options, {**options, "ignore_class": -1})
    options = {"ignore_class": 2}
    losses.add("ignored_class_2", name, y_true, y_pred, None, options, {"ignore_class": 1})


def regularizers(cases):
    weights = normal("regularizer", 4, 3)
    choices = {"L1": [{}, {"l1": 0.3}], "L2": [{}, {"l2": 0.3}], "L1L2": [{"l1": 0.1, "l2": 0.2}, {"l2": 0.05}]}
    for name, options_list in choices.items():
        for options in options_list:
            function = getattr(keras.regularizers, name)(**options)
            cases.function(f"{name}/{'_'.join(options) or 'default'}", "regularizer", name, function, [weights], options)


def constraints(cases):
    """Options as a Lua user gives them, with Keras's axis where it counts otherwise."""
    weights = {"matrix": normal("constraint", 5, 3, scale=1.5), "filters": normal("constraint/filters", 2, 3, 2, 4)}
    choices = {
        "MaxNorm": [{}, {"max_value": 0.5}, {"max_value": 3, "axis": 2}, {"axis": [1, 2, 3]}],
        "MinMaxNorm": [{}, {"min_value": 0.5, "max_value": 1.5, "rate": 0.7}, {"min_value": 9, "max_value": 10},
                       {"min_value": 0.2, "axis": [2, -1]}],
        "NonNeg": [{}],
        "UnitNorm": [{}, {"axis": 2}, {"axis": [1, 2, 3]}, {"axis": -1}],
    }
    for name, options_list in choices.items():
        for options in options_list:
            axis = options.get("axis", 1)
            axes = [a - 1 if a > 0 else a for a in (axis if isinstance(axis, list) else [axis])]
            there = {**options, "axis": axes if isinstance(axis, list) else axes[0]} if "axis" in options else options
            weight = weights["filters" if isinstance(axis, list) else "matrix"]
            place = "_".join(f"{key}{value}" for key, value in options.items()) or "default"
            cases.function(f"{name}/{place}", "constraint", name, getattr(keras.constraints, name)(**there), [weight],
                           options, grad=False)
    still = np.zeros((2, 3), np.float32)
    cases.function("UnitNorm/zeros", "constraint", "UnitNorm", keras.constraints.UnitNorm(), [still], grad=False)


def make():
    keras64.use()
    torch.manual_seed(0)
    cases = Cases("losses")
    losses = Losses(cases)
    for group in (regression, binary, categorical, sparse):
        group(losses)
    regularizers(cases)
    constraints(cases)
    cases.save()
