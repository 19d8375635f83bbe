/* nn/metrics_counts.c: metrics that count right and wrong answers: Precision, Recall, AUC, F scores, ConfusionMatrix.
 *
 * Precision, Recall and AUC keep, for sorted thresholds t0 < t1 < ..., the weights of the yes and of the no targets
 * whose prediction is above k thresholds, k from 0: sums[k] of yes, sums[count + 1 + k] of no. What is above threshold
 * i is the sum of the places beyond i. */
#include <math.h>
#include <string.h>

#include "nn/losses.h"
#include "nn/metrics.h"

#define EPSILON 1e-7

/* ---- counts above thresholds ------------------------------------------------------------------------------------- */

/* The thresholds of an instance: `given` in a list of numbers, one number, or none: one of 0.5 (with top_k: any). */
static int64_t threshold_count(const dl_value *given) {
    return given->kind == DL_VALUE_LIST ? given->as.list.count : 1;
}

static double number_of(const dl_value *value, double otherwise) {
    if (value->kind == DL_VALUE_INT)
        return (double)value->as.integer;
    return value->kind == DL_VALUE_REAL ? value->as.real : otherwise;
}

static double given_threshold(const dl_value *given, int64_t i, double otherwise) {
    return number_of(given->kind == DL_VALUE_LIST ? &given->as.list.items[i] : given, otherwise);
}

