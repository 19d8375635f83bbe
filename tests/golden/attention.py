"""Golden values of embeddings, normalization, attention and transformer blocks, computed by Keras and PyTorch in float64:
outputs, all gradients, masks. Blocks and position encodings, which Keras does not have, are composed of its layers as
the papers and KerasHub have them."""

import keras
import keras64
import numpy as np
import torch
import torch.nn.functional as F

from cases import Cases, leaf, normal, random, to_numpy, uniform



def weight_values(id, pairs):
    """Random values that float32 holds for weights [(name, variable)], which are set to them."""
    values = {}
    for name, weight in pairs:
        if name.endswith("gamma") or name.endswith("scale"):
            value = uniform(f"{id}/{name}", *weight.shape, low=0.5, high=1.5)
        else:
            value = normal(f"{id}/{name}", *weight.shape, scale=0.4)
        weight.assign(value)
        values[name] = value
    return values


def names_of(layer):
    """Weights with their paths below the layer: "query/kernel"."""
    prefix = layer.name + "/"
    pairs = []
    for weight in layer.weights:
        path = weight.path
        pairs.append((path.split(prefix, 1)[1] if prefix in path else path, weight))
    return pairs


def add(cases, id, name, inputs, call, pairs, options=None, named=None, call_options=None, shape_only=False):
    """One call: inputs by position, `named` ones by name. call(tensors, named tensors) gives the outputs. shape_only: of
    the inputs only the shapes matter."""
    named = named or {}
    values = weight_values(id, pairs)
    leaves = {f"input{i + 1}": leaf(x, not shape_only) for i, x in enumerate(inputs)}
    others = {key: leaf(x) for key, x in named.items()}
    outputs = call(list(leaves.values()), others)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    wanted = {**leaves, **others, **{key: weight.value for key, weight in pairs}}
    differentiable = any(output.requires_grad for output in outputs)
    grad_outputs, grads = cases.differentiate(id, outputs, wanted) if differentiable else ([None] * len(outputs), {})
    # A bias of the keys moves all scores of a query alike: its gradient is 0, and Keras's but the rounding.
    zeros = [key for key, name in grads.items() if np.abs(cases.tensors[name]).max(initial=0) < 1e-13]
    for key in zeros:
        cases.tensors[grads[key]] = np.zeros_like(cases.tensors[grads[key]])
    cases.add(id, "layer", name, options,
              training=False,
              call=call_options or None,
              inputs=[cases.store(f"{id}/input{i + 1}", x) for i, x in enumerate(inputs)],
              named={key: cases.store(f"{id}/{key}", x) for key, x in named.items()} or None,
              weights={key: cases.store(f"{id}/{key}", value) for key, value in values.items()},
              outputs=[cases.store(f"{id}/output{i + 1}", to_numpy(y)) for i, y in enumerate(outputs)],
              grad_outputs=grad_outputs,
              grads={"inputs": [grads.get(f"input{i + 1}") for i in range(len(inputs))],
                     "named": {key: grads[key] for key in named if key in grads},
                     "weights": {key: grads[key] for key, _ in pairs}})


def ids(id, low, high, *shape):
    return random(id).integers(low, high + 1, shape).astype(np.int64)


def embeddings(cases):
    layer = keras.layers.Embedding(7, 3)
    layer.build()
    x = ids("Embedding/default", 1, 7, 3, 4)
    add(cases, "Embedding/default", "Embedding", [x], lambda t, _: layer(t[0] - 1), [("embeddings", layer.embeddings)],
        {"input_dim": 7, "output_dim": 3})
    x = ids("Embedding/mask_zero", 0, 5, 2, 6)
    zero = keras.layers.Embedding(5, 4)
    zero.build()

    def padded(t, _):
        return zero(torch.clamp(t[0] - 1, min=0)) * (t[0] != 0)[..., None]

    add(cases, "Embedding/mask_zero", "Embedding", [x], padded, [("embeddings", zero.embeddings)],
        {"input_dim": 5, "output_dim": 4, "mask_zero": True})


