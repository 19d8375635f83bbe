/* nn/trainer.c: compiling a model, and one step of training or testing.
 *
 * A step has two phases. Compute: shapes, forward, losses, metrics, gradients, everything that the update needs; it may
 * fail or be cancelled, and then what it wrote is dropped. Commit: weights, optimizer state, statistics, metrics; it
 * allocates nothing, polls nothing and cannot fail. */
#include <stdio.h>
#include <string.h>

#include "nn/trainer.h"

/* Longer names of logs are cut. */
#define LOG_NAME_ROOM 256

/* ---- compiling --------------------------------------------------------------------------------------------------- */

void dl_trainer_free(dl_trainer *trainer) {
    if (!trainer)
        return;
    for (int k = 0; trainer->losses && k < trainer->output_count; k++)
        dl_object_release(trainer->losses[k]);
    for (int i = 0; trainer->metrics && i < trainer->metric_count; i++)
        if (trainer->metrics[i])
            dl_object_release(&trainer->metrics[i]->object);
    for (int i = 0; trainer->names && i < 1 + trainer->output_count + trainer->metric_count; i++)
        dl_free(trainer->names[i]);
    dl_object_release((dl_object *)trainer->optimizer);
    dl_deferred_free(&trainer->deferred);
    dl_anomaly_free(trainer->anomaly);
    dl_free(trainer->losses);
    dl_free(trainer->loss_weights);
    dl_free(trainer->metric_counts);
    dl_free(trainer->metrics);
    dl_free(trainer->names);
    dl_free(trainer->output_loss);
    dl_free(trainer->pending_loss);
    dl_free(trainer->checked);
    dl_free(trainer->weights);
    dl_free(trainer->entries);
    dl_free(trainer->grads);
    dl_free(trainer);
}

/* Zeroed memory for count entries (at least one); *failed is set without memory. */
static void *array_of(dl_context *context, int count, size_t size, bool *failed) {
    void *array = dl_alloc_zeroed(context, (size_t)DL_MAX(count, 1) * size);
    *failed |= array == NULL;
    return array;
}

static dl_status make_arrays(dl_trainer *trainer) {
    dl_context *context = trainer->context;
    int outputs = trainer->output_count;
    bool failed = false;
    trainer->losses = array_of(context, outputs, sizeof *trainer->losses, &failed);
    trainer->loss_weights = array_of(context, outputs, sizeof *trainer->loss_weights, &failed);
    trainer->metric_counts = array_of(context, outputs, sizeof *trainer->metric_counts, &failed);
    trainer->output_loss = array_of(context, outputs, sizeof *trainer->output_loss, &failed);
    trainer->pending_loss = array_of(context, outputs, sizeof *trainer->pending_loss, &failed);
    trainer->metrics = array_of(context, trainer->metric_count, sizeof *trainer->metrics, &failed);
    trainer->names = array_of(context, 1 + outputs + trainer->metric_count, sizeof *trainer->names, &failed);
    return failed ? dl_last_status() : DL_OK;
}

static dl_status take_objects(dl_trainer *trainer, const dl_compile *compile) {
    for (int k = 0; k < trainer->output_count; k++) {
        dl_object *loss = compile->losses ? compile->losses[k] : NULL;
        if (loss && loss->family != &dl_loss_family)
            return dl_fail(DL_INVALID, "compile: loss %d is a %s", k + 1, loss->family->name);
        dl_object_retain(loss);
        trainer->losses[k] = loss;
        trainer->loss_weights[k] = compile->loss_weights ? compile->loss_weights[k] : 1;
        trainer->metric_counts[k] = compile->metric_counts ? compile->metric_counts[k] : 0;
    }
    for (int i = 0; i < trainer->metric_count; i++) {
        dl_object *metric = compile->metrics[i];
        if (!metric || metric->family != &dl_metric_family)
            return dl_fail(DL_INVALID, "compile: metric %d is a %s", i + 1, metric ? metric->family->name : "none");
        dl_object_retain(metric);
        trainer->metrics[i] = (dl_metric *)metric;
    }
    return DL_OK;
}

