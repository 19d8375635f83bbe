/* kernels/isa/arg_integer_source.h: the extreme of a row of one integer type: T and LOOP(name) are set by
 * all_integers.h. */

static T LOOP(extreme_of_row)(bool maximum, int64_t n, const T *x) {
    T most = x[0], least = x[0];
    for (int64_t i = 1; i < n; i++) {
        most = x[i] > most ? x[i] : most;
        least = x[i] < least ? x[i] : least;
    }
    return maximum ? most : least;
}
