#!/usr/bin/env python3
"""The networks in Keras on TensorFlow: compile and fit with their defaults."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers

from peer import CONTEXT, FEATURES, HEADS, VOCABULARY, Clock, Data, arguments, report


class Positions(layers.Layer):
    """A trained vector for each position, added."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="uniform")

    def call(self, x):
        return x + self.table


def decoder():
    ids = keras.Input((CONTEXT,), dtype="int64")
    x = Positions()(layers.Embedding(VOCABULARY, FEATURES)(ids))
    for _ in range(4):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.MultiHeadAttention(HEADS, FEATURES // HEADS)(y, y, use_causal_mask=True)
        y = layers.Dense(4 * FEATURES, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = x + layers.Dense(FEATURES)(y)
    return keras.Model(ids, layers.Dense(VOCABULARY)(layers.LayerNormalization(epsilon=1e-5)(x)))


def convolve(x, filters, stride=1):
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def resnet20():
    """The way past two convolutions has no weights: every second pixel, and zeros for new channels."""
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolve(image, 16))
    for filters, stride in [(16, 1)] * 3 + [(32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)]:
        y = convolve(layers.ReLU()(convolve(x, filters, stride)), filters)
        if stride > 1:
            x = keras.ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (filters // 4, filters // 4)))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def network(name):
    if name == "decoder":
        return decoder()
    if name == "resnet20":
        return resnet20()
    if name == "cnn":
        stack = [layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
                 layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    elif name in ("lstm", "gru"):
        recurrent = layers.LSTM if name == "lstm" else layers.GRU
        stack = [layers.Reshape((28, 28)), recurrent(128), layers.Dense(10, activation="softmax")]
    else:
        stack = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *stack])


class Timer(keras.callbacks.Callback):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_epoch_begin(self, epoch, logs=None):
        self.clock.start()

    def on_epoch_end(self, epoch, logs=None):
        self.clock.stop()


def main():
    options = arguments()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(1)
    data = Data(options)
    model = network(options.network)
    if options.network == "decoder":
        model.compile(optimizer=keras.optimizers.AdamW(0.001, weight_decay=0.01),
                      loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    else:
        sgd = options.network == "resnet20"
        model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9) if sgd else "adam",
                      loss="sparse_categorical_crossentropy")
    clock = Clock()
    history = model.fit(data.x, data.y, batch_size=options.batch, epochs=options.epochs + 1, shuffle=False, verbose=0,
                        callbacks=[Timer(clock)])
    report(options, data, clock, history.history["loss"][-1])


if __name__ == "__main__":
    main()