/* Is the name one of those before `place`? The loss of a single output is not logged. */
static bool is_logged(const dl_trainer *trainer, int place, const char *name) {
    for (int i = 0; i < place; i++)
        if ((i != 1 || trainer->output_count > 1) && strcmp(trainer->names[i], name) == 0)
            return true;
    return false;
}

/* The name of a log value; with several outputs it begins with the output's. */
static void write_log_name(const dl_trainer *trainer, const dl_model *model, int output, const char *name, char *text,
                           size_t room) {
    if (trainer->output_count > 1 && output >= 0)
        snprintf(text, room, "%s_%s", dl_model_output_name(model, output), name);
    else
        snprintf(text, room, "%s", name);
}

static dl_status name_loss(dl_trainer *trainer, const dl_model *model, int place, int output) {
    char text[LOG_NAME_ROOM];
    write_log_name(trainer, model, output, "loss", text, sizeof text);
    trainer->names[place] = dl_strdup(trainer->context, text);
    return trainer->names[place] ? DL_OK : dl_last_status();
}

/* Metrics that were given no names of their own are numbered, as Keras does: mean, mean_1, mean_2. */
static dl_status name_metric(dl_trainer *trainer, const dl_model *model, int place, int output,
                             const dl_metric *metric) {
    char text[LOG_NAME_ROOM], numbered[LOG_NAME_ROOM + 16];
    write_log_name(trainer, model, output, metric->name, text, sizeof text);
    snprintf(numbered, sizeof numbered, "%s", text);
    for (int number = 1; metric->numbered && is_logged(trainer, place, numbered); number++)
        snprintf(numbered, sizeof numbered, "%s_%d", text, number);
    if (is_logged(trainer, place, numbered))
        return dl_fail(DL_INVALID, "compile: the metric %s is named '%s', and so is another value of the logs; give it "
                       "a name of its own, %s { ..., name = '%s_1' }", metric->object.definition->name, text,
                       metric->object.definition->name, metric->name);
    trainer->names[place] = dl_strdup(trainer->context, numbered);
    return trainer->names[place] ? DL_OK : dl_last_status();
}

static dl_status name_logs(dl_trainer *trainer, const dl_model *model) {
    int place = 0, metric = 0;
    DL_TRY(name_loss(trainer, model, place++, -1));
    for (int k = 0; k < trainer->output_count; k++)
        DL_TRY(name_loss(trainer, model, place++, k));
    for (int k = 0; k < trainer->output_count; k++)
        for (int i = 0; i < trainer->metric_counts[k]; i++, metric++)
            DL_TRY(name_metric(trainer, model, place++, k, trainer->metrics[metric]));
    return DL_OK;
}

static dl_status fill_trainer(dl_trainer *trainer, const dl_model *model, const dl_compile *compile) {
    trainer->context = model->object.context;
    trainer->deferred.context = trainer->context;
    trainer->output_count = DL_MAX(dl_model_outputs(model), 1);
    for (int k = 0; compile->metric_counts && k < trainer->output_count; k++)
        trainer->metric_count += compile->metric_counts[k];
    trainer->optimizer = compile->optimizer;
    dl_object_retain((dl_object *)compile->optimizer);
    DL_TRY(make_arrays(trainer));
    DL_TRY(take_objects(trainer, compile));
    return name_logs(trainer, model);
}

dl_status dl_model_compile(dl_model *model, const dl_compile *compile) {
    if (compile->struct_size < sizeof *compile)
        return dl_fail(DL_INVALID, "compile: struct_size is %zu, must be sizeof(dl_compile), %zu",
                       compile->struct_size, sizeof *compile);
    if (!compile->optimizer || ((dl_object *)compile->optimizer)->family != &dl_optimizer_family)
        return dl_fail(DL_INVALID, "compile: an optimizer is needed");
    if (model->trainer && model->trainer->running)
        return dl_fail(DL_STATE, "compile: a step of %s is under way", model->name);
    dl_trainer *trainer = dl_alloc_zeroed(model->object.context, sizeof *trainer);
    if (!trainer)
        return dl_last_status();
    dl_status status = fill_trainer(trainer, model, compile);
    if (status != DL_OK) {
        dl_trainer_free(trainer);
        return status;
    }
    dl_trainer_free(model->trainer);
    model->trainer = trainer;
    return DL_OK;
}