/* How many thresholds lie below the prediction; NaN is above none. */
static int64_t count_below(const double *thresholds, int64_t count, double prediction) {
    int64_t low = 0;
    int64_t high = count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (prediction > thresholds[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void count_one(const double *thresholds, int64_t count, double target, double prediction, double weight,
                      double *sums) {
    int64_t place = count_below(thresholds, count, prediction);
    sums[target != 0 ? place : count + 1 + place] += weight;
}

/* The weight of yes (no: which 1) targets above threshold i. */
static double above(const double *sums, int64_t count, int64_t i, int which) {
    double sum = 0;
    for (int64_t place = i + 1; place <= count; place++)
        sum += sums[which * (count + 1) + place];
    return sum;
}

static double divide(double a, double b) {
    return b != 0 ? a / b : 0;
}

/* ---- Precision and Recall ---------------------------------------------------------------------------------------- */

static dl_status check_thresholds(const dl_object *metric) {
    const dl_value *given = &DL_OPTIONS(metric, dl_precision_options)->thresholds;
    bool right = given->kind != DL_VALUE_LIST || given->as.list.count > 0;
    for (int64_t i = 0; right && given->kind != DL_VALUE_NONE && i < threshold_count(given); i++) {
        double threshold = given_threshold(given, i, -1);
        right = threshold >= 0 && threshold <= 1 && (i == 0 || threshold > given_threshold(given, i - 1, -1));
    }
    if (right)
        return DL_OK;
    return dl_fail(DL_INVALID, "%s: thresholds is a number from 0 to 1, or a growing list of them",
                   metric->definition->name);
}

static int64_t precision_size(const dl_object *metric) {
    return 2 * (threshold_count(&DL_OPTIONS(metric, dl_precision_options)->thresholds) + 1);
}

/* True if fewer than k predictions of the row are above this one, or equal and before it. */
static bool is_in_top(const double *row, int64_t columns, int64_t column, int64_t k) {
    int64_t above_it = 0;
    for (int64_t i = 0; i < columns; i++)
        above_it += row[i] > row[column] || (row[i] == row[column] && i < column);
    return above_it < k;
}

static dl_status add_precision(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                               double *sums) {
    const dl_precision_options *options = DL_OPTIONS(metric, dl_precision_options);
    int64_t count = threshold_count(&options->thresholds);
    dl_metric_rows rows;
    DL_TRY(dl_read_rows(target, prediction, weights, &rows));
    if (options->class_id != DL_NONE && options->class_id > rows.columns)
        return dl_fail(DL_SHAPE, "class_id is %lld, and the predictions have %lld classes",
                       (long long)options->class_id, (long long)rows.columns);
    double *thresholds = dl_alloc_array(metric->context, (size_t)count, sizeof *thresholds);
    if (!thresholds)
        return dl_last_status();
    for (int64_t i = 0; i < count; i++)
        thresholds[i] = given_threshold(&options->thresholds, i, options->top_k == DL_NONE ? 0.5 : -INFINITY);
    for (int64_t r = 0; r < rows.rows; r++)
        for (int64_t c = 0; c < rows.columns; c++) {
            int64_t place = r * rows.columns + c;
            if (options->class_id != DL_NONE && c != options->class_id - 1)
                continue;
            bool kept = options->top_k == DL_NONE ||
                        is_in_top(rows.prediction + r * rows.columns, rows.columns, c, options->top_k);
            count_one(thresholds, count, rows.target[place], kept ? rows.prediction[place] : -INFINITY,
                      rows.weights ? rows.weights[r] : 1, sums);
        }
    dl_free(thresholds);
    return DL_OK;
}

static double precision_at(const dl_object *metric, const double *sums, int64_t i) {
    int64_t count = threshold_count(&DL_OPTIONS(metric, dl_precision_options)->thresholds);
    double yes = above(sums, count, i, 0);
    return divide(yes, yes + above(sums, count, i, 1));
}

static double recall_at(const dl_object *metric, const double *sums, int64_t i) {
    int64_t count = threshold_count(&DL_OPTIONS(metric, dl_precision_options)->thresholds);
    return divide(above(sums, count, i, 0), above(sums, count, -1, 0));
}

/* With several thresholds the result has one dimension. */
static int precision_shape(const dl_object *metric, int64_t shape[2]) {
    const dl_value *given = &DL_OPTIONS(metric, dl_precision_options)->thresholds;
    shape[0] = threshold_count(given);
    return given->kind == DL_VALUE_LIST && shape[0] > 1 ? 1 : 0;
}

#define DEFINE_AT(symbol, name_, alias, help_, formula_)                                                               \
    static double symbol##_result(const dl_object *metric, const double *sums) {                                       \
        return symbol##_at(metric, sums, 0);                                                                           \
    }                                                                                                                  \
    static void symbol##_values(const dl_object *metric, const double *sums, double *out) {                            \
        for (int64_t i = 0; i < threshold_count(&DL_OPTIONS(metric, dl_precision_options)->thresholds); i++)           \
            out[i] = symbol##_at(metric, sums, i);                                                                     \
    }                                                                                                                  \
    const dl_metric_def dl_metric_##symbol = {                                                                         \
        .definition = {.name = name_, .aliases = alias, .version = 1, .help = help_, .formula = formula_,              \
                       .fields = precision_fields, .options_size = sizeof(dl_precision_options)},                      \
        .init = check_thresholds, .size = precision_size, .add = add_precision, .result = symbol##_result,             \
        .shape = precision_shape, .values = symbol##_values};

static const dl_field precision_fields[] = {
    DL_VALUE_FIELD(dl_precision_options, thresholds, DL_NONE_OK,
                   "what predictions of yes are above: a number or a list"),
    DL_INT(dl_precision_options, top_k, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK, "only the k highest of a row may be yes"),
    DL_INT(dl_precision_options, class_id, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK, "the one class to look at, from 1"),
    METRIC_NAME(dl_precision_options, NULL), DL_END};

DEFINE_AT(precision, "Precision", "precision", "Share of the predictions of yes that are right.",
          "true positives / (true positives + false positives)")
DEFINE_AT(recall, "Recall", "recall", "Share of the targets of yes that are found.",
          "true positives / (true positives + false negatives)")

/* ---- AUC --------------------------------------------------------------------------------------------------------- */

enum { CURVE_ROC, CURVE_PR, CURVE_PRGAIN };
enum { INTERPOLATION, MINORING, MAJORING };

static int64_t auc_thresholds(const dl_auc_options *options) {
    return options->thresholds.kind == DL_VALUE_LIST ? options->thresholds.as.list.count + 2 : options->num_thresholds;
}

static double auc_threshold(const dl_auc_options *options, int64_t i) {
    int64_t count = auc_thresholds(options);
    if (i == 0)
        return -EPSILON;
    if (i == count - 1)
        return 1 + EPSILON;
    return options->thresholds.kind == DL_VALUE_LIST ? number_of(&options->thresholds.as.list.items[i - 1], 0)
                                                     : (double)i / (double)(count - 1);
}

static dl_status check_auc_thresholds(const dl_auc_options *options) {
    const dl_value *given = &options->thresholds;
    bool right = given->kind == DL_VALUE_NONE || given->kind == DL_VALUE_LIST;
    for (int64_t i = 1; right && given->kind == DL_VALUE_LIST && i + 1 < auc_thresholds(options); i++)
        right = auc_threshold(options, i) >= 0 && auc_threshold(options, i) <= 1 &&
                (i == 1 || auc_threshold(options, i) > auc_threshold(options, i - 1));
    return right ? DL_OK : dl_fail(DL_INVALID, "AUC: thresholds is a growing list of numbers from 0 to 1");
}

static bool has_label_weights(const dl_auc_options *options) {
    return options->label_weights.kind == DL_VALUE_LIST;
}

static double label_weight(const dl_auc_options *options, int64_t label) {
    return has_label_weights(options) ? number_of(&options->label_weights.as.list.items[label], 1) : 1;
}

static dl_status auc_init(const dl_object *metric) {
    const dl_auc_options *options = DL_OPTIONS(metric, dl_auc_options);
    DL_TRY(check_auc_thresholds(options));
    bool right = options->label_weights.kind == DL_VALUE_NONE || has_label_weights(options);
    for (int64_t i = 0; right && has_label_weights(options) && i < options->label_weights.as.list.count; i++)
        right = number_of(&options->label_weights.as.list.items[i], -1) >= 0;
    if (!right)
        return dl_fail(DL_INVALID, "AUC: label_weights is a list of numbers of at least 0");
    if (options->num_labels != DL_NONE && !options->multi_label)
        return dl_fail(DL_INVALID, "AUC: num_labels is for multi_label = true");
    return DL_OK;
}

/* The sums of one curve; with multi_label those of each label come one after the other. */
static int64_t curve_size(const dl_auc_options *options) {
    return 2 * (auc_thresholds(options) + 1);
}

static int64_t auc_size(const dl_object *metric) {
    const dl_auc_options *options = DL_OPTIONS(metric, dl_auc_options);
    if (!options->multi_label)
        return curve_size(options);
    return options->num_labels == DL_NONE ? 0 : options->num_labels * curve_size(options);
}

/* Predictions without labels of their own are refused by add_auc. */
static int64_t auc_size_for(const dl_object *metric, const dl_tensor *prediction) {
    const dl_auc_options *options = DL_OPTIONS(metric, dl_auc_options);
    if (!options->multi_label || options->num_labels != DL_NONE || prediction->dims != 2)
        return ((const dl_metric *)metric)->size;
    return prediction->shape[1] * curve_size(options);
}

static dl_status check_labels(const dl_auc_options *options, const dl_tensor *prediction) {
    int64_t labels = prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1;
    if (options->multi_label && (prediction->dims != 2 || labels == 0))
        return dl_fail(DL_SHAPE, "multi_label = true takes predictions (N, labels), got %s",
                       dl_tensor_text(prediction).at);
    if (options->num_labels != DL_NONE && options->num_labels != labels)
        return dl_fail(DL_SHAPE, "num_labels is %lld, and the predictions are %s", (long long)options->num_labels,
                       dl_tensor_text(prediction).at);
    if (has_label_weights(options) && options->label_weights.as.list.count != labels)
        return dl_fail(DL_SHAPE, "there are %lld label_weights, and the predictions are %s",
                       (long long)options->label_weights.as.list.count, dl_tensor_text(prediction).at);
    return DL_OK;
}

/* Without multi_label all columns go into one curve, and the labels' weights are weights of the columns. */
static void count_label(const dl_auc_options *options, const dl_metric_rows *rows, const double *thresholds,
                        int64_t label, double *sums) {
    double factor = options->multi_label ? 1 : label_weight(options, label);
    for (int64_t r = 0; r < rows->rows; r++) {
        int64_t place = r * rows->columns + label;
        count_one(thresholds, auc_thresholds(options), rows->target[place], rows->prediction[place],
                  factor * (rows->weights ? rows->weights[r] : 1), sums);
    }
}

static dl_status add_auc(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                         double *sums) {
    const dl_auc_options *options = DL_OPTIONS(metric, dl_auc_options);
    int64_t count = auc_thresholds(options);
    dl_metric_rows rows;
    DL_TRY(check_labels(options, prediction));
    if (options->from_logits)
        prediction = dl_sigmoid(prediction->context, prediction);
    DL_TRY(prediction ? dl_read_rows(target, prediction, weights, &rows) : dl_last_status());
    double *thresholds = dl_alloc_array(metric->context, (size_t)count, sizeof *thresholds);
    if (!thresholds)
        return dl_last_status();
    for (int64_t i = 0; i < count; i++)
        thresholds[i] = auc_threshold(options, i);
    for (int64_t label = 0; label < rows.columns; label++)
        count_label(options, &rows, thresholds, label,
                    sums + (options->multi_label ? label * curve_size(options) : 0));
    dl_free(thresholds);
    return DL_OK;
}

/* One step along the thresholds, from i to i + 1. */
typedef struct auc_step {
    double yes[2], no[2]; /* above the threshold */
    double all_yes, all_no;
} auc_step;

/* Davis and Goadrich 2006, section 4, as Keras has it: precision between two thresholds, both counts growing evenly. */
static double interpolated_precision(const auc_step *s) {
    double p[2] = {s->yes[0] + s->no[0], s->yes[1] + s->no[1]};
    double yes = s->yes[0] - s->yes[1];
    double slope = divide(yes, fmax(p[0] - p[1], 0));
    double intercept = s->yes[1] - slope * p[1];
    double ratio = p[0] > 0 && p[1] > 0 ? p[0] / p[1] : 1;
    return divide(slope * (yes + intercept * log(ratio)), s->all_yes);
}

/* The curve's point at threshold k of the step. PRGAIN: Flach and Kull 2015. */
static void curve_point(const dl_auc_options *options, const auc_step *s, int k, double *x, double *y) {
    double recall = divide(s->yes[k], s->all_yes), scale = divide(s->all_yes, s->all_no);
    if (options->curve == CURVE_ROC) {
        *x = divide(s->no[k], s->all_no);
        *y = recall;
    } else if (options->curve == CURVE_PR) {
        *x = recall;
        *y = divide(s->yes[k], s->yes[k] + s->no[k]);
    } else {
        *x = s->yes[k] == 0 ? 0 : fmax(1 - scale * (s->all_yes - s->yes[k]) / s->yes[k], 0);
        *y = s->yes[k] == 0 ? 1 : 1 - scale * s->no[k] / s->yes[k];
    }
}

static double step_area(const dl_auc_options *options, const auc_step *s) {
    double x[2], y[2];
    if (options->curve == CURVE_PR && options->summation_method == INTERPOLATION)
        return interpolated_precision(s);
    for (int k = 0; k < 2; k++)
        curve_point(options, s, k, &x[k], &y[k]);
    double height = options->summation_method == INTERPOLATION ? (y[0] + y[1]) / 2
                    : options->summation_method == MINORING    ? fmin(y[0], y[1])
                                                               : fmax(y[0], y[1]);
    return (x[0] - x[1]) * height;
}

static double curve_area(const dl_auc_options *options, const double *sums) {
    int64_t count = auc_thresholds(options);
    auc_step s = {.all_yes = above(sums, count, -1, 0), .all_no = above(sums, count, -1, 1)};
    double area = 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        s.yes[0] = s.yes[1] + sums[i + 1];
        s.no[0] = s.no[1] + sums[count + 1 + i + 1];
        if (i < count - 1)
            area += step_area(options, &s);
        s.yes[1] = s.yes[0];
        s.no[1] = s.no[0];
    }
    return area;
}

