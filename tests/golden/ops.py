"""Golden values of tensor functions, computed by PyTorch in float64."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from cases import Cases, View, distinct, normal, random, uniform
from formulas import hard_sigmoid, sparsemax
from images import avg_pool2d, conv2d, conv_transpose2d, max_pool2d

INF, NAN = math.inf, math.nan
EVERYWHERE = (-3.0, 3.0)

# name: (function of x and options, domain of random values, values with an answer of their own)
MATH = {
    "neg": (torch.neg, EVERYWHERE, [0.0, INF, -INF, NAN]),
    "abs": (torch.abs, EVERYWHERE, [-0.0, INF, -INF, NAN]),
    "sign": (torch.sign, EVERYWHERE, [0.0, -0.0, INF, -INF]),
    "exp": (torch.exp, EVERYWHERE, [0.0, -INF, INF, NAN, 1e-8, 80.0, -80.0, 100.0]),
    "expm1": (torch.expm1, EVERYWHERE, [0.0, -INF, INF, NAN, 1e-6, -1e-6, -50.0]),
    "log": (torch.log, (0.05, 8.0), [0.0, 1.0, INF, -1.0, NAN, 1e-30, 1e30]),
    "log1p": (torch.log1p, (-0.9, 6.0), [0.0, -1.0, -2.0, INF, NAN, 1e-7]),
    "log2": (torch.log2, (0.05, 8.0), [0.0, 1.0, 8.0, INF, -1.0, NAN]),
    "log10": (torch.log10, (0.05, 8.0), [0.0, 1.0, 1000.0, INF, -1.0, NAN]),
    "sqrt": (torch.sqrt, (0.05, 8.0), [0.0, INF, -1.0, NAN]),
    "rsqrt": (torch.rsqrt, (0.05, 8.0), [0.0, INF, -1.0, NAN]),
    "square": (torch.square, EVERYWHERE, [0.0, INF, -INF, NAN]),
    "reciprocal": (torch.reciprocal, (0.2, 4.0), [INF, -INF, NAN, 0.0]),
    "sin": (torch.sin, (-8.0, 8.0), [0.0, 100.0, -1000.0, INF, NAN]),
    "cos": (torch.cos, (-8.0, 8.0), [0.0, 100.0, -1000.0, INF, NAN]),
    "tan": (torch.tan, (-1.3, 1.3), [0.0, 3.0, 100.0, INF, NAN]),
    "asin": (torch.asin, (-0.95, 0.95), [0.0, 1.0, -1.0, 1.5, NAN]),
    "acos": (torch.acos, (-0.95, 0.95), [0.0, 1.0, -1.0, 1.5, NAN]),
    "atan": (torch.atan, EVERYWHERE, [0.0, INF, -INF, NAN, 1e6]),
    "sinh": (torch.sinh, EVERYWHERE, [0.0, INF, -INF, NAN, 1e-5, 20.0]),
    "cosh": (torch.cosh, EVERYWHERE, [0.0, INF, -INF, NAN, 20.0]),
    "asinh": (torch.asinh, EVERYWHERE, [0.0, INF, -INF, NAN, 1e-5, -1e4]),
    "acosh": (torch.acosh, (1.1, 6.0), [1.0, INF, 0.5, NAN, 1e4]),
    "atanh": (torch.atanh, (-0.95, 0.95), [0.0, 1.0, -1.0, 1.5, NAN, 1e-5]),
    "tanh": (torch.tanh, EVERYWHERE, [0.0, INF, -INF, NAN, 1e-5, 20.0, -20.0]),
    "sigmoid": (torch.sigmoid, EVERYWHERE, [0.0, INF, -INF, NAN, 60.0, -60.0]),
    "erf": (torch.erf, EVERYWHERE, [0.0, INF, -INF, NAN, 1e-5, 6.0, -6.0]),
    "erfc": (torch.erfc, (-3.0, 2.0), [0.0, INF, -INF, NAN]),
}

ROUNDING = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
}

TESTS = {
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
    "logical_not": torch.logical_not,
}


def sparse_plus(x):
    inside = torch.where(x >= 1, x, 0.25 * (x + 1) ** 2)
    return torch.where(x <= -1, torch.zeros_like(x), inside)


# name: (function of x and options, list of options); Keras's formulas, each option given.
ACTIVATIONS = {
    "relu": (F.relu, [{}]),
    "relu6": (F.relu6, [{}]),
    "leaky_relu": (F.leaky_relu, [{"negative_slope": 0.2}, {"negative_slope": 0.01}]),
    "elu": (F.elu, [{"alpha": 1.0}, {"alpha": 0.5}]),
    "selu": (F.selu, [{}]),
    "celu": (F.celu, [{"alpha": 1.0}, {"alpha": 2.0}]),
    "gelu": (lambda x, approximate: F.gelu(x, approximate="tanh" if approximate else "none"),
             [{"approximate": False}, {"approximate": True}]),
    "silu": (F.silu, [{}]),
    "mish": (F.mish, [{}]),
    "softplus": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), [{}]),
    "softsign": (F.softsign, [{}]),
    "hard_sigmoid": (hard_sigmoid, [{}]),
    "hard_silu": (lambda x: x * hard_sigmoid(x), [{}]),
    "hard_tanh": (F.hardtanh, [{}]),
    "tanh_shrink": (F.tanhshrink, [{}]),
    "soft_shrink": (lambda x, threshold: F.softshrink(x, threshold), [{"threshold": 0.5}, {"threshold": 1.25}]),
    "hard_shrink": (lambda x, threshold: F.hardshrink(x, threshold), [{"threshold": 0.5}, {"threshold": 1.25}]),
    "threshold": (lambda x, threshold, default_value: F.threshold(x, threshold, default_value),
                  [{"threshold": 0.5, "default_value": 0.0}, {"threshold": -1.0, "default_value": 2.0}]),
    "log_sigmoid": (F.logsigmoid, [{}]),
    "squareplus": (lambda x, b: (x + torch.sqrt(x * x + b)) / 2, [{"b": 4}, {"b": 1.0}]),
    "sparse_plus": (sparse_plus, [{}]),
    "sparse_sigmoid": (lambda x: torch.clamp((x + 1) / 2, 0, 1), [{}]),
}


def bind(function, options):
    return lambda *inputs: function(*inputs, **options)


def label(options):
    return "_".join(f"{key}_{value}" for key, value in options.items())


def unary(cases):
    for name, (function, domain, special) in MATH.items():
        x = uniform(f"{name}/random", 4, 9, low=domain[0], high=domain[1])
        cases.function(f"{name}/random", "op", name, function, [x])
        cases.function(f"{name}/special", "op", name, function, [np.array(special, np.float32)], grad=False,
                       relative=True)
    for name, function in ROUNDING.items():
        x = np.concatenate([uniform(f"{name}/random", 20, low=-4, high=4), np.float32(
            [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.0, 3.0, -3.0, 16777216.0, INF, -INF, NAN])])
        cases.function(f"{name}/random", "op", name, function, [x], grad=False)
    for name, function in TESTS.items():
        x = np.float32([0.0, -0.0, 1.0, -2.5, INF, -INF, NAN, 1e-30])
        cases.function(f"{name}/special", "op", name, function, [x], grad=False)
    cases.function("logical_not/bool", "op", "logical_not", torch.logical_not, [np.array([True, False])])


def activations(cases):
    for name, (function, choices) in ACTIVATIONS.items():
        for options in choices:
            id = f"{name}/{label(options) or 'random'}"
            x = uniform(id, 4, 12, low=-4.5, high=7.5)
            cases.function(id, "op", name, bind(function, options), [x], options)
        far = np.float32([0.0, 1e-4, -1e-4, 30.0, -30.0, 88.0, -88.0])
        cases.function(f"{name}/far", "op", name, bind(function, choices[0]), [far], choices[0], grad=False)
    for name in ("relu", "relu6", "abs"):
        function = getattr(F, name, None) or getattr(torch, name)
        cases.function(f"{name}/derivative_at_zero", "op", name, function, [np.float32([0.0, 1.0, -1.0])])
    x = normal("glu", 3, 6)
    cases.function("glu/last", "op", "glu", lambda x: F.glu(x, -1), [x], {"dim": -1})
    cases.function("glu/first", "op", "glu", lambda x: F.glu(x, 0), [normal("glu/first", 4, 3)], {"dim": 1})
    cases.function("sparsemax/last", "op", "sparsemax", sparsemax, [normal("sparsemax", 4, 7)], {"dim": -1})
    x = normal("sparsemax/middle", 3, 5, 2)
    cases.function("sparsemax/middle", "op", "sparsemax", lambda x: sparsemax(x, 1), [x], {"dim": 2})
    x = uniform("clamp", 5, 7, low=-2, high=2)
    for options in ({"min": -0.5, "max": 1.25}, {"min": 0.0}, {"max": 0.75}):
        cases.function(f"clamp/{'_'.join(options)}", "op", "clamp", bind(torch.clamp, options), [x], options)


def softmax(cases):
    for name, function in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax)):
        for dim in (-1, 1, 2):
            x = normal(f"{name}{dim}", 3, 5, 4, scale=2)
            place = dim if dim < 0 else dim - 1
            cases.function(f"{name}/dim_{dim}", "op", name, lambda x: function(x, place), [x], {"dim": dim})
        large = np.float32([[1000, 999, 0], [-1000, -1001, -1000], [88, 89, -INF]])
        cases.function(f"{name}/large", "op", name, lambda x: function(x, -1), [large], {"dim": -1}, grad=False)
        wide = normal(f"{name}/wide", 2, 67, scale=3)
        cases.function(f"{name}/wide", "op", name, lambda x: function(x, -1), [wide], {"dim": -1})


def remainder_inputs(name):
    """Quotients well away from whole numbers, where a rounding would change the result."""
    generator = random(name)
    y = generator.uniform(0.5, 2.0, (4, 6)) * generator.choice([-1, 1], (4, 6))
    y = y.astype(np.float32)
    whole = generator.integers(-5, 5, (4, 6))
    return (y * (whole + generator.uniform(0.2, 0.8, (4, 6)))).astype(np.float32), y


def binary(cases):
    shapes = {"same": ((3, 5), (3, 5)), "broadcast": ((3, 1, 4), (2, 1)), "vector": ((2, 3, 4), (4,)),
              "column": ((4, 5), (4, 1)), "one": ((2, 3), (1, 1))}
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "atan2"):
        function = getattr(torch, name)
        for shape, (first, second) in shapes.items():
            id = f"{name}/{shape}"
            x, y = uniform(id + "x", *first, low=-3, high=3), uniform(id + "y", *second, low=0.5, high=3)
            y *= random(id + "sign").choice(np.array([-1, 1], np.float32), second)
            cases.function(id, "op", name, function, [x, y])
        if name in ("add", "sub", "mul", "div"):
            x = normal(f"{name}/number", 3, 4)
            cases.function(f"{name}/number", "op", name, function, [x, 2.5])
            a, b = random(name).integers(1, 50, (2, 6)).astype(np.int64)
            cases.function(f"{name}/int64", "op", name, function, [a, b], dtypes=["stored"])
    for shape, (first, second) in shapes.items():
        x = uniform(f"pow/{shape}x", *first, low=0.3, high=3)
        y = uniform(f"pow/{shape}y", *second, low=-2, high=3)
        cases.function(f"pow/{shape}", "op", "pow", torch.pow, [x, y])
    for exponent in (2, 3, 0.5, -1, -2.5):
        x = uniform(f"pow/number_{exponent}", 3, 4, low=0.3, high=3)
        cases.function(f"pow/number_{exponent}", "op", "pow", torch.pow, [x, exponent])
    x = normal("pow/negative_base", 3, 4)
    cases.function("pow/negative_base", "op", "pow", torch.pow, [x, 3])
    x, y = np.float32([0, 0, 1, INF, -1, 2, -8]), np.float32([0, 2, NAN, 0, INF, -INF, 0.5])
    cases.function("pow/special", "op", "pow", torch.pow, [x, y], grad=False)
    for name in ("fmod", "remainder", "floor_divide"):
        function = getattr(torch, name)
        x, y = remainder_inputs(name)
        cases.function(f"{name}/same", "op", name, function, [x, y], grad=False)
        cases.function(f"{name}/number", "op", name, function, [x + np.float32(0.001), 0.75], grad=False)
        a, b = np.array([7, -7, 7, -7, 6, 0]), np.array([3, 3, -3, -3, 2, 5])
        cases.function(f"{name}/int64", "op", name, function, [a, b], dtypes=["stored"])


def comparisons(cases):
    x, y = np.float32([[1, 2, 3, NAN], [INF, -INF, 0, 5]]), np.float32([[1, 3, 2, NAN], [INF, INF, -0.0, NAN]])
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        function = getattr(torch, name)
        cases.function(f"{name}/same", "op", name, function, [x, y], grad=False)
        cases.function(f"{name}/broadcast", "op", name, function, [x, y[:1, :]], grad=False)
        cases.function(f"{name}/number", "op", name, function, [x, 2], grad=False)
        a, b = random(name).integers(0, 3, (2, 9)).astype(np.int64)
        cases.function(f"{name}/int64", "op", name, function, [a, b], dtypes=["stored"])
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for name in ("logical_and", "logical_or", "logical_xor"):
        function = getattr(torch, name)
        cases.function(f"{name}/bool", "op", name, function, [a, b], dtypes=["stored"])
        cases.function(f"{name}/float", "op", name, function, [np.float32([0, 2, -1, 0]), np.float32([0, 0, 3, 1])],
                       grad=False)
    condition = random("where").random((3, 4)) < 0.5
    x, y = normal("where/x", 3, 4), normal("where/y", 3, 4)
    cases.function("where/same", "op", "where", torch.where, [condition, x, y])
    cases.function("where/broadcast", "op", "where", torch.where,
                   [condition, normal("where/row", 4), normal("where/column", 3, 1)])


DIMS = {"all": None, "first": 1, "middle": 2, "last": -1, "two": [1, 3], "outer_two": [2, -1]}


def torch_dims(dim):
    """A dimension or a list of them, counted from 0."""
    if dim is None:
        return None
    if isinstance(dim, list):
        return [torch_dims(d) for d in dim]
    return dim if dim < 0 else dim - 1


def reduction(cases, name, function, x, choices=DIMS, grad=True, options=None):
    """All choices of dimensions, with and without keepdim."""
    for place, dim in choices.items():
        for keepdim in (False, True):
            if dim is None and keepdim:
                continue
            given = dict(options or {})
            if dim is not None:
                given["dim"] = dim
            if keepdim:
                given["keepdim"] = True
            id = f"{name}/{'_'.join([place] + [f'{k}_{v}' for k, v in (options or {}).items()])}"
            cases.function(id + ("_keepdim" if keepdim else ""), "op", name,
                           lambda x: function(x, torch_dims(dim), keepdim), [x], given, grad=grad)


def every_dim(x):
    return list(range(x.dim()))


def reductions(cases):
    x = normal("reductions", 3, 4, 5)
    positive = uniform("positive", 3, 4, 5, low=0.5, high=1.5)
    flags = random("flags").random((3, 4, 5)) < 0.8
    single = {place: DIMS[place] for place in ("all", "first", "middle", "last")}
    reduction(cases, "sum", lambda x, d, k: torch.sum(x) if d is None else torch.sum(x, d, k), x)
    reduction(cases, "mean", lambda x, d, k: torch.mean(x) if d is None else torch.mean(x, d, k), x)
    reduction(cases, "prod", lambda x, d, k: torch.prod(x) if d is None else torch.prod(x, d, k), positive, single)
    ties_free = distinct("max", 3, 4, 5)
    reduction(cases, "max", lambda x, d, k: torch.amax(x, every_dim(x) if d is None else d, k), ties_free, single)
    reduction(cases, "min", lambda x, d, k: torch.amin(x, every_dim(x) if d is None else d, k), ties_free, single)
    for correction in (0, 1):
        for name in ("var", "std"):
            function = getattr(torch, name)
            reduction(cases, name, lambda x, d, k: function(x, dim=d, correction=correction, keepdim=k), x,
                      options={"correction": correction})
    reduction(cases, "logsumexp", lambda x, d, k: torch.logsumexp(x, every_dim(x) if d is None else d, k), x)
    for name in ("argmax", "argmin"):
        function = getattr(torch, name)
        reduction(cases, name, lambda x, d, k: function(x, d, k) + 1, ties_free, single, grad=False)
    ties = np.float32([[1, 3, 3], [2, 2, 2], [0, -1, 0]])
    cases.function("argmax/first_of_ties", "op", "argmax", lambda x: torch.argmax(x, 1) + 1, [ties], {"dim": 2},
                   grad=False)
    cases.function("argmin/first_of_ties", "op", "argmin", lambda x: torch.argmin(x, 1) + 1, [ties], {"dim": 2},
                   grad=False)
    for name in ("any", "all"):
        function = getattr(torch, name)
        values = flags if name == "all" else ~flags
        for place, dim in single.items():
            options = {} if dim is None else {"dim": dim}
            cases.function(f"{name}/{place}", "op", name,
                           lambda x: function(x) if dim is None else function(x, torch_dims(dim)), [values], options,
                           dtypes=["stored"])
    for p in (1, 2, 3, INF):
        for place, dim in DIMS.items():
            if p in (1, 3) and place not in ("all", "last"):
                continue
            options = {"p": "inf" if p == INF else p}
            if dim is not None:
                options["dim"] = dim
            cases.function(f"norm/{place}_p_{p}", "op", "norm",
                           lambda x: torch.linalg.vector_norm(x, p, torch_dims(dim)), [x], options)
    for dim in (1, 2, -1):
        cases.function(f"cumsum/dim_{dim}", "op", "cumsum", lambda x: torch.cumsum(x, torch_dims(dim)), [x],
                       {"dim": dim})
    special = np.float32([[1, NAN, 2], [INF, 1, -INF], [INF, INF, 0]])
    for name in ("sum", "mean", "max", "min"):
        function = {"max": torch.amax, "min": torch.amin}.get(name) or getattr(torch, name)
        cases.function(f"{name}/special", "op", name, lambda x: function(x, 1), [special], {"dim": 2}, grad=False)
    lows = np.float32([[-INF, -INF], [1000, 1001], [-1000, -1001], [INF, 0]])
    cases.function("logsumexp/special", "op", "logsumexp", lambda x: torch.logsumexp(x, 1), [lows], {"dim": 2},
                   grad=False)
    long = normal("sum/long", 3, 1031)
    for dim, place in ((1, "first"), (2, "last")):
        cases.function(f"sum/long_{place}", "op", "sum", lambda x: torch.sum(x, dim - 1), [long], {"dim": dim})
    integers = random("integers").integers(-9, 9, (3, 4)).astype(np.int64)
    cases.function("sum/int64", "op", "sum", lambda x: torch.sum(x, 0), [integers], {"dim": 1}, dtypes=["stored"])
    cases.function("sum/bool", "op", "sum", lambda x: torch.sum(x, 0), [flags], {"dim": 1}, dtypes=["stored"])


def matmul(cases):
    shapes = {
        "square": ((4, 4), (4, 4)), "wide": ((3, 7), (7, 17)), "tall": ((33, 5), (5, 3)), "one": ((1, 1), (1, 1)),
        "row": ((1, 19), (19, 6)), "column": ((6, 19), (19, 1)), "odd": ((13, 37), (37, 67)),
        "vector_vector": ((7,), (7,)), "vector_matrix": ((5,), (5, 4)), "matrix_vector": ((4, 5), (5,)),
        "batched": ((3, 2, 4), (3, 4, 5)), "broadcast_right": ((3, 2, 4), (4, 5)), "broadcast_left": ((2, 4), (3, 4, 5)),
        "broadcast_both": ((2, 1, 3, 4), (5, 4, 2)), "batch_vector": ((3, 2, 4), (4,)), "vector_batch": ((4,), (3, 4, 2)),
    }
    for name, (first, second) in shapes.items():
        id = f"matmul/{name}"
        cases.function(id, "op", "matmul", torch.matmul, [normal(id + "x", *first), normal(id + "y", *second)])
    turned = [2, 1]
    x, y = normal("matmul/turned_x", 7, 5), normal("matmul/turned_y", 6, 7)
    cases.function("matmul/both_transposed", "op", "matmul", torch.matmul, [View(x, turned), View(y, turned)])
    cases.function("matmul/left_transposed", "op", "matmul", torch.matmul,
                   [View(x, turned), normal("matmul/left", 7, 6)])
    cases.function("matmul/right_transposed", "op", "matmul", torch.matmul,
                   [normal("matmul/right", 5, 7), View(y, turned)])
    cases.function("matmul/batch_permuted", "op", "matmul", torch.matmul,
                   [View(normal("matmul/permuted", 4, 2, 3), [3, 2, 1]), View(normal("matmul/permuted_y", 5, 4, 3),
                                                                              [3, 2, 1])])


def shapes(cases):
    x = normal("shapes", 2, 3, 4)
    cases.function("reshape/two", "op", "reshape", lambda x: x.reshape(6, 4), [x], {"shape": [6, 4]})
    cases.function("reshape/inferred", "op", "reshape", lambda x: x.reshape(4, -1), [x], {"shape": [4, -1]})
    cases.function("reshape/of_a_view", "op", "reshape", lambda x: x.reshape(8, 3), [View(x, [3, 1, 2])],
                   {"shape": [8, 3]})
    cases.function("permute/three", "op", "permute", lambda x: x.permute(2, 0, 1), [x], {"dims": [3, 1, 2]})
    cases.function("transpose/ends", "op", "transpose", lambda x: x.transpose(0, -1), [x], {"dim0": 1, "dim1": -1})
    indices = {
        "number": ([2], lambda x: x[1]),
        "negative_number": ([-1, {}, -2], lambda x: x[-1, :, -2]),
        "range": ([[1, 2], [2, 3]], lambda x: x[0:2, 1:3]),
        "negative_range": ([{}, [-2, -1], [1, -2]], lambda x: x[:, -2:, :-1]),
        "step": ([{}, {}, [1, 4, 2]], lambda x: x[:, :, 0:4:2]),
        "step_ragged": ([{}, [2, 3, 2], [2, 4, 3]], lambda x: x[:, 1:3:2, 1:4:3]),
        "mixed": ([1, [2, 3], 4], lambda x: x[0, 1:3, 3]),
    }
    for name, (index, function) in indices.items():
        listed = [[] if place == {} else place for place in index]
        cases.function(f"slice/{name}", "op", "slice", function, [x], {"index": listed})
    for dim in (1, 2, -1):
        parts = []
        for i, size in enumerate((2, 1, 3)):
            shape = [2, 3, 4]
            shape[dim if dim < 0 else dim - 1] = size
            parts.append(normal(f"cat{dim}{i}", *shape))
        cases.function(f"cat/dim_{dim}", "op", "cat", lambda parts: torch.cat(parts, torch_dims(dim)), [parts],
                       {"dim": dim})
        parts = [normal(f"stack{dim}{i}", 2, 3) for i in range(3)]
        cases.function(f"stack/dim_{dim}", "op", "stack", lambda parts: torch.stack(parts, torch_dims(dim)), [parts],
                       {"dim": dim})
    cases.function("pad/last", "op", "pad", lambda x: F.pad(x, (1, 2)), [x], {"pad": [1, 2]})
    cases.function("pad/two_dims", "op", "pad", lambda x: F.pad(x, (0, 1, 2, 0), value=1.5), [x],
                   {"pad": [0, 1, 2, 0], "value": 1.5})
    cases.function("pad/images", "op", "pad", lambda x: F.pad(x, (0, 0, 1, 1, 2, 1)), [normal("pad/images", 2, 3, 4, 2)],
                   {"pad": [0, 0, 1, 1, 2, 1]})
    for dims in ([1], [1, 3], [-1]):
        cases.function(f"flip/{'_'.join(map(str, dims))}", "op", "flip", lambda x: torch.flip(x, torch_dims(dims)), [x],
                       {"dims": dims})
    thin = normal("thin", 1, 3, 1)
    cases.function("expand/two", "op", "expand", lambda x: x.expand(2, 3, 4), [thin], {"shape": [2, 3, 4]})
    cases.function("expand/new_dim", "op", "expand", lambda x: x.expand(2, 1, 3, 2), [thin], {"shape": [2, 1, 3, 2]})
    cases.function("squeeze/all", "op", "squeeze", lambda x: x.squeeze(), [thin])
    cases.function("squeeze/one", "op", "squeeze", lambda x: x.squeeze(0), [thin], {"dim": 1})
    for dim in (1, 2, -1):
        cases.function(f"unsqueeze/dim_{dim}", "op", "unsqueeze", lambda x: x.unsqueeze(torch_dims(dim)), [x],
                       {"dim": dim})
    index = np.array([[[1, 3, 2, 1], [2, 2, 2, 2]], [[3, 1, 1, 3], [1, 2, 3, 1]]], np.int64)
    cases.function("gather/middle", "op", "gather", lambda x, i: torch.gather(x, 1, i - 1), [x, index], {"dim": 2})
    rows = np.array([2, 1, 2, 2], np.int64)
    cases.function("index_select/repeated", "op", "index_select", lambda x, i: torch.index_select(x, 0, i - 1),
                   [x, rows], {"dim": 1})
    cases.function("index_select/last", "op", "index_select", lambda x, i: torch.index_select(x, 2, i - 1), [x, rows],
                   {"dim": -1})


def images(cases):
    def conv(name, x_shape, kernel_shape, bias=True, **options):
        id = f"conv2d/{name}"
        inputs = [normal(id + "x", *x_shape), normal(id + "k", *kernel_shape, scale=0.3)]
        if bias:
            inputs.append(normal(id + "b", kernel_shape[-1]))
        winograd = kernel_shape[:2] == (3, 3) and "stride" not in options and "dilation" not in options
        winograd = winograd and "groups" not in options
        cases.function(id, "op", "conv2d", bind(conv2d, options), inputs, options, winograd=winograd or None)

    conv("plain", (2, 6, 7, 3), (3, 3, 3, 4))
    conv("no_bias", (1, 5, 5, 2), (3, 3, 2, 3), bias=False)
    conv("one_channel", (2, 8, 8, 1), (3, 3, 1, 32))
    conv("same", (2, 7, 9, 3), (3, 3, 3, 5), padding="same")
    conv("same_stride2", (2, 7, 8, 3), (3, 3, 3, 5), padding="same", stride=2)
    conv("same_even_kernel", (1, 6, 5, 2), (2, 4, 2, 3), padding="same")
    conv("valid_stride_2_1", (2, 8, 7, 3), (3, 2, 3, 4), padding="valid", stride=[2, 1])
    conv("explicit", (2, 5, 6, 2), (3, 3, 2, 3), padding=[2, 1])
    conv("explicit_stride3", (1, 9, 9, 2), (3, 3, 2, 3), padding=1, stride=3)
    conv("dilation2", (1, 9, 8, 2), (3, 3, 2, 3), dilation=2)
    conv("same_dilation_2_1", (1, 8, 6, 3), (3, 3, 3, 2), padding="same", dilation=[2, 1])
    conv("groups2", (2, 6, 6, 4), (3, 3, 2, 6), groups=2, padding="same")
    conv("depthwise", (1, 7, 6, 5), (3, 3, 1, 5), groups=5)
    conv("1x1", (2, 4, 5, 6), (1, 1, 6, 8))
    conv("1x1_stride2", (2, 5, 5, 4), (1, 1, 4, 3), stride=2)
    conv("5x5_same", (1, 8, 9, 3), (5, 5, 3, 4), padding="same")
    conv("5x5_one_channel", (1, 9, 9, 1), (5, 5, 1, 6))
    conv("1x7", (1, 4, 9, 2), (1, 7, 2, 3), padding="same")
    conv("32_channels", (2, 8, 8, 32), (3, 3, 32, 32), padding="same")
    conv("32_channels_ragged", (1, 7, 9, 16), (3, 3, 16, 24), padding="valid")
    conv("kernel_as_large_as_image", (2, 3, 3, 4), (3, 3, 4, 2))

    def transposed(name, x_shape, kernel_shape, **options):
        id = f"conv_transpose2d/{name}"
        inputs = [normal(id + "x", *x_shape), normal(id + "k", *kernel_shape, scale=0.3)]
        cases.function(id, "op", "conv_transpose2d", bind(conv_transpose2d, options), inputs, options)

    transposed("plain", (2, 4, 5, 3), (3, 3, 4, 3))
    transposed("stride2", (2, 4, 3, 2), (3, 3, 5, 2), stride=2)
    transposed("stride_beyond_kernel", (1, 3, 4, 2), (2, 1, 3, 2), stride=[3, 2])
    transposed("stride_2_3_output_padding", (1, 3, 4, 2), (3, 4, 2, 2), stride=[2, 3], output_padding=[1, 2])
    transposed("same_stride2", (2, 4, 5, 3), (4, 4, 2, 3), stride=2, padding="same")
    transposed("same_stride_3_2", (1, 4, 3, 2), (3, 2, 4, 2), stride=[3, 2], padding="same")
    transposed("dilation_2_1", (1, 4, 5, 2), (3, 2, 3, 2), dilation=[2, 1])
    transposed("32_channels", (2, 4, 4, 32), (2, 2, 16, 32), stride=2)

    for name, function in (("max_pool2d", max_pool2d), ("avg_pool2d", avg_pool2d)):
        def pool(place, shape, **options):
            id = f"{name}/{place}"
            cases.function(id, "op", name, bind(function, options), [distinct(id, *shape)], options)

        pool("2x2", (2, 6, 4, 3), kernel_size=2)
        pool("ragged", (1, 7, 5, 2), kernel_size=2)
        pool("same", (1, 7, 5, 2), kernel_size=2, padding="same")
        pool("same_3x3_stride1", (1, 5, 4, 2), kernel_size=3, stride=1, padding="same")
        pool("same_3x3_stride2", (2, 6, 7, 2), kernel_size=3, stride=2, padding="same")
        pool("3x2_stride_1_2", (2, 5, 6, 2), kernel_size=[3, 2], stride=[1, 2])
        pool("global", (2, 3, 4, 5), kernel_size=[3, 4])
        pool("32_channels", (2, 4, 4, 32), kernel_size=2)
    ties = np.float32([[1, 1, 0, 2], [1, 1, 2, 0], [0, 0, 3, 3], [0, 0, 3, 4]]).reshape(1, 4, 4, 1)
    cases.function("max_pool2d/first_of_ties", "op", "max_pool2d", lambda x: max_pool2d(x, 2), [ties],
                   {"kernel_size": 2})


def largest(cases):
    def topk(place, x, k, dim=-1, largest=True, **fields):
        def function(x):
            values, places = torch.topk(x, k, torch_dims(dim), largest)
            return values, places + 1

        cases.function(f"topk/{place}", "op", "topk", function, [x], {"k": k, "dim": dim, "largest": largest}, **fields)

    x = distinct("topk", 3, 5, 40)
    topk("last", x, 3)
    topk("middle", x, 2, dim=2)
    topk("first", x, 3, dim=1)
    topk("smallest", x, 7, largest=False)
    topk("all", distinct("topk/all", 2, 9), 9)
    topk("special", np.float32([[1, INF, -INF, NAN, 2], [-INF, 0, 3, INF, 1]]), 4, grad=False)
    topk("int64", random("topk/int64").permutation(40).reshape(4, 10).astype(np.int64), 3, dtypes=["stored"])


def losses(cases):
    """CTC with label 0 for padding; PyTorch wants the blank first, as dlua does. Its gradient is that of the scores before
    log_softmax: the second term, which is 0, takes the softmax out of it."""
    def ctc(scores, labels):
        lengths = (labels > 0).sum(1)
        loss = F.ctc_loss(scores.permute(1, 0, 2), labels, torch.full_like(lengths, scores.shape[1]), lengths,
                          reduction="none")
        sums = scores.exp().sum((1, 2))
        return loss - (sums - sums.detach())

    def log_softmax(id, *shape):
        x = normal(id, *shape, scale=2)
        return (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(np.float32)

    for name, steps, labels in (("plain", 7, [[1, 2, 3], [3, 1, 2]]), ("repeats", 8, [[1, 1, 2], [2, 2, 2]]),
                                ("padding", 6, [[1, 2, 0], [0, 0, 0], [3, 3, 0]]), ("just_enough", 4, [[1, 1, 2]]),
                                ("one_step", 1, [[2], [0]])):
        id = f"ctc_loss/{name}"
        scores = log_softmax(id, len(labels), steps, 4)
        cases.function(id, "op", "ctc_loss", ctc, [scores, np.array(labels, np.int64)])


def attention(cases):
    """dot_product_attention has Keras's layout, steps before heads; PyTorch's, in which it is computed, is a case of
    attention.py."""
    def run(name, query, key, value, mask=None, **options):
        id = f"dot_product_attention/{name}"
        inputs = [normal(id + "query", *query), normal(id + "key", *key), normal(id + "value", *value)]
        shared = key[2] != query[2]

        def function(q, k, v, m=None):
            turned = (x.transpose(1, 2) for x in (q, k, v))
            return F.scaled_dot_product_attention(*turned, m, enable_gqa=shared, **options).transpose(1, 2)

        cases.function(id, "op", "dot_product_attention", function, inputs + ([] if mask is None else [mask]), options)

    flags = random("attention/flags").random((2, 1, 3, 5)) > 0.4
    flags[..., 0] = True
    run("plain", (2, 4, 3, 8), (2, 5, 3, 8), (2, 5, 3, 6))
    run("causal", (1, 6, 2, 4), (1, 6, 2, 4), (1, 6, 2, 4), is_causal=True)
    run("causal_long", (1, 70, 1, 4), (1, 70, 1, 4), (1, 70, 1, 3), is_causal=True)
    run("scale", (2, 3, 1, 4), (2, 5, 1, 4), (2, 5, 1, 2), scale=0.25)
    run("bool_mask", (2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4), flags)
    run("real_mask", (2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4), normal("attention/mask", 2, 1, 3, 5))
    run("shared_heads", (2, 3, 4, 4), (2, 5, 2, 4), (2, 5, 2, 4))


def recurrent(cases):
    """PyTorch's own cells; kernels are their weights transposed. The gates of a GRU are r, z, h in PyTorch, z, r, h in
    Keras."""
    size = 3

    def run(kind, gates, x, kernel, recurrent, bias, *states):
        cell = getattr(torch, kind)
        split = lambda matrix: list(torch.chunk(matrix, gates, dim=-1))
        ordered = lambda parts: torch.cat([parts[1], parts[0], parts[2]] if gates == 3 else parts, dim=-1)
        weights = [ordered(split(kernel)).T, ordered(split(recurrent)).T]
        both = [bias, torch.zeros_like(bias)] if bias.dim() == 1 else [bias[0], bias[1]]
        weights += [ordered(split(part)) for part in both]
        first = [state.unsqueeze(0) for state in states]
        result = cell(x, tuple(first) if len(first) > 1 else first[0], weights, True, 1, 0.0, False, False, True)
        return result[0]

    for name, kind, gates, states in (("lstm", "lstm", 4, 2), ("gru", "gru", 3, 1), ("simple_rnn", "rnn_tanh", 1, 1)):
        for variant, shape in (("plain", (4, 5, 2)), ("one_step", (2, 1, 3)), ("batch_17", (17, 3, 4))):
            id = f"{name}/{variant}"
            bias = (2, gates * size) if name == "gru" else (gates * size,)
            inputs = [normal(id + "x", *shape), normal(id + "kernel", shape[2], gates * size, scale=0.5),
                      normal(id + "recurrent", size, gates * size, scale=0.5), normal(id + "bias", *bias, scale=0.5)]
            inputs += [normal(f"{id}state{i}", shape[0], size, scale=0.5) for i in range(states)]
            function = lambda *tensors, kind=kind, gates=gates: run(kind, gates, *tensors)
            cases.function(id, "op", name, function, inputs, {"return_sequences": True})


def make():
    torch.manual_seed(0)
    cases = Cases("ops")
    unary(cases)
    activations(cases)
    softmax(cases)
    binary(cases)
    comparisons(cases)
    reductions(cases)
    matmul(cases)
    shapes(cases)
    images(cases)
    largest(cases)
    losses(cases)
    attention(cases)
    recurrent(cases)
    cases.save()
