/* kernels/isa/random_source.h: random numbers of one real type from blocks of words: R, PER_BLOCK (elements that one
 * position gives), UNIT(words, i, e) (a number in [0, 1) from what the i-th position has for element e), LEAST (its
 * step) and LOOP(name) are set by the including file. Element e of position i is values[e][i]. */

static void LOOP(uniform)(const random_call *call, R (*values)[POSITIONS], uint32_t (*words)[POSITIONS]) {
    R low = (R)call->a, high = (R)call->b;
    R last = high > low ? DL_LIBM_(nextafter)(high, low) : low;
    for (int e = 0; e < PER_BLOCK; e++) {
        _Pragma("omp simd") for (int i = 0; i < POSITIONS; i++) {
            R y = low + (high - low) * UNIT(words, i, e);
            values[e][i] = y > last ? last : y;
        }
    }
}

/* Two elements from a radius and an angle (Box and Muller 1958). */
static void LOOP(normal)(const random_call *call, R (*values)[POSITIONS], uint32_t (*words)[POSITIONS]) {
    R mean = (R)call->a, deviation = (R)call->b;
    for (int e = 0; e < PER_BLOCK; e += 2) {
        _Pragma("omp simd") for (int i = 0; i < POSITIONS; i++) {
            R radius = deviation * m_sqrt(-2 * m_log(UNIT(words, i, e) + (R)LEAST));
            R turns = UNIT(words, i, e + 1);
            values[e][i] = mean + radius * m_cos_turns(turns);
            values[e + 1][i] = mean + radius * m_sin_turns(turns);
        }
    }
}

/* Within two standard deviations, by the inverse of the distribution function. */
static void LOOP(truncated_normal)(const random_call *call, R (*values)[POSITIONS], uint32_t (*words)[POSITIONS]) {
    const double below = 0.022750131948179207200; /* Phi(-2) */
    for (int e = 0; e < 2; e++)
        for (int i = 0; i < POSITIONS; i++) {
            double u = below + (1 - 2 * below) * wide_unit(words, i, e);
            values[e][i] = (R)(call->a + call->b * normal_quantile(u));
        }
}

static void LOOP(real_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const random_call *call = argument;
    int per_block = dl_random_per_block(call->distribution, call->element);
    int64_t end = DL_MIN(call->positions, (tile + 1) * TILE_POSITIONS);
    for (int64_t p = tile * TILE_POSITIONS; p < end; p += POSITIONS) {
        uint32_t words[4][POSITIONS];
        R values[PER_BLOCK][POSITIONS], flat[PER_BLOCK * POSITIONS];
        draw(call, p, words);
        if (call->distribution == DL_RANDOM_UNIFORM)
            LOOP(uniform)(call, values, words);
        else if (call->distribution == DL_RANDOM_NORMAL)
            LOOP(normal)(call, values, words);
        else
            LOOP(truncated_normal)(call, values, words);
        for (int i = 0; i < POSITIONS; i++)
            for (int e = 0; e < per_block; e++)
                flat[i * per_block + e] = values[e][i];
        int64_t n = DL_MIN(call->n - p * per_block, POSITIONS * per_block);
        memcpy((R *)call->out + p * per_block, flat, (size_t)n * sizeof(R));
    }
}

static void LOOP(dropout_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const random_call *call = argument;
    const R factor = (R)call->b;
    int64_t end = DL_MIN(call->positions, (tile + 1) * TILE_POSITIONS);
    for (int64_t p = tile * TILE_POSITIONS; p < end; p += POSITIONS) {
        uint32_t words[4][POSITIONS];
        R factors[4 * POSITIONS];
        draw(call, p, words);
        for (int i = 0; i < POSITIONS; i++)
            for (int w = 0; w < 4; w++)
                factors[4 * i + w] = words[w][i] < call->threshold ? (R)0 : factor;
        const R *x = (const R *)call->x + 4 * p;
        R *y = (R *)call->out + 4 * p;
        int64_t n = DL_MIN(call->n - 4 * p, 4 * POSITIONS);
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            R scaled = x[i] * factors[i];
            y[i] = factors[i] == 0 ? (R)0 : scaled;
        }
    }
}
