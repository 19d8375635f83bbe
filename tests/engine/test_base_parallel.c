/* Loops over tiles: every tile once, workers of their own, denormals, cancelling, steps, nesting, forks. */
#define _GNU_SOURCE
#include "check.h"

#include <float.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

enum { TILES = 500, THREADS = 4 };

static dl_context *make(int threads) {
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.threads = threads;
    dl_context *context = NULL;
    CHECK_EQ_INT(dl_context_create(&options, &context), DL_OK);
    return context;
}

typedef struct count {
    dl_context *context;
    int threads;
    atomic_int runs[TILES];
    atomic_int busy[THREADS]; /* workers inside a tile, by number */
    atomic_int wrong;
    atomic_int on_caller;
} count;

/* Two threads under one number would meet in their scratch. */
static void count_tile(void *argument, int64_t tile, int worker) {
    count *self = argument;
    if (worker < 0 || worker >= self->threads || atomic_fetch_add(&self->busy[worker], 1) != 0)
        atomic_fetch_add(&self->wrong, 1);
    atomic_fetch_add(&self->runs[tile], 1);
    for (volatile int i = 0; i < 200; i++)
        continue;
    atomic_fetch_sub(&self->busy[worker], 1);
}

static void check_counts(count *self, int64_t tiles, int times) {
    int wrong = 0;
    for (int64_t i = 0; i < TILES; i++)
        wrong += atomic_exchange(&self->runs[i], 0) != (i < tiles ? times : 0);
    CHECK_EQ_INT(wrong, 0);
    CHECK_EQ_INT(atomic_load(&self->wrong), 0);
}

static void test_every_tile_once(void) {
    count *self = calloc(1, sizeof *self);
    for (int threads = 1; threads <= THREADS; threads++) {
        dl_context *context = make(threads);
        self->threads = threads;
        for (int64_t tiles = 0; tiles < TILES; tiles = tiles * 3 + 1) {
            CHECK_EQ_INT(dl_parallel(context, tiles, threads, count_tile, self), DL_OK);
            check_counts(self, tiles, 1);
            dl_parallel_commit(context, tiles, threads, count_tile, self);
            check_counts(self, tiles, 1);
        }
        dl_context_release(context);
    }
    free(self);
}

static dl_status many_loops(void *argument) {
    count *self = argument;
    for (int i = 0; i < 3000; i++)
        DL_TRY(dl_parallel(self->context, 1 + i % 7, 1 + i % THREADS, count_tile, self));
    usleep(2000); /* longer than the workers spin: they sleep, and must be woken */
    for (int i = 0; i < 100; i++) {
        DL_TRY(dl_parallel(self->context, TILES, THREADS, count_tile, self));
        if (i % 10 == 0)
            usleep(200);
    }
    return dl_fail(DL_STATE, "the end");
}

static void test_team(void) {
    count *self = calloc(1, sizeof *self);
    self->context = make(THREADS);
    self->threads = THREADS;
    CHECK_EQ_INT(dl_run_step(many_loops, self), DL_STATE);
    CHECK_STR(dl_last_error(), "the end");
    int total = 0;
    for (int i = 0; i < 7; i++)
        total += atomic_load(&self->runs[i]);
    CHECK_EQ_INT(total, 7 * 100 + 3000 / 7 * 28 + 1 + 2 + 3 + 4);
    CHECK_EQ_INT(atomic_load(&self->runs[TILES - 1]), 100);
    CHECK_EQ_INT(atomic_load(&self->wrong), 0);
    dl_context_release(self->context);
    free(self);
}

static dl_status team_in_team(void *argument) {
    count *self = argument;
    return dl_run_step(many_loops, self);
}

static void test_team_in_team(void) {
    count *self = calloc(1, sizeof *self);
    self->context = make(THREADS);
    self->threads = THREADS;
    CHECK_EQ_INT(dl_run_step(team_in_team, self), DL_STATE);
    CHECK_EQ_INT(atomic_load(&self->runs[TILES - 1]), 100);
    CHECK_EQ_INT(atomic_load(&self->wrong), 0);
    dl_context_release(self->context);
    free(self);
}

