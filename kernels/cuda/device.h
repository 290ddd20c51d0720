/*
 * The GPU behind one header: is there one, its memory, streams, events, graphs, and what its errors mean. Everything
 * that computes on a GPU uses it; nothing else calls the CUDA runtime to allocate or to wait.
 *
 *     const gln_cuda_probe *probe = gln_cuda_probe_once();
 *     if (probe->state != GLN_CUDA_READY) gln_log(GLN_LOG_INFO, "%s", probe->why);       // and the CPU computes
 *     if ((st = gln_cuda_use(0)) != GLN_OK) ...                                          // this thread, from now on
 *     if ((st = gln_cuda_alloc(&rows, n, d * 2, "rows")) != GLN_OK) goto cleanup;        // GLN_E_MEMORY: halve and try again
 *     if ((st = gln_cuda_copy_in(rows, host, n * d * 2, stream)) != GLN_OK) goto cleanup;
 *     GLN_CUDA(GLN_LAUNCH(norms, n, 256, 0, stream, sq, rows, d), "norms");              // launch.cuh, in a .cu file
 *     st = gln_cuda_wait(stream);
 *
 * Built without CUDA (absent.c) the probe says so, and every other function that can fail returns GLN_E_UNSUPPORTED.
 *
 * Errors: GLN_E_MEMORY (this allocation; the GPU is fine), GLN_E_BUSY (another process holds it), GLN_E_UNSUPPORTED (no
 * GPU, or not built), GLN_E_INTERNAL (a bug or a broken GPU). Some errors are sticky: CUDA has lost the context, and
 * nothing computes in this process any more. gln_cuda_lost() is true from then on and every function here fails at
 * once, so the CPU takes over.
 *
 * Memory: what gln_cuda_alloc gives is device memory, never to be read by the host; pinned memory is host memory
 * that copies may read while the host goes on. A copy from or to a pinned buffer is in flight until its stream was
 * waited for. Ownership: each handle has one owner, who frees it after its stream has been waited for.
 *
 * Threads: functions may be called from any thread; a stream or graph belongs to one thread at a time. A
 * thread that never called gln_cuda_use works on device 0. After fork() the child must not use any of this.
 *
 * Source: CUDA C++ Programming Guide and CUDA Runtime API, release 13.0.
 */
#ifndef GLN_KERNELS_CUDA_DEVICE_H
#define GLN_KERNELS_CUDA_DEVICE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

/* CUDA's own handles, under names that need no CUDA header. */
typedef struct CUstream_st *gln_cuda_stream;
typedef struct CUevent_st *gln_cuda_event;
typedef struct gln_cuda_graph gln_cuda_graph;

typedef enum gln_cuda_state {
    GLN_CUDA_READY,
    GLN_CUDA_NOT_BUILT,
    GLN_CUDA_NO_DRIVER,
    GLN_CUDA_OLD_DRIVER,
    GLN_CUDA_NO_DEVICE,
    GLN_CUDA_OLD_DEVICE, /* below compute capability 8.0 */
    GLN_CUDA_BROKEN      /* the driver answers with an error */
} gln_cuda_state;

typedef struct gln_cuda_probe {
    gln_cuda_state state;
    int n_devices;
    int runtime_version, driver_version; /* 13000 is 13.0; 0: none */
    char why[GLN_MESSAGE_MAX];           /* one line: what there is, or why there is none */
} gln_cuda_probe;

typedef struct gln_cuda_device {
    int ordinal;
    char name[256];
    int capability_major, capability_minor;
    int n_multiprocessors;
    size_t memory_bytes, shared_bytes_a_block, l2_bytes; /* shared memory: the most a kernel may ask for */
} gln_cuda_device;

/* Asks the driver once, without making a context (milliseconds); never NULL, the same pointer afterwards. */
const gln_cuda_probe *gln_cuda_probe_once(void);

/* What device `ordinal` < n_devices is. */
gln_status gln_cuda_describe(gln_cuda_device *out, int ordinal);

/* From now on this thread computes on device `ordinal`; the first time makes its context (some 100 ms). GLN_E_BUSY when
   another process holds the device for itself. */
gln_status gln_cuda_use(int ordinal);

/* Free and total memory of this thread's device. */
gln_status gln_cuda_memory(size_t *free_bytes, size_t *total_bytes);

/* True once a sticky error has happened. */
bool gln_cuda_lost(void);

/* The status for an error of CUDA's (cudaError_t as int; 0 gives GLN_OK), with what was tried as the beginning of the
   sentence. Clears the thread's last error. */
gln_status gln_cuda_check(int cuda_error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Inside a function with `st` and `cleanup:`. */
#define GLN_CUDA(call, ...)                                                                                            \
    do {                                                                                                               \
        if ((st = gln_cuda_check((int)(call), __VA_ARGS__)) != GLN_OK) goto cleanup;                                   \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Device memory, not zeroed, aligned to 256 bytes; count 0 gives a valid pointer. Sizes are checked as in
   common/memory.h. Freeing waits for the whole device, so it belongs at the end of a job. */
gln_status gln_cuda_alloc(void *out_pointer, size_t count, size_t item_bytes, const char *what);
void gln_cuda_free(void *device_pointer);

/* Host memory that copies may read and write asynchronously. */
gln_status gln_cuda_alloc_pinned(void *out_pointer, size_t count, size_t item_bytes, const char *what);
void gln_cuda_free_pinned(void *host_pointer);

/* In the order of the stream. */
gln_status gln_cuda_copy_in(void *device, const void *host, size_t n_bytes, gln_cuda_stream stream);
gln_status gln_cuda_copy_out(void *host, const void *device, size_t n_bytes, gln_cuda_stream stream);
gln_status gln_cuda_fill(void *device, int byte, size_t n_bytes, gln_cuda_stream stream);

/* ---- order ----------------------------------------------------------------------------------------------------- */

/* Streams do not wait for the default stream. */
gln_status gln_cuda_stream_create(gln_cuda_stream *out);
void gln_cuda_stream_free(gln_cuda_stream stream);
/* The host waits until all of the stream is done; errors of its kernels come out here. */
gln_status gln_cuda_wait(gln_cuda_stream stream);

gln_status gln_cuda_event_create(gln_cuda_event *out, bool with_time);
void gln_cuda_event_free(gln_cuda_event event);
gln_status gln_cuda_event_record(gln_cuda_event event, gln_cuda_stream stream);
/* What follows in the stream begins after the event. One never recorded counts as done. */
gln_status gln_cuda_stream_after(gln_cuda_stream stream, gln_cuda_event event);
gln_status gln_cuda_event_wait(gln_cuda_event event);
/* Milliseconds between two events made with_time, both done. */
gln_status gln_cuda_elapsed_ms(float *out, gln_cuda_event begin, gln_cuda_event end);

/* ---- graphs ---------------------------------------------------------------------------------------------------- */

/*
 * What is put into the stream between begin and end is recorded and not run; launching the graph runs all of it for the
 * price of one launch. Pointers are recorded as they are: memory must stay where it is. No allocation, waiting or
 * measuring in between. After a failure in between call end all the same: it leaves capture and fails.
 */
gln_status gln_cuda_graph_begin(gln_cuda_stream stream);
gln_status gln_cuda_graph_end(gln_cuda_graph **out, gln_cuda_stream stream);
gln_status gln_cuda_graph_launch(gln_cuda_graph *graph, gln_cuda_stream stream);
void gln_cuda_graph_free(gln_cuda_graph *graph);

#ifdef __cplusplus
}
#endif
#endif
