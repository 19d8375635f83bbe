/* Status and messages, contexts, and the count of processors. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"

static void test_status_names(void) {
    CHECK_STR(dl_status_name(DL_OK), "DL_OK");
    CHECK_STR(dl_status_name(DL_UNSUPPORTED), "DL_UNSUPPORTED");
    CHECK_STR(dl_status_meaning(DL_SHAPE), "shapes do not fit");
    CHECK(dl_status_name((dl_status)999) != NULL);
    CHECK(dl_status_meaning((dl_status)-1) != NULL);
}

static void *fail_elsewhere(void *argument) {
    CHECK_STR(dl_last_error(), "");
    dl_fail(DL_IO, "elsewhere");
    return argument;
}

static void test_messages(void) {
    CHECK_EQ_INT(dl_fail(DL_SHAPE, "%d and %s", 3, "four"), DL_SHAPE);
    CHECK_STR(dl_last_error(), "3 and four");
    CHECK_EQ_INT(dl_fail_prefix("layer %d", 7), DL_SHAPE);
    CHECK_STR(dl_last_error(), "layer 7: 3 and four");
    dl_fail(DL_DTYPE, "again: %s", dl_last_error());
    CHECK_STR(dl_last_error(), "again: layer 7: 3 and four");
    pthread_t thread;
    pthread_create(&thread, NULL, fail_elsewhere, NULL);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(dl_last_status(), DL_DTYPE);
    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    dl_fail(DL_IO, "%s", longer);
    CHECK_EQ_INT(strlen(dl_last_error()), 2047);
    dl_fail_prefix("front");
    CHECK_EQ_INT(strlen(dl_last_error()), 2047);
    CHECK_EQ_INT(strncmp(dl_last_error(), "front: xxx", 10), 0);
    dl_clear_error();
    CHECK_STR(dl_last_error(), "");
    CHECK_EQ_INT(dl_last_status(), DL_OK);
}

typedef struct heard {
    bool cancel;
    int polls;
    char message[200];
} heard;

static void hear(void *user, dl_log_level level, const char *message) {
    heard *self = user;
    snprintf(self->message, sizeof self->message, "%d %s", level, message);
}

static bool want_cancel(void *user) {
    heard *self = user;
    self->polls++;
    return self->cancel;
}

static void test_options(void) {
    heard self = {0};
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.log = hear;
    options.cancel = want_cancel;
    options.user = &self;
    options.seed = 42;
    options.threads = 3;
    dl_context *context;
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    CHECK_EQ_INT(dl_seed(context), 42);
    CHECK_EQ_INT(dl_threads(context), 3);
    dl_log(context, DL_LOG_WARNING, "a %s", "word");
    CHECK_STR(self.message, "1 a word");
    CHECK_EQ_INT(dl_poll(context), DL_OK);
    self.cancel = true;
    CHECK_EQ_INT(dl_poll(context), DL_CANCELLED);
    self.cancel = false;
    dl_cancel(context);
    CHECK_EQ_INT(dl_poll(context), DL_CANCELLED);
    CHECK_EQ_INT(dl_poll(context), DL_OK);
    CHECK(self.polls > 0);
    CHECK(dl_grad_enabled(context));
    CHECK(dl_set_grad_enabled(context, false));
    CHECK(!dl_grad_enabled(context));
    CHECK(!dl_set_detect_anomaly(context, true));
    CHECK(dl_detect_anomaly(context));
    dl_context_release(context);
    options.struct_size = 0;
    CHECK_EQ_INT(dl_context_create(&options, &context), DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "dl_context_options_init");
}

static void test_threads_setting(void) {
    dl_context *context;
    setenv("DLUA_NUM_THREADS", "5", 1);
    REQUIRE(dl_context_create(NULL, &context) == DL_OK);
    CHECK_EQ_INT(dl_threads(context), 5);
    CHECK_EQ_INT(dl_set_threads(context, 2), DL_OK);
    CHECK_EQ_INT(dl_threads(context), 2);
    CHECK_EQ_INT(dl_set_threads(context, 0), DL_OK);
    CHECK_EQ_INT(dl_threads(context), 5);
    CHECK_EQ_INT(dl_set_threads(context, -1), DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "argument 'threads' must be a whole number in [0, 1000] (got -1)");
    dl_context_release(context);

    heard self = {0};
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.log = hear;
    options.user = &self;
    setenv("DLUA_NUM_THREADS", "many", 1);
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    CHECK_STR(self.message, "1 DLUA_NUM_THREADS must be a whole number in [1, 1000] (got 'many'); it is ignored");
    CHECK_EQ_INT(dl_threads(context), dl_processor_count());
    dl_context_release(context);
    unsetenv("DLUA_NUM_THREADS");
    CHECK_EQ_INT(dl_parse_threads("12"), 12);
    CHECK_EQ_INT(dl_parse_threads("0"), 0);
    CHECK_EQ_INT(dl_parse_threads("2x"), 0);
    CHECK_EQ_INT(dl_parse_threads(""), 0);
    CHECK_EQ_INT(dl_parse_threads("99999999999999999999"), 0);
}

static void test_isa_setting(void) {
    dl_context *context;
    heard self = {0};
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.log = hear;
    options.user = &self;
    options.threads = 1;
    const char *before = getenv("DLUA_ISA");
    char kept[64];
    snprintf(kept, sizeof kept, "%s", before ? before : "");
    setenv("DLUA_ISA", "baseline", 1);
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    CHECK_STR(self.message, "");
    dl_context_release(context);
    setenv("DLUA_ISA", "axv2", 1);
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    CHECK_CONTAINS(self.message, "1 DLUA_ISA must be baseline, avx2 or avx512");
    CHECK_CONTAINS(self.message, "(got 'axv2'); it is ignored");
    dl_context_release(context);
    if (before)
        setenv("DLUA_ISA", kept, 1);
    else
        unsetenv("DLUA_ISA");
}

static int freed_slots;
static void free_slot(void *value) {
    freed_slots += value == &freed_slots;
}

static void test_slots_and_count(void) {
    dl_context *context;
    REQUIRE(dl_context_create(NULL, &context) == DL_OK);
    *dl_context_slot(context, DL_SLOT_CUSTOM, free_slot) = &freed_slots;
    CHECK(*dl_context_slot(context, DL_SLOT_CUSTOM, free_slot) == &freed_slots);
    dl_context_retain(context);
    dl_context_release(context);
    CHECK_EQ_INT(freed_slots, 0);
    dl_context_release(context);
    CHECK_EQ_INT(freed_slots, 1);
    dl_context_release(NULL);
}

/* ---- processors ------------------------------------------------------------------------------------------------ */