/* Sleeps in its tile, so that the workers meet there on a machine with one processor too. */
static void meet(void *argument, int64_t tile, int worker) {
    usleep(500);
    count_tile(argument, tile, worker);
    count *self = argument;
    if (atomic_fetch_add(&self->busy[worker], 1) != 0)
        atomic_fetch_add(&self->wrong, 1);
    usleep(500);
    atomic_fetch_sub(&self->busy[worker], 1);
}

static dl_status meet_in_team(void *argument) {
    count *self = argument;
    for (int i = 0; i < 5; i++)
        DL_TRY(dl_parallel(self->context, 24, THREADS, meet, self));
    return DL_OK;
}

/* No two threads are in a tile under one number. */
static void test_workers_have_numbers_of_their_own(void) {
    count *self = calloc(1, sizeof *self);
    self->context = make(THREADS);
    self->threads = THREADS;
    CHECK_EQ_INT(meet_in_team(self), DL_OK);
    check_counts(self, 24, 5);
    CHECK_EQ_INT(dl_run_step(meet_in_team, self), DL_OK);
    check_counts(self, 24, 5);
    dl_context_release(self->context);
    free(self);
}

static atomic_int team_members;

/* Leaves the other worker time to come, on a busy machine too. */
static void note_worker(void *argument, int64_t tile, int worker) {
    (void)argument;
    (void)tile;
    if ((atomic_fetch_or(&team_members, 1 << worker) | 1 << worker) != 3)
        usleep(1000);
}

/* A second thread does take part, in a lone loop and in a step. */
static void test_threads_take_part(void) {
    dl_context *context = make(2);
    CHECK_EQ_INT(dl_parallel(context, 5000, 2, note_worker, NULL), DL_OK);
    CHECK_EQ_INT(atomic_exchange(&team_members, 0), 3);
    dl_context_release(context);
}

static dl_status note_in_team(void *context) {
    return dl_parallel(context, 5000, 2, note_worker, NULL);
}

static void test_members_of_a_team_take_part(void) {
    dl_context *context = make(2);
    CHECK_EQ_INT(dl_run_step(note_in_team, context), DL_OK);
    CHECK_EQ_INT(atomic_exchange(&team_members, 0), 3);
    dl_context_release(context);
}

/* ---- nesting --------------------------------------------------------------------------------------------------- */

static void nested_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    count *self = argument;
    if (dl_threads_for(self->context, 1e9) != 1)
        atomic_fetch_add(&self->wrong, 1);
    count *inner = calloc(1, sizeof *inner);
    inner->threads = 1; /* the calling thread alone */
    if (dl_parallel(self->context, 50, THREADS, count_tile, inner) != DL_OK || atomic_load(&inner->wrong))
        atomic_fetch_add(&self->wrong, 1);
    atomic_fetch_add(&self->runs[tile], atomic_load(&inner->runs[49]));
    free(inner);
}

static void test_nested(void) {
    count *self = calloc(1, sizeof *self);
    self->context = make(THREADS);
    CHECK_EQ_INT(dl_parallel(self->context, 20, THREADS, nested_tile, self), DL_OK);
    check_counts(self, 20, 1);
    dl_context_release(self->context);
    free(self);
}

/* ---- the mode of floating point -------------------------------------------------------------------------------- */

#if defined(__x86_64__)

static volatile float tiny = FLT_MIN;
static atomic_int kept_denormals;

static void halve(void *argument, int64_t tile, int worker) {
    (void)argument;
    (void)tile;
    (void)worker;
    if (tiny * 0.5f != 0)
        atomic_fetch_add(&kept_denormals, 1);
}

/* A thread of the host has the default mode. */
static void *look_at_mode(void *changed) {
    if (tiny * 0.5f == 0 || (__builtin_ia32_stmxcsr() & ~0x3Fu) != 0x1F80)
        atomic_fetch_add((atomic_int *)changed, 1);
    return NULL;
}

