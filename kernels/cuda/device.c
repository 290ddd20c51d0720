/*
 * The CUDA runtime behind device.h. cudart is linked statically and itself opens the driver when it is first called, so
 * the program starts on machines that have neither.
 *
 * Which errors are sticky is in the runtime's documentation of cudaError: those that "leave the process in an
 * inconsistent state". They come out of whatever call is next, so the flag is set here, where every error passes.
 */
#include "kernels/cuda/device.h"

#include "common/memory.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct gln_cuda_graph {
    cudaGraphExec_t exec;
};

static atomic_int lost; /* the sticky error, 0 for none */

static bool is_sticky(cudaError_t error)
{
    switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorContextIsDestroyed: return true;
    default: return false;
    }
}

static gln_status status_of(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation: return GLN_E_MEMORY;
    case cudaErrorDevicesUnavailable:
    case cudaErrorSystemNotReady: return GLN_E_BUSY;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorStubLibrary:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorUnsupportedPtxVersion: return GLN_E_UNSUPPORTED;
    default: return GLN_E_INTERNAL;
    }
}

bool gln_cuda_lost(void)
{
    return atomic_load(&lost) != 0;
}

static gln_status fail_lost(void)
{
    return gln_fail(GLN_E_INTERNAL, "the GPU was lost earlier in this process (%s)",
                    cudaGetErrorString((cudaError_t)atomic_load(&lost)));
}

gln_status gln_cuda_check(int cuda_error, const char *format, ...)
{
    char what[GLN_MESSAGE_MAX / 2];
    cudaError_t error = (cudaError_t)cuda_error;
    va_list arguments;
    if (error == cudaSuccess) return GLN_OK;
    (void)cudaGetLastError();
    if (is_sticky(error)) {
        int none = 0;
        atomic_compare_exchange_strong(&lost, &none, cuda_error);
    }
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return gln_fail(status_of(error), "GPU: %s: %s (%s)%s", what, cudaGetErrorString(error), cudaGetErrorName(error),
                    is_sticky(error) ? "; the GPU is lost to this process" : "");
}

/* ---- which devices --------------------------------------------------------------------------------------------- */

static gln_cuda_probe probed;

static void probe_none(gln_cuda_state state, const char *why)
{
    probed.state = state;
    snprintf(probed.why, sizeof probed.why, "%s", why);
}

static void probe(void)
{
    (void)cudaRuntimeGetVersion(&probed.runtime_version);
    if (cudaDriverGetVersion(&probed.driver_version) != cudaSuccess) probed.driver_version = 0;
    cudaError_t error = cudaGetDeviceCount(&probed.n_devices);
    (void)cudaGetLastError();
    if (error != cudaSuccess) probed.n_devices = 0;
    if (probed.driver_version == 0) {
        probe_none(GLN_CUDA_NO_DRIVER, "no GPU: this machine has no NVIDIA driver");
    } else if (error == cudaErrorInsufficientDriver) {
        probed.state = GLN_CUDA_OLD_DRIVER;
        snprintf(probed.why, sizeof probed.why,
                 "no GPU: the NVIDIA driver knows CUDA %d.%d, gleaner was built with %d.%d; update the driver",
                 probed.driver_version / 1000, probed.driver_version % 1000 / 10, probed.runtime_version / 1000,
                 probed.runtime_version % 1000 / 10);
    } else if (error == cudaErrorNoDevice || (error == cudaSuccess && probed.n_devices == 0)) {
        probe_none(GLN_CUDA_NO_DEVICE, "no GPU: the NVIDIA driver is here, but shows no device to this process");
    } else if (error != cudaSuccess) {
        probed.state = GLN_CUDA_BROKEN;
        snprintf(probed.why, sizeof probed.why, "no GPU: the NVIDIA driver answers: %s", cudaGetErrorString(error));
    } else {
        gln_cuda_device first;
        if (gln_cuda_describe(&first, 0) != GLN_OK)
            probe_none(GLN_CUDA_BROKEN, gln_message());
        else {
            bool old = first.capability_major < 8;
            probed.state = old ? GLN_CUDA_OLD_DEVICE : GLN_CUDA_READY;
            snprintf(probed.why, sizeof probed.why, "%s%.200s, compute capability %d.%d%s, %.1f GiB, CUDA %d.%d",
                     old ? "no GPU that gleaner can use: " : "", first.name, first.capability_major,
                     first.capability_minor, old ? " (8.0 is the least)" : "", (double)first.memory_bytes / (1 << 30),
                     probed.driver_version / 1000, probed.driver_version % 1000 / 10);
        }
    }
}

