"""Golden values of recurrent layers, computed by Keras in float64: outputs, last states, and the gradients of the
inputs, the initial states and all weights, with masks and without."""

import keras
import keras64
import numpy as np

from cases import Cases, leaf, normal, random, to_numpy


def make_layer(spec):
    """{"class": "LSTM", "units": 3} as a Keras layer; options that are layers, or lists of them, have that form too."""
    if isinstance(spec, list):
        return [make_layer(item) for item in spec]
    if not isinstance(spec, dict):
        return spec
    options = {name: make_layer(value) for name, value in spec.items() if name != "class"}
    return getattr(keras.layers, spec["class"])(**options)


def set_weights(layer, id):
    values = []
    for i, weight in enumerate(layer.weights):
        value = normal(f"{id}/weight{i + 1}", *weight.shape, scale=0.5)
        weight.assign(value)
        values.append(value)
    return values


def padding(id, batch, steps):
    """Masks with every kind of row: all valid, padded behind, padded in front, a hole, none valid."""
    mask = np.ones((batch, steps), bool)
    mask[1 % batch, steps - 2:] = False
    mask[2 % batch, :2] = False
    mask[3 % batch] = random(f"{id}/mask").random(steps) < 0.5
    if batch > 4:
        mask[4] = False
    return mask


def add(cases, id, spec, x, states=(), mask=False, training=False):
    layer = make_layer(spec)
    layer(leaf(x))
    weights = set_weights(layer, id)
    leaves = {"input": leaf(x)}
    initial = []
    for i, size in enumerate(states):
        value = normal(f"{id}/state{i + 1}", x.shape[0], size, scale=0.5)
        leaves[f"state{i + 1}"] = leaf(value)
        initial.append(cases.store(f"{id}/state{i + 1}", value))
    call = {"training": training}
    if states:
        call["initial_state"] = [leaves[f"state{i + 1}"] for i in range(len(states))]
    names = {}
    if mask:
        values = padding(id, *x.shape[:2])
        names["mask"] = cases.store(f"{id}/mask", values)
        call["mask"] = leaf(values)
    outputs = layer(leaves["input"], **call)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    leaves.update({f"weight{i + 1}": weight.value for i, weight in enumerate(layer.weights)})
    grad_outputs, grads = cases.differentiate(id, outputs, leaves)
    cases.add(id, "recurrent", spec["class"], training=training, layer=spec,
              inputs=[cases.store(f"{id}/input", x)], initial_state=initial or None,
              weights=[cases.store(f"{id}/weight{i + 1}", value) for i, value in enumerate(weights)],
              outputs=[cases.store(f"{id}/output{i + 1}", to_numpy(output)) for i, output in enumerate(outputs)],
              grad_outputs=grad_outputs, grads=grads, **names)


def plain(cases):
    kinds = {"SimpleRNN": ({}, 1), "LSTM": ({}, 2), "GRU": ({}, 1), "GRU/reset_before": ({"reset_after": False}, 1)}
    for name, (options, states) in kinds.items():
        spec = {"class": name.split("/")[0], "units": 3, **options}

        def one(variant, more, shape=(5, 6, 4), **call):
            id = f"{name}/{variant}"
            add(cases, id, {**spec, **more}, normal(id, *shape), **call)

        everything = {"return_sequences": True, "return_state": True}
        one("last", {})
        one("sequences", {"return_sequences": True}, training=True)
        one("state", everything, states=[3] * states)
        one("no_bias", {"use_bias": False, "return_sequences": True})
        one("backwards", {"go_backwards": True, **everything}, states=[3] * states)
        one("wide", {"units": 33, "return_sequences": True}, (18, 3, 7))
        one("one_step", {}, (2, 1, 3))
        one("mask", everything, mask=True)
        one("mask_state", everything, states=[3] * states, mask=True)
        one("mask_last", {}, states=[3] * states, mask=True)
        one("mask_backwards", {"go_backwards": True, **everything}, states=[3] * states, mask=True)
        one("mask_zero", {"zero_output_for_mask": True, "return_sequences": True}, states=[3] * states, mask=True)
        one("mask_zero_backwards", {"zero_output_for_mask": True, "go_backwards": True, "return_sequences": True},
            mask=True)
        one("unroll", {"unroll": True, "return_sequences": True}, mask=True)
        one("activation", {"activation": "relu", **everything}, states=[3] * states, mask=True)
        if name != "SimpleRNN":
            one("hard_gates", {"recurrent_activation": "softsign", "activation": "softplus", "return_sequences": True})


