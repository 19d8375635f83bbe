/* kernels/isa/recurrent_f32.c: the recurrent cells of recurrent_source.h for float32. */
#include "kernels/isa/recurrent_source.h"
