/* ops/rows.h: the parameters that a row of kernels/unary_rows.h or kernels/binary_rows.h names, as fields. An op's
 * options are those parameters in their order, each a double: P0 is the first, P1 the second. */
#ifndef DL_OPS_ROWS_H
#define DL_OPS_ROWS_H

#define PARAMETER(place, name_, default_, minimum_, maximum_, flags_, help_)                                           \
    {.name = #name_,                                                                                                   \
     .kind = DL_FIELD_REAL,                                                                                            \
     .offset = (place) * sizeof(double),                                                                               \
     .flags = (flags_),                                                                                                \
     .number = (default_),                                                                                             \
     .minimum = (minimum_),                                                                                            \
     .maximum = (maximum_),                                                                                            \
     .help = (help_)},
#define P0(...) PARAMETER(0, __VA_ARGS__)
#define P1(...) PARAMETER(1, __VA_ARGS__)

#endif
