/* kernels/isa/gemm_source.h: matrix products by plain loops, for the element type of gemm_real.h. */
#include "kernels/isa/gemm_real.h"

dl_status KERNEL(gemm)(dl_context *context, real *c, const real *a, const real *b, const real *bias,
                       const dl_gemm_sizes *s, real beta, bool relu) {
    (void)context;
    for (int64_t n = 0; n < s->batch; n++) {
        bool first = n == 0 || s->c_batch, last = n == s->batch - 1 || s->c_batch;
        for (int64_t i = 0; i < s->M; i++) {
            for (int64_t j = 0; j < s->N; j++) {
                real *out = c + n * s->c_batch + i * s->c_row + j, sum = 0;
                for (int64_t k = 0; k < s->K; k++)
                    sum += a[n * s->a_batch + i * s->a_row + k * s->a_column] *
                           b[n * s->b_batch + k * s->b_row + j * s->b_column];
                real old = !first ? *out : beta == 0 ? 0 : beta * *out;
                sum += old + (bias && last ? bias[j] : 0);
                *out = relu && last && sum < 0 ? 0 : sum;
            }
        }
    }
    return DL_OK;
}
