/* kernels/isa/optimizer_source.h: the updates of one real type: R and LOOP(name) are set by both_reals.h. */

/* g scaled, then clipped; a NaN stays. */
DL_INLINE R LOOP(prepared)(R g, R gradient_scale, R clip) {
    g *= gradient_scale;
    g = g < -clip ? -clip : g;
    return g > clip ? clip : g;
}

#define BEGIN                                                                                                          \
    const update_call *call = argument;                                                                                \
    int64_t first = tile * TILE, n = DL_MIN(call->n - first, TILE);                                                    \
    const R learning_rate = (R)call->update.learning_rate;                                                             \
    const R gradient_scale = (R)call->update.gradient_scale;                                                           \
    const R clip = (R)call->update.clip_value;                                                                         \
    const R kept = (R)(1 - call->update.learning_rate * call->update.weight_decay);                                    \
    R *w = (R *)call->w + first;                                                                                       \
    const R *gradient = (const R *)call->g + first;                                                                    \
    (void)learning_rate;                                                                                               \
    (void)worker

static void LOOP(sgd_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        w[i] = w[i] * kept - learning_rate * LOOP(prepared)(gradient[i], gradient_scale, clip);
    }
}

static void LOOP(momentum_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *velocity = (R *)call->state[0] + first;
    const R momentum = (R)call->momentum;
    if (call->nesterov) {
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            R step = learning_rate * LOOP(prepared)(gradient[i], gradient_scale, clip);
            velocity[i] = momentum * velocity[i] - step;
            w[i] = w[i] * kept + (momentum * velocity[i] - step);
        }
        return;
    }
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R step = learning_rate * LOOP(prepared)(gradient[i], gradient_scale, clip);
        velocity[i] = momentum * velocity[i] - step;
        w[i] = w[i] * kept + velocity[i];
    }
}

static void LOOP(adam_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *mean = (R *)call->state[0] + first;
    R *square = (R *)call->state[1] + first;
    R *largest = call->state[2] ? (R *)call->state[2] + first : NULL;
    const R alpha = (R)call->alpha, epsilon = (R)call->epsilon;
    const R toward_1 = (R)(1 - call->beta_1), toward_2 = (R)(1 - call->beta_2);
    if (largest) {
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
            R m = mean[i] + (g - mean[i]) * toward_1;
            R v = square[i] + (g * g - square[i]) * toward_2;
            mean[i] = m;
            square[i] = v;
            largest[i] = m_max(largest[i], v);
            w[i] = w[i] * kept - m * alpha / (m_sqrt(largest[i]) + epsilon);
        }
        return;
    }
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        R m = mean[i] + (g - mean[i]) * toward_1;
        R v = square[i] + (g * g - square[i]) * toward_2;
        mean[i] = m;
        square[i] = v;
        w[i] = w[i] * kept - m * alpha / (m_sqrt(v) + epsilon);
    }
}

static void LOOP(rmsprop_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *velocity = (R *)call->state[0] + first;
    R *average = call->state[1] ? (R *)call->state[1] + first : NULL;
    R *buffer = call->state[2] ? (R *)call->state[2] + first : NULL;
    const R rho = (R)call->rho, rest = (R)(1 - call->rho);
    const R momentum = (R)call->momentum, epsilon = (R)call->epsilon;
    for (int64_t from = 0; from < n; from += STEP_BLOCK) {
        int64_t end = DL_MIN(n, from + STEP_BLOCK);
        R step[STEP_BLOCK];
        _Pragma("omp simd") for (int64_t i = from; i < end; i++) {
            R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
            velocity[i] = rho * velocity[i] + rest * g * g;
            step[i - from] = g;
        }
        if (average) {
            _Pragma("omp simd") for (int64_t i = from; i < end; i++) {
                average[i] = rho * average[i] + rest * step[i - from];
                R spread = velocity[i] - average[i] * average[i] + epsilon;
                step[i - from] = learning_rate * step[i - from] / m_sqrt(spread);
            }
        } else {
            _Pragma("omp simd") for (int64_t i = from; i < end; i++) {
                step[i - from] = learning_rate * step[i - from] / m_sqrt(velocity[i] + epsilon);
            }
        }
        if (buffer) {
            _Pragma("omp simd") for (int64_t i = from; i < end; i++) {
                buffer[i] = momentum * buffer[i] + step[i - from];
                step[i - from] = buffer[i];
            }
        }
        _Pragma("omp simd") for (int64_t i = from; i < end; i++) {
            w[i] = w[i] * kept - step[i - from];
        }
    }
}