const gln_cuda_probe *gln_cuda_probe_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe);
    return &probed;
}

gln_status gln_cuda_describe(gln_cuda_device *out, int ordinal)
{
    struct cudaDeviceProp p;
    gln_status st = gln_cuda_check((int)cudaGetDeviceProperties(&p, ordinal), "device %d", ordinal);
    memset(out, 0, sizeof *out);
    if (st != GLN_OK) return st;
    out->ordinal = ordinal;
    snprintf(out->name, sizeof out->name, "%s", p.name);
    out->capability_major = p.major;
    out->capability_minor = p.minor;
    out->n_multiprocessors = p.multiProcessorCount;
    out->memory_bytes = p.totalGlobalMem;
    out->shared_bytes_a_block = p.sharedMemPerBlockOptin;
    out->l2_bytes = p.l2CacheSize < 0 ? 0 : (size_t)p.l2CacheSize;
    return GLN_OK;
}

gln_status gln_cuda_use(int ordinal)
{
    const gln_cuda_probe *p = gln_cuda_probe_once();
    if (gln_cuda_lost()) return fail_lost();
    if (p->n_devices == 0) return gln_fail(GLN_E_UNSUPPORTED, "%s", p->why);
    if (ordinal < 0 || ordinal >= p->n_devices)
        return gln_fail(GLN_E_ARGUMENT, "there is no GPU %d; this machine shows %d, counted from 0", ordinal,
                        p->n_devices);
    gln_status st = gln_cuda_check((int)cudaSetDevice(ordinal), "device %d", ordinal);
    /* Since CUDA 12 cudaSetDevice makes the context; freeing nothing makes it with any version. */
    return st == GLN_OK ? gln_cuda_check((int)cudaFree(NULL), "device %d", ordinal) : st;
}

gln_status gln_cuda_memory(size_t *free_bytes, size_t *total_bytes)
{
    return gln_cuda_lost() ? fail_lost() : gln_cuda_check((int)cudaMemGetInfo(free_bytes, total_bytes), "free memory");
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static gln_status allocate(void *out_pointer, size_t count, size_t item_bytes, const char *what, bool pinned)
{
    void *got = NULL;
    size_t n_bytes = 0, free_bytes = 0, total_bytes = 0;
    memcpy(out_pointer, &got, sizeof got);
    if (!gln_mul_size(&n_bytes, count, item_bytes))
        return gln_fail(GLN_E_LIMIT, "%s: %zu items of %zu bytes", what, count, item_bytes);
    if (gln_cuda_lost()) return fail_lost();
    if (n_bytes == 0) n_bytes = 1;
    cudaError_t error = pinned ? cudaMallocHost(&got, n_bytes) : cudaMalloc(&got, n_bytes);
    if (error == cudaErrorMemoryAllocation && !pinned && cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess) {
        (void)cudaGetLastError();
        return gln_fail(GLN_E_MEMORY, "GPU memory: %s needs %.1f MiB, %.1f of %.1f MiB are free", what,
                        (double)n_bytes / (1 << 20), (double)free_bytes / (1 << 20), (double)total_bytes / (1 << 20));
    }
    gln_status st = gln_cuda_check((int)error, "%s, %.1f MiB of %s memory", what, (double)n_bytes / (1 << 20),
                                   pinned ? "pinned" : "GPU");
    if (st == GLN_OK) memcpy(out_pointer, &got, sizeof got);
    return st;
}

gln_status gln_cuda_alloc(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    return allocate(out_pointer, count, item_bytes, what, false);
}

gln_status gln_cuda_alloc_pinned(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    return allocate(out_pointer, count, item_bytes, what, true);
}

/* Errors of freeing are those of earlier work: they are remembered by gln_cuda_check, and there is nothing else to do
   about them. */
void gln_cuda_free(void *device_pointer)
{
    if (device_pointer != NULL) (void)gln_cuda_check((int)cudaFree(device_pointer), "freeing memory");
}

void gln_cuda_free_pinned(void *host_pointer)
{
    if (host_pointer != NULL) (void)gln_cuda_check((int)cudaFreeHost(host_pointer), "freeing pinned memory");
}

static gln_status copy(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind, gln_cuda_stream stream)
{
    if (gln_cuda_lost()) return fail_lost();
    if (n_bytes == 0) return GLN_OK;
    return gln_cuda_check((int)cudaMemcpyAsync(to, from, n_bytes, kind, stream), "copying %zu bytes", n_bytes);
}

gln_status gln_cuda_copy_in(void *device, const void *host, size_t n_bytes, gln_cuda_stream stream)
{
    return copy(device, host, n_bytes, cudaMemcpyHostToDevice, stream);
}

gln_status gln_cuda_copy_out(void *host, const void *device, size_t n_bytes, gln_cuda_stream stream)
{
    return copy(host, device, n_bytes, cudaMemcpyDeviceToHost, stream);
}

gln_status gln_cuda_fill(void *device, int byte, size_t n_bytes, gln_cuda_stream stream)
{
    if (gln_cuda_lost()) return fail_lost();
    if (n_bytes == 0) return GLN_OK;
    return gln_cuda_check((int)cudaMemsetAsync(device, byte, n_bytes, stream), "filling %zu bytes", n_bytes);
}

/* ---- order ----------------------------------------------------------------------------------------------------- */

gln_status gln_cuda_stream_create(gln_cuda_stream *out)
{
    *out = NULL;
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaStreamCreateWithFlags(out, cudaStreamNonBlocking), "a stream");
}

