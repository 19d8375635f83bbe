/* base/parallel.c: the one place of the library that opens OpenMP regions.
 *
 * A loop is a number of fixed tiles; threads take the next tile from an atomic counter until there is none. A team
 * keeps the threads of one region standing by for many loops: they wait for the next one by a bounded spin and then a
 * futex, so that neither libgomp's waiting policy nor a busy neighbour matters.
 *
 * The team's state is one word:      sequence (12) | room (10) | active (10)
 *   room:    how many more workers the open loop takes; the one that joins takes the number `room`; 0: closed
 *   active:  workers that have joined and not left
 * Always true: the loop's description changes only while room and active are both 0.
 *
 * In every thread that works here denormals are flushed to zero, for the time of the work and no longer, and BLAS stays
 * on its one thread. */
#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/context.h"

enum {
    SPINS = 1000, /* about 27 microseconds */
    ACTIVE_ONE = 1,
    ACTIVE_MASK = 0x3FF,
    ROOM_SHIFT = 10,
    ROOM_ONE = 1 << ROOM_SHIFT,
    ROOM_MASK = 0x3FF << ROOM_SHIFT,
    SEQUENCE_SHIFT = 20
};

/* What a thread must have to do, in nanoseconds, for its share to pay for the hand-over. */
static const double team_share = 4e3;
static const double region_share = 2e4;

typedef struct loop {
    dl_context *context;
    dl_tile_function function;
    void *argument;
    int64_t tiles;
    bool polls;     /* stops when a cancel is asked for */
    bool outermost; /* not inside a tile: may ask the host, and takes the cancel flag */
    atomic_bool cancelled;
    _Alignas(64) _Atomic int64_t next;
} loop;

typedef struct team {
    dl_context *context;
    int size;
    loop *loop;
    atomic_bool dismissed;
    _Alignas(64) atomic_uint state;
    atomic_int sleepers;           /* workers that sleep on state, or are about to */
    _Alignas(64) atomic_uint left; /* the caller sleeps on it; changed when the last worker has left */
    atomic_bool caller_sleeps;
} team;

static _Thread_local bool in_tile;
static _Thread_local team *own_team; /* the team that this thread leads */

/* ---- the mode of a working thread ------------------------------------------------------------------------------ */

typedef struct mode {
    uint64_t control; /* the floating-point control register */
    int threads;      /* OpenMP's count for further regions of this thread; 0: left alone */
} mode;

#if defined(__x86_64__)
/* The default environment with FTZ and DAZ. */
static const uint64_t flushing = 0x1F80 | 0x8040;

static uint64_t read_control(void) {
    return __builtin_ia32_stmxcsr();
}

static void write_control(uint64_t control) {
    __builtin_ia32_ldmxcsr((unsigned)control);
}
#elif defined(__aarch64__)
/* The default environment with FZ. */
static const uint64_t flushing = (uint64_t)1 << 24;

static uint64_t read_control(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}

static void write_control(uint64_t control) {
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}
#else
static const uint64_t flushing = 0;

static uint64_t read_control(void) {
    return 0;
}

static void write_control(uint64_t control) {
    (void)control;
}
#endif

/* Inside an active region OpenBLAS stays on one thread by itself; outside it does if OpenMP would give it but one. */
static mode begin_work(void) {
    mode old = {.control = read_control(), .threads = 0};
    write_control(flushing);
    if (!omp_in_parallel() && omp_get_max_threads() > 1) {
        old.threads = omp_get_max_threads();
        omp_set_num_threads(1);
    }
    return old;
}

