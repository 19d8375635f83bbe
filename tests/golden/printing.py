"""How PyTorch prints tensors: printing.json holds a list of {"name", "make", "dtype", "shape", "values", "text"}.

`values` are the elements in order; null stands for NaN, and the strings "inf" and "-inf" for themselves. Large tensors
have "make": "arange" and a "scale" instead: element i is i * scale. `text` is PyTorch's without "tensor(" and ")", and
without the indentation that this prefix brings.
"""
import json
import math
import os

import torch

NAMES = {torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64",
         torch.uint8: "uint8", torch.bool: "bool"}


# PyTorch counts its prefix "tensor(" among the columns of a line; without it 80 are left.
torch.set_printoptions(linewidth=80 + len("tensor("))


def text_of(tensor):
    text = str(tensor)
    body = text[len("tensor("):text.rindex(")")]
    for tail in (", dtype=", ", size="):
        if tail in body:
            body = body[:body.index(tail)]
    body = body.replace("\n" + " " * len("tensor("), "\n")
    return body.replace("True", "true").replace("False", "false")


def plain(value):
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
    return value


def case(name, tensor):
    return {"name": name, "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
            "values": [plain(v) for v in tensor.reshape(-1).tolist()], "text": text_of(tensor)}


def large(name, shape, scale, dtype=torch.float32):
    count = math.prod(shape)
    tensor = (torch.arange(count, dtype=torch.float64) * scale).to(dtype).reshape(shape)
    return {"name": name, "make": "arange", "scale": scale, "dtype": NAMES[dtype], "shape": list(shape),
            "text": text_of(tensor)}


def cases():
    t = torch.tensor
    return [
        case("scalar", t(3.14159)),
        case("whole scalar", t(7)),
        case("row of fractions", t([0.1, 2.5, -3.25])),
        case("whole floats", t([1.0, 2.0, 30.0])),
        case("whole and nan", t([1.0, float("nan"), float("inf"), -float("inf")])),
        case("large whole floats", t([1.0, 200000000.0])),
        case("small fractions", t([0.00001, 1.0])),
        case("wide range", t([0.5, 1234.5])),
        case("wider range", t([0.001, 1234.5])),
        case("zeros", torch.zeros(2, 3)),
        case("booleans", t([[True, False], [False, False]])),
        case("integers", t([[1, -20], [300, 4]])),
        case("bytes", t([1, 255], dtype=torch.uint8)),
        case("matrix", t([[1.5, -2.25], [1000.125, 4.0]])),
        case("doubles", t([1 / 3, 2 / 3], dtype=torch.float64)),
        case("three dimensions", torch.arange(12, dtype=torch.float32).reshape(2, 3, 2) / 4),
        case("four dimensions", torch.arange(16, dtype=torch.int64).reshape(2, 2, 2, 2)),
        case("long row", torch.arange(30, dtype=torch.float32) / 8),
        case("long rows", torch.arange(40, dtype=torch.int64).reshape(2, 20) * 1000),
        case("empty", torch.zeros(0)),
        large("summarized row", (1001,), 0.5),
        large("just not summarized", (10, 100), 1, torch.int64),
        large("summarized matrix", (100, 100), 0.25),
        large("summarized cube", (12, 11, 10), 1, torch.int64),
        large("few rows, long ones", (2, 600), 1.0),
    ]


if __name__ == "__main__":
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "printing.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(cases(), file, indent=0)
        file.write("\n")