def normalization(cases):
    def norm(name, id, shape, options=None, keras_options=None, moved=None):
        """moved: an axis that goes to the end for Keras, whose own path for axes in the middle fails on PyTorch."""
        layer = getattr(keras.layers, name)(**(keras_options or options or {}))
        x = normal(f"{name}/{id}", *shape) * 2 + 1
        layer.build(np.moveaxis(x, moved, -1).shape if moved else shape)

        def call(t, _):
            return layer(t[0].movedim(moved, -1)).movedim(-1, moved) if moved else layer(t[0])

        add(cases, f"{name}/{id}", name, [x.astype(np.float32)], call, names_of(layer), options)

    norm("LayerNormalization", "default", (3, 4, 5))
    norm("LayerNormalization", "wide", (3, 70))
    norm("LayerNormalization", "axes", (3, 4, 5, 2), {"axis": [3, -1]}, {"axis": [2, 3]})
    norm("LayerNormalization", "middle", (2, 4, 3), {"axis": 2, "epsilon": 0.1}, {"epsilon": 0.1}, 1)
    norm("LayerNormalization", "plain", (2, 6), {"center": False, "scale": False})
    norm("RMSNormalization", "default", (3, 4, 5))
    norm("RMSNormalization", "middle", (2, 4, 3), {"axis": 2, "epsilon": 0.1}, {"epsilon": 0.1}, 1)
    norm("GroupNormalization", "images", (2, 3, 4, 6), {"groups": 3})
    norm("GroupNormalization", "each", (2, 5, 4), {"groups": -1, "epsilon": 0.1})
    norm("GroupNormalization", "axis", (2, 4, 5), {"groups": 2, "axis": 2, "scale": False},
         {"groups": 2, "axis": 1, "scale": False})
    norm("UnitNormalization", "default", (3, 5))
    norm("UnitNormalization", "axes", (2, 3, 4), {"axis": [2, 3]}, {"axis": [1, 2]})


def some(id, *shape):
    """A mask with about a third left out, and the first key of each row in."""
    mask = random(id).random(shape) > 0.35
    mask[..., 0] = True
    return mask


