/* nn/optimizer.c: what all optimizers have in common: the state kept for each variable, learning rate, clipping, and an
 * update in two phases: dl_optimizer_prepare may fail and changes nothing that counts, dl_optimizer_commit cannot fail.
 *
 * Always true: an entry's slots are contiguous tensors of the variable's shape and dtype; an entry once made stays. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "nn/families.h"

static const dl_optimizer_def *definition_of(const dl_optimizer *optimizer) {
    return (const dl_optimizer_def *)optimizer->object.definition;
}

static const dl_optimizer_options *options_of(const dl_optimizer *optimizer) {
    return (const dl_optimizer_options *)optimizer->object.options;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static dl_status check_clipping(const dl_optimizer *optimizer) {
    const dl_optimizer_options *options = options_of(optimizer);
    int given = !isnan(options->clipnorm) + !isnan(options->clipvalue) + !isnan(options->global_clipnorm);
    if (given > 1)
        return dl_fail(DL_INVALID, "%s: only one of clipnorm, clipvalue and global_clipnorm can be set, got %d",
                       optimizer->object.definition->name, given);
    return DL_OK;
}

dl_status dl_optimizer_init(dl_object *object) {
    dl_optimizer *optimizer = (dl_optimizer *)object;
    dl_optimizer_options *options = object->options;
    if (!options->name) {
        options->name = dl_unique_name(object->context, object->definition->name);
        if (!options->name)
            return dl_last_status();
    }
    optimizer->learning_rate = options->learning_rate.which == 0 ? options->learning_rate.as.real : 0;
    return check_clipping(optimizer);
}

static void clear_entry(dl_slots *entry) {
    for (int i = 0; i < DL_COUNT(entry->tensors); i++)
        dl_release(entry->tensors[i]);
    dl_release(entry->variable);
}

void dl_optimizer_finalize(dl_object *object) {
    dl_optimizer *optimizer = (dl_optimizer *)object;
    for (int64_t i = 0; i < optimizer->count; i++)
        clear_entry(&optimizer->entries[i]);
    dl_free(optimizer->entries);
    dl_free(optimizer->places);
}

/* ---- learning rate and iterations -------------------------------------------------------------------------------- */

static double rate_at(const dl_optimizer *optimizer, int64_t iteration) {
    const dl_alternative *rate = &options_of(optimizer)->learning_rate;
    if (rate->which == 0)
        return optimizer->learning_rate;
    return dl_rate_at(rate, iteration);
}

double dl_optimizer_learning_rate(const dl_optimizer *optimizer) {
    return rate_at(optimizer, optimizer->iterations);
}

dl_status dl_optimizer_set_learning_rate(dl_optimizer *optimizer, double rate) {
    const char *name = optimizer->object.definition->name;
    if (options_of(optimizer)->learning_rate.which != 0)
        return dl_fail(DL_STATE, "%s: the learning rate follows a schedule and cannot be set", name);
    if (!(rate >= 0) || isinf(rate))
        return dl_fail(DL_INVALID, "%s: learning_rate must be a number of at least 0, got %g", name, rate);
    optimizer->learning_rate = rate;
    return DL_OK;
}

int64_t dl_optimizer_iterations(const dl_optimizer *optimizer) {
    return optimizer->iterations;
}

void dl_optimizer_set_iterations(dl_optimizer *optimizer, int64_t iterations) {
    optimizer->iterations = iterations;
}

int64_t dl_optimizer_waiting(const dl_optimizer *optimizer) {
    return optimizer->waiting;
}

void dl_optimizer_set_waiting(dl_optimizer *optimizer, int64_t waiting) {
    optimizer->waiting = waiting;
}

static bool accumulates(const dl_optimizer *optimizer) {
    return options_of(optimizer)->gradient_accumulation_steps != DL_NONE;
}

