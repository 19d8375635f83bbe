/* kernels/isa/conv_f32.c: the convolutions of conv_source.h for float32. */
#include "kernels/isa/conv_source.h"
