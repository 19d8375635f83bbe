/* kernels/isa/loss_source.h: cross-entropy of rows for one real type: R and LOOP(name) are set by both_reals.h. A row
 * is worked on in blocks of SUM_BLOCK classes. */

/* The targets of `count` classes from `from` on; in the buffer unless they can be read where they are. */
static const R *LOOP(target_block)(const loss_call *call, int64_t row, int64_t from, int64_t count, R *buffer) {
    R spread = (R)(call->smoothing / (double)call->classes);
    R rest = (R)(1 - call->smoothing);
    if (call->targets) {
        const R *targets = (const R *)call->targets + row * call->classes + from;
        if (call->smoothing == 0)
            return targets;
        for (int64_t i = 0; i < count; i++)
            buffer[i] = targets[i] * rest + spread;
        return buffer;
    }
    for (int64_t i = 0; i < count; i++)
        buffer[i] = spread;
    int64_t label = dl_index_at(call->label_element, call->labels, row) - 1;
    if (label >= from && label < from + count)
        buffer[label - from] += rest;
    return buffer;
}

/* The maximum of a row and the sum of e^(x - maximum). */
static double LOOP(exp_sum)(int64_t n, const R *x, R *maximum) {
    if (n <= m_row_lanes)
        return m_short_exp_sum(n, x, maximum);
    R buffer[SUM_BLOCK];
    double sum = 0;
    *maximum = m_row_max(n, x);
    for (int64_t from = 0; from < n; from += SUM_BLOCK) {
        int64_t count = DL_MIN(n - from, SUM_BLOCK);
        m_row_exp(count, buffer, x + from, *maximum);
        sum += m_row_sum(count, buffer);
    }
    return sum;
}

/* v = log p of the classes of a block: (x - shift) - log_sum, or log(clip(x / sum)) */
static void LOOP(log_probabilities)(const loss_call *call, int64_t count, R *v, const R *x, R shift, R log_sum,
                                    R factor) {
    if (call->scores == DL_SCORES_LOGITS) {
        for (int64_t i = 0; i < count; i++)
            v[i] = (x[i] - shift) - log_sum;
        return;
    }
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {
        v[i] = m_log(m_clip_probability(x[i] * factor));
    }
}

/* -sum of t v; a target of 0 takes no part, even where v is infinite. */
static double LOOP(weighted_loss)(const loss_call *call, int64_t row, const R *x, R shift, R log_sum, R factor) {
    R v[SUM_BLOCK], buffer[SUM_BLOCK];
    double loss = 0;
    for (int64_t from = 0; from < call->classes; from += SUM_BLOCK) {
        int64_t count = DL_MIN(call->classes - from, SUM_BLOCK);
        LOOP(log_probabilities)(call, count, v, x + from, shift, log_sum, factor);
        const R *t = LOOP(target_block)(call, row, from, count, buffer);
        for (int64_t i = 0; i < count; i++)
            v[i] = t[i] == 0 ? (R)0 : t[i] * v[i];
        loss -= m_row_sum(count, v);
    }
    return loss;
}

/* One row's loss from what its scores are divided by. */
static R LOOP(loss_of_row)(const loss_call *call, int64_t row, R shift, R log_sum, R normalizer) {
    const R *x = (const R *)call->x + row * call->classes;
    R factor = 1 / normalizer;
    if (call->smoothing != 0 || !call->labels)
        return (R)LOOP(weighted_loss)(call, row, x, shift, log_sum, factor);
    R v;
    int64_t label = dl_index_at(call->label_element, call->labels, row);
    LOOP(log_probabilities)(call, 1, &v, x + label - 1, shift, log_sum, factor);
    return -v;
}

