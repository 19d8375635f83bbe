/* base/parallel.c: the one place of the library that works in several threads.
 *
 * A loop is a number of fixed tiles; threads take the next tile from an atomic counter until there is none. A context
 * has a team: its own threads, made at the first loop that wants them and ended with the context. Between loops they
 * wait by a bounded spin and then a futex, so a busy neighbour costs a loop no more than the help of a thread that is
 * late, and an idle context costs nothing.
 *
 * The team's state is one word:      sequence (12) | room (10) | active (10)
 *   room:    how many more workers the open loop takes; the one that joins takes the number `room`; 0: closed
 *   active:  workers that have joined and not left
 * Always true: the loop's description changes only while room and active are both 0; one loop at a time is open.
 *
 * In every thread that works here denormals are flushed to zero; in the caller's for the time of the work and no
 * longer. */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
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

/* What a thread must have to do, in nanoseconds, for its share to pay for the hand-over: within a step, where the
 * team's threads still spin, and elsewhere, where they must be woken. */
static const double step_share = 4e3;
static const double lone_share = 2e4;

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

typedef struct dl_team team;
struct dl_team {
    int size;         /* the caller and the workers */
    int wanted;       /* the size that was asked for */
    unsigned process; /* the fork count when it was made: in a child the threads are gone */
    loop *loop;
    atomic_bool dismissed;
    _Alignas(64) atomic_uint state;
    atomic_int sleepers;           /* workers that sleep on state, or are about to */
    _Alignas(64) atomic_uint left; /* the caller sleeps on it; changed when the last worker has left */
    atomic_bool caller_sleeps;
    pthread_t threads[];
};

static _Thread_local bool in_tile;
static _Thread_local bool in_step; /* inside dl_run_step */

/* ---- the mode of a working thread ------------------------------------------------------------------------------ */

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
    uint64_t old = read_control();
    write_control(flushing);
    run_tiles(work, 0);
    write_control(old);
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

/* What a worker does until the team is dismissed. */
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
    uint64_t old = read_control();
    write_control(flushing);
    crew->loop = work;
    atomic_store(&crew->state, next_sequence(atomic_load(&crew->state)) | (unsigned)room << ROOM_SHIFT);
    if (atomic_load(&crew->sleepers) > 0)
        futex_wake(&crew->state, room);
    run_tiles(work, 0);
    atomic_fetch_and(&crew->state, ~(unsigned)ROOM_MASK);
    wait_until_left(crew);
    write_control(old);
}

static void *worker_main(void *crew) {
    write_control(flushing);
    attend(crew);
    return NULL;
}

/* ---- the life of a team ---------------------------------------------------------------------------------------- */

static atomic_uint forks; /* how many forks lie between the first process and this one */

static void after_fork_in_child(void) {
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* Makes the team's workers; as many as the system gives. They take no signals: those are the host's. */
static void start_workers(team *crew) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    crew->size = 1;
    while (crew->size < crew->wanted && pthread_create(&crew->threads[crew->size - 1], NULL, worker_main, crew) == 0)
        crew->size++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void dl_team_end(dl_context *context) {
    team *crew = context->team;
    context->team = NULL;
    if (!crew)
        return;
    if (crew->process == atomic_load(&forks)) {
        atomic_store(&crew->dismissed, true);
        atomic_store(&crew->state, ROOM_MASK); /* no loop has this state, so a worker about to sleep sees it */
        futex_wake(&crew->state, INT_MAX);
        for (int i = 0; i + 1 < crew->size; i++)
            pthread_join(crew->threads[i], NULL);
    }
    free(crew);
}

/* The context's team, made anew after a fork or a change of the number of threads; NULL without memory. Its memory is
 * the system's, as the threads' stacks are. */
static team *team_of(dl_context *context) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    int wanted = DL_MIN(context->threads, DL_MAX_THREADS);
    team *crew = context->team;
    if (crew && crew->process == atomic_load(&forks) && crew->wanted == wanted)
        return crew;
    dl_team_end(context);
    size_t bytes = sizeof *crew + (size_t)wanted * sizeof(pthread_t);
    crew = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!crew)
        return NULL;
    *crew = (team){.wanted = wanted, .process = atomic_load(&forks)};
    start_workers(crew);
    context->team = crew;
    return crew;
}

/* ---- what the engine calls ------------------------------------------------------------------------------------- */

static void run(loop *work, int threads) {
    threads = (int)DL_MIN((int64_t)DL_MIN(threads, work->context->threads), work->tiles);
    team *crew = threads > 1 && !in_tile ? team_of(work->context) : NULL;
    if (crew && crew->size > 1)
        run_in_team(crew, work, threads);
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
    double most = work / (in_step ? step_share : lone_share);
    if (!(most > 1))
        return 1;
    return most < context->threads ? (int)most : context->threads;
}

dl_status dl_run_step(dl_status (*function)(void *argument), void *argument) {
    bool nested = in_step;
    uint64_t old = read_control();
    write_control(flushing);
    in_step = true;
    dl_status status = function(argument);
    in_step = nested;
    write_control(old);
    return status;
}