static void LOOP(nadam_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *mean = (R *)call->state[0] + first;
    R *square = (R *)call->state[1] + first;
    const R of_mean = (R)call->alpha, of_gradient = (R)call->gradient_part;
    const R of_square = (R)call->square_part, epsilon = (R)call->epsilon;
    const R toward_1 = (R)(1 - call->beta_1), toward_2 = (R)(1 - call->beta_2);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        R m = mean[i] + (g - mean[i]) * toward_1;
        R v = square[i] + (g * g - square[i]) * toward_2;
        mean[i] = m;
        square[i] = v;
        w[i] = w[i] * kept - (of_mean * m + of_gradient * g) / (m_sqrt(v * of_square) + epsilon);
    }
}

static void LOOP(adamax_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *mean = (R *)call->state[0] + first;
    R *norm = (R *)call->state[1] + first;
    const R alpha = (R)call->alpha, epsilon = (R)call->epsilon;
    const R toward_1 = (R)(1 - call->beta_1), beta_2 = (R)call->beta_2;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        R m = mean[i] + (g - mean[i]) * toward_1;
        R u = m_max(beta_2 * norm[i], g < 0 ? -g : g);
        mean[i] = m;
        norm[i] = u;
        w[i] = w[i] * kept - alpha * m / (u + epsilon);
    }
}

static void LOOP(adagrad_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *sum = (R *)call->state[0] + first;
    const R epsilon = (R)call->epsilon;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        sum[i] += g * g;
        w[i] = w[i] * kept - learning_rate * g / m_sqrt(sum[i] + epsilon);
    }
}

static void LOOP(adadelta_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *square = (R *)call->state[0] + first;
    R *delta = (R *)call->state[1] + first;
    const R rho = (R)call->rho, rest = (R)(1 - call->rho), epsilon = (R)call->epsilon;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        square[i] = rho * square[i] + rest * g * g;
        R step = g * m_sqrt(delta[i] + epsilon) / m_sqrt(square[i] + epsilon);
        delta[i] = rho * delta[i] + rest * step * step;
        w[i] = w[i] * kept - learning_rate * step;
    }
}

static void LOOP(lion_tile)(void *argument, int64_t tile, int worker) {
    BEGIN;
    R *mean = (R *)call->state[0] + first;
    const R beta_1 = (R)call->beta_1, rest_1 = (R)(1 - call->beta_1);
    const R beta_2 = (R)call->beta_2, rest_2 = (R)(1 - call->beta_2);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        R g = LOOP(prepared)(gradient[i], gradient_scale, clip);
        R direction = beta_1 * mean[i] + rest_1 * g;
        R sign = direction > 0 ? (R)1 : direction < 0 ? (R)-1 : direction; /* a NaN stays */
        mean[i] = beta_2 * mean[i] + rest_2 * g;
        w[i] = w[i] * kept - learning_rate * sign;
    }
}

#define FTRL(name, POWER)                                                                                              \
    static void LOOP(name)(void *argument, int64_t tile, int worker) {                                                 \
        BEGIN;                                                                                                         \
        R *sum = (R *)call->state[0] + first;                                                                          \
        R *linear = (R *)call->state[1] + first;                                                                       \
        const R shrinkage = (R)(2 * call->ftrl.shrinkage), l1 = (R)call->ftrl.l1, l2 = (R)(2 * call->ftrl.l2);         \
        const R power = (R)call->ftrl.power;                                                                           \
        (void)power;                                                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            R g = LOOP(prepared)(gradient[i], gradient_scale, clip), x = w[i] * kept;                                  \
            R before = POWER(sum[i]);                                                                                  \
            sum[i] += g * g;                                                                                           \
            R after = POWER(sum[i]);                                                                                   \
            R z = linear[i] + (g + shrinkage * x - (after - before) / learning_rate * x);                              \
            linear[i] = z;                                                                                             \
            R clipped = z < -l1 ? -l1 : z > l1 ? l1 : z;                                                               \
            w[i] = (clipped - z) / (after / learning_rate + l2);                                                       \
        }                                                                                                              \
    }
#define GENERAL_POWER(x) m_pow(x, power)
FTRL(ftrl_root_tile, m_sqrt)
FTRL(ftrl_tile, GENERAL_POWER)
#undef GENERAL_POWER
#undef FTRL

static void LOOP(moving_average_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const update_call *call = argument;
    int64_t first = tile * TILE, n = DL_MIN(call->n - first, TILE);
    R *average = (R *)call->w + first;
    const R *x = (const R *)call->g + first;
    const R momentum = (R)call->momentum, rest = (R)(1 - call->momentum);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        average[i] = momentum * average[i] + rest * x[i];
    }
}

static void LOOP(axpy_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const update_call *call = argument;
    int64_t first = tile * TILE, n = DL_MIN(call->n - first, TILE);
    R *y = (R *)call->w + first;
    const R *x = (const R *)call->g + first;
    const R alpha = (R)call->alpha;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

static void LOOP(scale_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const update_call *call = argument;
    int64_t first = tile * TILE, n = DL_MIN(call->n - first, TILE);
    R *x = (R *)call->w + first;
    const R alpha = (R)call->alpha;
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        x[i] *= alpha;
    }
}

#undef BEGIN
