/* What steering does to the rows of a layer, and the callback through which llama.cpp hands them over.
 *
 * Plain C, loaded by ctypes: it includes nothing of Python or ggml. State and the addresses of ggml's functions
 * come in through the pointers; trimtab/engine/kernel.py and trimtab/engine/llama/hook.py declare the same structs.
 * The mathematics is that of trimtab/engine/joint.py, which it is tested against.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define TT_EXPORT __declspec(dllexport)
#else
#define TT_EXPORT __attribute__((visibility("default")))
#endif

/* Wheels are built for any machine; where the loader can choose, the long loops use what the machine has. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9
#define TT_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define TT_CLONES
#endif

enum { TT_ABI = 1, TT_ROWS = 64, TT_CAP_STEPS = 80, TT_STIFFENINGS = 5, TT_NODES = 8, TT_NAME = 64 };

static const double DEPENDENT = 1e-9, SINGULAR = 1e-14, CLOSE = 1e-10, MISSED = 1e-4;

typedef struct {
    int32_t active, rows, watches, padding;
    const float *shift;
    const float *weights;     /* rows x width */
    const double *gram;       /* rows x rows, as are the next two */
    const double *factor;
    const double *projection; /* NULL: the identity */
    double least_ridge;
    double cap;               /* 0: none */
    const float *watch_weights;
    const double *watch_biases;
    const int32_t *watch_slots;
} tt_layer;

typedef struct {
    int32_t layers, width;
    tt_layer *table;
    const double *biases, *targets, *strengths; /* layers x TT_ROWS, as are all down to `order` */
    double *coefficients;
    int64_t *missed;
    double *shortfall;
    int32_t *order;
    int32_t *counts;
    int64_t *positions, *moved;
    double *norm_sum, *norm_max, *norm_last;
    double *watched;
    double *scratch; /* width */
} tt_state;

typedef struct {
    int count;
    int order[TT_ROWS];
    double lower[TT_ROWS][TT_ROWS];
    double mu[TT_ROWS]; /* by place in order */
} tt_active;