dl_optimizer *dl_model_optimizer(dl_model *model) {
    return model->trainer ? model->trainer->optimizer : NULL;
}

/* ---- a step: shapes and weights ---------------------------------------------------------------------------------- */

typedef struct step {
    dl_model *model;
    dl_trainer *trainer;
    dl_tensor *const *x, *const *y, *const *sample_weights;
    int inputs;
    bool training;
    double samples;
    double loss;
} step;

static dl_status check_batch(step *s) {
    for (int i = 0; i < s->inputs; i++) {
        if (s->x[i]->dims == 0 || s->x[i]->shape[0] == 0)
            return dl_fail(DL_SHAPE, "%s: input %d of the batch has no samples, got %s", s->model->name, i + 1,
                           dl_tensor_text(s->x[i]).at);
        if (s->x[i]->shape[0] != s->x[0]->shape[0])
            return dl_fail(DL_SHAPE, "%s: all inputs must have the same number of samples, got %s and %s",
                           s->model->name, dl_tensor_text(s->x[0]).at, dl_tensor_text(s->x[i]).at);
    }
    s->samples = s->inputs > 0 ? (double)s->x[0]->shape[0] : 1;
    return DL_OK;
}

/* Builds the model and checks all shapes, unless the last step had the same. */
static dl_status check_shapes(step *s) {
    dl_trainer *trainer = s->trainer;
    dl_spec out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    bool same = trainer->checked_count == s->inputs && s->model->built;
    while (trainer->checked_capacity < s->inputs)
        DL_TRY(dl_grow(trainer->context, &trainer->checked, trainer->checked_capacity, &trainer->checked_capacity,
                       sizeof *trainer->checked));
    for (int i = 0; i < s->inputs; i++) {
        dl_spec spec = dl_spec_of_tensor(s->x[i]);
        same = same && dl_spec_equal(&spec, &trainer->checked[i]);
        trainer->checked[i] = spec;
    }
    if (same)
        return DL_OK;
    trainer->checked_count = 0;
    DL_TRY(dl_layer_infer(s->model, &(dl_inputs){trainer->checked, s->inputs, NULL}, out, &outputs));
    if (outputs != trainer->output_count)
        return dl_fail(DL_STATE, "%s has %d outputs and was compiled for %d; compile it again", s->model->name, outputs,
                       trainer->output_count);
    trainer->checked_count = s->inputs;
    return DL_OK;
}

static dl_status reserve_weight(dl_trainer *trainer) {
    int64_t old = trainer->weight_capacity;
    int64_t capacity = old;
    DL_TRY(dl_grow(trainer->context, &trainer->weights, trainer->weight_count, &capacity, sizeof *trainer->weights));
    capacity = old;
    DL_TRY(dl_grow(trainer->context, &trainer->entries, trainer->weight_count, &capacity, sizeof *trainer->entries));
    capacity = old;
    DL_TRY(dl_grow(trainer->context, &trainer->grads, trainer->weight_count, &capacity, sizeof *trainer->grads));
    trainer->weight_capacity = capacity;
    return DL_OK;
}

static dl_status collect_weights(void *argument, dl_layer *layer, const char *path) {
    (void)path;
    dl_trainer *trainer = argument;
    for (int i = 0; layer->trainable && i < layer->weight_count; i++) {
        if (!layer->weights[i].trainable)
            continue;
        DL_TRY(reserve_weight(trainer));
        trainer->weights[trainer->weight_count] = layer->weights[i].value;
        trainer->entries[trainer->weight_count] = &layer->weights[i];
        trainer->grads[trainer->weight_count++] = NULL;
    }
    return DL_OK;
}

