/* kernels/isa/all_integers.h: includes the file SOURCE, loops of one integer type, for each of them: T is int32_t and
 * LOOP(name) is name_i32, then int64_t and name_i64, then uint8_t and name_u8. Included once for each SOURCE, so
 * without a guard. */
#define T          int32_t
#define LOOP(name) name##_i32
#include SOURCE
#undef T
#undef LOOP

#define T          int64_t
#define LOOP(name) name##_i64
#include SOURCE
#undef T
#undef LOOP

#define T          uint8_t
#define LOOP(name) name##_u8
#include SOURCE
#undef T
#undef LOOP
#undef SOURCE
