"""Golden values of metrics over several batches, computed by Keras in float64."""

import keras
import keras64
import numpy as np

from cases import Cases, distinct, leaf, normal, to_numpy, uniform
from losses import bits, labels, one_hot, probabilities

SPARSE = ("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SparseCategoricalCrossentropy")
SIZES = (4, 7, 1)


def add(cases, id, name, batches, options=None, keras_options=None):
    """The metric's result after each of the batches."""
    options = options or {}
    metric = getattr(keras.metrics, name)(**(keras_options or options))
    stored, results = [], []
    for i, batch in enumerate(batches):
        arguments = [leaf(array, grad=False) for array in batch]
        if name in SPARSE:
            arguments[0] = arguments[0] - 1
        metric.update_state(*arguments)
        results.append(to_numpy(metric.result()).squeeze())
        words = ["values", "sample_weight"] if name == "Mean" else ["y_true", "y_pred", "sample_weight"]
        stored.append([cases.store(f"{id}/{word}{i + 1}", array) for word, array in zip(words, batch)])
    outputs = [cases.store(f"{id}/results", np.array(results))]
    cases.add(id, "metric", metric.name, options, **{"class": name}, batches=stored, outputs=outputs)


def both(cases, name, batch, options=None, keras_options=None, place="plain"):
    """Without and with sample weights; batch(id, size) gives y_true and y_pred."""
    plain = [batch(f"{name}/{place}{i}", size) for i, size in enumerate(SIZES)]
    add(cases, f"{name}/{place}", name, plain, options, keras_options)
    weighted = [[*arrays, uniform(f"{name}/{place}/weight{i}", size, low=0, high=2)]
                for i, (arrays, size) in enumerate(zip(plain, SIZES))]
    add(cases, f"{name}/{place}_weighted", name, weighted, options, keras_options)


def accuracies(cases):
    both(cases, "Accuracy", lambda id, n: [labels(id, n, classes=3), labels(id + "p", n, classes=3)])
    both(cases, "BinaryAccuracy", lambda id, n: [bits(id, n, 2), uniform(id + "p", n, 2, low=0, high=1)])
    both(cases, "BinaryAccuracy", lambda id, n: [bits(id, n, 1), uniform(id + "p", n, 1, low=0, high=1)],
         {"threshold": 0.7}, place="threshold")
    both(cases, "CategoricalAccuracy", lambda id, n: [one_hot(id, n, 3), distinct(id + "p", n, 3)])
    both(cases, "SparseCategoricalAccuracy", lambda id, n: [labels(id, n, classes=3), distinct(id + "p", n, 3)])
    both(cases, "SparseCategoricalAccuracy",
         lambda id, n: [labels(id, n, 1, classes=3), distinct(id + "p", n, 3)], place="column_of_labels")
    add(cases, "SparseCategoricalAccuracy/sequence", "SparseCategoricalAccuracy",
        [[labels("sequence", 2, 5, classes=3), distinct("sequence_p", 2, 5, 3)]])
    both(cases, "TopKCategoricalAccuracy", lambda id, n: [one_hot(id, n, 12), distinct(id + "p", n, 12)])
    both(cases, "TopKCategoricalAccuracy", lambda id, n: [one_hot(id, n, 6), distinct(id + "p", n, 6)], {"k": 2},
         place="k2")
    both(cases, "SparseTopKCategoricalAccuracy",
         lambda id, n: [labels(id, n, classes=12), distinct(id + "p", n, 12)])
    both(cases, "SparseTopKCategoricalAccuracy",
         lambda id, n: [labels(id, n, classes=6), distinct(id + "p", n, 6)], {"k": 3}, place="k3")


def means(cases):
    both(cases, "Mean", lambda id, n: [normal(id, n)])
    for name in ("MeanSquaredError", "MeanAbsoluteError"):
        both(cases, name, lambda id, n: [normal(id, n, 3), normal(id + "p", n, 3)])
    name = "BinaryCrossentropy"
    both(cases, name, lambda id, n: [bits(id, n, 2), uniform(id + "p", n, 2, low=0.05, high=0.95)])
    both(cases, name, lambda id, n: [bits(id, n, 2), normal(id + "p", n, 2)],
         {"from_logits": True, "label_smoothing": 0.1}, place="logits_smoothed")
    name = "CategoricalCrossentropy"
    both(cases, name, lambda id, n: [one_hot(id, n, 4), probabilities(id + "p", n, 4)])
    both(cases, name, lambda id, n: [one_hot(id, n, 4), normal(id + "p", n, 4)],
         {"from_logits": True, "label_smoothing": 0.1}, place="logits_smoothed")
    name = "SparseCategoricalCrossentropy"
    both(cases, name, lambda id, n: [labels(id, n, classes=4), probabilities(id + "p", n, 4)])
    both(cases, name, lambda id, n: [labels(id, n, classes=4), normal(id + "p", n, 4)], {"from_logits": True},
         place="logits")


def make():
    keras64.use()
    cases = Cases("metrics")
    accuracies(cases)
    means(cases)
    cases.save()