/* With multi_label the mean of the labels' areas, by their weights. */
static double auc_result(const dl_object *metric, const double *sums) {
    const dl_auc_options *options = DL_OPTIONS(metric, dl_auc_options);
    if (!options->multi_label)
        return curve_area(options, sums);
    int64_t labels = ((const dl_metric *)metric)->size / curve_size(options);
    double area = 0, total = 0;
    for (int64_t label = 0; label < labels; label++) {
        area += label_weight(options, label) * curve_area(options, sums + label * curve_size(options));
        total += label_weight(options, label);
    }
    return divide(area, total);
}

static const dl_field auc_fields[] = {
    DL_INT(dl_auc_options, num_thresholds, 200, 2, DL_HIGHEST, 0, "how many thresholds the curve is drawn with"),
    DL_ENUM(dl_auc_options, curve, "ROC", "ROC|PR|PRGAIN", 0,
            "ROC: recall over the false alarms; PR: precision over recall; PRGAIN: both measured against always yes"),
    DL_ENUM(dl_auc_options, summation_method, "interpolation", "interpolation|minoring|majoring", 0,
            "of the area between two thresholds"),
    METRIC_NAME(dl_auc_options, NULL),
    DL_VALUE_FIELD(dl_auc_options, thresholds, DL_NONE_OK, "a growing list; none: num_thresholds even ones"),
    DL_BOOL(dl_auc_options, multi_label, false, 0, "a curve for each of the labels; the result is the mean"),
    DL_INT(dl_auc_options, num_labels, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK,
           "with multi_label: how many there are; none: as in the first batch"),
    DL_VALUE_FIELD(dl_auc_options, label_weights, DL_NONE_OK,
                   "a list: of the labels in the mean; without multi_label, of the columns in the curve"),
    DL_BOOL(dl_auc_options, from_logits, false, 0, "the predictions are logits"), DL_END};

