/* kernels/isa/conv_f64.c: the convolutions of conv_source.h for float64. */
#define DL_FLOAT64
#include "kernels/isa/conv_source.h"
