/*
 * Each value is a row: when its push and its pop began and ended; a value that stays inside has a pop that
 * begins at the end of time.
 *
 * Order: a goes in before b and comes out after it. Rows by the start of their push are the candidates for b;
 * those whose push ended before it join the candidates for a, of which only the one with the latest pop
 * matters.
 *
 * Empty: a value is certainly inside between the end of its push and the start of its pop. These open
 * intervals are joined where they overlap; "empty" is wrong when one joined interval covers all of the pop.
 *
 * Full: a value may be inside, or its place taken, from the start of its push to the end of its pop. Depth
 * rises and falls with these; "full" is right when the greatest depth during the push reaches the capacity.
 * With the refused pushes by their end, a stack keeps of the changes up to there those that no later one
 * reaches: the first of them in force during the push is the greatest.
 */
#include "history.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

struct row {
    uint64_t value;
    uint64_t push_start;
    uint64_t push_end;
    uint64_t pop_start;
    uint64_t pop_end;
};

struct span {
    uint64_t start;
    uint64_t end;
};

/* At `when` the depth changes; `depth` is the one after it. */
struct change {
    uint64_t when;
    int by;
    int64_t depth;
};

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static void *must_have(void *memory)
{
    assert(memory != NULL);
    return memory;
}

/* By value; pushes and pops apart from the rest, a push before the pop of its value. */
static int by_value(const void *a, const void *b)
{
    const struct operation *x = a;
    const struct operation *y = b;
    bool x_vain = x->kind == FOUND_FULL || x->kind == FOUND_EMPTY;
    bool y_vain = y->kind == FOUND_FULL || y->kind == FOUND_EMPTY;
    if (x_vain != y_vain) {
        return x_vain - y_vain;
    }
    if (x_vain || x->value == y->value) {
        return x->kind != y->kind ? COMPARE(x->kind, y->kind) : COMPARE(x->end, y->end);
    }
    return COMPARE(x->value, y->value);
}

static int by_push_start(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return COMPARE(x->push_start, y->push_start);
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    return COMPARE(x->start, y->start);
}

/* At one moment what falls comes first: it fell before. */
static int by_when(const void *a, const void *b)
{
    const struct change *x = a;
    const struct change *y = b;
    return x->when != y->when ? COMPARE(x->when, y->when) : COMPARE(x->by, y->by);
}

/* One row for each value pushed; `operations` are sorted by value, the vain ones behind. */
static enum verdict make_rows(const struct operation *operations, size_t n, struct row *rows, size_t *ret_n)
{
    size_t n_rows = 0;
    for (size_t i = 0; i < n && (operations[i].kind == PUSHED || operations[i].kind == POPPED); i++) {
        const struct operation *operation = &operations[i];
        struct row *last = n_rows > 0 ? &rows[n_rows - 1] : NULL;
        bool is_same = last != NULL && last->value == operation->value;
        if (operation->kind == PUSHED) {
            if (is_same) {
                return DUPLICATE;
            }
            rows[n_rows++] = (struct row){.value = operation->value,
                                          .push_start = operation->start,
                                          .push_end = operation->end,
                                          .pop_start = UINT64_MAX,
                                          .pop_end = UINT64_MAX};
            continue;
        }
        if (!is_same || operation->end < last->push_start) {
            return PHANTOM;
        }
        if (last->pop_end != UINT64_MAX) {
            return DUPLICATE;
        }
        last->pop_start = operation->start;
        last->pop_end = operation->end;
    }
    *ret_n = n_rows;
    return LINEARIZABLE;
}

static int by_push_end(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return COMPARE(x->push_end, y->push_end);
}

static bool is_in_order(struct row *rows, size_t n)
{
    struct row *ended = must_have(malloc((n + 1) * sizeof(*ended)));
    for (size_t i = 0; i < n; i++) {
        ended[i] = rows[i];
    }
    qsort(rows, n, sizeof(*rows), by_push_start);
    qsort(ended, n, sizeof(*ended), by_push_end);
    uint64_t latest_pop = 0;
    size_t joined = 0;
    bool in_order = true;
    for (size_t i = 0; i < n && in_order; i++) {
        for (; joined < n && ended[joined].push_end < rows[i].push_start; joined++) {
            if (ended[joined].pop_start > latest_pop) {
                latest_pop = ended[joined].pop_start;
            }
        }
        in_order = rows[i].pop_end >= latest_pop;
    }
    free(ended);
    return in_order;
}

