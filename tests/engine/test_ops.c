/*
 * What test_ops_gradients.c cannot say of all operations at once: messages, dtypes, views, numbers, labels, fused
 * operations against their compositions.
 */
#include "check.h"
#include "ops/ops.h"

static dl_context *context;

static void begin(void) {
    CHECK(dl_context_create(NULL, &context) == DL_OK);
    dl_scope_begin(context);
}

/* Everything a test made goes with the scope. */
static void end(void) {
    dl_scope_end(context, 0, NULL);
    dl_context_release(context);
}

#define SHAPE(...)                                                                                                     \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                                           \
        __VA_ARGS__                                                                                                    \
    }

static dl_tensor *numbers(dl_dtype dtype, int dims, const int64_t *shape) {
    dl_tensor *x = dl_empty(context, dtype, dims, shape);
    dl_tensor *flat = x ? dl_arange(context, dtype, 1, (double)dl_tensor_numel(x) + 1, 1) : NULL;
    return flat ? dl_reshape(context, flat, dims, shape) : NULL;
}

static dl_tensor *labels(int64_t count, const int64_t *values) {
    return dl_from_data(context, DL_INT64, 1, &count, values);
}

static double item(dl_tensor *x) {
    double value = NAN;
    CHECK(x && dl_item(x, &value) == DL_OK);
    return value;
}

static void check_values(dl_tensor *x, int64_t count, const double *want) {
    if (!CHECK(x) || !CHECK_EQ_INT(dl_tensor_numel(x), count)) {
        fprintf(stderr, "    %s\n", dl_last_error());
        return;
    }
    double got[64];
    CHECK(count <= 64 && dl_copy_out(x, DL_FLOAT64, got) == DL_OK);
    for (int64_t i = 0; i < count; i++)
        CHECK_CLOSE(got[i], want[i], 1e-6);
}