/* ---- a step: losses and metrics ---------------------------------------------------------------------------------- */

/* The loss of output k, weighted, added to the total (NULL: there is none yet). In the open scope. */
static dl_status add_output_loss(step *s, int k, const dl_layer_call *call, dl_tensor **total) {
    dl_trainer *trainer = s->trainer;
    if (!trainer->losses[k])
        return DL_OK;
    if (!s->y || !s->y[k])
        return dl_fail(DL_INVALID, "%s: output '%s' has a loss and needs targets", s->model->name,
                       dl_model_output_name(s->model, k));
    dl_tensor *weight = s->sample_weights ? s->sample_weights[k] : NULL;
    dl_tensor *loss = dl_loss(trainer->losses[k], s->y[k], call->out[k], call->out_masks[k], weight);
    if (!loss)
        return dl_fail_prefix("%s", s->model->name);
    if (loss->dims != 0)
        return dl_fail(DL_SHAPE, "%s: the loss of '%s' has the shape %s, and training needs one number; use the "
                       "reduction sum_over_batch_size", s->model->name, dl_model_output_name(s->model, k),
                       dl_tensor_text(loss).at);
    DL_TRY(dl_item(loss, &trainer->pending_loss[k]));
    if (trainer->loss_weights[k] != 1)
        loss = dl_mul_number(trainer->context, loss, trainer->loss_weights[k]);
    *total = *total ? dl_add(trainer->context, *total, loss) : loss;
    return *total ? DL_OK : dl_last_status();
}

static dl_status add_penalty(dl_tensor *penalty, dl_tensor **total) {
    if (!penalty)
        return dl_last_status();
    *total = *total ? dl_add(penalty->context, *total, penalty) : penalty;
    return *total ? DL_OK : dl_last_status();
}

static dl_status add_penalties(step *s, dl_tensor **total) {
    dl_trainer *trainer = s->trainer;
    for (int i = 0; i < trainer->weight_count; i++)
        if (trainer->entries[i]->regularizer)
            DL_TRY(add_penalty(dl_regularize(trainer->entries[i]->regularizer, trainer->weights[i]), total));
    for (int i = 0; i < trainer->deferred.loss_count; i++)
        DL_TRY(add_penalty(trainer->deferred.losses[i], total));
    return DL_OK;
}

static dl_status prepare_metrics(step *s, const dl_layer_call *call) {
    int place = 0;
    for (int k = 0; k < s->trainer->output_count; k++)
        for (int i = 0; i < s->trainer->metric_counts[k]; i++, place++) {
            if (!s->y || !s->y[k])
                return dl_fail(DL_INVALID, "%s: output '%s' has metrics and needs targets", s->model->name,
                               dl_model_output_name(s->model, k));
            DL_TRY(dl_metric_prepare(s->trainer->metrics[place], s->y[k], call->out[k], call->out_masks[k], NULL));
        }
    return DL_OK;
}

static dl_status compute_loss(step *s, const dl_layer_call *call, dl_tensor **total) {
    *total = NULL;
    for (int k = 0; k < s->trainer->output_count; k++)
        DL_TRY(add_output_loss(s, k, call, total));
    DL_TRY(add_penalties(s, total));
    if (!*total)
        return dl_fail(DL_STATE, "%s was compiled without a loss: call compile with loss = 'mse' or another",
                       s->model->name);
    return dl_item(*total, &s->loss);
}

/* ---- a step: gradients ------------------------------------------------------------------------------------------- */

typedef struct gradient_check {
    dl_trainer *trainer;
    int place;
} gradient_check;

static dl_status check_gradients(void *argument, dl_layer *layer, const char *path) {
    gradient_check *check = argument;
    dl_trainer *trainer = check->trainer;
    for (int i = 0; layer->trainable && i < layer->weight_count; i++) {
        if (!layer->weights[i].trainable)
            continue;
        int place = check->place++;
        char name[512];
        snprintf(name, sizeof name, "%s%s", path, layer->weights[i].name);
        if (trainer->grads[place])
            DL_TRY(dl_anomaly_check_gradient(trainer->anomaly, name, trainer->weights[place], trainer->grads[place]));
    }
    return DL_OK;
}

