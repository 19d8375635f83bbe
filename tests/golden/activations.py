"""Golden values of activations by name, computed by Keras in float64 with Keras's defaults."""

import keras
import keras64

import formulas
from cases import Cases, normal, uniform

ELEMENTWISE = ["linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish",
               "softplus", "softsign", "sigmoid", "tanh", "exponential", "hard_sigmoid", "hard_silu", "hard_swish",
               "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "log_sigmoid", "squareplus", "sparse_plus",
               "sparse_sigmoid"]
OVER_AXIS = ["softmax", "log_softmax", "sparsemax", "glu"]

# What the functions take beside x.
OPTIONS = {
    "relu": [{"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.5}, {"threshold": 1.0}, {"max_value": 1.5}],
    "leaky_relu": [{"negative_slope": 0.05}],
    "elu": [{"alpha": 0.4}],
    "celu": [{"alpha": 0.5}],
    "gelu": [{"approximate": True}],
    "soft_shrink": [{"threshold": 1.0}],
    "hard_shrink": [{"threshold": 1.0}],
    "squareplus": [{"b": 1}],
    "threshold": [{"threshold": 0.5, "default_value": -2.0}],
}


def activation(name):
    """Keras's function, or the formula where Keras is off."""
    return getattr(formulas, name, None) or getattr(keras.activations, name)


def make():
    keras64.use()
    cases = Cases("activations")
    for name in ELEMENTWISE:
        id = f"{name}/default"
        cases.function(id, "activation", name, activation(name), [uniform(id, 4, 11, low=-4.5, high=7.5)])
    for name, choices in OPTIONS.items():
        for options in choices:
            id = f"{name}/{'_'.join(options)}"
            function = activation(name)
            x = uniform(id, 4, 11, low=-4.5, high=7.5)
            cases.function(id, "activation", name, lambda x: function(x, **options), [x], options)
    for name in OVER_AXIS:
        id = f"{name}/default"
        cases.function(id, "activation", name, activation(name), [normal(id, 5, 8)])
        id = f"{name}/axis"
        function = activation(name)
        cases.function(id, "activation", name, lambda x: function(x, axis=1), [normal(id, 3, 4, 5)], {"axis": 2})
    cases.save()
