#define _GNU_SOURCE /* sched_getaffinity, pthread_setname_np */
#include "common/threads.h"

#include "common/memory.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

enum { MAX_THREADS = 256 };

size_t gln_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (size_t)n;
}

gln_status gln_thread_start(pthread_t *out, const char *name, void *(*body)(void *), void *context)
{
    int failed = pthread_create(out, NULL, body, context);
    if (failed != 0) return gln_fail_errno(failed, "thread %s", name);
    char shortened[16];
    snprintf(shortened, sizeof shortened, "%s", name);
    pthread_setname_np(*out, shortened);
    return GLN_OK;
}

struct gln_pool {
    pthread_mutex_t caller; /* held for a whole loop: one at a time */
    pthread_mutex_t lock;   /* guards everything below */
    pthread_cond_t work, idle;
    pthread_t threads[MAX_THREADS];
    size_t n_threads; /* started threads: one less than the pool's size */
    unsigned long round;
    size_t n_running;
    bool stopping;
    /* the loop in progress */
    gln_range_fn body;
    void *context;
    size_t n, grain, next;
    gln_status status;
    char message[GLN_MESSAGE_MAX];
};

/* One thread of the pool and its number, kept by the thread itself. */
struct worker {
    gln_pool *pool;
    size_t index;
};

/* Takes ranges until none is left or one failed. The pool's lock is held on entry and on return. */
static void run_ranges(gln_pool *pool, size_t worker)
{
    while (pool->next < pool->n && pool->status == GLN_OK) {
        size_t begin = pool->next;
        size_t end = pool->n - begin > pool->grain ? begin + pool->grain : pool->n;
        pool->next = end;
        pthread_mutex_unlock(&pool->lock);
        gln_status st = pool->body(pool->context, begin, end, worker);
        pthread_mutex_lock(&pool->lock);
        if (st != GLN_OK && pool->status == GLN_OK) {
            pool->status = st;
            gln_message_copy(pool->message, sizeof pool->message);
        }
    }
}

static void *worker_main(void *argument)
{
    struct worker self = *(struct worker *)argument;
    gln_free(argument);
    gln_pool *pool = self.pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stopping && pool->round == seen) pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->stopping) break;
        seen = pool->round;
        run_ranges(pool, self.index);
        if (--pool->n_running == 0) pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

gln_status gln_pool_create(gln_pool **out, size_t n_threads)
{
    *out = NULL;
    if (n_threads == 0) n_threads = gln_processors();
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    gln_pool *pool = NULL;
    gln_status st = gln_alloc(&pool, 1, sizeof *pool, "thread pool");
    if (st != GLN_OK) return st;
    pthread_mutex_init(&pool->caller, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (size_t i = 0; i + 1 < n_threads && st == GLN_OK; i++) {
        struct worker *self = NULL;
        if ((st = gln_alloc(&self, 1, sizeof *self, "pool thread")) != GLN_OK) break;
        *self = (struct worker){.pool = pool, .index = i + 1};
        if ((st = gln_thread_start(&pool->threads[i], "gln-pool", worker_main, self)) != GLN_OK) gln_free(self);
        else pool->n_threads++;
    }
    if (st != GLN_OK) {
        gln_pool_free(pool);
        return st;
    }
    *out = pool;
    return GLN_OK;
}

void gln_pool_free(gln_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_threads; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->caller);
    gln_free(pool);
}

size_t gln_pool_size(const gln_pool *pool)
{
    return pool == NULL ? 1 : pool->n_threads + 1;
}

gln_status gln_pool_for(gln_pool *pool, size_t n, size_t grain, gln_range_fn body, void *context)
{
    if (n == 0) return GLN_OK;
    if (grain == 0) {
        /* Four ranges a thread: enough to even out, few enough to hand out cheaply. */
        grain = n / (4 * gln_pool_size(pool));
        if (grain == 0) grain = 1;
    }
    if (pool == NULL || pool->n_threads == 0) {
        for (size_t begin = 0; begin < n; begin += grain) {
            gln_status st = body(context, begin, n - begin > grain ? begin + grain : n, 0);
            if (st != GLN_OK) return st;
        }
        return GLN_OK;
    }
    pthread_mutex_lock(&pool->caller);
    pthread_mutex_lock(&pool->lock);
    pool->body = body;
    pool->context = context;
    pool->n = n;
    pool->grain = grain;
    pool->next = 0;
    pool->status = GLN_OK;
    pool->n_running = pool->n_threads;
    pool->round++;
    pthread_cond_broadcast(&pool->work);
    run_ranges(pool, 0);
    while (pool->n_running != 0) pthread_cond_wait(&pool->idle, &pool->lock);
    gln_status st = pool->status;
    if (st != GLN_OK) gln_fail(st, "%s", pool->message);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->caller);
    return st;
}

struct gln_queue {
    pthread_mutex_t lock;
    pthread_cond_t room, items;
    void **slots;
    size_t capacity, head, count;
    bool closed;
};

gln_status gln_queue_create(gln_queue **out, size_t capacity)
{
    *out = NULL;
    gln_queue *queue = NULL;
    gln_status st = gln_alloc(&queue, 1, sizeof *queue, "queue");
    if (st != GLN_OK) return st;
    if ((st = gln_alloc(&queue->slots, capacity, sizeof *queue->slots, "queue slots")) != GLN_OK) {
        gln_free(queue);
        return st;
    }
    queue->capacity = capacity;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->room, NULL);
    pthread_cond_init(&queue->items, NULL);
    *out = queue;
    return GLN_OK;
}

void gln_queue_free(gln_queue *queue)
{
    if (queue == NULL) return;
    pthread_cond_destroy(&queue->room);
    pthread_cond_destroy(&queue->items);
    pthread_mutex_destroy(&queue->lock);
    gln_free(queue->slots);
    gln_free(queue);
}

gln_status gln_queue_push(gln_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && queue->count == queue->capacity) pthread_cond_wait(&queue->room, &queue->lock);
    bool closed = queue->closed;
    if (!closed) {
        queue->slots[(queue->head + queue->count++) % queue->capacity] = item;
        pthread_cond_signal(&queue->items);
    }
    pthread_mutex_unlock(&queue->lock);
    return closed ? gln_fail(GLN_E_CANCELLED, "the queue is closed") : GLN_OK;
}

gln_status gln_queue_pop(gln_queue *queue, void **out)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && queue->count == 0) pthread_cond_wait(&queue->items, &queue->lock);
    bool got = queue->count != 0;
    if (got) {
        *out = queue->slots[queue->head];
        queue->head = (queue->head + 1) % queue->capacity;
        queue->count--;
        pthread_cond_signal(&queue->room);
    }
    pthread_mutex_unlock(&queue->lock);
    return got ? GLN_OK : gln_fail(GLN_E_CANCELLED, "the queue is closed");
}

void gln_queue_close(gln_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->room);
    pthread_cond_broadcast(&queue->items);
    pthread_mutex_unlock(&queue->lock);
}
