/* A circular buffer under a mutex with two conditions: what one writes without giving it a thought. */
#include "queues.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct mutex_queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    size_t capacity;
    size_t head;
    size_t n;
    bool closed;
    void *items[];
};

static void *mutex_new(size_t capacity)
{
    struct mutex_queue *queue = calloc(1, sizeof(*queue) + capacity * sizeof(void *));
    assert(queue != NULL);
    queue->capacity = capacity;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    return queue;
}

static void mutex_free(void *arg)
{
    struct mutex_queue *queue = arg;
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

static void put(struct mutex_queue *queue, void *item)
{
    queue->items[(queue->head + queue->n++) & (queue->capacity - 1)] = item;
    pthread_cond_signal(&queue->not_empty);
}

static void *get(struct mutex_queue *queue)
{
    void *item = queue->items[queue->head];
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->n--;
    pthread_cond_signal(&queue->not_full);
    return item;
}

static bool mutex_push(void *arg, void *item)
{
    struct mutex_queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    bool has_room = queue->n < queue->capacity;
    if (has_room) {
        put(queue, item);
    }
    pthread_mutex_unlock(&queue->mutex);
    return has_room;
}

static bool mutex_pop(void *arg, void **ret_item)
{
    struct mutex_queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    bool has_some = queue->n > 0;
    if (has_some) {
        *ret_item = get(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
    return has_some;
}

static bool mutex_push_half(void *arg, unsigned step)
{
    struct mutex_queue *queue = arg;
    return step == 0 && pthread_mutex_lock(&queue->mutex) == 0;
}

void mutex_queue_push_wait(void *arg, void *item)
{
    struct mutex_queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    while (queue->n == queue->capacity) {
        pthread_cond_wait(&queue->not_full, &queue->mutex);
    }
    put(queue, item);
    pthread_mutex_unlock(&queue->mutex);
}

bool mutex_queue_pop_wait(void *arg, void **ret_item)
{
    struct mutex_queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    while (queue->n == 0 && !queue->closed) {
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
    }
    bool has_some = queue->n > 0;
    if (has_some) {
        *ret_item = get(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
    return has_some;
}

void mutex_queue_close(void *arg)
{
    struct mutex_queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
}

const struct queue_ops queue_mutex = {.name = "mutex",
                                      .new = mutex_new,
                                      .free = mutex_free,
                                      .push = mutex_push,
                                      .pop = mutex_pop,
                                      .push_half = mutex_push_half};