static int changed_host_threads(void) {
    atomic_int changed = 0;
    pthread_t thread;
    look_at_mode(&changed);
    pthread_create(&thread, NULL, look_at_mode, &changed);
    pthread_join(thread, NULL);
    return atomic_load(&changed);
}

static dl_status halve_in_team(void *context) {
    if (tiny * 0.5f != 0)
        return dl_fail(DL_STATE, "not flushed");
    return dl_parallel(context, 100, THREADS, halve, NULL);
}

static void check_flushing(dl_context *context) {
    for (int threads = 1; threads <= THREADS; threads++)
        CHECK_EQ_INT(dl_parallel(context, 100, threads, halve, NULL), DL_OK);
    CHECK_EQ_INT(dl_run_step(halve_in_team, context), DL_OK);
    CHECK_EQ_INT(atomic_load(&kept_denormals), 0);
    CHECK(tiny * 0.5f != 0);
}

/* The host's threads keep their mode whether the host or the engine is first. */
static void test_denormals(void) {
    dl_context *context = make(THREADS);
    check_flushing(context);
    CHECK_EQ_INT(changed_host_threads(), 0);
    check_flushing(context);
    CHECK_EQ_INT(changed_host_threads(), 0);
    dl_context_release(context);
}

/* The host's own rounding is no part of the results, and is there again afterwards. */
static void test_rounding_is_the_default(void) {
    dl_context *context = make(1);
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x6000); /* towards zero */
    check_flushing(context);
    CHECK_EQ_INT(__builtin_ia32_stmxcsr() & 0x6000, 0x6000);
    __builtin_ia32_ldmxcsr(before);
    dl_context_release(context);
}

#else

static void test_denormals(void) {
    CHECK(true);
}

static void test_rounding_is_the_default(void) {
    CHECK(true);
}

#endif

/* ---- cancelling ------------------------------------------------------------------------------------------------ */

typedef struct cancelling {
    dl_context *context;
    atomic_int runs;
} cancelling;

static void cancel_at_ten(void *argument, int64_t tile, int worker) {
    (void)tile;
    (void)worker;
    cancelling *self = argument;
    if (atomic_fetch_add(&self->runs, 1) == 10)
        dl_cancel(self->context);
}

static dl_status cancel_in_team(void *argument) {
    cancelling *self = argument;
    return dl_parallel(self->context, 100000, THREADS, cancel_at_ten, self);
}

static void test_cancel(void) {
    for (int threads = 1; threads <= THREADS; threads += 3) {
        cancelling self = {.context = make(threads)};
        CHECK_EQ_INT(dl_parallel(self.context, 100000, threads, cancel_at_ten, &self), DL_CANCELLED);
        CHECK(atomic_load(&self.runs) < 50000);
        CHECK_EQ_INT(dl_poll(self.context), DL_OK);
        atomic_store(&self.runs, 0);
        CHECK_EQ_INT(dl_run_step(cancel_in_team, &self), DL_CANCELLED);
        CHECK(atomic_load(&self.runs) < 50000);
        atomic_store(&self.runs, 0);
        dl_parallel_commit(self.context, 1000, threads, cancel_at_ten, &self);
        CHECK_EQ_INT(atomic_load(&self.runs), 1000);
        CHECK_EQ_INT(dl_poll(self.context), DL_CANCELLED);
        dl_context_release(self.context);
    }
}

static bool cancel_after_five(void *user) {
    int *polls = user;
    return ++*polls > 5;
}

static void nothing(void *argument, int64_t tile, int worker) {
    (void)argument;
    (void)tile;
    (void)worker;
}

static void test_host_cancels(void) {
    int polls = 0;
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.cancel = cancel_after_five;
    options.user = &polls;
    options.threads = 1;
    dl_context *context;
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    CHECK_EQ_INT(dl_parallel(context, 5, 1, nothing, NULL), DL_OK);
    CHECK_EQ_INT(dl_parallel(context, 5, 1, nothing, NULL), DL_CANCELLED);
    dl_context_release(context);
}

