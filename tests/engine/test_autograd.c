/* test_autograd.c: the graph: deep ones, freed ones, changed ones, and gradients that stay whole after a failure. */
#include <math.h>

#include "autograd/autograd.h"
#include "context.h"
#include "dlua/ops.h"

static dl_tensor *leaf(double value) {
    dl_tensor *tensor = dl_scalar(context, DL_FLOAT64, value);
    CHECK_EQ_INT(dl_requires_grad_(tensor, true), DL_OK);
    return tensor;
}

static double number(const dl_tensor *tensor) {
    double value = NAN;
    if (tensor)
        dl_item(tensor, &value);
    return value;
}

/* y = x + x + ... with 100,000 nodes: neither backward nor freeing may use the stack for it. */
static void test_deep_graph(void) {
    begin_context();
    dl_tensor *x = leaf(1.5);
    dl_tensor *one = dl_scalar(context, DL_FLOAT64, 1.0);
    dl_tensor *y = dl_add(context, x, one);
    for (int i = 1; y && i < 100000; i++) {
        dl_tensor *next = dl_add(context, y, one);
        dl_release(y);
        y = next;
    }
    CHECK(y != NULL);
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_OK);
    CHECK_CLOSE(number(dl_grad(x)), 1.0, 0.0);
    dl_tensor *z = dl_add(context, x, one);
    for (int i = 1; z && i < 100000; i++) {
        dl_tensor *next = dl_add(context, z, one);
        dl_release(z);
        z = next;
    }
    dl_release(z); /* a graph that is dropped without a backward */
    dl_release(y);
    dl_release(x);
    dl_release(one);
    end_context();
}

static void test_accumulates(void) {
    begin_context();
    dl_tensor *x = leaf(3.0);
    for (int i = 1; i <= 3; i++) {
        dl_tensor *y = dl_mul(context, x, x);
        CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_OK);
        dl_release(y);
        CHECK_CLOSE(number(dl_grad(x)), 6.0 * i, 1e-15);
    }
    dl_release(x);
    end_context();
}

/* A diamond: both ways from x to y add up, and the node is visited once. */
static void test_diamond(void) {
    begin_context();
    dl_tensor *x = leaf(2.0);
    size_t mark = dl_scope_begin(context);
    dl_tensor *a = dl_mul(context, x, x);
    dl_tensor *y = dl_add(context, dl_mul(context, a, a), dl_mul(context, a, x));
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_OK);
    CHECK_CLOSE(number(dl_grad(x)), 4 * 8.0 + 3 * 4.0, 1e-12); /* of x^4 + x^3 */
    dl_scope_end(context, mark, NULL);
    dl_release(x);
    end_context();
}

static void test_twice(void) {
    begin_context();
    dl_tensor *x = leaf(2.0);
    dl_tensor *y = dl_mul(context, x, x);
    CHECK_EQ_INT(dl_backward(y, NULL, DL_RETAIN_GRAPH), DL_OK);
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_OK);
    CHECK_CLOSE(number(dl_grad(x)), 8.0, 1e-15);
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "retain_graph");
    CHECK_CLOSE(number(dl_grad(x)), 8.0, 1e-15);
    dl_release(y);
    dl_release(x);
    end_context();
}

static void test_changed_in_place(void) {
    begin_context();
    dl_tensor *x = leaf(2.0);
    dl_tensor *y = dl_exp(context, x);
    dl_tensor *z = dl_mul(context, y, y);
    dl_tensor *in[] = {y, dl_scalar(context, DL_FLOAT64, 1.0)};
    CHECK_EQ_INT(dl_apply_inplace(context, dl_find_op("add"), in, 2, NULL), DL_OK);
    CHECK_EQ_INT(dl_backward(z, NULL, 0), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "changed in place");
    CHECK(dl_grad(x) == NULL);
    dl_tensor *leaf_in[] = {x, in[1]};
    CHECK_EQ_INT(dl_apply_inplace(context, dl_find_op("add"), leaf_in, 2, NULL), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "no_grad");
    dl_release(in[1]);
    dl_release(z);
    dl_release(y);
    dl_release(x);
    end_context();
}

/* A change in place is part of the graph from then on. */
static void test_in_place_gradient(void) {
    begin_context();
    dl_tensor *x = leaf(3.0);
    dl_tensor *y = dl_add(context, x, x);
    dl_tensor *in[] = {y, x};
    CHECK_EQ_INT(dl_apply_inplace(context, dl_find_op("mul"), in, 2, NULL), DL_OK);
    CHECK_CLOSE(number(y), 18.0, 1e-15);
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_OK);
    CHECK_CLOSE(number(dl_grad(x)), 12.0, 1e-15); /* of 2 x^2 */
    dl_release(y);
    dl_release(x);
    end_context();
}