const dl_metric_def dl_metric_auc = {
    .definition = {.name = "AUC", .aliases = "auc", .version = 1,
                   .help = "The area under a curve: how likely a yes is ranked above a no (ROC), or mean precision.",
                   .fields = auc_fields, .options_size = sizeof(dl_auc_options)},
    .init = auc_init, .size = auc_size, .size_for = auc_size_for, .add = add_auc, .result = auc_result};

/* ---- F scores ---------------------------------------------------------------------------------------------------- */

enum { AVERAGE_MICRO, AVERAGE_MACRO, AVERAGE_WEIGHTED };

/* sums: true positives, false positives, false negatives of each class. */
static int64_t classes_of(const dl_object *metric) {
    return ((const dl_metric *)metric)->size / 3;
}

static int64_t no_size(const dl_object *metric) {
    (void)metric;
    return 0;
}

static int64_t f_size_for(const dl_object *metric, const dl_tensor *prediction) {
    (void)metric;
    return 3 * (prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1);
}

static dl_status add_f(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                       double *sums) {
    double threshold = DL_OPTIONS(metric, dl_f_score_options)->threshold;
    dl_metric_rows rows;
    DL_TRY(dl_read_rows(target, prediction, weights, &rows));
    for (int64_t r = 0; r < rows.rows; r++) {
        const double *p = rows.prediction + r * rows.columns;
        double highest = -INFINITY;
        for (int64_t c = 0; c < rows.columns; c++)
            highest = fmax(highest, p[c]);
        for (int64_t c = 0; c < rows.columns; c++) {
            bool yes = isnan(threshold) ? p[c] >= highest && fabs(p[c]) > 1e-9 : p[c] > threshold;
            double y = rows.target[r * rows.columns + c];
            double weight = rows.weights ? rows.weights[r] : 1;
            sums[c] += weight * yes * y;
            sums[rows.columns + c] += weight * yes * (1 - y);
            sums[2 * rows.columns + c] += weight * !yes * y;
        }
    }
    return DL_OK;
}

