"""Keras in float64. Its promotion rules narrow every float64 result to float32, whatever floatx says, which the golden
values (1e-10) cannot have: `use()` sets the type and lifts that one rule."""

import keras
from keras.src.backend.common import dtypes


def use():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # else layers keep the type that the first of them was made with
    keras.config.set_image_data_format("channels_last")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    assert keras.backend.result_type("float64", "float32") == "float64"