/* Products of two floats are exact in double, so that sums agree with numpy's to the last digits that count. */
TT_CLONES static double dot(const float *restrict a, const float *restrict b, int n) {
    double sum[16] = {0};
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) sum[j] += (double)a[i + j] * (double)b[i + j];
    for (; i < n; i++) sum[0] += (double)a[i] * (double)b[i];
    for (int half = 8; half; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

TT_CLONES static void add_scaled(double *restrict into, double scale, const float *restrict from, int n) {
    for (int i = 0; i < n; i++) into[i] += scale * (double)from[i];
}

TT_CLONES static void add_float(float *restrict into, const float *restrict from, int n) {
    for (int i = 0; i < n; i++) into[i] += from[i];
}

TT_CLONES static void add_double(float *restrict into, const double *restrict from, int n) {
    for (int i = 0; i < n; i++) into[i] = (float)((double)into[i] + from[i]);
}

TT_CLONES static double square(const double *restrict a, int n) {
    double sum[8] = {0};
    int i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) sum[j] += a[i + j] * a[i + j];
    for (; i < n; i++) sum[0] += a[i] * a[i];
    for (int half = 4; half; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

static double entry(const tt_layer *l, double ridge, int i, int j) {
    return l->gram[i * l->rows + j] + (i == j ? ridge : 0.0);
}

/* Solves the lower triangle for `column`; what is left of row p's square is returned. */
static double forward(const tt_layer *l, double ridge, const tt_active *set, int upto, int p, double *out) {
    double left = entry(l, ridge, p, p);
    for (int i = 0; i < upto; i++) {
        double value = entry(l, ridge, set->order[i], p);
        for (int j = 0; j < i; j++) value -= set->lower[i][j] * out[j];
        out[i] = value / set->lower[i][i];
        left -= out[i] * out[i];
    }
    return left;
}

static void backward(const tt_active *set, double *values) {
    for (int i = set->count - 1; i >= 0; i--) {
        for (int j = i + 1; j < set->count; j++) values[i] -= set->lower[j][i] * values[j];
        values[i] /= set->lower[i][i];
    }
}

/* Whether what is left of row p's square is more than rounding, beside the size of all that cancels in it. */
static bool is_free(const tt_layer *l, double ridge, const tt_active *set, int p, const double *back, double left) {
    if (ridge > 0) return left > SINGULAR * entry(l, 0.0, p, p);
    double size = entry(l, 0.0, p, p);
    for (int i = 0; i < set->count; i++) size += back[i] * back[i] * entry(l, 0.0, set->order[i], set->order[i]);
    return left > DEPENDENT * size;
}

static void append(const tt_layer *l, double ridge, tt_active *set, int p, double mu) {
    double left = forward(l, ridge, set, set->count, p, set->lower[set->count]);
    set->lower[set->count][set->count] = sqrt(left > 0 ? left : SINGULAR * entry(l, 0.0, p, p));
    set->order[set->count] = p;
    set->mu[set->count++] = mu;
}

static void take_out(const tt_layer *l, double ridge, tt_active *set, int place) {
    set->count--;
    for (int i = place; i < set->count; i++) {
        set->order[i] = set->order[i + 1];
        set->mu[i] = set->mu[i + 1];
    }
    for (int i = place; i < set->count; i++) {
        double left = forward(l, ridge, set, i, set->order[i], set->lower[i]);
        set->lower[i][i] = sqrt(left > 0 ? left : SINGULAR * entry(l, 0.0, set->order[i], set->order[i]));
    }
}

static void settle(const double *r, tt_active *set) {
    for (int i = 0; i < set->count; i++) {
        double value = r[set->order[i]];
        for (int j = 0; j < i; j++) value -= set->lower[i][j] * set->mu[j];
        set->mu[i] = value / set->lower[i][i];
    }
    backward(set, set->mu);
}

/* Builds the set from a guess: rows whose multipliers come out negative leave it. */
static void begin(const tt_layer *l, const double *r, double ridge, const int *guess, int guessed, tt_active *set) {
    set->count = 0;
    for (int i = 0; i < guessed; i++) {
        double back[TT_ROWS], left = forward(l, ridge, set, set->count, guess[i], back);
        backward(set, back);
        if (is_free(l, ridge, set, guess[i], back, left)) append(l, ridge, set, guess[i], 0.0);
    }
    settle(r, set);
    for (;;) {
        int lowest = -1;
        for (int i = 0; i < set->count; i++)
            if (!(set->mu[i] >= 0) && (lowest < 0 || !(set->mu[i] >= set->mu[lowest]))) lowest = i;
        if (lowest < 0) return;
        take_out(l, ridge, set, lowest);
        settle(r, set);
    }
}

static double slack_of(const tt_layer *l, const double *r, double ridge, const tt_active *set, int row, int p,
                       double step) {
    double slack = r[row];
    for (int i = 0; i < set->count; i++) slack -= entry(l, ridge, row, set->order[i]) * set->mu[i];
    return p < 0 ? slack : slack - step * entry(l, ridge, row, p);
}

/* The dual active-set method of joint.py, one token at a time; false where the targets contradict each other. */
static bool ascend(const tt_layer *l, const double *r, double ridge, tt_active *set) {
    double highest = 0.0;
    bool in_set[TT_ROWS] = {false};
    for (int i = 0; i < l->rows; i++)
        if (r[i] > highest) highest = r[i];
    for (int i = 0; i < set->count; i++) in_set[set->order[i]] = true;
    int p = -1;
    double step = 0.0;
    for (int turn = 0; turn < 20 * l->rows + 20; turn++) {
        double chosen = 0.0;
        if (p < 0) {
            double worst = -INFINITY;
            for (int i = 0; i < l->rows; i++) {
                if (in_set[i]) continue;
                double slack = slack_of(l, r, ridge, set, i, -1, 0.0), scaled = slack / sqrt(entry(l, 0.0, i, i));
                if (scaled > worst) worst = scaled, chosen = slack, p = i;
            }
            step = 0.0;
        } else {
            chosen = slack_of(l, r, ridge, set, p, p, step);
        }
        if (p < 0 || (step == 0.0 && !(chosen > CLOSE * highest))) {
            settle(r, set);
            for (int i = 0; i < set->count; i++)
                if (!(set->mu[i] > 0)) set->mu[i] = 0.0;
            return true;
        }
        /* A row under way may come to rest early by rounding: it still has to join the active ones. */
        if (chosen < 0.0) chosen = 0.0;
        double back[TT_ROWS];
        double curve = forward(l, ridge, set, set->count, p, back);
        backward(set, back);
        double full = is_free(l, ridge, set, p, back, curve) ? chosen / curve : INFINITY, blocked = INFINITY;
        int blocking = -1;
        for (int i = 0; i < set->count; i++)
            if (back[i] > 0 && set->mu[i] / back[i] < blocked) blocked = set->mu[i] / back[i], blocking = i;
        double length = full < blocked ? full : blocked;
        if (!isfinite(length)) return false;
        for (int i = 0; i < set->count; i++) set->mu[i] -= length * back[i];
        step += length;
        if (full <= blocked) {
            append(l, ridge, set, p, step);
            in_set[p] = true;
            p = -1;
        } else {
            in_set[set->order[blocking]] = false;
            take_out(l, ridge, set, blocking);
        }
    }
    return false;
}

/* F mu into `out`; the norm of the shift. */
static double image(const tt_layer *l, const double *mu, double *out) {
    double sum = 0.0;
    for (int i = 0; i < l->rows; i++) {
        double value = 0.0;
        for (int j = 0; j < l->rows; j++) value += l->factor[i * l->rows + j] * mu[j];
        out[i] = value;
        sum += value * value;
    }
    return sqrt(sum);
}

static double lifted(const tt_layer *l, const double *shape, int row) {
    double value = 0.0;
    for (int i = 0; i < l->rows; i++) value += l->factor[i * l->rows + row] * shape[i];
    return value;
}

static void spread(const tt_layer *l, const tt_active *set, double *mu) {
    for (int i = 0; i < l->rows; i++) mu[i] = 0.0;
    for (int i = 0; i < set->count; i++) mu[set->order[i]] = set->mu[i];
}

static void again(const tt_layer *l, const double *r, double ridge, tt_active *set) {
    int guess[TT_ROWS], guessed = set->count;
    memcpy(guess, set->order, sizeof(int) * (size_t)guessed);
    begin(l, r, ridge, guess, guessed, set);
    if (!ascend(l, r, ridge, set)) {
        set->count = 0;
        ascend(l, r, ridge, set);
    }
}

/* Finds the ridge under which the shift is as long as the cap: Newton on the reciprocal of its norm, in brackets. */
static void shorten(const tt_layer *l, const double *r, double lowest, tt_active *set, double *mu) {
    double shape[TT_ROWS], norm = image(l, mu, shape), trace = 0.0, asked = 0.0;
    for (int i = 0; i < l->rows; i++) {
        trace += entry(l, 0.0, i, i);
        if (r[i] > 0) asked += r[i] * r[i];
    }
    double ridge = lowest, low = lowest, high = sqrt(trace * asked) / l->cap;
    for (int turn = 0; turn < TT_CAP_STEPS && fabs(norm - l->cap) > CLOSE * l->cap; turn++) {
        if (norm > l->cap) low = ridge;
        else high = ridge;
        double weighed[TT_ROWS], slope = 0.0;
        for (int i = 0; i < set->count; i++) {
            double value = set->mu[i];
            for (int j = 0; j < i; j++) value -= set->lower[i][j] * weighed[j];
            weighed[i] = value / set->lower[i][i];
        }
        backward(set, weighed);
        for (int i = 0; i < set->count; i++) slope += lifted(l, shape, set->order[i]) * weighed[i];
        double wanted = ridge + (norm / l->cap - 1.0) * norm * norm / slope;
        ridge = wanted > low && wanted < high ? wanted : 0.5 * (low + high);
        again(l, r, ridge, set);
        spread(l, set, mu);
        norm = image(l, mu, shape);
    }
}

/* The multipliers for residuals r; true if a target could not be reached. */
static bool solve(const tt_layer *l, const double *r, int32_t *order, int32_t *count, double *mu) {
    if (l->rows == 1) {
        double wanted = r[0] / l->gram[0], most = l->cap > 0 ? l->cap / sqrt(l->gram[0]) : INFINITY;
        mu[0] = wanted < most ? wanted : most;
        return wanted > most * (1 + CLOSE);
    }
    tt_active set;
    int guess[TT_ROWS] = {0}, guessed = 0;
    if (*count > 0)
        for (; guessed < *count; guessed++) guess[guessed] = order[guessed];
    else
        for (int i = 0; i < l->rows; i++)
            if (r[i] > 0) guess[guessed++] = i;
    begin(l, r, 0.0, guess, guessed, &set);
    bool limited = !ascend(l, r, 0.0, &set);
    double ridge = limited ? l->least_ridge : 0.0;
    for (int turn = 0; limited && turn < TT_STIFFENINGS; turn++, ridge *= 100) {
        set.count = 0;
        if (ascend(l, r, ridge, &set)) break;
    }
    spread(l, &set, mu);
    double shape[TT_ROWS];
    if (l->cap > 0 && image(l, mu, shape) > l->cap * (1 + CLOSE)) {
        shorten(l, r, ridge, &set, mu);
        limited = true;
    }
    *count = 0;
    if (!limited)
        for (int i = 0; i < set.count; i++)
            if (set.mu[i] > 0) order[(*count)++] = set.order[i];
    return limited;
}

static void note_missed(const tt_state *s, int layer, const double *r, const double *mu) {
    const tt_layer *l = &s->table[layer];
    double shape[TT_ROWS], highest = 0.0;
    image(l, mu, shape);
    for (int i = 0; i < l->rows; i++)
        if (r[i] > highest) highest = r[i];
    for (int i = 0; i < l->rows; i++) {
        double short_by = r[i] - lifted(l, shape, i);
        if (!(short_by > MISSED * highest)) continue;
        s->missed[layer * TT_ROWS + i]++;
        if (short_by > s->shortfall[layer * TT_ROWS + i]) s->shortfall[layer * TT_ROWS + i] = short_by;
    }
}

/* Raises one row; the coefficients of the weights in its shift are left in `coefficients`. */
static bool raise_row(const tt_state *s, int layer, float *row, double *coefficients) {
    const tt_layer *l = &s->table[layer];
    const double *biases = s->biases + layer * TT_ROWS, *targets = s->targets + layer * TT_ROWS,
                 *strengths = s->strengths + layer * TT_ROWS;
    double r[TT_ROWS], mu[TT_ROWS];
    bool below = false;
    for (int i = 0; i < l->rows; i++) {
        double missing = targets[i] - dot(row, l->weights + (size_t)i * (size_t)s->width, s->width) - biases[i];
        r[i] = missing > 0 ? strengths[i] * missing : missing;
        below = below || r[i] > 0;
        coefficients[i] = 0.0;
    }
    if (!below) return false;
    if (solve(l, r, s->order + layer * TT_ROWS, s->counts + layer, mu)) note_missed(s, layer, r, mu);
    for (int i = 0; i < l->rows; i++) {
        if (!l->projection) coefficients[i] = mu[i];
        else
            for (int j = 0; j < l->rows; j++) coefficients[i] += mu[j] * l->projection[j * l->rows + i];
    }
    memset(s->scratch, 0, sizeof(double) * (size_t)s->width);
    for (int i = 0; i < l->rows; i++)
        if (coefficients[i] != 0.0)
            add_scaled(s->scratch, coefficients[i], l->weights + (size_t)i * (size_t)s->width, s->width);
    add_double(row, s->scratch, s->width);
    return true;
}

/* Does at one layer what its plan says, to n rows in place; whether any of them changed. */
TT_EXPORT int32_t tt_apply(tt_state *s, int32_t layer, float *rows, int64_t n) {
    if (layer < 0 || layer >= s->layers || n <= 0 || !s->table[layer].active) return 0;
    const tt_layer *l = &s->table[layer];
    double still = 0.0, norm = 0.0;
    bool changed = l->shift != NULL;
    if (l->shift) {
        memset(s->scratch, 0, sizeof(double) * (size_t)s->width);
        add_scaled(s->scratch, 1.0, l->shift, s->width);
        still = sqrt(square(s->scratch, s->width));
    }
    double *coefficients = s->coefficients + layer * TT_ROWS;
    for (int64_t at = 0; at < n; at++) {
        float *row = rows + at * s->width;
        if (l->shift) add_float(row, l->shift, s->width);
        norm = still;
        if (l->rows && raise_row(s, layer, row, coefficients)) {
            if (l->shift) add_scaled(s->scratch, 1.0, l->shift, s->width);
            norm = sqrt(square(s->scratch, s->width));
            changed = true;
        }
        if (norm > 0) s->moved[layer]++;
        s->norm_sum[layer] += norm;
        if (norm > s->norm_max[layer]) s->norm_max[layer] = norm;
    }
    s->positions[layer] += n;
    s->norm_last[layer] = norm;
    const float *last = rows + (n - 1) * s->width;
    for (int i = 0; i < l->watches; i++)
        s->watched[l->watch_slots[i]] =
            dot(last, l->watch_weights + (size_t)i * (size_t)s->width, s->width) + l->watch_biases[i];
    return changed;
}

enum { TT_LOOK = 1, TT_STEER = 2, TT_CAPTURE = 4, TT_EDIT = 8 };
enum { TT_FINE = 0, TT_NOT_FLOAT, TT_SCATTERED, TT_SHAPE, TT_TOO_MANY, TT_FULL, TT_EDIT_FAILED };

typedef struct {
    tt_state *kernel;
    const char *(*get_name)(const void *);
    int64_t (*row_count)(const void *);
    int64_t (*element_count)(const void *);
    bool (*is_contiguous)(const void *);
    int (*dimensions)(const void *);
    void (*get)(const void *, void *, size_t, size_t);
    void (*set)(void *, const void *, size_t, size_t);
    int32_t (*edit)(int32_t node, float *rows, int64_t n);
    float *buffer;
    int64_t max_rows;
    float *const *captures; /* by layer, NULL where none is wanted */
    int64_t *captured;
    int64_t capacity;
    int32_t *seen;          /* by layer: 0 unseen, 1 fine, else 1 + what is wrong */
    char nodes[TT_NODES][TT_NAME];
    int32_t node_seen[TT_NODES];
    int32_t node_edited[TT_NODES];
    int32_t node_count;
    int32_t mode;
    int32_t error;
    int32_t error_layer;    /* -1: a named node */
    int64_t error_value;
} tt_hook;

TT_EXPORT int64_t tt_abi(void) {
    return TT_ABI + 1000 * (int64_t)sizeof(tt_layer) + 1000000 * (int64_t)sizeof(tt_state) +
           1000000000 * (int64_t)sizeof(tt_hook);
}

/* N of a node named `l_out-N`, or -1. */
static int layer_of(const char *name, int layers) {
    if (name[0] != 'l' || strncmp(name, "l_out-", 6) != 0 || !name[6]) return -1;
    int layer = 0;
    for (const char *at = name + 6; *at; at++) {
        if (*at < '0' || *at > '9') return -1;
        layer = 10 * layer + (*at - '0');
        if (layer >= layers) return -1;
    }
    return layer;
}

static int node_of(const tt_hook *h, const char *name) {
    for (int i = 0; i < h->node_count; i++)
        if (strcmp(name, h->nodes[i]) == 0) return i;
    return -1;
}

static int judge(const tt_hook *h, const void *tensor) {
    int32_t type;
    memcpy(&type, tensor, sizeof type);
    if (type != 0) return TT_NOT_FLOAT;
    if (!h->is_contiguous(tensor)) return TT_SCATTERED;
    if (h->dimensions(tensor) > 2 || h->element_count(tensor) != h->row_count(tensor) * h->kernel->width) return TT_SHAPE;
    return TT_FINE;
}

static void fail(tt_hook *h, int error, int layer, int64_t value) {
    if (h->error != TT_FINE) return;
    h->error = error;
    h->error_layer = layer;
    h->error_value = value;
}

static bool wanted(tt_hook *h, const void *tensor) {
    const char *name = h->get_name(tensor);
    int layer = layer_of(name, h->kernel->layers);
    int node = h->mode & (TT_LOOK | TT_EDIT) ? node_of(h, name) : -1;
    if (h->mode & TT_LOOK) {
        if (layer >= 0) h->seen[layer] = 1 + judge(h, tensor);
        if (node >= 0) h->node_seen[node] = 1 + judge(h, tensor);
    }
    if (node >= 0 && h->mode & TT_EDIT && h->node_edited[node]) return true;
    if (layer < 0) return false;
    return (h->mode & TT_STEER && h->kernel->table[layer].active) || (h->mode & TT_CAPTURE && h->captures[layer]);
}

static void handle(tt_hook *h, void *tensor) {
    const char *name = h->get_name(tensor);
    int layer = layer_of(name, h->kernel->layers), wrong = judge(h, tensor);
    if (wrong != TT_FINE) {
        fail(h, wrong, layer, h->element_count(tensor));
        return;
    }
    int64_t n = h->row_count(tensor);
    if (n > h->max_rows) {
        fail(h, TT_TOO_MANY, layer, n);
        return;
    }
    if (n <= 0) return;
    size_t width = (size_t)h->kernel->width, size = (size_t)n * width * sizeof(float);
    int node = h->mode & TT_EDIT ? node_of(h, name) : -1;
    bool changed = false;
    h->get(tensor, h->buffer, 0, size);
    if (layer >= 0 && h->mode & TT_STEER) changed = tt_apply(h->kernel, layer, h->buffer, n) != 0;
    if (node >= 0 && h->node_edited[node]) {
        if (h->edit(node, h->buffer, n)) changed = true;
        else fail(h, TT_EDIT_FAILED, layer, node);
    }
    if (layer >= 0 && h->mode & TT_CAPTURE && h->captures[layer]) {
        if (h->captured[layer] + n > h->capacity) {
            fail(h, TT_FULL, layer, h->captured[layer] + n);
        } else {
            memcpy(h->captures[layer] + (size_t)h->captured[layer] * width, h->buffer, size);
            h->captured[layer] += n;
        }
    }
    if (changed) h->set(tensor, h->buffer, 0, size);
}

/* llama.cpp's eval callback. False to an `ask` lets the node pass; false to data would break the decode unnoticed. */
TT_EXPORT bool tt_eval(void *tensor, bool ask, void *user_data) {
    tt_hook *h = user_data;
    if (ask) return h->mode != 0 && wanted(h, tensor);
    handle(h, tensor);
    return true;
}
