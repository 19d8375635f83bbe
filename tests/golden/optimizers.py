"""Golden values of optimizers, computed by Keras in float64: two variables after 1, 2 and 5 steps of given gradients."""

import keras
import keras64
import torch

from cases import Cases, normal, to_numpy

STEPS = (1, 2, 5)
SHAPES = {"kernel": (4, 3), "bias": (3,)}

# Each optimizer's own options; the learning rates are large enough for five steps to show every term.
OWN = {
    "SGD": [{}, {"learning_rate": 0.1}, {"learning_rate": 0.1, "momentum": 0.9},
            {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}],
    "Adam": [{}, {"learning_rate": 0.05}, {"learning_rate": 0.05, "amsgrad": True},
             {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.001}],
    "AdamW": [{}, {"learning_rate": 0.05, "weight_decay": 0.1}, {"learning_rate": 0.05, "amsgrad": True}],
    "RMSprop": [{}, {"learning_rate": 0.05, "rho": 0.8}, {"learning_rate": 0.05, "momentum": 0.9},
                {"learning_rate": 0.05, "centered": True}, {"learning_rate": 0.05, "centered": True, "momentum": 0.5}],
    "Ftrl": [{}, {"learning_rate": 0.05}, {"learning_rate": 0.05, "learning_rate_power": -0.8, "beta": 0.1},
             {"learning_rate": 0.1, "l1_regularization_strength": 0.3, "initial_accumulator_value": 0.2},
             {"learning_rate": 0.1, "l2_regularization_strength": 0.3, "l2_shrinkage_regularization_strength": 0.2}],
}

# What all optimizers take. Each clip is smaller than most of the gradients below.
SHARED = [{"clipnorm": 0.5}, {"clipvalue": 0.2}, {"global_clipnorm": 0.7}, {"weight_decay": 0.05},
          {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 2},
          {"gradient_accumulation_steps": 2, "weight_decay": 0.05, "clipnorm": 0.5}]


def add(cases, name, options):
    place = "_".join(f"{key}_{value}" for key, value in options.items()) or "default"
    id = f"{name}/{place}"
    optimizer = getattr(keras.optimizers, name)(**options)
    start = {word: normal(f"optimizer/{word}", *shape) for word, shape in SHAPES.items()}
    gradients = {word: normal(f"optimizer/gradient/{word}", STEPS[-1], *shape) for word, shape in SHAPES.items()}
    gradients["kernel"][1:3, 0] = 0
    variables = [keras.Variable(value, dtype="float64", name=word) for word, value in start.items()]
    outputs = {}
    for step in range(1, STEPS[-1] + 1):
        optimizer.apply([torch.from_numpy(g[step - 1]).double() for g in gradients.values()], variables)
        if step in STEPS:
            outputs[str(step)] = [cases.store(f"{id}/{word}_{step}", to_numpy(variable.value))
                                  for word, variable in zip(SHAPES, variables)]
    cases.add(id, "optimizer", name, options, outputs=outputs,
              weights=[cases.store(f"{id}/{word}", value) for word, value in start.items()],
              gradients=[cases.store(f"{id}/gradient_{word}", value) for word, value in gradients.items()])


def make():
    keras64.use()
    cases = Cases("optimizers")
    for name, own in OWN.items():
        for options in own:
            add(cases, name, options)
        for shared in SHARED:
            add(cases, name, {"learning_rate": 0.05, **shared})
    cases.save()
