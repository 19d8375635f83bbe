"""Golden values of initializers: exact ones, and the statistics that the formulas give. Keras's samples are held to the
same bounds here, so a formula written down wrongly does not get into the file."""

import math

import keras
import numpy as np

from cases import Cases

# A correct generator exceeds five standard errors about once in two million draws.
ERRORS = 5
# Standard deviation and fourth moment over the square of the second, of a normal cut off at two deviations.
TRUNCATED_STD = 0.87962566103423978
TRUNCATED_KURTOSIS = 2.3655367171296495
UNIFORM_KURTOSIS = 1.8
NORMAL_KURTOSIS = 3.0

SHAPES = {"dense": (60, 40), "conv": (3, 3, 8, 24)}


def fans(shape):
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def normal_statistics(mean, std, truncated):
    if truncated:
        return mean, std * TRUNCATED_STD, TRUNCATED_KURTOSIS, mean - 2 * std, mean + 2 * std
    return mean, std, NORMAL_KURTOSIS, None, None


def uniform_statistics(low, high):
    return (low + high) / 2, (high - low) / math.sqrt(12), UNIFORM_KURTOSIS, low, high


def scaled_statistics(shape, scale, mode, distribution):
    """Keras's VarianceScaling: the variance is scale over a fan, whatever the distribution."""
    fan_in, fan_out = fans(shape)
    variance = scale / {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return uniform_statistics(-limit, limit)
    if distribution == "untruncated_normal":
        return normal_statistics(0.0, math.sqrt(variance), False)
    return normal_statistics(0.0, math.sqrt(variance) / TRUNCATED_STD, True)


SCALED = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"), "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"), "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"), "LecunNormal": (1.0, "fan_in", "truncated_normal"),
}


def sample(name, options, shape):
    return keras.ops.convert_to_numpy(getattr(keras.initializers, name)(**options)(shape, dtype="float32"))


def check(id, statistics, values):
    values = values.astype(np.float64)
    assert abs(values.mean() - statistics["mean"]) <= statistics["mean_error"], id
    assert abs(values.std() - statistics["std"]) <= statistics["std_error"], (id, values.std(), statistics)
    assert statistics.get("min") is None or values.min() >= statistics["min"] * (1 + 1e-6), id
    assert statistics.get("max") is None or values.max() <= statistics["max"] * (1 + 1e-6), id


def random(cases, place, name, expected, shape, options=None):
    options = options or {}
    mean, std, kurtosis, low, high = expected
    count = math.prod(shape)
    statistics = {"mean": mean, "mean_error": ERRORS * std / math.sqrt(count), "std": std,
                  "std_error": ERRORS * std * math.sqrt((kurtosis - 1) / (4 * count))}
    if low is not None:
        statistics.update({"min": low, "max": high})
    id = f"{name}/{place}"
    check(id, statistics, sample(name, {**options, "seed": 7}, shape))
    cases.add(id, "initializer", name, options, shape=list(shape), statistics=statistics)


def exact(cases, place, name, shape, options=None):
    id = f"{name}/{place}"
    values = sample(name, options or {}, shape)
    cases.add(id, "initializer", name, options, shape=list(shape), outputs=[cases.store(f"{id}/output", values)])


def orthogonal(cases, place, shape, gain):
    options = {} if gain == 1.0 else {"gain": gain}
    matrix = sample("Orthogonal", {**options, "seed": 7}, shape).reshape(-1, shape[-1]).astype(np.float64)
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    assert np.abs(matrix.T @ matrix - gain**2 * np.eye(matrix.shape[1])).max() < 1e-5 * gain**2
    cases.add(f"Orthogonal/{place}", "initializer", "Orthogonal", options, shape=list(shape), orthogonal=gain)


def make():
    keras.config.set_floatx("float32")
    cases = Cases("initializers")
    exact(cases, "matrix", "Zeros", (3, 2))
    exact(cases, "matrix", "Ones", (3, 2))
    exact(cases, "default", "Constant", (3, 2))
    exact(cases, "value", "Constant", (4,), {"value": 0.25})
    exact(cases, "square", "Identity", (3, 3))
    exact(cases, "wide_gain", "Identity", (3, 5), {"gain": 2.0})
    long = (50, 50)
    random(cases, "default", "RandomNormal", normal_statistics(0.0, 0.05, False), long)
    random(cases, "options", "RandomNormal", normal_statistics(1.5, 2.0, False), long, {"mean": 1.5, "stddev": 2.0})
    random(cases, "default", "RandomUniform", uniform_statistics(-0.05, 0.05), long)
    random(cases, "options", "RandomUniform", uniform_statistics(1.0, 3.0), long, {"minval": 1.0, "maxval": 3.0})
    random(cases, "default", "TruncatedNormal", normal_statistics(0.0, 0.05, True), long)
    random(cases, "options", "TruncatedNormal", normal_statistics(-1.0, 2.0, True), long, {"mean": -1.0, "stddev": 2.0})
    for place, shape in SHAPES.items():
        for name, rule in SCALED.items():
            random(cases, place, name, scaled_statistics(shape, *rule), shape)
        random(cases, f"default_{place}", "VarianceScaling",
               scaled_statistics(shape, 1.0, "fan_in", "truncated_normal"), shape)
        for mode in ("fan_out", "fan_avg"):
            for distribution in ("uniform", "untruncated_normal"):
                options = {"scale": 3.0, "mode": mode, "distribution": distribution}
                random(cases, f"{mode}_{distribution}_{place}", "VarianceScaling",
                       scaled_statistics(shape, 3.0, mode, distribution), shape, options)
    orthogonal(cases, "square", (16, 16), 1.0)
    orthogonal(cases, "tall", (24, 10), 1.0)
    orthogonal(cases, "wide_gain", (10, 24), 1.5)
    orthogonal(cases, "conv", (3, 3, 4, 8), 1.0)
    cases.save()
