"""Collects golden cases and writes them to one safetensors file, in the format that README.md describes."""

import json
import math
import pathlib
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
BOTH = ["float32", "float64"]


def random(seed):
    """A generator that depends on a case's id alone."""
    return np.random.default_rng(zlib.crc32(seed.encode()))


def normal(seed, *shape, scale=1.0):
    """Normal values that float32 holds exactly."""
    return (random(seed).standard_normal(shape) * scale).astype(np.float32)


def uniform(seed, *shape, low=-1.0, high=1.0):
    """Uniform values that float32 holds exactly."""
    return random(seed).uniform(low, high, shape).astype(np.float32)


def distinct(seed, *shape):
    """Values about 0.1 apart in random order: no two tie, so maxima and their gradients are unambiguous."""
    count = math.prod(shape)
    return ((random(seed).permutation(count) - count / 2) * 0.125).astype(np.float32).reshape(shape)


def leaf(array, grad=True):
    """The tensor to compute with: floats become float64 leaves of the graph, anything else stays."""
    if array.dtype != np.float32:
        return torch.from_numpy(np.ascontiguousarray(array))
    return torch.from_numpy(array.astype(np.float64)).requires_grad_(grad)


def to_numpy(tensor):
    """A copy: what it came from may be updated in place."""
    return np.array(tensor.detach().resolve_neg().numpy(), order="C")


class View:
    """An argument that is x:permute(dims) of a stored tensor; dims count from 1."""

    def __init__(self, array, dims):
        self.array = array
        self.dims = dims

    def of(self, tensor):
        return tensor.permute([dim - 1 for dim in self.dims])


class Cases:
    """The cases of one file."""

    def __init__(self, name):
        self.name = name
        self.tensors = {}
        self.list = []
        self.ids = set()

    def store(self, name, array):
        """Keeps a tensor under a name of its own and returns the name; a number has no dimensions."""
        assert name not in self.tensors, name
        self.tensors[name] = np.array(array, order="C")
        return name

    def add(self, id, kind, definition, options=None, dtypes=None, **fields):
        assert id not in self.ids, id
        self.ids.add(id)
        case = {"id": id, "kind": kind, "def": definition, "options": options or {}, "dtypes": dtypes or BOTH}
        case.update({key: value for key, value in fields.items() if value is not None})
        self.list.append(case)

    def differentiate(self, id, outputs, leaves):
        """Draws a gradient for each differentiable output and returns the names of those and of the leaves' gradients."""
        names, started, start = [], [], []
        for i, output in enumerate(outputs):
            if not output.requires_grad:
                names.append(None)
                continue
            grad = uniform(f"{id}/grad_output{i}", *output.shape, low=0.25, high=1.0)
            grad *= random(f"{id}/sign{i}").choice(np.array([-1, 1], np.float32), output.shape)
            names.append(self.store(f"{id}/grad_output{i + 1}", grad))
            started.append(output)
            start.append(torch.from_numpy(np.asarray(grad, np.float64).reshape(output.shape)))
        wanted = {name: t for name, t in leaves.items() if t.requires_grad}
        grads = torch.autograd.grad(started, list(wanted.values()), start, allow_unused=True)
        stored = {}
        for (name, _), grad in zip(wanted.items(), grads):
            assert grad is not None, f"{id}: {name} has no gradient"
            stored[name] = self.store(f"{id}/grad_{name}", to_numpy(grad))
        return names, stored

    def function(self, id, kind, definition, function, inputs, options=None, grad=True, **fields):
        """One call of a tensor function: function(*inputs) in float64, its outputs and its gradients."""
        leaves = {}

        def visit(entry, name):
            """The JSON and the argument for one entry of inputs."""
            if isinstance(entry, (list, tuple)):
                pairs = [visit(item, f"{name}_{i + 1}") for i, item in enumerate(entry)]
                return [json for json, _ in pairs], [argument for _, argument in pairs]
            if isinstance(entry, View):
                leaves[name] = leaf(entry.array, grad)
                stored = self.store(f"{id}/{name}", entry.array)
                return {"tensor": stored, "permute": entry.dims}, entry.of(leaves[name])
            if isinstance(entry, np.ndarray):
                leaves[name] = leaf(entry, grad)
                return self.store(f"{id}/{name}", entry), leaves[name]
            return entry, entry

        pairs = [visit(entry, f"input{i + 1}") for i, entry in enumerate(inputs)]
        results = function(*[argument for _, argument in pairs])
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        case = {"inputs": [json for json, _ in pairs]}
        if grad and any(result.requires_grad for result in results):
            case["grad_outputs"], stored = self.differentiate(id, results, leaves)

            def gradient_of(entry, name):
                if isinstance(entry, (list, tuple)):
                    return [gradient_of(item, f"{name}_{i + 1}") for i, item in enumerate(entry)]
                return stored.get(name)

            case["grads"] = {"inputs": [gradient_of(entry, f"input{i + 1}") for i, entry in enumerate(inputs)]}
        case["outputs"] = [self.store(f"{id}/output{i + 1}", to_numpy(r)) for i, r in enumerate(results)]
        self.add(id, kind, definition, options, **case, **fields)

    def save(self):
        path = FOLDER / f"{self.name}.safetensors"
        cases = json.dumps(self.list, separators=(",", ":"), allow_nan=False)
        save_file(self.tensors, path, metadata={"cases": cases})
        path.chmod(0o644)
        print(f"{path.name}: {len(self.list)} cases, {len(self.tensors)} tensors, {path.stat().st_size / 1024:.0f} KiB")