/* The intervals in which something is certainly inside, joined and in order. */
static size_t certain_spans(const struct row *rows, size_t n, struct span *spans)
{
    size_t n_spans = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].push_end < rows[i].pop_start) {
            spans[n_spans++] = (struct span){rows[i].push_end, rows[i].pop_start};
        }
    }
    qsort(spans, n_spans, sizeof(*spans), by_start);
    size_t n_joined = 0;
    for (size_t i = 0; i < n_spans; i++) {
        struct span *last = n_joined > 0 ? &spans[n_joined - 1] : NULL;
        if (last == NULL || spans[i].start >= last->end) {
            spans[n_joined++] = spans[i];
        } else if (spans[i].end > last->end) {
            last->end = spans[i].end;
        }
    }
    return n_joined;
}

static bool is_covered(const struct span *spans, size_t n, const struct operation *operation)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans[middle].start < operation->start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && spans[low - 1].end > operation->end;
}

static bool is_empty_right(const struct operation *vain, size_t n_vain, const struct row *rows, size_t n)
{
    struct span *spans = must_have(malloc((n + 1) * sizeof(*spans)));
    size_t n_spans = certain_spans(rows, n, spans);
    bool right = true;
    for (size_t i = 0; i < n_vain && right; i++) {
        right = vain[i].kind != FOUND_EMPTY || !is_covered(spans, n_spans, &vain[i]);
    }
    free(spans);
    return right;
}

/* Every change of the depth, in order of time. */
static size_t depth_changes(const struct row *rows, size_t n, struct change *changes)
{
    size_t n_changes = 0;
    for (size_t i = 0; i < n; i++) {
        changes[n_changes++] = (struct change){.when = rows[i].push_start, .by = 1};
        if (rows[i].pop_end != UINT64_MAX) {
            changes[n_changes++] = (struct change){.when = rows[i].pop_end + 1, .by = -1};
        }
    }
    qsort(changes, n_changes, sizeof(*changes), by_when);
    int64_t depth = 0;
    for (size_t i = 0; i < n_changes; i++) {
        depth += changes[i].by;
        changes[i].depth = depth;
    }
    return n_changes;
}

static int by_end(const void *a, const void *b)
{
    const struct operation *x = a;
    const struct operation *y = b;
    return COMPARE(x->end, y->end);
}

/* The first change in force at `start` or later: the last one up to then, if there is one. */
static size_t in_force(const struct change *changes, size_t n, uint64_t start)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (changes[middle].when <= start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? low - 1 : 0;
}

/* The first of stack[0..height-1], which ascends, that is not below `from`; `height` if none. */
static size_t first_from(const size_t *stack, size_t height, size_t from)
{
    size_t low = 0;
    size_t high = height;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stack[middle] < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_full_right(struct operation *vain, size_t n_vain, const struct row *rows, size_t n,
                          size_t capacity)
{
    struct change *changes = must_have(malloc((2 * n + 1) * sizeof(*changes)));
    size_t *stack = must_have(malloc((2 * n + 1) * sizeof(*stack)));
    size_t n_changes = depth_changes(rows, n, changes);
    qsort(vain, n_vain, sizeof(*vain), by_end);
    size_t height = 0;
    size_t next = 0;
    bool right = true;
    for (size_t i = 0; i < n_vain && right; i++) {
        for (; next < n_changes && changes[next].when <= vain[i].end; next++) {
            while (height > 0 && changes[stack[height - 1]].depth <= changes[next].depth) {
                height--;
            }
            stack[height++] = next;
        }
        if (vain[i].kind == FOUND_FULL) {
            size_t greatest = first_from(stack, height, in_force(changes, next, vain[i].start));
            right = greatest < height && changes[stack[greatest]].depth >= (int64_t)capacity;
        }
    }
    free(stack);
    free(changes);
    return right;
}

enum verdict history_judge(struct operation *operations, size_t n, size_t capacity)
{
    if (n == 0) {
        return LINEARIZABLE;
    }
    qsort(operations, n, sizeof(*operations), by_value);
    struct row *rows = must_have(malloc((n + 1) * sizeof(*rows)));
    size_t n_rows = 0;
    enum verdict verdict = make_rows(operations, n, rows, &n_rows);
    size_t n_done = 0;
    while (n_done < n && (operations[n_done].kind == PUSHED || operations[n_done].kind == POPPED)) {
        n_done++;
    }
    if (verdict == LINEARIZABLE && !is_in_order(rows, n_rows)) {
        verdict = WRONG_ORDER;
    }
    if (verdict == LINEARIZABLE && !is_empty_right(operations + n_done, n - n_done, rows, n_rows)) {
        verdict = WRONG_EMPTY;
    }
    if (verdict == LINEARIZABLE && !is_full_right(operations + n_done, n - n_done, rows, n_rows, capacity)) {
        verdict = WRONG_FULL;
    }
    free(rows);
    return verdict;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"linearizable", "phantom",     "duplicate",
                                        "wrong order",  "wrong empty", "wrong full"};
    return names[verdict];
}