def multi_head(cases):
    def heads(name, id, shapes, options, masks=(), call_options=None, mask_shapes=None):
        there = dict(options)
        if "attention_axes" in options:
            there["attention_axes"] = [axis - 1 for axis in options["attention_axes"]]
        layer = getattr(keras.layers, name)(**there)
        arrays = {key: normal(f"{name}/{id}/{key}", *shape) for key, shape in shapes.items()}
        layer.build(*(a.shape for a in (arrays["query"], arrays["value"])),
                    arrays["key"].shape if "key" in arrays else None)
        N, T, S = shapes["query"][0], shapes["query"][1], shapes["value"][1]
        sizes = {"value_mask": (N, S), "key_mask": (N, S), "attention_mask": (N, T, S), **(mask_shapes or {})}
        named = {key: some(f"{name}/{id}/{key}", *sizes[key]) for key in masks}
        if "key" in arrays:
            named["key"] = arrays["key"]

        def call(t, others):
            masks = {key: value for key, value in others.items() if key != "key"}
            # Keras takes these two from the tensors alone; as arguments they make the same mask.
            return layer(t[0], t[1], key=others.get("key"), **masks, **(call_options or {}))

        add(cases, f"{name}/{id}", name, [arrays["query"], arrays["value"]], call, names_of(layer), options, named,
            call_options)

    heads("MultiHeadAttention", "default", {"query": (2, 4, 6), "value": (2, 5, 6)}, {"num_heads": 2, "key_dim": 3})
    heads("MultiHeadAttention", "key", {"query": (2, 3, 4), "value": (2, 5, 6), "key": (2, 5, 7)},
          {"num_heads": 3, "key_dim": 2, "value_dim": 5, "use_bias": False, "output_shape": [8]})
    heads("MultiHeadAttention", "causal", {"query": (2, 5, 4), "value": (2, 5, 4)}, {"num_heads": 2, "key_dim": 2},
          call_options={"use_causal_mask": True})
    heads("MultiHeadAttention", "masks", {"query": (2, 4, 6), "value": (2, 5, 6)}, {"num_heads": 2, "key_dim": 3},
          ("value_mask", "attention_mask"), {"use_causal_mask": True})
    heads("MultiHeadAttention", "scores", {"query": (2, 4, 6), "value": (2, 5, 6)}, {"num_heads": 2, "key_dim": 3},
          ("attention_mask",), {"return_attention_scores": True})
    heads("MultiHeadAttention", "long", {"query": (1, 70, 8), "value": (1, 130, 8)}, {"num_heads": 1, "key_dim": 8},
          ("value_mask",))
    deep = {"query": (2, 3, 4, 5), "value": (2, 3, 4, 5)}
    axes = {"num_heads": 2, "key_dim": 3, "attention_axes": [3]}
    heads("MultiHeadAttention", "all_axes", {"query": (2, 3, 2, 5), "value": (2, 2, 4, 5)},
          {"num_heads": 2, "key_dim": 3, "value_dim": 4, "output_shape": [3]},
          call_options={"return_attention_scores": True})
    heads("MultiHeadAttention", "axis_2", deep, {**axes, "attention_axes": [2]}, ("attention_mask",),
          {"use_causal_mask": True}, {"attention_mask": (2, 3, 3)})
    heads("MultiHeadAttention", "axis_3", deep, axes, ("attention_mask",), {"return_attention_scores": True},
          {"attention_mask": (2, 3, 4, 4)})
    heads("MultiHeadAttention", "axis_3_heads", {"query": (2, 3, 4, 5), "value": (2, 3, 6, 5), "key": (2, 3, 6, 2)}, axes,
          ("attention_mask",), None, {"attention_mask": (2, 3, 2, 4, 6)})
    heads("MultiHeadAttention", "axes_2_4", {"query": (2, 2, 3, 2, 4), "value": (2, 3, 3, 1, 4)},
          {**axes, "attention_axes": [2, 4]}, ("attention_mask",), None, {"attention_mask": (2, 2, 2, 3, 1)})
    heads("GroupQueryAttention", "default", {"query": (2, 4, 6), "value": (2, 5, 6)},
          {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2})
    heads("GroupQueryAttention", "causal", {"query": (2, 5, 6), "value": (2, 5, 6)},
          {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 1}, ("attention_mask",),
          {"use_causal_mask": True})
    heads("GroupQueryAttention", "scores", {"query": (2, 3, 6), "value": (2, 5, 6)},
          {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, (), {"return_attention_scores": True})


def plain(cases):
    def attention(name, id, options=None, masks=(), call_options=None, key=True):
        layer = getattr(keras.layers, name)(**(options or {}))
        query, value = normal(f"{name}/{id}/q", 2, 4, 3), normal(f"{name}/{id}/v", 2, 5, 3)
        inputs = [query, value] + ([normal(f"{name}/{id}/k", 2, 5, 3)] if key else [])
        layer.build([x.shape for x in inputs])
        sizes = {"query_mask": (2, 4), "value_mask": (2, 5)}
        named = {mask: some(f"{name}/{id}/{mask}", *sizes[mask]) for mask in masks}

        def call(t, others):
            mask = [others.get("query_mask"), others.get("value_mask")] if others else None
            return layer(t, mask=mask, **(call_options or {}))

        add(cases, f"{name}/{id}", name, inputs, call, names_of(layer), options, named, call_options)

    attention("Attention", "default", key=False)
    attention("Attention", "scale", {"use_scale": True}, ("query_mask", "value_mask"))
    attention("Attention", "concat", {"use_scale": True, "score_mode": "concat"}, ("value_mask",),
              {"use_causal_mask": True})
    attention("Attention", "scores", {}, ("value_mask",), {"return_attention_scores": True})
    attention("AdditiveAttention", "default")
    attention("AdditiveAttention", "masks", {"use_scale": False}, ("query_mask", "value_mask"),
              {"use_causal_mask": True})
    attention("AdditiveAttention", "scores", {}, ("value_mask",), {"return_attention_scores": True})


def rotate(x, start, wavelength, scaling):
    """RoFormer's rotation with the halves of the features as coordinates; x (N, T, ..., D)."""
    half = x.shape[-1] // 2
    position = (torch.arange(x.shape[1], dtype=torch.float64) + start) / scaling
    frequency = wavelength ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = (position[:, None] * frequency).reshape(x.shape[1], *[1] * (x.dim() - 3), half)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def positions(cases):
    class Table:
        """A weight that is set and read as Keras's are."""

        def __init__(self, *shape):
            self.shape = shape

        def assign(self, value):
            self.value = leaf(value)

    table = Table(9, 4)
    x = normal("PositionEmbedding/x", 2, 5, 4)
    add(cases, "PositionEmbedding/default", "PositionEmbedding", [x],
        lambda t, _: table.value[None, :5].expand(2, 5, 4), [("embeddings", table)], {"sequence_length": 9},
        shape_only=True)
    add(cases, "PositionEmbedding/start", "PositionEmbedding", [x],
        lambda t, _: table.value[None, 3:8].expand(2, 5, 4), [("embeddings", table)], {"sequence_length": 9},
        call_options={"start_index": 4}, shape_only=True)
    for id, features, start, wavelength in (("default", 6, 0, 10000), ("odd", 5, 2, 50)):
        k = (torch.arange(features) // 2 * 2).double() / features
        angle = (torch.arange(4, dtype=torch.float64)[:, None] + start) * wavelength ** -k
        encoding = torch.where(torch.arange(features) % 2 == 0, angle.sin(), angle.cos())
        add(cases, f"SinePositionEncoding/{id}", "SinePositionEncoding",
            [normal(f"SinePositionEncoding/{id}", 2, 4, features)], lambda t, _: encoding.expand(2, 4, features), [],
            {"max_wavelength": wavelength}, call_options={"start_index": start + 1}, shape_only=True)
    x = normal("RotaryEmbedding/x", 2, 5, 3, 6)
    add(cases, "RotaryEmbedding/default", "RotaryEmbedding", [x], lambda t, _: rotate(t[0], 0, 10000, 1), [])
    add(cases, "RotaryEmbedding/axes", "RotaryEmbedding", [x],
        lambda t, _: rotate(t[0].movedim(2, 1), 3, 100, 2).movedim(1, 2), [],
        {"max_wavelength": 100, "scaling_factor": 2.0, "sequence_axis": 3}, call_options={"start_index": 4})
    tokens, places = Table(7, 4), Table(8, 4)
    x = ids("TokenAndPositionEmbedding/x", 0, 7, 2, 5)
    add(cases, "TokenAndPositionEmbedding/default", "TokenAndPositionEmbedding", [x],
        lambda t, _: tokens.value[torch.clamp(t[0] - 1, min=0)] * (t[0] != 0)[..., None] + places.value[:5],
        [("token_embedding/embeddings", tokens), ("position_embedding/embeddings", places)],
        {"vocabulary_size": 7, "sequence_length": 8, "embedding_dim": 4, "mask_zero": True})


class Block:
    """A transformer block of Keras's layers, with the weights' paths as KerasHub names them."""

    def __init__(self, features, heads, hidden, activation="relu", epsilon=1e-5, first=False, cross=None,
                 self_name="self_attention_layer"):
        self.first = first
        self.parts = {}
        attention = dict(num_heads=heads, key_dim=features // heads)
        shape = (None, None, features)
        self.self_attention = self.part(self_name, keras.layers.MultiHeadAttention(**attention), shape, shape)
        self.self_norm = self.part("self_attention_layer_norm", keras.layers.LayerNormalization(epsilon=epsilon), shape)
        if cross:
            self.cross_attention = self.part("cross_attention", keras.layers.MultiHeadAttention(**attention), shape,
                                             (None, None, cross))
            self.cross_norm = self.part("cross_attention_layer_norm", keras.layers.LayerNormalization(epsilon=epsilon),
                                        shape)
        self.feed_norm = self.part("feedforward_layer_norm", keras.layers.LayerNormalization(epsilon=epsilon), shape)
        self.wide = self.part("feedforward_intermediate_dense", keras.layers.Dense(hidden, activation=activation), shape)
        self.narrow = self.part("feedforward_output_dense", keras.layers.Dense(features), (None, None, hidden))

    def part(self, name, layer, *shapes):
        layer.build(*shapes)
        self.parts[name] = layer
        return layer

    def weights(self):
        return [(f"{name}/{path}", weight) for name, layer in self.parts.items() for path, weight in names_of(layer)]

    def residual(self, norm, x, function):
        return x + function(norm(x)) if self.first else norm(x + function(x))

    def run(self, x, mask=None, causal=False, encoder=None, encoder_mask=None):
        x = self.residual(self.self_norm, x, lambda y: self.self_attention(y, y, attention_mask=mask,
                                                                           use_causal_mask=causal))
        if encoder is not None:
            x = self.residual(self.cross_norm, x, lambda y: self.cross_attention(y, encoder,
                                                                                 attention_mask=encoder_mask))
        return self.residual(self.feed_norm, x, lambda y: self.narrow(self.wide(y)))


def blocks(cases):
    x, encoder = normal("blocks/x", 2, 5, 6), normal("blocks/encoder", 2, 4, 8)
    padding, pairs = some("blocks/padding", 2, 5), some("blocks/pairs", 2, 5, 5)

    def encode(id, options, masks, **block_options):
        block = Block(6, 2, 7, **block_options)

        def call(t, others):
            mask = None
            for other in others.values():
                other = other[:, None, :] if other.dim() == 2 else other
                mask = other if mask is None else mask & other
            return block.run(t[0], mask)

        add(cases, f"TransformerEncoder/{id}", "TransformerEncoder", [x], call, block.weights(),
            {"intermediate_dim": 7, "num_heads": 2, **options}, masks)

    encode("default", {}, {})
    encode("first", {"normalize_first": True, "activation": "gelu", "layer_norm_epsilon": 0.01},
           {"padding_mask": padding, "attention_mask": pairs}, first=True, activation="gelu", epsilon=0.01)
    encode("checkpoint", {"checkpoint": True}, {"padding_mask": padding})

    def decode(id, options, inputs, masks, call_options=None, **block_options):
        block = Block(6, 2, 7, self_name="self_attention", **block_options)
        causal = not call_options

        def call(t, others):
            mask, cross = others.get("decoder_padding_mask"), others.get("encoder_padding_mask")
            return block.run(t[0], None if mask is None else mask[:, None, :], causal, t[1] if len(t) > 1 else None,
                             None if cross is None else cross[:, None, :])

        add(cases, f"TransformerDecoder/{id}", "TransformerDecoder", inputs, call, block.weights(),
            {"intermediate_dim": 7, "num_heads": 2, **options}, masks, call_options)

    decode("default", {}, [x], {})
    decode("cross", {}, [x, encoder], {"encoder_padding_mask": some("blocks/cross", 2, 4),
                                       "decoder_padding_mask": padding}, cross=8)
    decode("first", {"normalize_first": True, "activation": "gelu"}, [x, encoder], {}, {"use_causal_mask": False},
           first=True, activation="gelu", cross=8)


def operations(cases):
    def function(id, definition, f, inputs, options=None):
        cases.function(id, "op", definition, f, inputs, options)

    x, w, b = normal("layer_norm/x", 3, 4, 5), normal("layer_norm/w", 5), normal("layer_norm/b", 5)
    function("layer_norm/default", "layer_norm", lambda x, w, b: F.layer_norm(x, (5,), w, b), [x, w, b],
             {"normalized_shape": [5]})
    function("layer_norm/two", "layer_norm", lambda x: F.layer_norm(x, (4, 5), eps=0.01), [x],
             {"normalized_shape": [4, 5], "eps": 0.01})
    function("rms_norm/eps", "rms_norm", lambda x, w: F.rms_norm(x, (5,), w, 0.01), [x, w],
             {"normalized_shape": [5], "eps": 0.01})
    c, cw, cb = normal("group_norm/x", 2, 3, 4, 6), normal("group_norm/w", 6), normal("group_norm/b", 6)
    function("group_norm/default", "group_norm",
             lambda x, w, b: F.group_norm(x.movedim(-1, 1), 3, w, b).movedim(1, -1), [c, cw, cb], {"num_groups": 3})
    function("embedding/default", "embedding", lambda i, w: F.embedding(i - 1, w),
             [ids("embedding/ids", 1, 6, 3, 4), normal("embedding/w", 6, 3)])

    def attend(id, shapes, options=None, mask=None, **torch_options):
        arrays = [normal(f"{id}/{i}", *shape) for i, shape in enumerate(shapes)] + ([mask] if mask is not None else [])
        function(f"scaled_dot_product_attention/{id}", "scaled_dot_product_attention",
                 lambda *t: F.scaled_dot_product_attention(*t, **torch_options), arrays, options)

    shapes = [(2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7)]
    attend("default", shapes)
    attend("causal", shapes, {"is_causal": True, "scale": 0.3}, is_causal=True, scale=0.3)
    attend("bool", shapes, mask=some("sdpa/bool", 2, 1, 4, 6))
    attend("real", shapes, mask=normal("sdpa/real", 3, 4, 6))
    attend("keys", shapes, mask=some("sdpa/keys", 2, 1, 1, 6))
    attend("groups", [(1, 4, 3, 5), (1, 2, 6, 5), (1, 2, 6, 7)], {"enable_gqa": True}, enable_gqa=True)
    attend("long", [(1, 1, 70, 16), (1, 1, 140, 16), (1, 1, 140, 16)], {"is_causal": True}, is_causal=True)


def make():
    keras64.use()
    cases = Cases("attention")
    for group in (operations, embeddings, normalization, multi_head, plain, positions, blocks):
        group(cases)
    cases.save()