void gln_cuda_stream_free(gln_cuda_stream stream)
{
    if (stream != NULL) (void)gln_cuda_check((int)cudaStreamDestroy(stream), "ending a stream");
}

gln_status gln_cuda_wait(gln_cuda_stream stream)
{
    return gln_cuda_lost() ? fail_lost() : gln_cuda_check((int)cudaStreamSynchronize(stream), "waiting for a stream");
}

gln_status gln_cuda_event_create(gln_cuda_event *out, bool with_time)
{
    *out = NULL;
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaEventCreateWithFlags(out, with_time ? cudaEventDefault
                                                                                         : cudaEventDisableTiming),
                                            "an event");
}

void gln_cuda_event_free(gln_cuda_event event)
{
    if (event != NULL) (void)gln_cuda_check((int)cudaEventDestroy(event), "freeing an event");
}

gln_status gln_cuda_event_record(gln_cuda_event event, gln_cuda_stream stream)
{
    return gln_cuda_lost() ? fail_lost() : gln_cuda_check((int)cudaEventRecord(event, stream), "recording an event");
}

gln_status gln_cuda_stream_after(gln_cuda_stream stream, gln_cuda_event event)
{
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaStreamWaitEvent(stream, event, 0), "ordering streams");
}

gln_status gln_cuda_event_wait(gln_cuda_event event)
{
    return gln_cuda_lost() ? fail_lost() : gln_cuda_check((int)cudaEventSynchronize(event), "waiting for an event");
}

gln_status gln_cuda_elapsed_ms(float *out, gln_cuda_event begin, gln_cuda_event end)
{
    *out = 0;
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaEventElapsedTime(out, begin, end), "time between events");
}

/* ---- graphs ---------------------------------------------------------------------------------------------------- */

gln_status gln_cuda_graph_begin(gln_cuda_stream stream)
{
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                                            "recording a graph");
}

gln_status gln_cuda_graph_end(gln_cuda_graph **out, gln_cuda_stream stream)
{
    cudaGraph_t recorded = NULL;
    gln_cuda_graph *graph = NULL;
    gln_status st;
    *out = NULL;
    GLN_CUDA(cudaStreamEndCapture(stream, &recorded), "recording a graph");
    if (gln_cuda_lost()) {
        st = fail_lost();
        goto cleanup;
    }
    if ((st = gln_alloc(&graph, 1, sizeof *graph, "graph")) != GLN_OK) goto cleanup;
    GLN_CUDA(cudaGraphInstantiate(&graph->exec, recorded, 0), "making a graph");
    *out = graph;
    graph = NULL;
cleanup:
    if (recorded != NULL) (void)cudaGraphDestroy(recorded);
    gln_free(graph);
    return st;
}

gln_status gln_cuda_graph_launch(gln_cuda_graph *graph, gln_cuda_stream stream)
{
    return gln_cuda_lost() ? fail_lost()
                           : gln_cuda_check((int)cudaGraphLaunch(graph->exec, stream), "launching a graph");
}

void gln_cuda_graph_free(gln_cuda_graph *graph)
{
    if (graph == NULL) return;
    (void)gln_cuda_check((int)cudaGraphExecDestroy(graph->exec), "freeing a graph");
    gln_free(graph);
}
