/*
 * Sample inputs for every operation: what test_ops_gradients.c runs over. An operation of the tables of rows has a
 * sample made from its row's domain; the others have one or more here. An operation without a sample fails the test.
 */
#ifndef DLUA_TESTS_OPS_SAMPLES_H
#define DLUA_TESTS_OPS_SAMPLES_H

#include "ops/ops.h"

typedef enum sample_kind {
    SAMPLE_END,      /* no further input */
    SAMPLE_NONE,     /* an optional input that is left out */
    SAMPLE_REAL,     /* random numbers in [low, high); its gradient is checked */
    SAMPLE_DISTINCT, /* numbers 0.1 apart in random order; its gradient is checked */
    SAMPLE_TARGET,   /* as REAL, without a gradient */
    SAMPLE_LABELS,   /* int64 whole numbers low .. high */
    SAMPLE_FLAGS     /* bool */
} sample_kind;

#define SAMPLE_INPUTS 8

typedef struct sample_input {
    sample_kind kind;
    double low, high;
    int64_t shape[DL_MAX_DIMS + 1]; /* ended by -1 */
} sample_input;

/* clang-format off */
#define REAL(low, high, ...) {SAMPLE_REAL, low, high, {__VA_ARGS__, -1}}
#define DISTINCT(...) {SAMPLE_DISTINCT, 0, 0, {__VA_ARGS__, -1}}
#define TARGET(low, high, ...) {SAMPLE_TARGET, low, high, {__VA_ARGS__, -1}}
#define LABELS(low, high, ...) {SAMPLE_LABELS, low, high, {__VA_ARGS__, -1}}
#define FLAGS(...) {SAMPLE_FLAGS, 0, 0, {__VA_ARGS__, -1}}
#define LEFT_OUT {SAMPLE_NONE, 0, 0, {-1}}
/* clang-format on */

enum {
    SAMPLE_NO_GRADIENT = 1, /* the result does not depend on the inputs in a way that has a derivative */
    SAMPLE_WINOGRAD = 2,    /* float32 may be off by 1e-4 of the rms */
    SAMPLE_LARGE = 4        /* for comparing numbers of threads alone */
};

typedef struct sample {
    const char *op;
    const char *options; /* JSON; positions count from 0. NULL: the defaults */
    sample_input inputs[SAMPLE_INPUTS + 1];
    int flags;
} sample;