static void end_work(mode old) {
    if (old.threads)
        omp_set_num_threads(old.threads);
    write_control(old.control);
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

static bool asked_to_stop(loop *work, int worker) {
    if (atomic_load_explicit(&work->cancelled, memory_order_relaxed))
        return true;
    dl_context *context = work->context;
    bool asked = atomic_load_explicit(&context->cancel, memory_order_relaxed);
    if (!asked && worker == 0 && work->outermost && context->options.cancel)
        asked = context->options.cancel(context->options.user);
    if (asked)
        atomic_store_explicit(&work->cancelled, true, memory_order_relaxed);
    return asked;
}

static void run_tiles(loop *work, int worker) {
    bool nested = in_tile;
    in_tile = true;
    for (;;) {
        int64_t tile = atomic_fetch_add_explicit(&work->next, 1, memory_order_relaxed);
        if (tile >= work->tiles || (work->polls && asked_to_stop(work, worker)))
            break;
        work->function(work->argument, tile, worker);
    }
    in_tile = nested;
}

static void run_alone(loop *work) {
    mode old = begin_work();
    run_tiles(work, 0);
    end_work(old);
}

static void run_in_region(loop *work, int threads) {
#pragma omp parallel num_threads(threads)
    {
        mode old = begin_work();
        run_tiles(work, omp_get_thread_num());
        end_work(old);
    }
}

/* ---- the team -------------------------------------------------------------------------------------------------- */

static void pause_a_little(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static bool has_work(unsigned state, unsigned done) {
    return (state & ROOM_MASK) != 0 && state >> SEQUENCE_SHIFT != done;
}

/* Waits until there is a loop to join whose sequence is not `done`, or the team is dismissed. Returns the state. */
static unsigned wait_for_loop(team *crew, unsigned done) {
    unsigned state = 0;
    for (int i = 0; i < SPINS; i++) {
        state = atomic_load_explicit(&crew->state, memory_order_acquire);
        if (has_work(state, done) || atomic_load_explicit(&crew->dismissed, memory_order_relaxed))
            return state;
        pause_a_little();
    }
    atomic_fetch_add(&crew->sleepers, 1);
    for (;;) {
        state = atomic_load(&crew->state);
        if (has_work(state, done) || atomic_load(&crew->dismissed))
            break;
        futex_wait(&crew->state, state);
    }
    atomic_fetch_sub(&crew->sleepers, 1);
    return state;
}

static void leave_loop(team *crew) {
    unsigned before = atomic_fetch_sub(&crew->state, ACTIVE_ONE);
    bool last = (before & ACTIVE_MASK) == 1 && (before & ROOM_MASK) == 0;
    if (last && atomic_load(&crew->caller_sleeps)) {
        atomic_fetch_add(&crew->left, 1);
        futex_wake(&crew->left, 1);
    }
}

/* What the region's other threads do until the team is dismissed. */
static void attend(team *crew) {
    unsigned done = 0;
    for (;;) {
        unsigned state = wait_for_loop(crew, done);
        if (atomic_load(&crew->dismissed))
            return;
        if (!atomic_compare_exchange_strong(&crew->state, &state, state - ROOM_ONE + ACTIVE_ONE))
            continue;
        done = state >> SEQUENCE_SHIFT;
        run_tiles(crew->loop, (int)((state & ROOM_MASK) >> ROOM_SHIFT));
        leave_loop(crew);
    }
}

static void wait_until_left(team *crew) {
    for (int i = 0; i < SPINS; i++) {
        if ((atomic_load_explicit(&crew->state, memory_order_acquire) & ACTIVE_MASK) == 0)
            return;
        pause_a_little();
    }
    atomic_store(&crew->caller_sleeps, true);
    for (;;) {
        unsigned left = atomic_load(&crew->left);
        if ((atomic_load(&crew->state) & ACTIVE_MASK) == 0)
            break;
        futex_wait(&crew->left, left);
    }
    atomic_store(&crew->caller_sleeps, false);
}

/* The sequence number after the state's own; 0 is left out, since workers begin with it as done. */
static unsigned next_sequence(unsigned state) {
    unsigned sequence = ((state >> SEQUENCE_SHIFT) + 1) & 0xFFF;
    return (sequence ? sequence : 1) << SEQUENCE_SHIFT;
}

static void run_in_team(team *crew, loop *work, int threads) {
    int room = DL_MIN(threads, crew->size) - 1;
    crew->loop = work;
    atomic_store(&crew->state, next_sequence(atomic_load(&crew->state)) | (unsigned)room << ROOM_SHIFT);
    if (room > 0 && atomic_load(&crew->sleepers) > 0)
        futex_wake(&crew->state, room);
    run_tiles(work, 0);
    atomic_fetch_and(&crew->state, ~(unsigned)ROOM_MASK);
    wait_until_left(crew);
}

static void dismiss(team *crew) {
    atomic_store(&crew->dismissed, true);
    atomic_store(&crew->state, next_sequence(atomic_load(&crew->state)));
    if (atomic_load(&crew->sleepers) > 0)
        futex_wake(&crew->state, INT_MAX);
}

/* ---- forks ----------------------------------------------------------------------------------------------------- */

/* libgomp's threads do not follow a fork, and the child's first region would wait for them for ever. So the child of a
 * process that had regions works on one thread, unless dl_prepare_fork ended the threads before. */
static atomic_bool threads_live; /* regions ran since the last dl_prepare_fork */
static atomic_bool threads_lost; /* this is a child without them */

static void after_fork_in_child(void) {
    if (atomic_load(&threads_live))
        atomic_store(&threads_lost, true);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* How many threads a region may have now: 1 where none can be opened. */
static int region_threads(const dl_context *context, int threads) {
    threads = DL_MIN(threads, context->threads);
    threads = DL_MIN(threads, DL_MIN(omp_get_thread_limit(), DL_MAX_THREADS));
    if (threads <= 1 || in_tile || omp_in_parallel() || atomic_load_explicit(&threads_lost, memory_order_relaxed))
        return 1;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    atomic_store_explicit(&threads_live, true, memory_order_relaxed);
    return threads;
}

dl_status dl_prepare_fork(void) {
    if (omp_in_parallel() || omp_pause_resource_all(omp_pause_hard) != 0)
        return dl_fail(DL_STATE, "dl_prepare_fork: the threads are at work; call it outside of parallel regions");
    atomic_store(&threads_live, false);
    return DL_OK;
}

/* ---- what the engine calls ------------------------------------------------------------------------------------- */

static void run(loop *work, int threads) {
    threads = (int)DL_MIN((int64_t)threads, work->tiles);
    team *crew = own_team;
    if (threads > 1 && !in_tile && crew && crew->context == work->context && crew->size > 1) {
        run_in_team(crew, work, threads);
        return;
    }
    threads = region_threads(work->context, threads);
    if (threads > 1)
        run_in_region(work, threads);
    else
        run_alone(work);
}

static loop make_loop(dl_context *context, int64_t tiles, bool polls, dl_tile_function function, void *argument) {
    return (loop){.context = context,
                  .function = function,
                  .argument = argument,
                  .tiles = tiles,
                  .polls = polls,
                  .outermost = !in_tile};
}

dl_status dl_parallel(dl_context *context, int64_t tiles, int threads, dl_tile_function function, void *argument) {
    if (tiles <= 0)
        return DL_OK;
    loop work = make_loop(context, tiles, true, function, argument);
    run(&work, threads);
    if (!atomic_load(&work.cancelled))
        return DL_OK;
    if (work.outermost)
        atomic_store(&context->cancel, false);
    return dl_fail(DL_CANCELLED, "cancelled");
}

void dl_parallel_commit(dl_context *context, int64_t tiles, int threads, dl_tile_function function, void *argument) {
    if (tiles <= 0)
        return;
    loop work = make_loop(context, tiles, false, function, argument);
    run(&work, threads);
}

int dl_threads_for(const dl_context *context, double work) {
    if (in_tile)
        return 1;
    double most = work / (own_team ? team_share : region_share);
    if (!(most > 1))
        return 1;
    return most < context->threads ? (int)most : context->threads;
}

dl_status dl_with_team(dl_context *context, dl_status (*function)(void *argument), void *argument) {
    int threads = own_team ? 1 : region_threads(context, context->threads);
    dl_status status = DL_OK;
    if (threads == 1) {
        mode old = begin_work();
        status = function(argument);
        end_work(old);
        return status;
    }
    team crew = {.context = context};
#pragma omp parallel num_threads(threads)
    {
        mode old = begin_work();
        if (omp_get_thread_num() == 0) {
            crew.size = omp_get_num_threads();
            own_team = &crew;
            status = function(argument);
            own_team = NULL;
            dismiss(&crew);
        } else {
            attend(&crew);
        }
        end_work(old);
    }
    return status;
}