/* Rows first .. end - 1, at most LOSS_ROWS, with the logarithms of all of them in one loop. */
static void LOOP(loss_rows)(const loss_call *call, int64_t first, int64_t end) {
    R shift[LOSS_ROWS] = {0}, log_sum[LOSS_ROWS] = {0}, normalizer[LOSS_ROWS];
    double sum[LOSS_ROWS];
    int64_t rows = end - first;
    const R *x = (const R *)call->x + first * call->classes;
    for (int64_t i = 0; i < rows; i++, x += call->classes) {
        normalizer[i] = call->scores == DL_SCORES_UNNORMALIZED ? (R)m_row_sum(call->classes, x) : 1;
        if (call->scores == DL_SCORES_LOGITS)
            sum[i] = LOOP(exp_sum)(call->classes, x, &shift[i]);
    }
    if (call->scores == DL_SCORES_LOGITS) {
        _Pragma("omp simd") for (int64_t i = 0; i < rows; i++) {
            log_sum[i] = (R)dl_log_f64(sum[i]);
            normalizer[i] = shift[i] + log_sum[i];
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        bool ignored = is_ignored(call, first + i);
        ((R *)call->out)[first + i] =
            ignored ? (R)0 : LOOP(loss_of_row)(call, first + i, shift[i], log_sum[i], normalizer[i]);
        if (call->normalizers_out)
            ((R *)call->normalizers_out)[first + i] = ignored ? (R)1 : normalizer[i];
    }
}

/* The sum of a row's targets. */
static R LOOP(target_sum)(const loss_call *call, int64_t row) {
    if (call->labels)
        return 1;
    double sum = m_row_sum(call->classes, (const R *)call->targets + row * call->classes);
    return (R)(sum * (1 - call->smoothing) + call->smoothing);
}

/* dx = g (e^(x - normalizer) - onehot) */
static void LOOP(label_gradient_row)(const loss_call *call, int64_t row, R g, R normalizer) {
    const R *x = (const R *)call->x + row * call->classes;
    R *dx = (R *)call->out + row * call->classes;
    m_row_exp(call->classes, dx, x, normalizer);
    for (int64_t i = 0; i < call->classes; i++)
        dx[i] *= g;
    dx[dl_index_at(call->label_element, call->labels, row) - 1] -= g;
}

/* dx = g (e^(x - normalizer) sum t - t) */
static void LOOP(logits_gradient_row)(const loss_call *call, int64_t row, R g, R normalizer) {
    R buffer[SUM_BLOCK];
    R sum = LOOP(target_sum)(call, row);
    for (int64_t from = 0; from < call->classes; from += SUM_BLOCK) {
        int64_t count = DL_MIN(call->classes - from, SUM_BLOCK);
        const R *x = (const R *)call->x + row * call->classes + from;
        R *dx = (R *)call->out + row * call->classes + from;
        const R *t = LOOP(target_block)(call, row, from, count, buffer);
        m_row_exp(count, dx, x, normalizer);
        for (int64_t i = 0; i < count; i++)
            dx[i] = g * (dx[i] * sum - t[i]);
    }
}

/* With q = x / normalizer: d = -t / q where the clip lets it pass; dx = g (d - sum d q) / normalizer, without the sum
 * for plain probabilities. */
static void LOOP(probabilities_gradient_row)(const loss_call *call, int64_t row, R g, R normalizer) {
    R buffer[SUM_BLOCK];
    R factor = 1 / normalizer;
    double sum = 0;
    const R *x = (const R *)call->x + row * call->classes;
    R *dx = (R *)call->out + row * call->classes;
    for (int64_t from = 0; from < call->classes; from += SUM_BLOCK) {
        int64_t count = DL_MIN(call->classes - from, SUM_BLOCK);
        const R *t = LOOP(target_block)(call, row, from, count, buffer);
        for (int64_t i = 0; i < count; i++) {
            R q = x[from + i] * factor;
            bool passes = t[i] != 0 && m_clip_probability(q) == q;
            dx[from + i] = passes ? -t[i] / q : (R)0;
            sum += passes ? (double)-t[i] : 0;
        }
    }
    R taken = call->scores == DL_SCORES_UNNORMALIZED ? (R)sum : (R)0;
    for (int64_t i = 0; i < call->classes; i++)
        dx[i] = g * factor * (dx[i] - taken);
}

static void LOOP(gradient_row)(const loss_call *call, int64_t row) {
    R g = ((const R *)call->g)[row * call->g_step];
    R normalizer = call->normalizers ? ((const R *)call->normalizers)[row] : (R)1;
    if (call->scores == DL_SCORES_LOGITS && call->labels && call->smoothing == 0)
        LOOP(label_gradient_row)(call, row, g, normalizer);
    else if (call->scores == DL_SCORES_LOGITS)
        LOOP(logits_gradient_row)(call, row, g, normalizer);
    else
        LOOP(probabilities_gradient_row)(call, row, g, call->scores == DL_SCORES_UNNORMALIZED ? normalizer : (R)1);
}

/* The gradient of rows first .. end - 1; an ignored row has none. */
static void LOOP(gradient_rows)(const loss_call *call, int64_t first, int64_t end) {
    for (int64_t row = first; row < end; row++) {
        if (is_ignored(call, row))
            memset((R *)call->out + row * call->classes, 0, (size_t)call->classes * sizeof(R));
        else
            LOOP(gradient_row)(call, row);
    }
}