def cells(cases):
    lstm = {"class": "LSTMCell", "units": 3}
    gru = {"class": "GRUCell", "units": 4, "reset_after": False}
    simple = {"class": "SimpleRNNCell", "units": 2, "activation": "elu"}
    for name, cell in (("lstm", lstm), ("gru", gru), ("simple", simple)):
        id = f"RNN/{name}"
        spec = {"class": "RNN", "cell": cell, "return_sequences": True, "return_state": True}
        add(cases, id, spec, normal(id, 5, 4, 3), states=[cell["units"]] * (2 if name == "lstm" else 1), mask=True)
    stack = {"class": "StackedRNNCells", "cells": [gru, simple]}
    id = "RNN/stack"
    add(cases, id, {"class": "RNN", "cell": stack, "return_sequences": True}, normal(id, 3, 4, 3))
    id = "RNN/stack_backwards"
    add(cases, id, {"class": "RNN", "cell": stack, "go_backwards": True}, normal(id, 5, 4, 3), mask=True)
    id = "RNN/zero"
    spec = {"class": "RNN", "cell": gru, "return_sequences": True, "zero_output_for_mask": True, "go_backwards": True}
    add(cases, id, spec, normal(id, 5, 4, 3), mask=True)


def wrappers(cases):
    lstm = {"class": "LSTM", "units": 3}
    for mode in ("concat", "sum", "mul", "ave", None):
        id = f"Bidirectional/{mode or 'none'}"
        sequences = {**lstm, "return_sequences": True}
        both = {"class": "Bidirectional", "layer": sequences, "merge_mode": mode}
        add(cases, id, both, normal(id, 5, 4, 2), mask=True)
        add(cases, f"{id}_last", {"class": "Bidirectional", "layer": lstm, "merge_mode": mode},
            normal(f"{id}_last", 3, 4, 2))
    id = "Bidirectional/state"
    gru = {"class": "GRU", "units": 2, "return_sequences": True, "return_state": True}
    add(cases, id, {"class": "Bidirectional", "layer": gru}, normal(id, 3, 4, 2), states=[2, 2])
    id = "Bidirectional/backward_layer"
    other = {"class": "SimpleRNN", "units": 4, "go_backwards": True, "return_sequences": True}
    forward = {"class": "GRU", "units": 2, "return_sequences": True}
    add(cases, id, {"class": "Bidirectional", "layer": forward, "backward_layer": other}, normal(id, 3, 4, 2))
    id = "TimeDistributed/dense"
    dense = {"class": "Dense", "units": 3, "activation": "tanh"}
    add(cases, id, {"class": "TimeDistributed", "layer": dense}, normal(id, 2, 4, 5))
    id = "TimeDistributed/conv"
    conv = {"class": "Conv2D", "filters": 2, "kernel_size": 2}
    add(cases, id, {"class": "TimeDistributed", "layer": conv}, normal(id, 2, 3, 4, 4, 2))
    id = "Masking/default"
    x = normal(id, 3, 4, 2)
    x[0, 2:] = 0
    x[1, 0] = 0
    add(cases, id, {"class": "Masking"}, x)
    id = "Masking/value"
    x = normal(id, 3, 4, 2)
    x[2, 1:3] = -1
    add(cases, id, {"class": "Masking", "mask_value": -1.0}, x)


def make():
    keras64.use()
    cases = Cases("recurrent")
    for group in (plain, cells, wrappers):
        group(cases)
    cases.save()
