"""Writes defaults.json: the constructor arguments of Keras's layers, losses ... in order, with their defaults, read off
the live signatures. A test compares dlua's definitions with it."""

import inspect
import json
import math
import operator

import keras

from cases import FOLDER

NAMES = {
    "layers": ["InputLayer", "TextVectorization", "StringLookup", "IntegerLookup",
               "Dense", "Conv2D", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
               "GlobalMaxPooling2D", "Flatten", "Reshape", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU",
               "Softmax", "Dropout", "BatchNormalization",
               "Conv1D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling1D", "AveragePooling1D",
               "GlobalAveragePooling1D", "GlobalMaxPooling1D", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D",
               "Cropping2D", "UpSampling1D", "UpSampling2D", "Permute", "RepeatVector", "SpatialDropout1D",
               "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
               "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Rescaling",
               "SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "RNN",
               "Bidirectional", "TimeDistributed", "Masking",
               "Embedding", "LayerNormalization", "RMSNormalization", "GroupNormalization", "UnitNormalization",
               "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"],
    "losses": ["MeanSquaredError", "MeanAbsoluteError", "BinaryCrossentropy", "CategoricalCrossentropy",
               "SparseCategoricalCrossentropy", "Huber",
               "KLDivergence", "Hinge", "SquaredHinge", "CategoricalHinge", "CosineSimilarity",
               "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "LogCosh", "MeanAbsolutePercentageError",
               "MeanSquaredLogarithmicError", "Poisson", "CTC"],
    "metrics": ["Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy",
                "TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "Mean", "MeanSquaredError",
                "MeanAbsoluteError", "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy",
                "Precision", "Recall", "F1Score", "FBetaScore", "AUC", "RootMeanSquaredError", "CosineSimilarity",
                "R2Score", "KLDivergence", "Poisson", "Hinge", "SquaredHinge", "CategoricalHinge", "LogCoshError",
                "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError"],
    "optimizers": ["SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Adamax", "Adagrad", "Adadelta", "Lion", "Ftrl"],
    "optimizers.schedules": ["ExponentialDecay", "InverseTimeDecay", "PolynomialDecay", "PiecewiseConstantDecay",
                             "CosineDecay", "CosineDecayRestarts"],
    "initializers": ["Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotUniform",
                     "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "VarianceScaling",
                     "Orthogonal", "Identity"],
    "regularizers": ["L1", "L2", "L1L2"],
    "constraints": ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"],
    "callbacks": ["EarlyStopping", "ModelCheckpoint", "LearningRateScheduler", "ReduceLROnPlateau", "TerminateOnNaN",
                  "CSVLogger", "LambdaCallback"],
    "activations": ["linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus",
                    "softsign", "sigmoid", "tanh", "softmax", "log_softmax", "exponential", "hard_sigmoid", "hard_silu",
                    "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "log_sigmoid", "squareplus", "sparse_plus",
                    "sparse_sigmoid", "sparsemax", "glu", "threshold"],
}


def plain(value):
    """A default as JSON can hold it."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def arguments(thing):
    """[{"name", "default"}] in the order of the signature; a required argument has "required" in the default's place."""
    listed = []
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        entry = {"name": parameter.name}
        if parameter.default is parameter.empty:
            entry["required"] = True
        else:
            entry["default"] = plain(parameter.default)
        listed.append(entry)
    return listed


def make():
    table = {group: {name: arguments(getattr(operator.attrgetter(group)(keras), name)) for name in names}
             for group, names in NAMES.items()}
    path = FOLDER / "defaults.json"
    groups = []
    for group, names in table.items():
        lines = [f'  "{name}": {json.dumps(listed)}' for name, listed in names.items()]
        groups.append(f' "{group}": {{\n' + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(groups) + "\n}\n")
    print(f"{path.name}: {sum(len(names) for names in NAMES.values())} signatures of Keras {keras.__version__}")