static void test_modes(void) {
    begin_context();
    dl_tensor *x = leaf(2.0);
    bool before = dl_set_grad_enabled(context, false);
    CHECK(before);
    dl_tensor *y = dl_mul(context, x, x);
    CHECK(!dl_requires_grad(y));
    CHECK_EQ_INT(dl_backward(y, NULL, 0), DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "requires_grad_");
    dl_set_grad_enabled(context, true);
    dl_tensor *z = dl_mul(context, x, x);
    dl_tensor *apart = dl_detach(z);
    CHECK(dl_requires_grad(z) && !dl_is_leaf(z));
    CHECK(!dl_requires_grad(apart) && dl_is_leaf(apart));
    CHECK(dl_tensor_data(apart) == dl_tensor_data(z));
    CHECK_EQ_INT(dl_requires_grad_(z, true), DL_STATE);
    dl_tensor *whole = dl_scalar(context, DL_INT64, 1);
    CHECK_EQ_INT(dl_requires_grad_(whole, true), DL_DTYPE);
    dl_release(whole);
    dl_release(apart);
    dl_release(z);
    dl_release(y);
    dl_release(x);
    end_context();
}

static void test_gradients(void) {
    begin_context();
    dl_tensor *x = leaf(2.0), *w = leaf(5.0), *unused = leaf(1.0);
    dl_tensor *h = dl_mul(context, x, w);
    dl_tensor *y = dl_mul(context, h, h);
    dl_tensor *inputs[] = {x, h, unused};
    dl_tensor *out[3];
    CHECK_EQ_INT(dl_gradients(y, NULL, inputs, 3, 0, out), DL_OK);
    CHECK_CLOSE(number(out[0]), 100.0, 1e-12);
    CHECK_CLOSE(number(out[1]), 20.0, 1e-12);
    CHECK(out[2] == NULL);
    CHECK(dl_grad(x) == NULL && dl_grad(w) == NULL);
    dl_release(out[0]);
    dl_release(out[1]);
    dl_release(y);
    dl_release(h);
    dl_release(x);
    dl_release(w);
    dl_release(unused);
    end_context();
}

/* Each allocation of a backward failed in turn: an error, no leak, and the leaves' gradients as they were. */
static void test_no_memory(void) {
    begin_context();
    dl_tensor *x = leaf(2.0), *w = leaf(3.0);
    bool done = false;
    for (uint64_t nth = 1; !done && nth < 200; nth++) {
        dl_set_grad(x, NULL);
        dl_set_grad(w, NULL);
        dl_tensor *h = dl_mul(context, x, w);
        dl_tensor *y = dl_add(context, h, x);
        dl_memory_fail_at(context, nth);
        dl_status status = dl_backward(y, NULL, 0);
        dl_memory_fail_at(context, 0);
        done = status == DL_OK;
        if (done) {
            CHECK_CLOSE(number(dl_grad(x)), 4.0, 1e-15);
            CHECK_CLOSE(number(dl_grad(w)), 2.0, 1e-15);
        } else {
            CHECK_EQ_INT(status, DL_MEMORY);
            CHECK(dl_grad(x) == NULL && dl_grad(w) == NULL);
        }
        dl_release(h);
        dl_release(y);
    }
    CHECK(done);
    dl_release(x);
    dl_release(w);
    end_context();
}

/* Memory that runs out at the first scope of a context: nothing made in it is left. */
static void test_no_memory_in_the_first_scope(void) {
    for (uint64_t nth = 1; nth <= 6; nth++) {
        begin_context();
        dl_memory_fail_at(context, nth);
        size_t mark = dl_scope_begin(context);
        for (int i = 0; i < 3; i++)
            dl_scalar(context, DL_FLOAT64, 1.0);
        dl_scope_end(context, mark, NULL);
        dl_memory_fail_at(context, 0);
        end_context();
    }
}

static void test_anomaly(void) {
    begin_context();
    dl_set_detect_anomaly(context, true);
    dl_tensor *x = leaf(-1.0);
    CHECK(dl_ln(context, x) == NULL);
    CHECK_CONTAINS(dl_last_error(), "log");
    CHECK_CONTAINS(dl_last_error(), "NaN");
    dl_release(x);
    end_context();
}

CHECK_MAIN(CHECK_TEST(test_deep_graph),
           CHECK_TEST(test_accumulates),
           CHECK_TEST(test_diamond),
           CHECK_TEST(test_twice),
           CHECK_TEST(test_changed_in_place),
           CHECK_TEST(test_in_place_gradient),
           CHECK_TEST(test_modes),
           CHECK_TEST(test_gradients),
           CHECK_TEST(test_no_memory),
           CHECK_TEST(test_no_memory_in_the_first_scope),
           CHECK_TEST(test_anomaly))