static void test_affinity(void) {
    cpu_set_t before, one;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK_EQ_INT(dl_affinity_count(), CPU_COUNT(&before));
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
        CHECK_EQ_INT(dl_affinity_count(), 1);
        CHECK_EQ_INT(dl_processor_count(), 1);
        sched_setaffinity(0, sizeof before, &before);
    }
}

static char root[] = "/tmp/dlua_test_cgroup_XXXXXX";

/* Writes ROOT/PATH, making its folders. */
static void put(const char *path, const char *text) {
    char full[500];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *at = full + strlen(root) + 1; *at; at++) {
        if (*at == '/') {
            *at = '\0';
            mkdir(full, 0700);
            *at = '/';
        }
    }
    FILE *file = fopen(full, "w");
    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
}

static int quota(const char *cgroup_file, const char *mount) {
    char file[500], folder[500];
    snprintf(file, sizeof file, "%s/%s", root, cgroup_file);
    snprintf(folder, sizeof folder, "%s/%s", root, mount);
    return dl_cgroup_count(file, folder);
}

static void test_cgroups(void) {
    REQUIRE(mkdtemp(root) != NULL);
    put("two", "0::/a/b\n");
    put("v2/cpu.stat", "usage_usec 1\n");
    CHECK_EQ_INT(quota("two", "v2"), 0);
    put("v2/a/b/cpu.max", "max 100000\n");
    CHECK_EQ_INT(quota("two", "v2"), 0);
    put("v2/a/cpu.max", "250000 100000\n");
    CHECK_EQ_INT(quota("two", "v2"), 3);
    put("v2/a/b/cpu.max", "50000 100000\n");
    CHECK_EQ_INT(quota("two", "v2"), 1);
    put("top", "0::/\n");
    put("v2/cpu.max", "400000 100000\n");
    CHECK_EQ_INT(quota("top", "v2"), 4);
    put("gone", "0::/not/there\n");
    CHECK_EQ_INT(quota("gone", "v2"), 4);
    put("one", "11:memory:/m\n4:cpu,cpuacct:/x/y\n0::/\n");
    put("v1/cpu,cpuacct/x/y/cpu.cfs_quota_us", "-1\n");
    put("v1/cpu,cpuacct/x/y/cpu.cfs_period_us", "100000\n");
    CHECK_EQ_INT(quota("one", "v1"), 0);
    put("v1/cpu,cpuacct/x/y/cpu.cfs_quota_us", "150000\n");
    CHECK_EQ_INT(quota("one", "v1"), 2);
    CHECK_EQ_INT(quota("no such file", "v1"), 0);
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_EQ_INT(system(command), 0);
    CHECK(dl_processor_count() >= 1);
}

CHECK_MAIN(CHECK_TEST(test_status_names), CHECK_TEST(test_messages), CHECK_TEST(test_options),
           CHECK_TEST(test_threads_setting), CHECK_TEST(test_isa_setting), CHECK_TEST(test_slots_and_count),
           CHECK_TEST(test_affinity), CHECK_TEST(test_cgroups))