static dl_status compute_gradients(step *s, dl_tensor *total) {
    dl_trainer *trainer = s->trainer;
    if (trainer->weight_count == 0 || !dl_requires_grad(total))
        return DL_OK;
    /* Backward would name the operation; the weights are what a user knows. */
    bool watching = dl_set_detect_anomaly(trainer->context, false);
    dl_status status = dl_gradients(total, NULL, trainer->weights, trainer->weight_count, 0, trainer->grads);
    dl_set_detect_anomaly(trainer->context, watching);
    /* The open scope owns the gradients, and it ends before the commit. */
    for (int i = 0; i < trainer->weight_count; i++) {
        if (status != DL_OK)
            trainer->grads[i] = NULL;
        else if (trainer->grads[i])
            dl_retain(trainer->grads[i]);
    }
    DL_TRY(status);
    if (!trainer->deferred.anomaly)
        return DL_OK;
    gradient_check check = {trainer, 0};
    return dl_layer_walk(s->model, check_gradients, &check);
}

/* ---- a step: the whole ------------------------------------------------------------------------------------------- */

static dl_status watch_anomalies(dl_trainer *trainer) {
    trainer->deferred.anomaly = NULL;
    if (!dl_detect_anomaly(trainer->context))
        return DL_OK;
    if (!trainer->anomaly)
        DL_TRY(dl_anomaly_create(trainer->context, &trainer->anomaly));
    trainer->deferred.anomaly = trainer->anomaly;
    return DL_OK;
}

/* From the predictions to all that the commit needs; inside a scope. */
static dl_status finish_compute(step *s, const dl_layer_call *call) {
    dl_trainer *trainer = s->trainer;
    dl_tensor *total;
    DL_TRY(compute_loss(s, call, &total));
    DL_TRY(prepare_metrics(s, call));
    if (!s->training)
        return DL_OK;
    DL_TRY(compute_gradients(s, total));
    return dl_optimizer_prepare(trainer->optimizer, trainer->weights, trainer->grads, trainer->weight_count);
}

static dl_status compute(step *s) {
    dl_trainer *trainer = s->trainer;
    DL_TRY(watch_anomalies(trainer));
    trainer->weight_count = 0;
    DL_TRY(dl_layer_walk(s->model, collect_weights, trainer));
    dl_layer_call call = {.context = trainer->context, .training = s->training, .in = s->x, .inputs = s->inputs,
                          .deferred = &trainer->deferred};
    DL_TRY(dl_layer_run(s->model, &call));
    size_t scope = dl_scope_begin(trainer->context);
    dl_status status = finish_compute(s, &call);
    dl_scope_end(trainer->context, scope, NULL);
    dl_call_release(&call);
    return status == DL_OK ? dl_poll(trainer->context) : status;
}

static void commit_weights(dl_trainer *trainer) {
    dl_optimizer_commit(trainer->optimizer, trainer->weights, trainer->grads, trainer->weight_count);
    for (int i = 0; i < trainer->weight_count; i++)
        if (trainer->entries[i]->constraint)
            dl_constrain(trainer->entries[i]->constraint, trainer->weights[i]);
}

static void commit(step *s) {
    dl_trainer *trainer = s->trainer;
    if (s->training)
        commit_weights(trainer);
    dl_deferred_commit(&trainer->deferred);
    for (int i = 0; i < trainer->metric_count; i++)
        dl_metric_commit(trainer->metrics[i]);
    trainer->loss.sum += s->loss * s->samples;
    trainer->loss.count += s->samples;
    for (int k = 0; k < trainer->output_count; k++) {
        trainer->output_loss[k].sum += trainer->pending_loss[k] * s->samples;
        trainer->output_loss[k].count += s->samples;
    }
}

