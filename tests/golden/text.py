#!/usr/bin/env python3
"""Golden values of the layers with a vocabulary, computed by Keras on TensorFlow: text.json. Called by itself: the other
golden values need Keras on PyTorch, which has no strings. A case adapts a layer to `adapt` and calls it on `input`, or on the
same if that is null."""

import json
import os
import random
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

WORDS = """the The THE a an of to in is was be and don't o'clock well-known e-mail x86_64 3.14 50% C++ #tag @home (aside)
"quoted" end. comma, semi; colon: why? wow! under_score back\\slash pipe|pipe tilde~ caret^ back`tick {brace} [square]
<angle> a/b naïve Ünïcode ÉCOLE façade straße ΑΒΓ Привет мир 日本語 漢字かな 한국어 שלום مرحبا नमस्ते 😀 👩‍👩‍👧 é e\u0301 \u00a0 \u2003
\ufeff – — “curly” … ¿qué? ½ ² İstanbul ǅ ﬁ [UNK] [unk]""".split(" ")
SPACES = [" ", "  ", "\t", "\n", " \r\n ", "\x0b", "\x0c", "\u00a0", "\u3000"]


def lines(count):
    rng = random.Random(11)
    made = []
    for _ in range(count):
        words = rng.choices([w for part in WORDS for w in part.split("\n")], k=rng.randrange(0, 14))
        text = "".join(word + rng.choice(SPACES if rng.random() < 0.2 else [" "]) for word in words)
        if rng.random() < 0.2:
            text += "".join(chr(rng.choice([rng.randrange(1, 0x250), rng.randrange(0x370, 0xD800),
                                            rng.randrange(0xE000, 0x11000)])) for _ in range(6))
        made.append(text.replace("\0", ""))
    return made + ["", " ", "a", "!!!"]


def plain(array, shift=0):
    """Numbers as JSON has them; ids moved by `shift` (dlua's count from 1 with or without a mask token)."""
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return array.astype(float).tolist()
    return (array + shift).tolist()


def names(vocabulary):
    """The vocabulary by dlua's ids: without the padding's entry."""
    words = [str(word) for word in vocabulary]
    return words[1:] if words[0] == "" else words


def vectorization(id, texts, call, **options):
    layer = keras.layers.TextVectorization(**options)
    layer.adapt(texts)
    shown = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return {"id": id, "def": "TextVectorization", "options": shown, "vocabulary": names(layer.get_vocabulary()),
            "adapt": texts, "input": None if call is texts else call, "output": plain(layer(call))}


def lookup(id, adapt, call, **options):
    layer = keras.layers.StringLookup(**options)
    if adapt:
        layer.adapt(adapt)
    ids = options.get("output_mode", "int") == "int"
    masked = options.get("mask_token") is not None
    shift = 1 if ids and not masked else 0
    return {"id": id, "def": "StringLookup", "options": options, "vocabulary": names(layer.get_vocabulary()),
            "adapt": adapt, "input": None if call is adapt else call, "output": plain(layer(call), shift)}


def cases(texts):
    some, few = texts[:60], texts[:25]
    made = []
    made.append(vectorization("lines", texts, texts))
    for standardize in ("lower", "strip_punctuation", None):
        made.append(vectorization(f"standardize {standardize}", some, some, standardize=standardize))
    made.append(vectorization("characters", some, few, split="character"))
    made.append(vectorization("whole texts", some + some[:9], [[text] for text in few], split=None))
    made.append(vectorization("max_tokens and a length", texts, few, max_tokens=20, output_sequence_length=6))
    made.append(vectorization("ngrams 2", some, few, ngrams=2))
    made.append(vectorization("ngrams of a list", some, few, ngrams=(3, 1)))
    made.append(vectorization("ngrams of characters", few, few[:10], ngrams=2, split="character"))
    for mode in ("multi_hot", "count", "tf_idf"):
        made.append(vectorization(mode, some, few[:12], max_tokens=15, output_mode=mode))
    made.append(vectorization("padded columns", ["a b", "a"], ["b c", "a a"], max_tokens=6, output_mode="count",
                              pad_to_max_tokens=True))
    tokens = [word for text in some for word in text.split(" ")]
    pairs = [[tokens[2 * i], tokens[2 * i + 1]] for i in range(40)]
    made.append(lookup("lookup", tokens, tokens[:80]))
    made.append(lookup("lookup of pairs", pairs, pairs[:20]))
    made.append(lookup("lookup with a mask", tokens, pairs[:20], mask_token="", max_tokens=12))
    made.append(lookup("unknown tokens in several ids", None, tokens[:80], vocabulary=["the", "a"], num_oov_indices=5))
    made.append(lookup("one_hot", pairs, pairs[:6], max_tokens=9, output_mode="one_hot"))
    for mode in ("multi_hot", "count", "tf_idf"):
        made.append(lookup(f"lookup {mode}", pairs, pairs[:9], max_tokens=9, output_mode=mode))
    return made


def fingerprints():
    """Buckets of texts of all lengths, which a lookup with several ids for unknown tokens spreads them over."""
    rng = random.Random(5)
    texts = ["".join(chr(rng.randrange(33, 0x180)) for _ in range(length)) for length in range(0, 100)]
    buckets = tf.strings.to_hash_bucket_fast(texts, 1000003).numpy().tolist()
    return [list(pair) for pair in zip(texts, buckets)]


if __name__ == "__main__":
    path = Path(__file__).parent / "text.json"
    made = cases(lines(400))
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"cases": [\n' + ",\n".join(json.dumps(case) for case in made) + "\n],\n")
        file.write('"fingerprints": ' + json.dumps(fingerprints()) + "}\n")
    print(f"{path.name}: {len(made)} cases of Keras {keras.__version__}")