static double f_of(const dl_object *metric, double right, double wrong, double missed) {
    double beta = DL_OPTIONS(metric, dl_f_score_options)->beta;
    double precision = right / (right + wrong + EPSILON);
    double recall = right / (right + missed + EPSILON);
    return precision * recall / (beta * beta * precision + recall + EPSILON) * (1 + beta * beta);
}

static void f_values(const dl_object *metric, const double *sums, double *out) {
    int64_t classes = classes_of(metric);
    for (int64_t c = 0; c < classes; c++)
        out[c] = f_of(metric, sums[c], sums[classes + c], sums[2 * classes + c]);
}

static int f_shape(const dl_object *metric, int64_t shape[2]) {
    shape[0] = classes_of(metric);
    return DL_OPTIONS(metric, dl_f_score_options)->average < 0 ? 1 : 0;
}

static double f_result(const dl_object *metric, const double *sums) {
    int average = DL_OPTIONS(metric, dl_f_score_options)->average;
    int64_t classes = classes_of(metric);
    double total[3] = {0, 0, 0};
    double score = 0;
    double targets = EPSILON;
    for (int64_t i = 0; i < 3 * classes; i++)
        total[i / classes] += sums[i];
    if (average == AVERAGE_MICRO)
        return f_of(metric, total[0], total[1], total[2]);
    for (int64_t c = 0; c < classes; c++) {
        double weight = average == AVERAGE_WEIGHTED ? sums[c] + sums[2 * classes + c] : 1;
        score += weight * f_of(metric, sums[c], sums[classes + c], sums[2 * classes + c]);
        targets += average == AVERAGE_WEIGHTED ? weight : 0;
    }
    return average == AVERAGE_WEIGHTED ? score / targets : divide(score, (double)classes);
}

