/*
 * What a C test of the engine is made of. A test is a function without arguments that makes checks; a failed check
 * prints its file, line and the values at hand, is counted, and the test goes on. REQUIRE leaves the test instead,
 * for where going on would read through a null pointer.
 *
 *     static void test_addition(void)
 *     {
 *         CHECK(1 + 1 == 2);
 *         CHECK_EQ_INT(1 + 1, 2);
 *     }
 *
 *     CHECK_MAIN(CHECK_TEST(test_addition), CHECK_TEST(test_subtraction))
 *
 * The program runs all its tests, or those whose names contain its first argument, and returns 0 only if every check
 * held. A test that makes no check fails: it could not have failed otherwise. Checks may be made in several threads.
 *
 * With DLUA_CHECK_MEMORY_ONLY in the environment the program returns 0 even so: under Valgrind, which knows no flushing
 * of denormals and no long double, values differ, and Valgrind judges the run by its use of memory.
 */
#ifndef DLUA_TESTS_CHECK_H
#define DLUA_TESTS_CHECK_H

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

static atomic_long check_count;
static atomic_long check_failures;

/* Counts one check and says whether it held; a failure prints where it is, and the caller adds what it saw. */
static inline bool check_note(bool holds, const char *file, int line, const char *what) {
    atomic_fetch_add(&check_count, 1);
    if (!holds) {
        atomic_fetch_add(&check_failures, 1);
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
    }
    return holds;
}

static inline bool check_equal_int(intmax_t got, intmax_t want, const char *file, int line, const char *what) {
    bool holds = check_note(got == want, file, line, what);
    if (!holds)
        fprintf(stderr, "    got %" PRIdMAX ", want %" PRIdMAX "\n", got, want);
    return holds;
}

/* Infinities are close to themselves, and a NaN is close to a NaN only. */
static inline bool check_close(double got, double want, double tolerance, const char *file, int line,
                               const char *what) {
    bool same = got == want || (isnan(got) && isnan(want));
    bool holds = check_note(same || fabs(got - want) <= tolerance, file, line, what);
    if (!holds)
        fprintf(stderr, "    got %.17g, want %.17g, off by %.3g, allowed %.3g\n", got, want, fabs(got - want),
                tolerance);
    return holds;
}

static inline bool check_equal_string(const char *got, const char *want, const char *file, int line, const char *what) {
    bool same = got && want ? strcmp(got, want) == 0 : got == want;
    bool holds = check_note(same, file, line, what);
    if (!holds)
        fprintf(stderr, "    got  \"%s\"\n    want \"%s\"\n", got ? got : "(null)", want ? want : "(null)");
    return holds;
}

static inline bool check_contains(const char *got, const char *part, const char *file, int line, const char *what) {
    bool holds = check_note(got && strstr(got, part), file, line, what);
    if (!holds)
        fprintf(stderr, "    got  \"%s\"\n    want \"...%s...\"\n", got ? got : "(null)", part);
    return holds;
}

/* Each is an expression that is true if the check held. */
#define CHECK(condition) check_note((condition) ? true : false, __FILE__, __LINE__, "CHECK(" #condition ")")
#define CHECK_EQ_INT(got, want)                                                                                        \
    check_equal_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, "CHECK_EQ_INT(" #got ", " #want ")")
#define CHECK_CLOSE(got, want, tolerance)                                                                              \
    check_close((double)(got), (double)(want), (double)(tolerance), __FILE__, __LINE__,                                \
                "CHECK_CLOSE(" #got ", " #want ", " #tolerance ")")
#define CHECK_STR(got, want) check_equal_string((got), (want), __FILE__, __LINE__, "CHECK_STR(" #got ", " #want ")")
#define CHECK_CONTAINS(got, part)                                                                                      \
    check_contains((got), (part), __FILE__, __LINE__, "CHECK_CONTAINS(" #got ", " #part ")")

/* Leaves the test, a function that returns nothing, if the condition does not hold. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!check_note((condition) ? true : false, __FILE__, __LINE__, "REQUIRE(" #condition ")"))                    \
            return;                                                                                                    \
    } while (0)

static inline int check_run_all(const check_test *tests, size_t n_tests, const char *filter) {
    long failed = 0;
    long ran = 0;
    for (size_t i = 0; i < n_tests; i++) {
        if (filter && !strstr(tests[i].name, filter))
            continue;
        long checks_before = atomic_load(&check_count);
        long failures_before = atomic_load(&check_failures);
        tests[i].run();
        long checks = atomic_load(&check_count) - checks_before;
        long failures = atomic_load(&check_failures) - failures_before;
        if (checks == 0)
            fprintf(stderr, "%s makes no check\n", tests[i].name);
        printf("%s %s: %ld of %ld checks failed\n", failures || !checks ? "FAILED" : "ok    ", tests[i].name, failures,
               checks);
        fflush(stdout);
        failed += failures || !checks;
        ran++;
    }
    printf("%ld of %ld tests failed\n", failed, ran);
    return (failed || !ran) && !getenv("DLUA_CHECK_MEMORY_ONLY") ? 1 : 0;
}

#define CHECK_TEST(function)                                                                                           \
    { #function, function }

#define CHECK_MAIN(...)                                                                                                \
    int main(int argc, char **argv) {                                                                                  \
        static const check_test tests[] = {__VA_ARGS__};                                                               \
        return check_run_all(tests, sizeof tests / sizeof tests[0], argc > 1 ? argv[1] : NULL);                        \
    }

#endif
