/* nn/symbol.h: the inside of symbolic tensors; see nn/symbol.c. */
#ifndef DL_NN_SYMBOL_H
#define DL_NN_SYMBOL_H

#include "nn/nn.h"

typedef struct dl_symbol_call dl_symbol_call;

/* One call of a layer on symbols, or an input (an InputLayer without inputs). */
struct dl_symbol_call {
    int references; /* of its output symbols */
    dl_layer *layer; /* counted */
    int inputs;
    dl_symbol **in; /* counted */
    dl_arguments *arguments; /* may be NULL */
    bool seen;      /* while a model is made: it has a place */
    int place;      /* of the node */
    dl_symbol_call *next; /* while it is freed */
};

struct dl_symbol {
    int references;
    dl_symbol_call *call; /* counted */
    int output;
    dl_spec spec;
};

#endif
