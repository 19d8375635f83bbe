/* kernels/isa/recurrent_f64.c: the recurrent cells of recurrent_source.h for float64. */
#define DL_FLOAT64
#include "kernels/isa/recurrent_source.h"