#define AVERAGE                                                                                                        \
    DL_ENUM(dl_f_score_options, average, NULL, "micro|macro|weighted", DL_NONE_OK,                                     \
            "of the classes to one number; none: a score for each class")
#define THRESHOLD                                                                                                      \
    DL_REAL(dl_f_score_options, threshold, NAN, 0.0, 1.0, DL_NONE_OK | DL_OPEN_MIN,                                    \
            "what predictions of yes are above; none: the highest of a row")
#define BETA_HELP "how much more recall counts than precision"

static const dl_field f1_fields[] = {
    AVERAGE, THRESHOLD, METRIC_NAME(dl_f_score_options, "f1_score"),
    DL_REAL(dl_f_score_options, beta, 1.0, 1.0, 1.0, DL_NAMED_ONLY | DL_SAVED_NOT, BETA_HELP ": 1, as much"), DL_END};
static const dl_field fbeta_fields[] = {
    AVERAGE, DL_REAL(dl_f_score_options, beta, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, BETA_HELP), THRESHOLD,
    METRIC_NAME(dl_f_score_options, "fbeta_score"), DL_END};

#define DEFINE_F(symbol, name_, alias, fields_, help_)                                                                 \
    const dl_metric_def dl_metric_##symbol = {                                                                         \
        .definition = {.name = name_, .aliases = alias, .version = 1, .help = help_, .fields = fields_,                \
                       .formula = "(1 + beta^2) precision recall / (beta^2 precision + recall)",                       \
                       .options_size = sizeof(dl_f_score_options)},                                                    \
        .size = no_size, .size_for = f_size_for, .add = add_f, .result = f_result, .shape = f_shape,                   \
        .values = f_values};

DEFINE_F(f1_score, "F1Score", "f1_score", f1_fields, "Harmonic mean of precision and recall, of each class.")
DEFINE_F(fbeta_score, "FBetaScore", "fbeta_score", fbeta_fields,
         "Weighted harmonic mean of precision and recall, of each class.")

/* ---- ConfusionMatrix --------------------------------------------------------------------------------------------- */

enum { NORMALIZE_TRUE, NORMALIZE_PREDICTED, NORMALIZE_ALL };

