/* kernels/isa/attention_f64.c: the attention of attention_source.h for float64. */
#define DL_FLOAT64
#include "kernels/isa/attention_source.h"