static dl_status run_step(void *argument) {
    step *s = argument;
    dl_trainer *trainer = s->trainer;
    dl_stream *stream = dl_context_stream(trainer->context);
    DL_TRY(check_batch(s));
    DL_TRY(check_shapes(s));
    dl_stream before = *stream;
    bool recording = dl_set_grad_enabled(trainer->context, s->training);
    dl_status status = compute(s);
    dl_set_grad_enabled(trainer->context, recording);
    if (status == DL_OK) {
        commit(s);
    } else {
        dl_deferred_rollback(&trainer->deferred);
        *stream = before;
    }
    for (int i = 0; i < trainer->weight_count; i++)
        dl_release(trainer->grads[i]);
    trainer->weight_count = 0;
    return status;
}

static dl_status do_step(dl_model *model, dl_tensor *const *x, dl_tensor *const *y, dl_tensor *const *weights,
                         bool training) {
    if (!model->trainer)
        return dl_fail(DL_STATE, "%s is not compiled: call compile first", model->name);
    if (model->trainer->running)
        return dl_fail(DL_STATE, "%s: a step is under way; a layer cannot train or test the model it is called by",
                       model->name);
    int inputs = model->built ? dl_model_inputs(model) : dl_layer_definition(model)->minimum_inputs;
    step s = {.model = model, .trainer = model->trainer, .x = x, .y = y, .sample_weights = weights, .inputs = inputs,
              .training = training};
    model->trainer->running = true;
    dl_status status = dl_run_step(run_step, &s);
    model->trainer->running = false;
    return status;
}

dl_status dl_model_train_batch(dl_model *model, dl_tensor *const *x, dl_tensor *const *y, dl_tensor *const *weights) {
    return do_step(model, x, y, weights, true);
}

dl_status dl_model_test_batch(dl_model *model, dl_tensor *const *x, dl_tensor *const *y, dl_tensor *const *weights) {
    return do_step(model, x, y, weights, false);
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

void dl_model_reset_metrics(dl_model *model) {
    dl_trainer *trainer = model->trainer;
    if (!trainer)
        return;
    trainer->loss = (dl_tracker){0, 0};
    for (int k = 0; k < trainer->output_count; k++)
        trainer->output_loss[k] = (dl_tracker){0, 0};
    for (int i = 0; i < trainer->metric_count; i++)
        dl_metric_reset(trainer->metrics[i]);
    if (trainer->anomaly)
        dl_anomaly_report(trainer->anomaly);
}

static double tracked(const dl_tracker *tracker) {
    return tracker->count > 0 ? tracker->sum / tracker->count : 0;
}

/* The place of the k-th log: losses by output are left out where there is but one output, or no loss. */
static int log_place(const dl_trainer *trainer, int k) {
    int total = 1 + trainer->output_count + trainer->metric_count;
    for (int place = 0; place < total; place++) {
        bool of_output = place >= 1 && place <= trainer->output_count;
        if (of_output && (trainer->output_count == 1 || !trainer->losses[place - 1]))
            continue;
        if (k-- == 0)
            return place;
    }
    return -1;
}

const char *dl_model_log(dl_model *model, int k, double *value) {
    dl_trainer *trainer = model->trainer;
    int place = trainer && k >= 0 ? log_place(trainer, k) : -1;
    if (place < 0)
        return NULL;
    if (place == 0)
        *value = tracked(&trainer->loss);
    else if (place <= trainer->output_count)
        *value = tracked(&trainer->output_loss[place - 1]);
    else
        *value = dl_metric_result(trainer->metrics[place - 1 - trainer->output_count]);
    return trainer->names[place];
}

const dl_metric *dl_model_log_metric(dl_model *model, int k) {
    dl_trainer *trainer = model->trainer;
    int place = trainer && k >= 0 ? log_place(trainer, k) : -1;
    return trainer && place > trainer->output_count ? trainer->metrics[place - 1 - trainer->output_count] : NULL;
}