/* The class of a row of scores, from 0. One score alone says whether it is the second class. */
static int64_t class_of(const double *row, int64_t columns) {
    int64_t best = 0;
    if (columns == 1)
        return row[0] > 0.5;
    for (int64_t c = 1; c < columns; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

static int64_t matrix_classes(const dl_tensor *prediction) {
    int64_t columns = prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1;
    return columns == 1 ? 2 : columns;
}

static int64_t matrix_size_for(const dl_object *metric, const dl_tensor *prediction) {
    (void)metric;
    return matrix_classes(prediction) * matrix_classes(prediction);
}

/* Labels 1..K as rows with a 1 in one column; targets with one number a class, and 0 or 1, stay. */
static dl_status spread_labels(dl_tensor **target, const dl_tensor *prediction) {
    dl_context *context = prediction->context;
    int64_t classes = prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1;
    if (classes == 1 || dl_tensor_same_shape(*target, prediction))
        return DL_OK;
    if ((*target)->dims == prediction->dims && (*target)->shape[prediction->dims - 1] == 1)
        *target = dl_squeeze(context, *target, -1);
    *target = *target ? dl_whole_labels(*target) : NULL;
    *target = *target ? dl_one_hot(context, *target, classes, DL_FLOAT64) : NULL;
    return *target ? DL_OK : dl_last_status();
}

/* Label 0 is no class, and its row of zeros does not count. */
static bool has_class(const double *row, int64_t columns) {
    bool any = columns == 1;
    for (int64_t c = 0; c < columns; c++)
        any = any || row[c] != 0;
    return any;
}

static dl_status add_matrix(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                            double *sums) {
    int64_t classes = matrix_classes(prediction);
    dl_metric_rows rows;
    (void)metric;
    DL_TRY(spread_labels(&target, prediction));
    DL_TRY(dl_read_rows(target, prediction, weights, &rows));
    for (int64_t r = 0; r < rows.rows; r++) {
        const double *y = rows.target + r * rows.columns;
        if (has_class(y, rows.columns))
            sums[class_of(y, rows.columns) * classes + class_of(rows.prediction + r * rows.columns, rows.columns)] +=
                rows.weights ? rows.weights[r] : 1;
    }
    return DL_OK;
}

static int64_t side_of(const dl_object *metric) {
    int64_t side = 0;
    while (side * side < ((const dl_metric *)metric)->size)
        side++;
    return side;
}

/* What a place is divided by. */
static double matrix_divisor(const double *sums, int64_t side, int normalize, int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < side * side; i++)
        if (normalize == NORMALIZE_ALL || (normalize == NORMALIZE_TRUE ? i / side == row : i % side == column))
            sum += sums[i];
    return sum;
}

static void matrix_values(const dl_object *metric, const double *sums, double *out) {
    int normalize = DL_OPTIONS(metric, dl_confusion_matrix_options)->normalize;
    int64_t side = side_of(metric);
    for (int64_t i = 0; i < side * side; i++)
        out[i] = normalize < 0 ? sums[i]
                               : divide(sums[i], matrix_divisor(sums, side, normalize, i / side, i % side));
}

static int matrix_shape(const dl_object *metric, int64_t shape[2]) {
    shape[0] = shape[1] = side_of(metric);
    return 2;
}

/* As one number: the share on the diagonal. */
static double matrix_result(const dl_object *metric, const double *sums) {
    int64_t side = side_of(metric);
    double right = 0;
    for (int64_t i = 0; i < side; i++)
        right += sums[i * side + i];
    return divide(right, matrix_divisor(sums, side, NORMALIZE_ALL, 0, 0));
}

static const dl_field confusion_matrix_fields[] = {
    DL_ENUM(dl_confusion_matrix_options, normalize, NULL, "true|predicted|all", DL_NONE_OK,
            "shares of each row, of each column or of all; none: counts"),
    METRIC_NAME(dl_confusion_matrix_options, "confusion_matrix"), DL_END};

const dl_metric_def dl_metric_confusion_matrix = {
    .definition = {.name = "ConfusionMatrix", .aliases = "confusion_matrix", .version = 1,
                   .help = "How often each class (row) was taken for each class (column). Targets are labels, or have "
                           "one number a class; of one score a sample, those above 0.5 are the second class.",
                   .fields = confusion_matrix_fields, .options_size = sizeof(dl_confusion_matrix_options)},
    .size = no_size, .size_for = matrix_size_for, .add = add_matrix, .result = matrix_result, .shape = matrix_shape,
    .values = matrix_values};