#define VALUES(x, ...)                                                                                                 \
    check_values(x, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static void check_same(dl_tensor *a, dl_tensor *b, double tolerance) {
    if (!CHECK(a && b && dl_tensor_same_shape(a, b)))
        return;
    double worst = item(dl_max(context, dl_abs(context, dl_sub(context, a, b)), 0, NULL, false));
    CHECK_CLOSE(worst, 0, tolerance);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void test_messages_name_shapes_and_what_is_right(void) {
    begin();
    dl_tensor *x = numbers(DL_FLOAT32, SHAPE(32, 784));
    CHECK(!dl_matmul(context, x, numbers(DL_FLOAT32, SHAPE(785, 10))));
    CHECK_STR(dl_last_error(), "matmul: the inner sizes differ: {32, 784} x {785, 10}; the last dimension of the first "
                               "must equal the second-to-last of the second");
    CHECK(!dl_add(context, x, numbers(DL_FLOAT32, SHAPE(3))));
    CHECK_CONTAINS(dl_last_error(), "add: shapes {32, 784} and {3} do not broadcast");
    CHECK(!dl_reshape(context, x, SHAPE(-1, 5)));
    CHECK_CONTAINS(dl_last_error(), "reshape: a tensor of shape {32, 784} has 25088 elements and cannot take the shape "
                                    "{-1, 5}");
    CHECK(!dl_softmax(context, x, 2));
    CHECK_CONTAINS(dl_last_error(), "softmax: dimension 3 does not exist: use 1 to 2, or -1 to -2 from the end");
    CHECK(!dl_softmax(context, numbers(DL_INT64, SHAPE(3)), 0));
    CHECK_CONTAINS(dl_last_error(), "softmax: x is int64; it must be float32 or float64 (convert it with :float())");
    CHECK(!dl_linear(context, x, numbers(DL_FLOAT32, SHAPE(10, 784)), NULL, DL_ACTIVATION_NONE));
    CHECK_CONTAINS(dl_last_error(),
                   "linear: x has shape {32, 784} and weight {10, 784}; the last dimension of x must be "
                   "10");
    CHECK(!dl_select(context, x, 0, 32));
    CHECK_CONTAINS(dl_last_error(), "select: index 33 is outside dimension 1 of the shape {32, 784}");
    CHECK(!dl_where(context, x, x, x));
    CHECK_CONTAINS(dl_last_error(), "where: condition is float32; it must be bool");
    end();
}

static void test_conv_messages(void) {
    begin();
    dl_tensor *x = numbers(DL_FLOAT32, SHAPE(1, 4, 5, 3));
    CHECK(!dl_conv2d(context, x, numbers(DL_FLOAT32, SHAPE(3, 3, 1, 8)), NULL, NULL));
    CHECK_CONTAINS(dl_last_error(),
                   "conv2d: x has shape {1, 4, 5, 3} and weight {3, 3, 1, 8}; with groups = 1 the third "
                   "dimension of weight must be 3");
    CHECK(!dl_conv2d(context, x, numbers(DL_FLOAT32, SHAPE(5, 3, 3, 8)), NULL, NULL));
    CHECK_CONTAINS(dl_last_error(),
                   "conv2d: the window covers 5 cells, but the image with its padding has a height of 4");
    CHECK(!dl_conv2d(context, numbers(DL_FLOAT32, SHAPE(4, 5, 3)), numbers(DL_FLOAT32, SHAPE(3, 3, 3, 8)), NULL, NULL));
    CHECK_CONTAINS(dl_last_error(), "conv2d: x has shape {4, 5, 3}; images have four dimensions, {N, H, W, C}");
    CHECK(!dl_conv2d(context, x, numbers(DL_FLOAT64, SHAPE(3, 3, 3, 8)), NULL, NULL));
    CHECK_CONTAINS(dl_last_error(), "conv2d: weight is float64; it must be float32, as the first input is");
    CHECK(!dl_conv2d(context, x, numbers(DL_FLOAT32, SHAPE(3, 3, 3, 8)), numbers(DL_FLOAT32, SHAPE(7)), NULL));
    CHECK_CONTAINS(dl_last_error(), "conv2d: bias has shape {7}; it must be {8}: one for each filter");
    end();
}

static void test_labels_count_from_one(void) {
    begin();
    dl_tensor *logits = dl_zeros(context, DL_FLOAT32, SHAPE(3, 4));
    VALUES(dl_softmax_cross_entropy(context, logits, labels(3, (int64_t[]){1, 4, 2}), NULL), log(4), log(4), log(4));
    CHECK(!dl_softmax_cross_entropy(context, logits, labels(3, (int64_t[]){1, 0, 2}), NULL));
    CHECK_CONTAINS(dl_last_error(), "softmax_cross_entropy: ");
    CHECK_CONTAINS(dl_last_error(), "count from 1");
    CHECK_CONTAINS(dl_last_error(), "train.y + 1");
    CHECK(!dl_softmax_cross_entropy(context, logits, labels(3, (int64_t[]){1, 5, 2}), NULL));
    CHECK_CONTAINS(dl_last_error(), "5");
    CHECK_CONTAINS(dl_last_error(), "4");
    dl_softmax_cross_entropy_options options = {.ignore_class = 0};
    VALUES(dl_softmax_cross_entropy(context, logits, labels(3, (int64_t[]){1, 0, 2}), &options), log(4), 0, log(4));
    dl_cross_entropy_options mean = {.reduction = DL_REDUCTION_MEAN, .ignore_class = 0};
    VALUES(dl_cross_entropy(context, logits, labels(3, (int64_t[]){1, 0, 2}), &mean), log(4));
    CHECK(!dl_softmax_cross_entropy(context, logits, numbers(DL_FLOAT32, SHAPE(3)), NULL));
    CHECK_CONTAINS(dl_last_error(), "labels are float32; they must be whole numbers from 1");
    VALUES(dl_one_hot(context, labels(2, (int64_t[]){2, 0}), 3, DL_FLOAT32), 0, 1, 0, 0, 0, 0);
    CHECK(!dl_one_hot(context, labels(1, (int64_t[]){4}), 3, DL_FLOAT32));
    CHECK_CONTAINS(dl_last_error(), "label 4 at place 1; with num_classes = 3 labels are 1 to 3");
    VALUES(dl_argmax(context, numbers(DL_FLOAT32, SHAPE(2, 3)), 1, false), 3, 3);
    VALUES(dl_index_select(context, numbers(DL_INT32, SHAPE(3, 2)), 0, labels(2, (int64_t[]){3, 1})), 5, 6, 1, 2);
    end();
}

/* ---- dtypes ---------------------------------------------------------------------------------------------------- */

static void check_dtype(dl_tensor *x, dl_dtype want) {
    if (CHECK(x))
        CHECK_STR(dl_dtype_name(dl_tensor_dtype(x)), dl_dtype_name(want));
}

static void test_dtypes_are_promoted(void) {
    begin();
    dl_tensor *f32 = numbers(DL_FLOAT32, SHAPE(2)), *f64 = numbers(DL_FLOAT64, SHAPE(2));
    dl_tensor *i32 = numbers(DL_INT32, SHAPE(2)), *i64 = numbers(DL_INT64, SHAPE(2)), *u8 = numbers(DL_UINT8, SHAPE(2));
    dl_tensor *flag = dl_gt(context, f32, dl_number(context, 1, f32));
    check_dtype(dl_add(context, f32, f64), DL_FLOAT64);
    check_dtype(dl_add(context, i64, f32), DL_FLOAT32);
    check_dtype(dl_add(context, u8, i32), DL_INT32);
    check_dtype(dl_add(context, flag, u8), DL_UINT8);
    check_dtype(dl_add(context, flag, flag), DL_BOOLEAN);
    check_dtype(dl_div(context, i64, i32), DL_FLOAT32);
    check_dtype(dl_pow(context, i32, i32), DL_INT32);
    check_dtype(dl_sum_all(context, u8), DL_INT64);
    check_dtype(dl_sum_all(context, flag), DL_INT64);
    check_dtype(dl_exp(context, i64), DL_FLOAT32);
    check_dtype(dl_abs(context, i32), DL_INT32);
    CHECK(!dl_sub(context, flag, flag));
    CHECK_CONTAINS(dl_last_error(), "sub: both operands are bool");
    CHECK(!dl_mean_all(context, i64));
    CHECK_CONTAINS(dl_last_error(), "mean: x is int64; it must be float32 or float64");
    VALUES(dl_div(context, i64, dl_number(context, 4, i64)), 0.25, 0.5);
    VALUES(dl_pow(context, i32, i32), 1, 4);
    end();
}

static void test_numbers_do_not_raise_the_dtype(void) {
    begin();
    dl_tensor *f32 = numbers(DL_FLOAT32, SHAPE(2)), *u8 = numbers(DL_UINT8, SHAPE(2));
    check_dtype(dl_mul_number(context, f32, 0.1), DL_FLOAT32);
    check_dtype(dl_mul_number(context, u8, 3), DL_UINT8);
    check_dtype(dl_mul_number(context, u8, 0.5), DL_FLOAT32);
    check_dtype(dl_mul_number(context, dl_sum_all(context, f32), 0.5), DL_FLOAT32);
    check_dtype(dl_add(context, f32, dl_scalar(context, DL_FLOAT64, 0.5)), DL_FLOAT32);
    check_dtype(dl_add(context, u8, dl_scalar(context, DL_INT64, 2)), DL_UINT8);
    check_dtype(dl_add(context, u8, dl_scalar(context, DL_FLOAT64, 2.5)), DL_FLOAT32);
    VALUES(dl_mul_number(context, u8, 0.5), 0.5, 1);
    end();
}

/* Exponents with a function of their own give what the general one gives, and the same derivative. */
static void test_powers_with_plain_numbers(void) {
    begin();
    dl_tensor *x = dl_empty(context, DL_FLOAT64, SHAPE(5, 4));
    CHECK(x && dl_uniform_(x, NULL, 0.5, 3) == DL_OK && dl_requires_grad_(x, true) == DL_OK);
    const double exponents[] = {2, 0.5, -1, 3};
    for (int i = 0; i < DL_COUNT(exponents); i++) {
        dl_tensor *plain = dl_pow_number(context, x, exponents[i]);
        dl_tensor *general = dl_pow(context, x, dl_full(context, DL_FLOAT64, SHAPE(4), exponents[i]));
        check_same(plain, general, 1e-12);
        dl_tensor *grad = NULL, *wanted = NULL;
        CHECK(dl_gradients(dl_sum_all(context, plain), NULL, &x, 1, 0, &grad) == DL_OK);
        CHECK(dl_gradients(dl_sum_all(context, general), NULL, &x, 1, 0, &wanted) == DL_OK);
        check_same(grad, wanted, 1e-12);
    }
    dl_tensor *exponent = dl_scalar(context, DL_FLOAT64, 2), *grad = NULL;
    CHECK(dl_requires_grad_(exponent, true) == DL_OK);
    CHECK(dl_gradients(dl_sum_all(context, dl_pow(context, x, exponent)), NULL, &exponent, 1, 0, &grad) == DL_OK);
    CHECK_CLOSE(item(grad), item(dl_sum_all(context, dl_mul(context, dl_square(context, x), dl_ln(context, x)))), 1e-9);
    end();
}

static void test_differences_with_numbers(void) {
    begin();
    VALUES(dl_sub_number(context, numbers(DL_FLOAT32, SHAPE(3)), 0.5), 0.5, 1.5, 2.5);
    dl_tensor *whole = dl_sub_number(context, numbers(DL_INT32, SHAPE(2)), 3);
    CHECK(whole && dl_tensor_dtype(whole) == DL_INT32);
    VALUES(whole, -2, -1);
    end();
}

/* ---- padding --------------------------------------------------------------------------------------------------- */

static void test_padding_by_sizes(void) {
    begin();
    dl_tensor *x = numbers(DL_FLOAT32, SHAPE(1, 3, 4, 1));
    dl_tensor *w = dl_full(context, DL_FLOAT32, SHAPE(3, 1, 1, 1), 1);
    dl_conv2d_options options;
    dl_options_init(&dl_op_conv2d.definition, &options, sizeof options);
    options.padding = dl_padding_sizes(1, 2);
    dl_tensor *y = dl_conv2d(context, x, w, NULL, &options);
    REQUIRE(y);
    CHECK(dl_tensor_shape(y)[1] == 3 && dl_tensor_shape(y)[2] == 8);
    VALUES(dl_flatten(context, y, 0, -1), 0, 0, 6, 8, 10, 12, 0, 0, 0, 0, 15, 18, 21, 24, 0, 0, 0, 0, 14, 16, 18, 20, 0,
           0);
    end();
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

static void test_views_share_storage(void) {
    begin();
    dl_tensor *x = numbers(DL_FLOAT32, SHAPE(2, 3, 4));
    dl_tensor *views[] = {
        dl_reshape(context, x, SHAPE(6, 4)), dl_permute(context, x, SHAPE(2, 0, 1)),   dl_transpose(context, x, 0, 2),
        dl_unsqueeze(context, x, 1),         dl_slice(context, x, 1, 1, DL_NONE, 1),   dl_select(context, x, 0, 1),
        dl_flatten(context, x, 0, -1),       dl_expand(context, x, SHAPE(5, 2, 3, 4)), dl_to(context, x, DL_FLOAT32),
    };
    for (int i = 0; i < DL_COUNT(views); i++)
        CHECK(views[i] && views[i]->storage == x->storage);
    dl_tensor *turned = dl_transpose(context, x, 0, 2);
    dl_tensor *copied = dl_reshape(context, turned, SHAPE(24));
    CHECK(copied && copied->storage != x->storage);
    CHECK(!dl_apply1(context, &dl_op_view, &turned, 1, &(dl_shape_options){{1, {24}}}));
    CHECK_CONTAINS(dl_last_error(),
                   "view: the strides of a tensor of shape {4, 3, 2} do not allow a view of shape {24}");
    dl_tensor *joined = dl_reshape(context, dl_slice(context, x, 0, 1, 2, 1), SHAPE(12));
    CHECK(joined && joined->storage == x->storage);
    VALUES(dl_slice(context, joined, 0, 0, 3, 1), 13, 14, 15);
    end();
}

static void test_slices(void) {
    begin();
    dl_tensor *x = numbers(DL_INT32, SHAPE(6));
    VALUES(dl_slice(context, x, 0, 1, -1, 2), 2, 4);
    VALUES(dl_slice(context, x, 0, -2, DL_NONE, 1), 5, 6);
    VALUES(dl_slice(context, x, 0, DL_NONE, 100, 4), 1, 5);
    CHECK_EQ_INT(dl_tensor_numel(dl_slice(context, x, 0, 0, 0, 1)), 0);
    CHECK_EQ_INT(dl_tensor_numel(dl_slice(context, x, 0, 4, 2, 1)), 0);
    CHECK_EQ_INT(dl_tensor_numel(dl_slice(context, x, 0, 6, DL_NONE, 1)), 0);
    CHECK(!dl_slice(context, x, 0, 0, 3, 0));
    CHECK_CONTAINS(dl_last_error(), "slice: step is 0");
    dl_slice_options options = {.starts = {2, {0, 1}}, .ends = {2, {-1, 1}}};
    dl_tensor *grid = numbers(DL_INT32, SHAPE(2, 3));
    VALUES(dl_apply1(context, &dl_op_slice, &grid, 1, &options), 2, 5);
    end();
}

/* ---- empty tensors --------------------------------------------------------------------------------------------- */

static void test_empty_tensors(void) {
    begin();
    dl_tensor *none = dl_zeros(context, DL_FLOAT32, SHAPE(0, 3));
    VALUES(dl_sum(context, none, 1, (int64_t[]){0}, false), 0, 0, 0);
    CHECK_CLOSE(item(dl_sum_all(context, none)), 0, 0);
    CHECK(isnan(item(dl_mean_all(context, none))));
    CHECK(!dl_max(context, none, 0, NULL, false));
    CHECK_CONTAINS(dl_last_error(), "max: x has shape {0, 3}: there is no largest or smallest of no elements");
    dl_tensor *product = dl_matmul(context, dl_zeros(context, DL_FLOAT32, SHAPE(2, 0)), none);
    VALUES(product, 0, 0, 0, 0, 0, 0);
    dl_tensor *y = dl_linear(context, none, numbers(DL_FLOAT32, SHAPE(3, 2)), NULL, DL_ACTIVATION_RELU);
    CHECK(y && dl_tensor_shape(y)[0] == 0 && dl_tensor_shape(y)[1] == 2);
    CHECK(dl_softmax(context, none, -1));
    CHECK(dl_conv2d(context, dl_zeros(context, DL_FLOAT32, SHAPE(0, 5, 5, 1)), numbers(DL_FLOAT32, SHAPE(3, 3, 1, 2)),
                    NULL, NULL));
    end();
}

/* ---- fused operations against their compositions --------------------------------------------------------------- */

static dl_tensor *noise(int dims, const int64_t *shape) {
    dl_tensor *x = dl_empty(context, DL_FLOAT32, dims, shape);
    CHECK(x && dl_normal_(x, NULL, 0, 1) == DL_OK);
    return x;
}

static void test_linear_is_matmul_add_relu(void) {
    begin();
    dl_tensor *x = noise(SHAPE(2, 5, 17)), *w = noise(SHAPE(17, 9)), *b = noise(SHAPE(9));
    dl_tensor *plain = dl_add(context, dl_matmul(context, x, w), b);
    check_same(dl_linear(context, x, w, b, DL_ACTIVATION_NONE), plain, 1e-5);
    check_same(dl_linear(context, x, w, b, DL_ACTIVATION_RELU), dl_relu(context, plain), 1e-5);
    end();
}

static void test_conv_relu_maxpool_is_its_composition(void) {
    begin();
    dl_tensor *x = noise(SHAPE(3, 9, 8, 1)), *w = noise(SHAPE(3, 3, 1, 16)), *b = noise(SHAPE(16));
    dl_conv2d_options conv;
    dl_pool2d_options pool;
    dl_options_init(&dl_op_conv2d.definition, &conv, sizeof conv);
    dl_options_init(&dl_op_max_pool2d.definition, &pool, sizeof pool);
    conv.exact = true;
    conv.activation = DL_ACTIVATION_RELU;
    pool.kernel_size = (dl_ints){2, {2, 2}};
    dl_tensor *leaves[] = {x, w, b}, *grads[3], *wanted[3];
    for (int i = 0; i < 3; i++)
        CHECK(dl_requires_grad_(leaves[i], true) == DL_OK);
    dl_tensor *fused = dl_conv2d_relu_maxpool(context, x, w, b);
    dl_tensor *composed = dl_max_pool2d(context, dl_conv2d(context, x, w, b, &conv), &pool);
    check_same(fused, composed, 1e-5);
    dl_tensor *grad = noise(SHAPE(3, 3, 3, 16));
    CHECK(dl_gradients(fused, grad, leaves, 3, 0, grads) == DL_OK);
    CHECK(dl_gradients(composed, grad, leaves, 3, 0, wanted) == DL_OK);
    for (int i = 0; i < 3; i++)
        check_same(grads[i], wanted[i], 1e-4);
    end();
}

static void test_cross_entropy_is_log_softmax_and_gather(void) {
    begin();
    dl_tensor *logits = noise(SHAPE(7, 5));
    dl_tensor *wanted = labels(7, (int64_t[]){1, 5, 3, 3, 2, 4, 1});
    dl_tensor *chosen = dl_gather(context, dl_log_softmax(context, logits, -1), 1, dl_unsqueeze(context, wanted, 1));
    dl_tensor *composed = dl_neg(context, dl_squeeze(context, chosen, 1));
    check_same(dl_softmax_cross_entropy(context, logits, wanted, NULL), composed, 1e-6);
    dl_tensor *target = dl_one_hot(context, wanted, 5, DL_FLOAT32);
    check_same(dl_softmax_cross_entropy_probabilities(context, logits, target, 0), composed, 1e-6);
    dl_tensor *in[] = {dl_log_softmax(context, logits, -1), wanted};
    check_same(dl_apply1(context, &dl_op_nll_loss, in, 2, NULL), dl_mean_all(context, composed), 1e-6);
    end();
}

static void test_batch_norm_is_its_formula(void) {
    begin();
    dl_tensor *x = noise(SHAPE(6, 4, 3)), *w = noise(SHAPE(3)), *b = noise(SHAPE(3));
    dl_tensor *out[3];
    CHECK(dl_batch_norm_training(context, x, w, b, 0.01, out) == DL_OK);
    dl_tensor *mean = dl_mean(context, x, 2, (int64_t[]){0, 1}, false);
    dl_tensor *centred = dl_sub(context, x, mean);
    dl_tensor *var = dl_mean(context, dl_square(context, centred), 2, (int64_t[]){0, 1}, false);
    dl_tensor *normal = dl_mul(context, centred, dl_rsqrt(context, dl_add_number(context, var, 0.01)));
    dl_tensor *formula = dl_add(context, dl_mul(context, normal, w), b);
    check_same(out[0], formula, 1e-5);
    check_same(out[1], mean, 1e-6);
    check_same(out[2], var, 1e-6);
    check_same(dl_batch_norm(context, x, mean, var, w, b, 0.01), formula, 1e-5);
    end();
}

/* ---- random numbers -------------------------------------------------------------------------------------------- */

static void test_dropout_keeps_the_mean_and_repeats_its_mask(void) {
    begin();
    dl_stream stream = {.seed = 11, .stream = 2, .position = 0};
    dl_tensor *x = dl_full(context, DL_FLOAT32, SHAPE(100, 100), 1);
    CHECK(dl_requires_grad_(x, true) == DL_OK);
    dl_tensor *y = dl_dropout(context, x, 0.3, &stream);
    CHECK_EQ_INT(stream.position, 2500);
    CHECK_CLOSE(item(dl_mean_all(context, y)), 1, 0.03);
    dl_tensor *grad = NULL;
    CHECK(dl_gradients(y, dl_full(context, DL_FLOAT32, SHAPE(100, 100), 1), &x, 1, 0, &grad) == DL_OK);
    check_same(grad, y, 0);
    dl_tensor *other = dl_dropout(context, x, 0.3, &stream);
    CHECK(item(dl_sum_all(context, dl_ne(context, y, other))) > 1000);
    check_same(dl_dropout(context, x, 1, &stream), dl_zeros(context, DL_FLOAT32, SHAPE(100, 100)), 0);
    dl_manual_seed(context, 5);
    dl_tensor *first = dl_dropout(context, x, 0.5, NULL);
    dl_manual_seed(context, 5);
    check_same(dl_dropout(context, x, 0.5, NULL), first, 0);
    end();
}

static void test_fills_draw_from_their_distributions(void) {
    begin();
    dl_tensor *x = dl_zeros(context, DL_FLOAT32, SHAPE(200, 50));
    dl_stream stream = {.seed = 1, .stream = 9};
    CHECK(dl_uniform_(x, &stream, -2, 4) == DL_OK);
    CHECK_CLOSE(item(dl_mean_all(context, x)), 1, 0.06);
    CHECK(item(dl_min(context, x, 0, NULL, false)) >= -2 && item(dl_max(context, x, 0, NULL, false)) < 4);
    CHECK(dl_truncated_normal_(dl_transpose(context, x, 0, 1), &stream, 1, 0.5) == DL_OK);
    CHECK(item(dl_min(context, x, 0, NULL, false)) >= 0 && item(dl_max(context, x, 0, NULL, false)) <= 2);
    CHECK(dl_bernoulli_(x, NULL, 0.25) == DL_OK);
    CHECK_CLOSE(item(dl_mean_all(context, x)), 0.25, 0.02);
    CHECK_EQ_INT(dl_uniform_(x, NULL, 2, 1), DL_INVALID);
    CHECK_EQ_INT(dl_normal_(x, NULL, 0, -1), DL_INVALID);
    end();
}

/* ---- in place -------------------------------------------------------------------------------------------------- */

static void test_in_place_writes_are_seen_by_the_graph(void) {
    begin();
    dl_tensor *x = numbers(DL_FLOAT32, SHAPE(3));
    CHECK(dl_requires_grad_(x, true) == DL_OK);
    CHECK_EQ_INT(dl_add_(x, x), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "no_grad");
    dl_tensor *y = dl_mul_number(context, x, 3);
    CHECK_EQ_INT(dl_mul_(y, dl_number(context, 2, y)), DL_OK);
    VALUES(y, 6, 12, 18);
    dl_tensor *grad = NULL;
    CHECK(dl_gradients(dl_sum_all(context, y), NULL, &x, 1, 0, &grad) == DL_OK);
    VALUES(grad, 6, 6, 6);
    dl_tensor *z = dl_square(context, x);
    CHECK_EQ_INT(dl_fill_(z, 1), DL_OK);
    CHECK(dl_gradients(dl_sum_all(context, z), NULL, &x, 1, 0, &grad) == DL_OK);
    CHECK(!grad);
    dl_tensor *w = dl_exp(context, x);
    CHECK_EQ_INT(dl_zero_(w), DL_OK);
    VALUES(w, 0, 0, 0);
    end();
}

CHECK_MAIN(CHECK_TEST(test_messages_name_shapes_and_what_is_right), CHECK_TEST(test_conv_messages),
           CHECK_TEST(test_labels_count_from_one), CHECK_TEST(test_dtypes_are_promoted),
           CHECK_TEST(test_numbers_do_not_raise_the_dtype), CHECK_TEST(test_powers_with_plain_numbers),
           CHECK_TEST(test_differences_with_numbers), CHECK_TEST(test_padding_by_sizes),
           CHECK_TEST(test_views_share_storage), CHECK_TEST(test_slices), CHECK_TEST(test_empty_tensors),
           CHECK_TEST(test_linear_is_matmul_add_relu), CHECK_TEST(test_conv_relu_maxpool_is_its_composition),
           CHECK_TEST(test_cross_entropy_is_log_softmax_and_gather), CHECK_TEST(test_batch_norm_is_its_formula),
           CHECK_TEST(test_dropout_keeps_the_mean_and_repeats_its_mask),
           CHECK_TEST(test_fills_draw_from_their_distributions), CHECK_TEST(test_in_place_writes_are_seen_by_the_graph))
