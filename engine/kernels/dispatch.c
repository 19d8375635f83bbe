/* kernels/dispatch.c: which instruction set's kernels are used. The choice is made once, at the first call, from the
 * processor and DLUA_ISA, and never changes. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

extern const dl_kernels dl_k_baseline_table;
#if defined(__x86_64__)
extern const dl_kernels dl_k_avx2_table;
extern const dl_kernels dl_k_avx512_table;
#endif

static const dl_kernels *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

const dl_kernels *dl_kernels_of(const char *isa) {
    if (!dl_processor_has(isa))
        return NULL;
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return &dl_k_avx512_table;
    if (strcmp(isa, "avx2") == 0)
        return &dl_k_avx2_table;
#endif
    return &dl_k_baseline_table;
}

/* DLUA_ISA names a set; one that is unknown or that the processor lacks falls through to the best there is, since a
 * library must not refuse to start for it. A context warns of it when it is made. */
static void choose(void) {
    const char *forced = getenv("DLUA_ISA");
    if (forced)
        chosen = dl_kernels_of(forced);
    const char *const order[] = {"avx512", "avx2", "baseline"};
    for (int i = 0; !chosen; i++)
        chosen = dl_kernels_of(order[i]);
}

const dl_kernels *dl_kernel(void) {
    pthread_once(&once, choose);
    return chosen;
}

const char *dl_isa(void) {
    return dl_kernel()->isa;
}