/* Whether the step under way updates the variables. */
static bool is_update(const dl_optimizer *optimizer) {
    return !accumulates(optimizer) ||
           optimizer->waiting + 1 >= options_of(optimizer)->gradient_accumulation_steps;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

/* Both contiguous, of one shape and dtype. */
static void copy_values(dl_tensor *to, const dl_tensor *from) {
    size_t bytes = (size_t)dl_tensor_numel(from) * dl_dtype_size(from->dtype);
    if (bytes > 0)
        memcpy(dl_tensor_data(to), dl_tensor_data(from), bytes);
    dl_tensor_bump(to);
}

static bool needs_slot(const dl_optimizer *optimizer, int slot) {
    const dl_optimizer_def *definition = definition_of(optimizer);
    return !definition->needs_slot || definition->needs_slot(optimizer->object.options, slot);
}

static dl_status make_slot(dl_slots *entry, int slot) {
    const dl_tensor *variable = entry->variable;
    entry->tensors[slot] = dl_tensor_new(variable->context, variable->dtype, variable->dims, variable->shape);
    return entry->tensors[slot] ? DL_OK : dl_last_status();
}

/* An average begins with the variable's value: that of one which comes late has no zero in it. */
static dl_status make_slots(dl_optimizer *optimizer, dl_slots *entry, dl_tensor *variable) {
    *entry = (dl_slots){.variable = variable};
    dl_retain(variable);
    const dl_optimizer_def *definition = definition_of(optimizer);
    dl_status status = DL_OK;
    for (int i = 0; status == DL_OK && i < definition->slots; i++) {
        if (!needs_slot(optimizer, i))
            continue;
        status = make_slot(entry, i);
        double start = definition->slot_start ? definition->slot_start(optimizer->object.options, i) : 0;
        if (status == DL_OK)
            status = dl_tensor_fill(entry->tensors[i], start);
    }
    if (status == DL_OK && options_of(optimizer)->use_ema) {
        status = make_slot(entry, DL_AVERAGE_SLOT);
        if (status == DL_OK)
            copy_values(entry->tensors[DL_AVERAGE_SLOT], variable);
    }
    if (status == DL_OK && accumulates(optimizer)) {
        status = make_slot(entry, DL_ACCUMULATOR_SLOT);
        if (status == DL_OK)
            status = dl_tensor_fill(entry->tensors[DL_ACCUMULATOR_SLOT], 0);
    }
    if (status != DL_OK)
        clear_entry(entry);
    return status;
}

static dl_status add_entry(dl_optimizer *optimizer, dl_tensor *variable, int64_t *place) {
    if (!dl_dtype_is_float(variable->dtype) || !dl_tensor_is_contiguous(variable))
        return dl_fail(DL_INVALID, "%s: variables must be contiguous float tensors, got %s %s",
                       optimizer->object.definition->name, dl_dtype_name(variable->dtype),
                       dl_tensor_text(variable).at);
    DL_TRY(dl_grow(optimizer->object.context, &optimizer->entries, optimizer->count, &optimizer->capacity,
                   sizeof *optimizer->entries));
    DL_TRY(make_slots(optimizer, &optimizer->entries[optimizer->count], variable));
    *place = optimizer->count++;
    return DL_OK;
}

/* The entry of a variable, made if it is new. Steps have the variables in one order, so `guess` is right mostly. */
static dl_status find_entry(dl_optimizer *optimizer, dl_tensor *variable, int64_t guess, int64_t *place) {
    if (guess < optimizer->count && optimizer->entries[guess].variable == variable) {
        *place = guess;
        return DL_OK;
    }
    for (*place = 0; *place < optimizer->count; (*place)++)
        if (optimizer->entries[*place].variable == variable)
            return DL_OK;
    return add_entry(optimizer, variable, place);
}

/* The place of the slot-th tensor that a file has, and its name; -1 past the last. */
static int find_slot(const dl_optimizer *optimizer, int slot, const char **name) {
    const dl_optimizer_def *definition = definition_of(optimizer);
    const bool has[2] = {options_of(optimizer)->use_ema, accumulates(optimizer)};
    static const char *const names[2] = {"average", "gradient_accumulator"};
    *name = slot >= 0 && slot < definition->slots ? definition->slot_names[slot] : NULL;
    if (*name || slot < 0)
        return slot;
    slot -= definition->slots;
    for (int k = 0; k < 2; k++)
        if (has[k] && slot-- == 0) {
            *name = names[k];
            return DL_AVERAGE_SLOT + k;
        }
    return -1;
}

dl_tensor *dl_optimizer_slot(dl_optimizer *optimizer, dl_tensor *variable, int slot, const char **name) {
    int64_t place;
    int found = find_slot(optimizer, slot, name);
    if (found < 0 || find_entry(optimizer, variable, 0, &place) != DL_OK)
        return NULL;
    return optimizer->entries[place].tensors[found];
}

/* ---- clipping ---------------------------------------------------------------------------------------------------- */

static dl_status sum_squares(const dl_tensor *grad, double *sum) {
    return dl_kernel()->sum_squares(grad->context, dl_element_of(grad), sum, dl_tensor_data(grad),
                                    dl_tensor_numel(grad));
}

/* Keras's g * clipnorm / max(norm, clipnorm), for each gradient. */
static dl_status clip_each(dl_optimizer *optimizer, dl_tensor *const *grads, int64_t count) {
    double limit = options_of(optimizer)->clipnorm;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        if (!grads[i])
            continue;
        DL_TRY(sum_squares(grads[i], &sum));
        optimizer->entries[optimizer->places[i]].grad_scale = limit / fmax(sqrt(sum), limit);
    }
    return DL_OK;
}

