/* Whether and how the jobs of kernels/gpu.h run: the choice, and the one context that they share. */
#include "kernels/cuda/jobs.h"

#include "common/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Few rows of small products follow the large ones: their sums need little room. */
#define SMALL_WORKSPACE ((size_t)4 << 20)

static atomic_int chosen;    /* -1: none */
static atomic_bool withdrawn; /* it turned out that jobs cannot run here */
static _Atomic double least_work = GLN_GPU_LEAST_WORK;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gln_jobs jobs;
static bool made;

static void say(void)
{
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    gln_log(probe->state == GLN_CUDA_READY ? GLN_LOG_INFO : GLN_LOG_DEBUG, "%s%s",
            probe->state == GLN_CUDA_READY ? "large jobs run on the GPU: " : "", probe->why);
}

bool gln_gpu_usable(double n_operations)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!(n_operations >= atomic_load(&least_work)) || atomic_load(&chosen) < 0) return false;
    pthread_once(&once, say);
    return gln_cuda_probe_once()->state == GLN_CUDA_READY && !gln_cuda_lost() && !atomic_load(&withdrawn);
}

void gln_gpu_choose(int ordinal)
{
    atomic_store(&chosen, ordinal < 0 ? -1 : ordinal);
}

void gln_gpu_set_least_work(double n_operations)
{
    atomic_store(&least_work, n_operations);
}

bool gln_gpu_gave_up(gln_status st, const char *job)
{
    if (st == GLN_OK || st == GLN_E_CANCELLED) return false;
    gln_log(GLN_LOG_WARNING, "%s continues on the CPU: %s", job, gln_message());
    if (st == GLN_E_UNSUPPORTED)
        atomic_store(&withdrawn, true); /* no cuBLASLt, say: the next job would meet the same */
    return true;
}

static void dispose(void)
{
    gln_cublas_free(jobs.blas);
    gln_cublas_free(jobs.small);
    gln_cuda_stream *streams[] = {&jobs.copy, &jobs.product, &jobs.follow};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) gln_cuda_stream_free(*streams[i]);
    for (size_t i = 0; i < 2; i++) {
        gln_cuda_event_free(jobs.product_done[i]);
        gln_cuda_event_free(jobs.follow_done[i]);
        gln_cuda_free(jobs.tile[i]);
    }
    memset(&jobs, 0, sizeof jobs);
}

static gln_status make(void)
{
    gln_status st;
    if ((st = gln_cublas_create(&jobs.blas, GLN_JOBS_WORKSPACE)) != GLN_OK ||
        (st = gln_cublas_create(&jobs.small, SMALL_WORKSPACE)) != GLN_OK ||
        (st = gln_cuda_stream_create(&jobs.copy)) != GLN_OK || (st = gln_cuda_stream_create(&jobs.product)) != GLN_OK ||
        (st = gln_cuda_stream_create(&jobs.follow)) != GLN_OK)
        return st;
    for (size_t i = 0; i < 2; i++)
        if ((st = gln_cuda_event_create(&jobs.product_done[i], false)) != GLN_OK ||
            (st = gln_cuda_event_create(&jobs.follow_done[i], false)) != GLN_OK ||
            (st = gln_cuda_alloc(&jobs.tile[i], 1, GLN_JOBS_TILE_BYTES, "a tile of products")) != GLN_OK)
            return st;
    return GLN_OK;
}

gln_status gln_jobs_enter(gln_jobs **out)
{
    pthread_mutex_lock(&lock);
    gln_status st = gln_cuda_use(atomic_load(&chosen));
    if (st == GLN_OK && !made) {
        st = make();
        made = st == GLN_OK;
        if (!made) {
            char message[GLN_MESSAGE_MAX];
            gln_message_copy(message, sizeof message);
            dispose();
            st = gln_fail(st, "%s", message);
        }
    }
    *out = st == GLN_OK ? &jobs : NULL;
    if (st != GLN_OK) pthread_mutex_unlock(&lock);
    return st;
}

gln_status gln_jobs_wait(gln_jobs *j)
{
    gln_status st = gln_cuda_wait(j->copy), product = gln_cuda_wait(j->product), follow = gln_cuda_wait(j->follow);
    return st != GLN_OK ? st : product != GLN_OK ? product : follow;
}

gln_status gln_jobs_leave(gln_jobs *j, gln_status st)
{
    char message[GLN_MESSAGE_MAX];
    gln_message_copy(message, sizeof message);
    gln_status waited = gln_jobs_wait(j);
    if (st != GLN_OK) (void)gln_fail(st, "%s", message);
    pthread_mutex_unlock(&lock);
    return st != GLN_OK ? st : waited;
}