static const sample samples[] = {
    /* element-wise operations whose rows say too little */
    {"threshold", "{\"threshold\": 0.25, \"default_value\": -1.5}", {REAL(-3, 3, 4, 5)}, 0},
    {"clamp", "{\"min\": -1, \"max\": 1.5}", {REAL(-3, 3, 4, 5)}, 0},
    {"pow", NULL, {REAL(0.3, 3, 3, 4), REAL(-2, 2, 3, 4)}, 0},
    {"pow", NULL, {REAL(0.3, 3, 2, 1, 3), REAL(-2, 2, 4, 1)}, 0},
    {"mul", NULL, {REAL(-3, 3, 3, 1, 2), REAL(-3, 3, 4, 1)}, 0},
    {"mul", NULL, {REAL(-3, 3, 3, 4), REAL(-3, 3, -1)}, 0},
    {"add", NULL, {REAL(-3, 3, 3, 1, 2), REAL(-3, 3, 4, 1)}, 0},
    {"sub", NULL, {REAL(-3, 3, 2), REAL(-3, 3, 4, 3, 2)}, 0},
    {"where", NULL, {FLAGS(3, 4), REAL(-1, 1, 3, 4), REAL(-1, 1, 3, 4)}, 0},
    {"where", NULL, {FLAGS(2, 3, 4), REAL(-1, 1, 4), REAL(-1, 1, 3, 1)}, 0},
    {"masked_fill", "{\"value\": -2}", {REAL(-1, 1, 3, 4), FLAGS(3, 4)}, 0},
    {"masked_fill", "{\"value\": 0.5}", {REAL(-1, 1, 2, 3, 4), FLAGS(4)}, 0},
    {"gelu", NULL, {REAL(-3, 3, 4, 5)}, 0},
    {"gelu", "{\"approximate\": true}", {REAL(-3, 3, 4, 5)}, 0},

    /* reductions */
    {"sum", NULL, {REAL(-1, 1, 3, 4, 2)}, 0},
    {"sum", "{\"dim\": [1]}", {REAL(-1, 1, 3, 4, 2)}, 0},
    {"sum", "{\"dim\": [0, 2], \"keepdim\": true}", {REAL(-1, 1, 3, 4, 2)}, 0},
    {"sum", NULL, {REAL(-1, 1, 300, 1100)}, SAMPLE_LARGE},
    {"sum", "{\"dim\": [0]}", {REAL(-1, 1, 1100, 300)}, SAMPLE_LARGE},
    {"mean", NULL, {REAL(-1, 1, 3, 4, 2)}, 0},
    {"mean", "{\"dim\": [-1, 0]}", {REAL(-1, 1, 3, 4, 2)}, 0},
    {"mean", "{\"dim\": [0, 2]}", {REAL(-1, 1, 300, 11, 100)}, SAMPLE_LARGE},
    {"prod", NULL, {REAL(0.5, 1.5, 3, 4)}, 0},
    {"prod", "{\"dim\": [0]}", {REAL(0.5, 1.5, 3, 4)}, 0},
    {"prod", "{\"dim\": [0, 2]}", {REAL(0.5, 1.5, 2, 3, 2)}, 0},
    {"max", NULL, {DISTINCT(3, 4, 2)}, 0},
    {"max", "{\"dim\": [1], \"keepdim\": true}", {DISTINCT(3, 4, 2)}, 0},
    {"max", "{\"dim\": [0, 2]}", {DISTINCT(3, 4, 2)}, 0},
    {"max", "{\"dim\": [0]}", {REAL(-1, 1, 1100, 300)}, SAMPLE_LARGE},
    {"min", NULL, {DISTINCT(3, 4, 2)}, 0},
    {"min", "{\"dim\": [0]}", {DISTINCT(3, 4, 2)}, 0},
    {"logsumexp", NULL, {REAL(-2, 2, 3, 4)}, 0},
    {"logsumexp", "{\"dim\": [0, 2]}", {REAL(-2, 2, 3, 4, 2)}, 0},
    {"logsumexp", "{\"dim\": [1]}", {REAL(-2, 2, 700, 500)}, SAMPLE_LARGE},
    {"any", "{\"dim\": [1]}", {FLAGS(3, 4)}, SAMPLE_NO_GRADIENT},
    {"all", "{\"dim\": [0, 2]}", {FLAGS(3, 4, 2)}, SAMPLE_NO_GRADIENT},
    {"var", NULL, {REAL(-2, 2, 3, 4)}, 0},
    {"var", "{\"dim\": [0, 2], \"correction\": 0, \"keepdim\": true}", {REAL(-2, 2, 3, 4, 2)}, 0},
    {"std", NULL, {REAL(-2, 2, 3, 4)}, 0},
    {"std", "{\"dim\": [-1]}", {REAL(-2, 2, 3, 4)}, 0},
    {"norm", NULL, {REAL(-2, 2, 3, 4)}, 0},
    {"norm", "{\"p\": 1, \"dim\": [0]}", {DISTINCT(3, 4)}, 0},
    {"norm", "{\"p\": 3, \"dim\": [0, 2], \"keepdim\": true}", {REAL(-2, 2, 3, 4, 2)}, 0},
    {"norm", "{\"p\": 2, \"dim\": [1]}", {REAL(-2, 2, 3, 4)}, 0},
    {"argmax", "{\"dim\": 1}", {DISTINCT(3, 4)}, SAMPLE_NO_GRADIENT},
    {"argmin", NULL, {DISTINCT(3, 4)}, SAMPLE_NO_GRADIENT},
    {"cumsum", "{\"dim\": 1}", {REAL(-1, 1, 2, 4, 3)}, 0},

    /* products */
    {"matmul", NULL, {REAL(-1, 1, 3, 4), REAL(-1, 1, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 2, 3, 4), REAL(-1, 1, 2, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 2, 3, 4), REAL(-1, 1, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 3, 4), REAL(-1, 1, 2, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 2, 1, 3, 4), REAL(-1, 1, 3, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 4), REAL(-1, 1, 4)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 4), REAL(-1, 1, 4, 2)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 3, 4), REAL(-1, 1, 4)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 2, 3, 4), REAL(-1, 1, 4)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 4), REAL(-1, 1, 2, 4, 3)}, 0},
    {"matmul", NULL, {REAL(-1, 1, 130, 200), REAL(-1, 1, 200, 150)}, SAMPLE_LARGE},
    {"matmul", NULL, {REAL(-1, 1, 6, 50, 70), REAL(-1, 1, 6, 70, 40)}, SAMPLE_LARGE},
    {"linear", NULL, {REAL(-1, 1, 3, 4), REAL(-1, 1, 4, 2), REAL(-1, 1, 2)}, 0},
    {"linear", "{\"activation\": \"relu\"}", {REAL(-1, 1, 2, 3, 4), REAL(-1, 1, 4, 5), REAL(-1, 1, 5)}, 0},
    {"linear", NULL, {REAL(-1, 1, 4), REAL(-1, 1, 4, 2), LEFT_OUT}, 0},
    {"linear", "{\"activation\": \"relu\"}",
     {REAL(-1, 1, 128, 300), REAL(-1, 1, 300, 100), REAL(-1, 1, 100)}, SAMPLE_LARGE},

    /* shapes */
    {"reshape", "{\"shape\": [4, -1]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"view", "{\"shape\": [4, 6]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"flatten", "{\"start_dim\": 1}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"permute", "{\"dims\": [2, 0, 1]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"permute", "{\"dims\": [-1, 0, -2]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"transpose", NULL, {REAL(-1, 1, 2, 3, 4)}, 0},
    {"transpose", "{\"dim0\": 0, \"dim1\": -1}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"squeeze", NULL, {REAL(-1, 1, 1, 3, 1)}, 0},
    {"squeeze", "{\"dim\": [0]}", {REAL(-1, 1, 1, 3, 1)}, 0},
    {"unsqueeze", "{\"dim\": -1}", {REAL(-1, 1, 2, 3)}, 0},
    {"expand", "{\"shape\": [2, 3, -1]}", {REAL(-1, 1, 3, 1)}, 0},
    {"expand", "{\"shape\": [2, 4, 3]}", {REAL(-1, 1, 4, 1)}, 0},
    {"slice", "{\"starts\": [0, 1], \"ends\": [-1, -2], \"steps\": [1, 2]}", {REAL(-1, 1, 2, 6, 3)}, 0},
    {"select", "{\"dim\": 1, \"index\": -2}", {REAL(-1, 1, 2, 4, 3)}, 0},
    {"cat", "{\"dim\": 1}", {REAL(-1, 1, 2, 3), REAL(-1, 1, 2, 1), REAL(-1, 1, 2, 2)}, 0},
    {"stack", "{\"dim\": -1}", {REAL(-1, 1, 2, 3), REAL(-1, 1, 2, 3)}, 0},
    {"pad", "{\"pad\": [1, 2, 0, 1], \"value\": 0.5}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"pad", "{\"pad\": [-1, 2, 1, -2]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"flip", "{\"dims\": [0, -1]}", {REAL(-1, 1, 2, 3, 4)}, 0},
    {"tril", NULL, {REAL(-1, 1, 2, 4, 3)}, 0},
    {"tril", "{\"diagonal\": -1}", {REAL(-1, 1, 4, 5)}, 0},
    {"triu", "{\"diagonal\": 1}", {REAL(-1, 1, 2, 3, 4)}, 0},

    /* by index, copies */
    {"index_select", "{\"dim\": 1}", {REAL(-1, 1, 2, 4, 3), LABELS(1, 4, 6)}, 0},
    {"gather", "{\"dim\": 1}", {REAL(-1, 1, 2, 4, 3), LABELS(1, 4, 2, 5, 3)}, 0},
    {"topk", "{\"k\": 2}", {REAL(-1, 1, 3, 5)}, 0},
    {"topk", "{\"k\": 3, \"dim\": 0, \"largest\": false}", {REAL(-1, 1, 4, 3)}, 0},
    {"categorical_sample", "{\"top_k\": 2}", {REAL(-1, 1, 3, 5)}, SAMPLE_NO_GRADIENT},
    {"one_hot", "{\"num_classes\": 4}", {LABELS(0, 4, 3, 2)}, SAMPLE_NO_GRADIENT},
    {"to", "{\"dtype\": \"float64\"}", {REAL(-1, 1, 2, 3)}, 0},
    {"clone", NULL, {REAL(-1, 1, 2, 3)}, 0},
    {"copy", NULL, {TARGET(-1, 1, 2, 3), REAL(-1, 1, 3)}, 0},
    {"fill", "{\"value\": 2.5}", {REAL(-1, 1, 2, 3)}, SAMPLE_NO_GRADIENT},
    {"zero", NULL, {REAL(-1, 1, 2, 3)}, SAMPLE_NO_GRADIENT},

    /* along a dimension */
    {"softmax", NULL, {REAL(-2, 2, 3, 5)}, 0},
    {"softmax", "{\"dim\": 1}", {REAL(-2, 2, 2, 4, 3)}, 0},
    {"softmax", NULL, {REAL(-2, 2, 700, 500)}, SAMPLE_LARGE},
    {"log_softmax", NULL, {REAL(-2, 2, 3, 5)}, 0},
    {"log_softmax", "{\"dim\": 0}", {REAL(-2, 2, 3, 5)}, 0},
    {"sparsemax", NULL, {REAL(-1, 1, 3, 5)}, 0},
    {"sparsemax", "{\"dim\": 0}", {REAL(-1, 1, 4, 3)}, 0},
    {"glu", NULL, {REAL(-2, 2, 3, 6)}, 0},
    {"glu", "{\"dim\": 0}", {REAL(-2, 2, 4, 3)}, 0},

    /* images */
    {"conv2d", NULL, {REAL(-1, 1, 2, 5, 6, 3), REAL(-1, 1, 3, 3, 3, 4), REAL(-1, 1, 4)}, SAMPLE_WINOGRAD},
    {"conv2d", "{\"exact\": true, \"padding\": \"same\"}",
     {REAL(-1, 1, 1, 5, 7, 8), REAL(-1, 1, 3, 3, 8, 8), LEFT_OUT}, 0},
    {"conv2d", "{\"stride\": [2, 1], \"padding\": [1, 0], \"activation\": \"relu\"}",
     {REAL(-1, 1, 2, 5, 4, 2), REAL(-1, 1, 2, 3, 2, 3), REAL(-1, 1, 3)}, 0},
    {"conv2d", "{\"dilation\": [2, 2], \"groups\": 2}",
     {REAL(-1, 1, 1, 6, 6, 4), REAL(-1, 1, 2, 2, 2, 6), REAL(-1, 1, 6)}, 0},
    {"conv2d", "{\"padding\": [1, 0, 2, 1]}", {REAL(-1, 1, 1, 4, 4, 2), REAL(-1, 1, 2, 2, 2, 3), LEFT_OUT}, 0},
    {"conv2d", "{\"padding\": \"same\"}",
     {REAL(-1, 1, 6, 18, 17, 16), REAL(-1, 1, 3, 3, 16, 32), REAL(-1, 1, 32)}, SAMPLE_LARGE | SAMPLE_WINOGRAD},
    {"conv_transpose2d", NULL, {REAL(-1, 1, 2, 4, 3, 2), REAL(-1, 1, 2, 3, 3, 2)}, 0},
    {"conv_transpose2d", "{\"stride\": [2, 3], \"padding\": \"same\"}",
     {REAL(-1, 1, 2, 3, 4, 2), REAL(-1, 1, 3, 2, 3, 2)}, 0},
    {"conv_transpose2d", "{\"stride\": 2, \"output_padding\": 1}",
     {REAL(-1, 1, 1, 3, 4, 2), REAL(-1, 1, 3, 3, 2, 2)}, 0},
    {"conv_transpose2d", "{\"dilation\": 2}", {REAL(-1, 1, 1, 3, 4, 2), REAL(-1, 1, 3, 2, 2, 2)}, 0},
    {"conv2d_relu_maxpool", NULL, {REAL(-1, 1, 2, 6, 8, 1), REAL(-1, 1, 3, 3, 1, 8), REAL(-1, 1, 8)}, 0},
    {"conv2d_relu_maxpool", NULL, {REAL(-1, 1, 1, 5, 7, 2), REAL(-1, 1, 2, 2, 2, 3), LEFT_OUT}, 0},
    {"conv2d_relu_maxpool", NULL,
     {REAL(-1, 1, 16, 28, 28, 1), REAL(-1, 1, 3, 3, 1, 32), REAL(-1, 1, 32)}, SAMPLE_LARGE},
    {"max_pool2d", "{\"kernel_size\": [2, 2]}", {DISTINCT(2, 5, 4, 3)}, 0},
    {"max_pool2d", "{\"kernel_size\": [3, 2], \"stride\": [1, 2], \"padding\": \"same\"}", {DISTINCT(1, 4, 5, 2)}, 0},
    {"avg_pool2d", "{\"kernel_size\": [2, 2]}", {REAL(-1, 1, 2, 5, 4, 3)}, 0},
    {"avg_pool2d", "{\"kernel_size\": [3, 2], \"stride\": [1, 2], \"padding\": \"same\"}",
     {REAL(-1, 1, 1, 4, 5, 2)}, 0},

    /* normalization and noise */
    {"batch_norm", NULL,
     {REAL(-2, 2, 4, 3), REAL(-1, 1, 3), REAL(0.5, 2, 3), REAL(-1, 1, 3), REAL(-1, 1, 3)}, 0},
    {"batch_norm", "{\"epsilon\": 0.01}", {REAL(-2, 2, 2, 2, 3), REAL(-1, 1, 3), REAL(0.5, 2, 3)}, 0},
    {"batch_norm_training", NULL, {REAL(-2, 2, 4, 3), REAL(-1, 1, 3), REAL(-1, 1, 3)}, 0},
    {"batch_norm_training", "{\"epsilon\": 0.01}", {REAL(-2, 2, 2, 3, 2), LEFT_OUT, LEFT_OUT}, 0},
    {"batch_norm_training", NULL, {REAL(-2, 2, 4000, 64), REAL(-1, 1, 64), REAL(-1, 1, 64)}, SAMPLE_LARGE},
    {"layer_norm", "{\"normalized_shape\": [5]}", {REAL(-2, 2, 4, 5), REAL(-1, 1, 5), REAL(-1, 1, 5)}, 0},
    {"layer_norm", "{\"normalized_shape\": [3, 4], \"eps\": 0.1}", {REAL(-2, 2, 2, 3, 4), REAL(-1, 1, 3, 4)}, 0},
    {"layer_norm", "{\"normalized_shape\": [37]}", {REAL(-2, 2, 2, 37), LEFT_OUT, REAL(-1, 1, 37)}, 0},
    {"layer_norm", "{\"normalized_shape\": [300]}",
     {REAL(-2, 2, 1100, 300), REAL(-1, 1, 300), REAL(-1, 1, 300)}, SAMPLE_LARGE},
    {"rms_norm", "{\"normalized_shape\": [5]}", {REAL(-2, 2, 4, 5), REAL(-1, 1, 5)}, 0},
    {"rms_norm", "{\"normalized_shape\": [3, 4], \"eps\": 0.1}", {REAL(-2, 2, 2, 3, 4)}, 0},
    {"group_norm", "{\"num_groups\": 2}", {REAL(-2, 2, 2, 3, 6), REAL(-1, 1, 6), REAL(-1, 1, 6)}, 0},
    {"group_norm", "{\"num_groups\": 3, \"eps\": 0.1}", {REAL(-2, 2, 2, 6)}, 0},
    {"embedding", NULL, {LABELS(1, 5, 3, 4), REAL(-1, 1, 5, 3)}, 0},
    {"embedding", "{\"padding_idx\": 0}", {LABELS(0, 5, 7), REAL(-1, 1, 5, 2)}, 0},
    {"embedding", NULL, {LABELS(1, 500, 2000), REAL(-1, 1, 500, 64)}, SAMPLE_LARGE},
    {"dot_product_attention", NULL, {REAL(-1, 1, 2, 3, 2, 4), REAL(-1, 1, 2, 5, 2, 4), REAL(-1, 1, 2, 5, 2, 3)}, 0},
    {"dot_product_attention", "{\"is_causal\": true, \"offset\": 1, \"scale\": 0.7}",
     {REAL(-1, 1, 1, 4, 4, 3), REAL(-1, 1, 1, 5, 2, 3), REAL(-1, 1, 1, 5, 2, 2), FLAGS(5)}, 0},
    {"dot_product_attention", "{\"dropout\": 0.4, \"seed\": 7, \"position\": 3}",
     {REAL(-1, 1, 2, 3, 2, 4), REAL(-1, 1, 2, 5, 2, 4), REAL(-1, 1, 2, 5, 2, 4), REAL(-1, 1, 2, 1, 3, 5)}, 0},
    {"dot_product_attention", "{\"is_causal\": true, \"dropout\": 0.2, \"seed\": 7}",
     {REAL(-1, 1, 2, 150, 4, 20), REAL(-1, 1, 2, 170, 2, 20), REAL(-1, 1, 2, 170, 2, 24), FLAGS(2, 1, 1, 170)},
     SAMPLE_LARGE},
    {"scaled_dot_product_attention", "{\"is_causal\": true}",
     {REAL(-1, 1, 2, 2, 4, 3), REAL(-1, 1, 2, 2, 4, 3), REAL(-1, 1, 2, 2, 4, 5)}, 0},
    {"dropout", "{\"rate\": 0.4, \"seed\": 7, \"stream\": 3, \"position\": 5}", {REAL(-1, 1, 4, 6)}, 0},
    {"dropout", "{\"training\": false}", {REAL(-1, 1, 4, 6)}, 0},
    {"dropout", "{\"rate\": 0.3, \"seed\": 7}", {REAL(-1, 1, 600, 500)}, SAMPLE_LARGE},
    {"uniform", "{\"from\": -1, \"to\": 2}", {REAL(-1, 1, 3, 4)}, SAMPLE_NO_GRADIENT},
    {"normal", NULL, {REAL(-1, 1, 3, 4)}, SAMPLE_NO_GRADIENT},
    {"truncated_normal", NULL, {REAL(-1, 1, 3, 4)}, SAMPLE_NO_GRADIENT},
    {"bernoulli", NULL, {REAL(-1, 1, 3, 4)}, SAMPLE_NO_GRADIENT},

    /* recurrent networks */
    {"lstm", "{\"return_sequences\": true}",
     {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 20), REAL(-1, 1, 5, 20), REAL(-1, 1, 20)}, 0},
    {"lstm", "{\"return_sequences\": true, \"go_backwards\": true}",
     {REAL(-1, 1, 2, 5, 3), REAL(-1, 1, 3, 8), REAL(-1, 1, 2, 8), REAL(-1, 1, 8), REAL(-1, 1, 2, 2), REAL(-1, 1, 2, 2),
      FLAGS(2, 5), TARGET(0, 2, 2, 2)}, 0},
    {"lstm", "{\"zero_output_for_mask\": true, \"return_sequences\": true}",
     {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 12), REAL(-1, 1, 3, 12), LEFT_OUT, REAL(-1, 1, 3, 3), LEFT_OUT,
      FLAGS(3, 4)}, 0},
    {"lstm", NULL, {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 12), REAL(-1, 1, 3, 12), REAL(-1, 1, 12)}, 0},
    {"lstm", "{\"return_sequences\": true}",
     {REAL(-1, 1, 40, 9, 20), REAL(-1, 1, 20, 280), REAL(-0.2, 0.2, 70, 280), REAL(-1, 1, 280)}, SAMPLE_LARGE},
    {"gru", "{\"return_sequences\": true}",
     {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 15), REAL(-1, 1, 5, 15), REAL(-1, 1, 2, 15)}, 0},
    {"gru", "{\"return_sequences\": true, \"go_backwards\": true}",
     {REAL(-1, 1, 2, 5, 3), REAL(-1, 1, 3, 6), REAL(-1, 1, 2, 6), REAL(-1, 1, 2, 6), REAL(-1, 1, 2, 2), FLAGS(2, 5),
      TARGET(0, 2, 2, 2)}, 0},
    {"gru", "{\"reset_after\": false, \"return_sequences\": true}",
     {REAL(-1, 1, 2, 5, 3), REAL(-1, 1, 3, 9), REAL(-1, 1, 3, 9), REAL(-1, 1, 9), REAL(-1, 1, 2, 3), FLAGS(2, 5),
      TARGET(0, 2, 2, 3)}, 0},
    {"gru", "{\"reset_after\": false}", {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 6), REAL(-1, 1, 2, 6)}, 0},
    {"gru", "{\"return_sequences\": true}",
     {REAL(-1, 1, 40, 9, 20), REAL(-1, 1, 20, 210), REAL(-0.2, 0.2, 70, 210), REAL(-1, 1, 2, 210)}, SAMPLE_LARGE},
    {"simple_rnn", "{\"return_sequences\": true}",
     {REAL(-1, 1, 3, 4, 2), REAL(-1, 1, 2, 5), REAL(-1, 1, 5, 5), REAL(-1, 1, 5)}, 0},
    {"simple_rnn", "{\"go_backwards\": true}",
     {REAL(-1, 1, 2, 5, 3), REAL(-1, 1, 3, 2), REAL(-1, 1, 2, 2), LEFT_OUT, REAL(-1, 1, 2, 2), FLAGS(2, 5),
      TARGET(0, 2, 2, 2)}, 0},

    /* losses */
    {"softmax_cross_entropy", NULL, {REAL(-2, 2, 4, 5), LABELS(1, 5, 4)}, 0},
    {"softmax_cross_entropy", "{\"ignore_class\": 0, \"label_smoothing\": 0.2}",
     {REAL(-2, 2, 2, 3, 4), LABELS(0, 4, 2, 3)}, 0},
    {"softmax_cross_entropy", NULL, {REAL(-2, 2, 4000, 90), LABELS(1, 90, 4000)}, SAMPLE_LARGE},
    {"softmax_cross_entropy_probabilities", NULL, {REAL(-2, 2, 4, 5), TARGET(0.1, 0.4, 4, 5)}, 0},
    {"softmax_cross_entropy_probabilities", "{\"label_smoothing\": 0.3}", {REAL(-2, 2, 4, 5), TARGET(0, 1, 4, 5)}, 0},
    {"categorical_cross_entropy", NULL, {REAL(0.1, 1, 4, 5), TARGET(0, 1, 4, 5)}, 0},
    {"sparse_categorical_cross_entropy", "{\"ignore_class\": 0}", {REAL(0.1, 1, 6, 5), LABELS(0, 5, 6)}, 0},
    {"binary_cross_entropy", NULL, {REAL(0.1, 0.9, 3, 4), TARGET(0, 1, 3, 4)}, 0},
    {"binary_cross_entropy", "{\"reduction\": \"none\"}", {REAL(0.1, 0.9, 3, 4), TARGET(0, 1, 3, 4)}, 0},
    {"binary_cross_entropy_with_logits", NULL, {REAL(-3, 3, 3, 4), TARGET(0, 1, 3, 4)}, 0},
    {"mse_loss", "{\"reduction\": \"sum\"}", {REAL(-3, 3, 3, 4), REAL(-3, 3, 3, 4)}, 0},
    {"l1_loss", NULL, {REAL(-3, 3, 3, 4), REAL(-3, 3, 3, 4)}, 0},
    {"huber_loss", "{\"delta\": 0.7}", {REAL(-3, 3, 3, 4), REAL(-3, 3, 3, 4)}, 0},
    {"cross_entropy", NULL, {REAL(-2, 2, 4, 5), LABELS(1, 5, 4)}, 0},
    {"cross_entropy", "{\"ignore_class\": 0, \"label_smoothing\": 0.1}", {REAL(-2, 2, 6, 3), LABELS(0, 3, 6)}, 0},
    {"cross_entropy", NULL, {REAL(-2, 2, 4, 5), TARGET(0, 1, 4, 5)}, 0},
    {"ctc_loss", NULL, {REAL(-4, -0.1, 3, 7, 4), LABELS(1, 3, 3, 3)}, 0},
    {"ctc_loss", NULL, {REAL(-4, -0.1, 2, 1, 3), LABELS(0, 0, 2, 2)}, 0},
    {"nll_loss", "{\"ignore_class\": 0}", {REAL(-4, -0.5, 6, 3), LABELS(0, 3, 6)}, 0},
    {"nll_loss", "{\"reduction\": \"none\"}", {REAL(-4, -0.5, 2, 3, 4), LABELS(1, 4, 2, 3)}, 0},
};

/* ---- samples of the rows --------------------------------------------------------------------------------------- */

/* The domains that rows name, as intervals of the first and the second operand. */
static const struct {
    const char *domain;
    double low, high, low_b, high_b;
} domains[] = {
    {"", -3, 3, -3, 3},
    {"x != 0", 0.3, 3, 0, 0},
    {"x >= 0", 0.2, 4, 0, 0},
    {"x > 0", 0.2, 4, 0, 0},
    {"x > -1", -0.8, 3, 0, 0},
    {"x >= 1", 1.2, 4, 0, 0},
    {"-1 <= x <= 1", -0.9, 0.9, 0, 0},
    {"b != 0", -3, 3, 0.4, 3},
    {"b in [0, 1]", -3, 3, 0, 1},
    {"a, b in [0, 1]", 0.1, 0.9, 0.1, 0.9},
};

static const struct {
    const char *op, *domain;
    int operands;
} rows[] = {
#define X(name, needs, parameters, formula, domain, ...) {#name, domain, 1},
    DL_UNARY_ROWS(X)
#undef X
#define X(name, ...) {#name, "", 1},
    DL_PREDICATE_ROWS(X)
#undef X
#define X(name, parameters, formula, domain, ...) {#name, domain, 2},
    DL_BINARY_ROWS(X)
#undef X
#define X(name, ...) {#name, "", 2},
    DL_COMPARE_ROWS(X)
#undef X
};

/* The sample of a row; false if op is none or its domain is not known here. */
static inline bool sample_of_row(const dl_op *op, sample *out) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].op, op->definition.name) != 0)
            continue;
        for (size_t k = 0; k < sizeof domains / sizeof domains[0]; k++) {
            if (strcmp(domains[k].domain, rows[i].domain) != 0)
                continue;
            sample_input a = REAL(domains[k].low, domains[k].high, 4, 7);
            sample_input b = REAL(domains[k].low_b, domains[k].high_b, 4, 7);
            *out = (sample){.op = rows[i].op, .inputs = {a}, .flags = op->backward ? 0 : SAMPLE_NO_GRADIENT};
            if (rows[i].operands == 2)
                out->inputs[1] = b;
            return true;
        }
    }
    return false;
}

/* The k-th sample of an operation; false past the last one. */
static inline bool sample_of(const dl_op *op, int k, sample *out) {
    int found = 0;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        if (strcmp(samples[i].op, op->definition.name) == 0 && found++ == k) {
            *out = samples[i];
            return true;
        }
    }
    return found == 0 && k == 0 && sample_of_row(op, out);
}

#endif