/* One scale for all: clipnorm * min(1 / norm, 1 / clipnorm); a norm that is not finite makes all NaN, as in Keras. */
static dl_status clip_together(dl_optimizer *optimizer, dl_tensor *const *grads, int64_t count) {
    double limit = options_of(optimizer)->global_clipnorm;
    double total = 0;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        if (!grads[i])
            continue;
        DL_TRY(sum_squares(grads[i], &sum));
        total += sum;
    }
    double norm = sqrt(total);
    double scale = isfinite(norm) ? limit * fmin(1 / norm, 1 / limit) : NAN;
    for (int64_t i = 0; i < count; i++)
        if (grads[i])
            optimizer->entries[optimizer->places[i]].grad_scale = scale;
    return DL_OK;
}

/* ---- the two phases ---------------------------------------------------------------------------------------------- */

static dl_status reserve_places(dl_optimizer *optimizer, int64_t count) {
    if (count <= optimizer->places_capacity)
        return DL_OK;
    int64_t *places = dl_realloc(optimizer->object.context, optimizer->places, (size_t)count * sizeof *places);
    if (!places)
        return dl_last_status();
    optimizer->places = places;
    optimizer->places_capacity = count;
    return DL_OK;
}

static dl_status prepare_one(dl_optimizer *optimizer, dl_tensor *variable, dl_tensor **grad, int64_t i) {
    if (!dl_tensor_same_shape(variable, *grad) || variable->dtype != (*grad)->dtype)
        return dl_fail(DL_SHAPE, "%s: variable %lld is %s %s and its gradient %s %s",
                       optimizer->object.definition->name, (long long)i + 1, dl_dtype_name(variable->dtype),
                       dl_tensor_text(variable).at, dl_dtype_name((*grad)->dtype), dl_tensor_text(*grad).at);
    if (!dl_tensor_is_contiguous(*grad)) {
        dl_tensor *contiguous = dl_tensor_contiguous(*grad);
        if (!contiguous)
            return dl_last_status();
        dl_release(*grad);
        *grad = contiguous;
    }
    DL_TRY(find_entry(optimizer, variable, i, &optimizer->places[i]));
    optimizer->entries[optimizer->places[i]].grad_scale = 1;
    return DL_OK;
}

/* The gradients become the means of those that waited and these. */
static dl_status take_means(dl_optimizer *optimizer, dl_tensor **grads, int64_t count) {
    double steps = (double)options_of(optimizer)->gradient_accumulation_steps;
    for (int64_t i = 0; i < count; i++) {
        if (!grads[i])
            continue;
        const dl_tensor *sum = optimizer->entries[optimizer->places[i]].tensors[DL_ACCUMULATOR_SLOT];
        dl_tensor *mean = dl_tensor_new(sum->context, sum->dtype, sum->dims, sum->shape);
        if (!mean)
            return dl_last_status();
        copy_values(mean, grads[i]);
        dl_release(grads[i]);
        grads[i] = mean;
        dl_kernel()->axpy(sum->context, dl_element_of(sum), dl_tensor_data(mean), 1, dl_tensor_data(sum),
                          dl_tensor_numel(sum));
        dl_kernel()->scale(sum->context, dl_element_of(sum), dl_tensor_data(mean), 1 / steps, dl_tensor_numel(sum));
    }
    return DL_OK;
}

/* Adds the gradients to those that wait. */
static void accumulate(dl_optimizer *optimizer, dl_tensor *const *grads, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!grads[i])
            continue;
        dl_tensor *sum = optimizer->entries[optimizer->places[i]].tensors[DL_ACCUMULATOR_SLOT];
        dl_kernel()->axpy(sum->context, dl_element_of(sum), dl_tensor_data(sum), 1, dl_tensor_data(grads[i]),
                          dl_tensor_numel(sum));
    }
}

static void clear_accumulators(dl_optimizer *optimizer) {
    for (int64_t i = 0; i < optimizer->count; i++) {
        dl_tensor *sum = optimizer->entries[i].tensors[DL_ACCUMULATOR_SLOT];
        size_t bytes = (size_t)dl_tensor_numel(sum) * dl_dtype_size(sum->dtype);
        if (bytes > 0)
            memset(dl_tensor_data(sum), 0, bytes);
    }
}

dl_status dl_optimizer_prepare(dl_optimizer *optimizer, dl_tensor *const *variables, dl_tensor **grads,
                               int64_t count) {
    DL_TRY(reserve_places(optimizer, count));
    for (int64_t i = 0; i < count; i++)
        if (grads[i])
            DL_TRY(prepare_one(optimizer, variables[i], &grads[i], i));
        else if (options_of(optimizer)->use_ema)
            DL_TRY(find_entry(optimizer, variables[i], i, &optimizer->places[i]));
    if (!is_update(optimizer))
        return DL_OK;
    if (accumulates(optimizer))
        DL_TRY(take_means(optimizer, grads, count));
    if (!isnan(options_of(optimizer)->clipnorm))
        return clip_each(optimizer, grads, count);
    if (!isnan(options_of(optimizer)->global_clipnorm))
        return clip_together(optimizer, grads, count);
    return DL_OK;
}

