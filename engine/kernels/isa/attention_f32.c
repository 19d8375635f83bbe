/* kernels/isa/attention_f32.c: the attention of attention_source.h for float32. */
#include "kernels/isa/attention_source.h"
