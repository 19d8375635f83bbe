/*
 * The checks of check.h fail when they should. Each failing test here runs on its own, between saving and restoring the
 * counters, and what it prints on the way is the message of a failure that was wanted.
 */
#include "check.h"

typedef struct outcome {
    int status;
    long checks;
    long failures;
} outcome;

/* Runs one test as a program of its own would, and leaves no trace in the counters. */
static outcome run_alone(check_test test, const char *filter) {
    long checks_before = atomic_load(&check_count);
    long failures_before = atomic_load(&check_failures);
    outcome seen = {.status = check_run_all(&test, 1, filter)};
    seen.checks = atomic_exchange(&check_count, checks_before) - checks_before;
    seen.failures = atomic_exchange(&check_failures, failures_before) - failures_before;
    return seen;
}

static void every_check_fails(void) {
    CHECK(1 > 2);
    CHECK_EQ_INT(1, 2);
    CHECK_EQ_INT(INT64_MAX, INT64_MIN);
    CHECK_CLOSE(1.0, 1.1, 0.05);
    CHECK_CLOSE(NAN, 1.0, INFINITY);
    CHECK_CLOSE(INFINITY, -INFINITY, 1.0);
    CHECK_STR("a", "b");
    CHECK_STR(NULL, "b");
    CHECK_CONTAINS("abc", "d");
    CHECK_CONTAINS(NULL, "d");
}

static void every_check_holds(void) {
    CHECK(2 > 1);
    CHECK_EQ_INT(2, 2);
    CHECK_CLOSE(1.0, 1.1, 0.2);
    CHECK_CLOSE(NAN, NAN, 0.0);
    CHECK_CLOSE(INFINITY, INFINITY, 0.0);
    CHECK_STR("a", "a");
    CHECK_STR(NULL, NULL);
    CHECK_CONTAINS("abc", "bc");
    REQUIRE(2 > 1);
}

static void leaves_at_require(void) {
    REQUIRE(1 > 2);
    CHECK(true);
}

static void checks_nothing(void) {
}

static void test_failures_are_counted(void) {
    outcome seen = run_alone((check_test)CHECK_TEST(every_check_fails), NULL);
    CHECK_EQ_INT(seen.status, 1);
    CHECK_EQ_INT(seen.checks, 10);
    CHECK_EQ_INT(seen.failures, 10);
}

static void test_checks_that_hold_pass(void) {
    outcome seen = run_alone((check_test)CHECK_TEST(every_check_holds), NULL);
    CHECK_EQ_INT(seen.status, 0);
    CHECK_EQ_INT(seen.checks, 9);
    CHECK_EQ_INT(seen.failures, 0);
}

static void test_require_leaves_the_test(void) {
    outcome seen = run_alone((check_test)CHECK_TEST(leaves_at_require), NULL);
    CHECK_EQ_INT(seen.status, 1);
    CHECK_EQ_INT(seen.checks, 1);
}

static void test_a_test_without_checks_fails(void) {
    CHECK_EQ_INT(run_alone((check_test)CHECK_TEST(checks_nothing), NULL).status, 1);
}

static void test_a_filter_that_meets_no_test_fails(void) {
    CHECK_EQ_INT(run_alone((check_test)CHECK_TEST(every_check_holds), "holds").status, 0);
    CHECK_EQ_INT(run_alone((check_test)CHECK_TEST(every_check_holds), "nothing").status, 1);
}

CHECK_MAIN(CHECK_TEST(test_failures_are_counted), CHECK_TEST(test_checks_that_hold_pass),
           CHECK_TEST(test_require_leaves_the_test), CHECK_TEST(test_a_test_without_checks_fails),
           CHECK_TEST(test_a_filter_that_meets_no_test_fails))