/* The first step's averages are the values themselves. */
static void average_values(dl_optimizer *optimizer, dl_tensor *const *variables, int64_t count) {
    const dl_optimizer_options *options = options_of(optimizer);
    int64_t frequency = options->ema_overwrite_frequency;
    bool overwrite = frequency != DL_NONE && (optimizer->iterations + 1) % frequency == 0;
    for (int64_t i = 0; i < count; i++) {
        dl_tensor *average = optimizer->entries[optimizer->places[i]].tensors[DL_AVERAGE_SLOT];
        dl_kernel()->moving_average(optimizer->object.context, dl_element_of(average), dl_tensor_data(average),
                                    optimizer->iterations == 0 ? 0 : options->ema_momentum,
                                    dl_tensor_data(variables[i]), dl_tensor_numel(average));
        if (overwrite)
            copy_values(variables[i], average);
    }
}

static void update_variables(dl_optimizer *optimizer, dl_tensor *const *variables, dl_tensor *const *grads,
                             int64_t count) {
    const dl_optimizer_options *options = options_of(optimizer);
    dl_variable_update update = {.context = optimizer->object.context, .options = options,
                                 .learning_rate = dl_optimizer_learning_rate(optimizer),
                                 .weight_decay = isnan(options->weight_decay) ? 0 : options->weight_decay,
                                 .clip_value = isnan(options->clipvalue) ? INFINITY : options->clipvalue,
                                 .iteration = optimizer->iterations + 1};
    for (int64_t i = 0; i < count; i++) {
        if (!grads[i])
            continue;
        const dl_slots *entry = &optimizer->entries[optimizer->places[i]];
        void *slots[DL_AVERAGE_SLOT];
        for (int k = 0; k < DL_AVERAGE_SLOT; k++)
            slots[k] = entry->tensors[k] ? dl_tensor_data(entry->tensors[k]) : NULL;
        update.dtype = variables[i]->dtype;
        update.count = dl_tensor_numel(variables[i]);
        update.value = dl_tensor_data(variables[i]);
        update.grad = dl_tensor_data(grads[i]);
        update.slots = slots;
        update.grad_scale = entry->grad_scale;
        definition_of(optimizer)->update(&update);
        dl_tensor_bump(variables[i]);
    }
}

void dl_optimizer_commit(dl_optimizer *optimizer, dl_tensor *const *variables, dl_tensor *const *grads,
                         int64_t count) {
    bool updates = is_update(optimizer);
    if (updates)
        update_variables(optimizer, variables, grads, count);
    else
        accumulate(optimizer, grads, count);
    if (updates && accumulates(optimizer))
        clear_accumulators(optimizer);
    if (options_of(optimizer)->use_ema)
        average_values(optimizer, variables, count);
    optimizer->iterations += updates;
    optimizer->waiting = updates ? 0 : optimizer->waiting + 1;
}

void dl_optimizer_finalize_values(dl_optimizer *optimizer, dl_tensor *const *variables, int64_t count) {
    for (int64_t i = 0; options_of(optimizer)->use_ema && i < count; i++)
        for (int64_t k = 0; k < optimizer->count; k++)
            if (optimizer->entries[k].variable == variables[i])
                copy_values(variables[i], optimizer->entries[k].tensors[DL_AVERAGE_SLOT]);
}

/* ---- imperative use ---------------------------------------------------------------------------------------------- */

dl_status dl_optimizer_step(dl_optimizer *optimizer, dl_tensor *const *variables, int64_t count) {
    dl_tensor **grads = dl_alloc_array(optimizer->object.context, (size_t)DL_MAX(count, 1), sizeof *grads);
    if (!grads)
        return dl_last_status();
    for (int64_t i = 0; i < count; i++) {
        grads[i] = dl_grad(variables[i]);
        if (grads[i])
            dl_retain(grads[i]);
    }
    dl_status status = dl_optimizer_prepare(optimizer, variables, grads, count);
    if (status == DL_OK)
        dl_optimizer_commit(optimizer, variables, grads, count);
    for (int64_t i = 0; i < count; i++)
        dl_release(grads[i]);
    dl_free(grads);
    return status;
}

dl_status dl_zero_grad(dl_tensor *const *variables, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        DL_TRY(dl_set_grad(variables[i], NULL));
    return DL_OK;
}
