/* dlua/op.h: differentiable operations. Each is a definition: its inputs, its options, what it computes and its
 * derivative. dl_apply runs any of them by its definition; the typed functions of dlua/ops.h are the same calls spelled
 * out. */
#ifndef DLUA_OP_H
#define DLUA_OP_H

#include "dlua/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DL_MAX_OUTPUTS 4

typedef struct dl_op dl_op;
typedef struct dl_op_call dl_op_call;
typedef struct dl_op_gradient dl_op_gradient;

struct dl_op {
    dl_definition definition;
    /* Names of the inputs in order, separated by spaces: "x weight bias?" (? may be NULL), "tensors*" (a list). */
    const char *inputs;
    int outputs;
    /* Computes call->out[] (new references in the call) from call->in[]. Checks shapes and dtypes first. */
    dl_status (*forward)(dl_op_call *call);
    /* Computes gradient->grad_in[i] for each i with gradient->needs[i]. NULL: not differentiable. */
    dl_status (*backward)(dl_op_gradient *gradient);
    /* In Lua: also a method of tensors (t:sum()), and t:add_() in place. */
    int flags;
    /* The positional order of inputs and options where it is not inputs first: "x dim index" (gather); else NULL. */
    const char *order;
};

enum {
    DL_OP_METHOD = 1,  /* also a method of the first input */
    DL_OP_INPLACE = 2, /* has the in-place form NAME_ on the first input */
    DL_OP_SCALARS = 4, /* inputs may be plain numbers (add, where ...) */
    DL_OP_RANDOM = 8,  /* takes numbers from the context's stream */
    DL_OP_VIEW = 16    /* the output shares the input's storage */
};

DL_API extern const dl_family dl_op_family;

/* Runs op on in[0 .. inputs-1] (optional ones NULL, lists as they are) with its options struct (NULL: the defaults)
 * and puts new references into out[0 .. op->outputs-1]; ownership as in dlua/tensor.h. If a gradient is wanted the call
 * is recorded in the graph. Errors are prefixed with the op's name. */
DL_API dl_status dl_apply(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs, const void *options,
                          dl_tensor **out);
/* The same for an op with one output. */
DL_API dl_tensor *dl_apply1(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs,
                            const void *options);
/* x = op(x, ...), writing into the storage of in[0] (which must keep its shape and dtype). */
DL_API dl_status dl_apply_inplace(dl_context *context, const dl_op *op, dl_tensor *const *in, int inputs,
                                  const void *options);
DL_API const dl_op *dl_find_op(const char *name);

#ifdef __cplusplus
}
#endif
#endif