/* ---- several threads and processes ----------------------------------------------------------------------------- */

static void *work_alone(void *argument) {
    count *self = calloc(1, sizeof *self);
    self->context = make(THREADS);
    self->threads = THREADS;
    for (int i = 0; i < 20; i++) {
        CHECK_EQ_INT(dl_parallel(self->context, TILES, THREADS, count_tile, self), DL_OK);
        check_counts(self, TILES, 1);
    }
    CHECK_EQ_INT(dl_run_step(many_loops, self), DL_STATE);
    dl_context_release(self->context);
    free(self);
    return argument;
}

static void test_two_contexts_in_two_threads(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work_alone, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* The exit status of a child that runs a loop: 0 if all its tiles ran. */
static int loop_in_child(void) {
    pid_t child = fork();
    if (child == 0) {
        count *self = calloc(1, sizeof *self);
        dl_context *context = make(THREADS);
        self->threads = THREADS;
        bool right = dl_parallel(context, TILES, THREADS, count_tile, self) == DL_OK;
        for (int i = 0; i < TILES; i++)
            right = right && atomic_load(&self->runs[i]) == 1;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void loop_of_parent(void *argument, int64_t tile, int worker) {
    (void)worker;
    atomic_fetch_add((atomic_int *)argument, tile >= 0);
}

/* A child has threads of its own, for a context that it makes and for one that comes from its parent. */
static void test_forks(void) {
    dl_context *context = make(THREADS);
    CHECK_EQ_INT(dl_parallel(context, 10, THREADS, nothing, NULL), DL_OK);
    CHECK_EQ_INT(loop_in_child(), 0);
    pid_t child = fork();
    if (child == 0) {
        atomic_int runs = 0;
        bool right = dl_parallel(context, 50, THREADS, loop_of_parent, &runs) == DL_OK && atomic_load(&runs) == 50;
        dl_context_release(context);
        _exit(right ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ_INT(status, 0);
    CHECK_EQ_INT(dl_parallel(context, 10, THREADS, nothing, NULL), DL_OK);
    dl_context_release(context);
}

/* The threads follow dl_set_threads. */
static void test_set_threads(void) {
    count *self = calloc(1, sizeof *self);
    dl_context *context = make(THREADS);
    for (int threads = 1; threads <= THREADS; threads++) {
        self->threads = threads;
        CHECK_EQ_INT(dl_set_threads(context, threads), DL_OK);
        CHECK_EQ_INT(dl_parallel(context, TILES, THREADS, count_tile, self), DL_OK);
        check_counts(self, TILES, 1);
    }
    dl_context_release(context);
    free(self);
}

static void test_threads_for(void) {
    dl_context *context = make(THREADS);
    CHECK_EQ_INT(dl_threads_for(context, 0), 1);
    CHECK_EQ_INT(dl_threads_for(context, 1000), 1);
    CHECK_EQ_INT(dl_threads_for(context, 1e9), THREADS);
    CHECK_EQ_INT(dl_threads_for(context, 1e300), THREADS);
    CHECK_EQ_INT(dl_threads_for(context, NAN), 1);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_every_tile_once), CHECK_TEST(test_team), CHECK_TEST(test_team_in_team),
           CHECK_TEST(test_workers_have_numbers_of_their_own), CHECK_TEST(test_threads_take_part),
           CHECK_TEST(test_members_of_a_team_take_part), CHECK_TEST(test_nested), CHECK_TEST(test_denormals),
           CHECK_TEST(test_rounding_is_the_default), CHECK_TEST(test_cancel), CHECK_TEST(test_host_cancels),
           CHECK_TEST(test_two_contexts_in_two_threads), CHECK_TEST(test_forks), CHECK_TEST(test_threads_for),
           CHECK_TEST(test_set_threads))
