/* kernels/isa/both_reals.h: includes the file SOURCE, loops of one real type, for each of the two: R is float and
 * LOOP(name) is name_f32, then double and name_f64. Included once for each SOURCE, so without a guard. */
#define R          float
#define LOOP(name) name##_f32
#include SOURCE
#undef R
#undef LOOP

#define R          double
#define LOOP(name) name##_f64
#include SOURCE
#undef R
#undef LOOP
#undef SOURCE
