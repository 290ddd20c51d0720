/*
 * The CUDA runtime of the host device. Work put into a stream is kept and done only when someone waits for it: the host
 * for the stream or an event, another stream for an event, freeing memory for everything. So a result that is read too
 * early, or a pinned buffer that is filled again too early, shows. In shuffled order (host_device.h) streams also run
 * ahead, each as far as chance has it: what one stream overwrites before another has read it shows, too.
 */
#include <cuda_runtime.h>

#include "tests/gpu/host_device/host_device.h"

#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using work = std::function<void()>;

struct event_state {
    uint64_t recorded = 0, done = 0;
    CUstream_st *stream = nullptr;
    bool timed = false;
};
struct CUevent_st {
    std::shared_ptr<event_state> state = std::make_shared<event_state>();
    CUgraph_st *captured = nullptr;
};
struct CUgraph_st {
    std::vector<work> items;
    CUstream_st *origin = nullptr;
    bool broken = false;
};
struct CUgraphExec_st {
    std::shared_ptr<std::vector<work>> items;
};
struct CUstream_st {
    std::deque<work> pending;
    CUgraph_st *capture = nullptr;
    bool running = false;
};

namespace {

std::recursive_mutex lock;
std::map<void *, size_t> device_memory, pinned_memory;
std::vector<CUstream_st *> streams;
CUstream_st default_stream;
std::map<const void *, int> shared_allowed;
size_t memory_bytes = (size_t)4 << 30, device_bytes, n_launches, fail_allocation, fail_launch, fail_run;
cudaError_t sticky = cudaSuccess, absent = cudaSuccess;
int driver_version = 13000;
thread_local cudaError_t last = cudaSuccess;

cudaError_t give(cudaError_t error)
{
    if (error != cudaSuccess) last = error;
    return error;
}
#define ENTER()                                                                                                        \
    std::lock_guard<std::recursive_mutex> held(lock);                                                                  \
    if (absent != cudaSuccess) return give(absent);                                                                    \
    if (sticky != cudaSuccess) return give(sticky)

CUstream_st *of(cudaStream_t stream) { return stream != nullptr ? stream : &default_stream; }

bool run_one(CUstream_st *s)
{
    if (s->pending.empty()) return false;
    work item = std::move(s->pending.front());
    s->pending.pop_front();
    if (sticky == cudaSuccess) item();
    return true;
}
void run_all(CUstream_st *s)
{
    while (run_one(s)) {}
}
void run_everything()
{
    run_all(&default_stream);
    for (CUstream_st *s : streams) run_all(s);
}
void run_until(const std::shared_ptr<event_state> &e, uint64_t ticket)
{
    while (e->done < ticket && e->stream != nullptr && run_one(e->stream)) {}
}
/* One stream, or none, is ahead of the others for a while. */
void run_ahead()
{
    static size_t favourite;
    if (gln_host_chance(16) == 0) favourite = gln_host_chance(streams.size() + 2);
    if (favourite < streams.size()) run_all(streams[favourite]);
}
cudaError_t put(cudaStream_t stream, work item)
{
    CUstream_st *s = of(stream);
    if (s->capture != nullptr)
        s->capture->items.push_back(std::move(item));
    else
        s->pending.push_back(std::move(item));
    if (gln_host_is_shuffled()) run_ahead();
    return cudaSuccess;
}
/* What may not happen while any stream records. */
bool any_capture()
{
    bool any = default_stream.capture != nullptr;
    for (CUstream_st *s : streams) any = any || s->capture != nullptr;
    return any;
}
cudaError_t break_capture(CUstream_st *s)
{
    s->capture->broken = true;
    return give(cudaErrorStreamCaptureUnsupported);
}
bool fails_now(size_t *countdown) { return *countdown != 0 && --*countdown == 0; }
bool is_pinned(const void *p)
{
    auto at = pinned_memory.upper_bound(const_cast<void *>(p));
    if (at == pinned_memory.begin()) return false;
    --at;
    return static_cast<const char *>(p) < static_cast<const char *>(at->first) + at->second;
}
bool is_device(const void *p, size_t n_bytes)
{
    auto at = device_memory.upper_bound(const_cast<void *>(p));
    if (at == device_memory.begin()) return false;
    --at;
    size_t offset = (size_t)(static_cast<const char *>(p) - static_cast<const char *>(at->first));
    return offset < at->second && n_bytes <= at->second - offset; /* the byte after the last is another's */
}
cudaError_t allocate(std::map<void *, size_t> *where, void **out, size_t n_bytes)
{
    bool device = where == &device_memory;
    *out = nullptr;
    if (any_capture()) return give(cudaErrorStreamCaptureUnsupported);
    if (fails_now(&fail_allocation) || (device && n_bytes > memory_bytes - device_bytes) ||
        posix_memalign(out, 256, n_bytes) != 0)
        return give(cudaErrorMemoryAllocation);
    std::memset(*out, 0xff, n_bytes); /* NaN, and no index */
    (*where)[*out] = n_bytes;
    if (device) device_bytes += n_bytes;
    if (device) gln_host_races_memory(*out, n_bytes);
    return cudaSuccess;
}
cudaError_t release(std::map<void *, size_t> *where, void *p)
{
    if (p == nullptr) return cudaSuccess;
    run_everything();
    auto at = where->find(p);
    if (at == where->end()) return give(cudaErrorInvalidValue);
    if (where == &device_memory) {
        device_bytes -= at->second;
        gln_host_races_no_memory(p);
    }
    where->erase(at);
    std::free(p);
    return sticky;
}
const char *const no_words = "an error";

} // namespace

extern "C" {

void gln_host_device_memory(size_t n_bytes) { memory_bytes = n_bytes; }
size_t gln_host_device_allocated(void)
{
    size_t sum = device_bytes;
    for (auto &p : pinned_memory) sum += p.second;
    return sum;
}
size_t gln_host_device_launches(void) { return n_launches; }
void gln_host_device_fail_allocation(size_t nth) { fail_allocation = nth; }
void gln_host_device_fail_launch(size_t nth) { fail_launch = nth; }
void gln_host_device_fail_run(size_t nth) { fail_run = nth; }
void gln_host_device_absent(int cuda_error, int version)
{
    absent = (cudaError_t)cuda_error;
    driver_version = version;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    default: return no_words;
    }
}
const char *cudaGetErrorName(cudaError_t error)
{
    static thread_local std::string name;
    name = "cudaError " + std::to_string((int)error);
    return name.c_str();
}
cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last;
    last = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError(void) { return last; }
cudaError_t cudaRuntimeGetVersion(int *version) { *version = 13000; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { *version = driver_version; return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    ENTER();
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) { *device = 0; return cudaSuccess; }
cudaError_t cudaSetDevice(int device)
{
    ENTER();
    return device == 0 ? cudaSuccess : give(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    ENTER();
    if (device != 0) return give(cudaErrorInvalidDevice);
    *p = cudaDeviceProp{};
    std::strcpy(p->name, "host device of the tests");
    p->totalGlobalMem = memory_bytes;
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = 163 * 1024;
    p->major = 8;
    p->multiProcessorCount = 4;
    p->l2CacheSize = 1 << 20;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void)
{
    ENTER();
    if (any_capture()) return give(cudaErrorStreamCaptureUnsupported);
    run_everything();
    return give(sticky);
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    ENTER();
    *total_bytes = memory_bytes;
    *free_bytes = memory_bytes - device_bytes;
    return cudaSuccess;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

cudaError_t cudaMalloc(void **out, size_t n_bytes) { ENTER(); return allocate(&device_memory, out, n_bytes); }
cudaError_t cudaMallocHost(void **out, size_t n_bytes) { ENTER(); return allocate(&pinned_memory, out, n_bytes); }
cudaError_t cudaHostAlloc(void **out, size_t n_bytes, unsigned) { return cudaMallocHost(out, n_bytes); }
cudaError_t cudaFree(void *p)
{
    std::lock_guard<std::recursive_mutex> held(lock); /* memory is given back after a loss, too */
    cudaError_t error = release(&device_memory, p);
    return give(sticky != cudaSuccess ? sticky : error);
}
cudaError_t cudaFreeHost(void *p)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    cudaError_t error = release(&pinned_memory, p);
    return give(sticky != cudaSuccess ? sticky : error);
}
cudaError_t cudaHostRegister(void *host, size_t n_bytes, unsigned)
{
    ENTER();
    pinned_memory[host] = n_bytes;
    return cudaSuccess;
}
cudaError_t cudaHostUnregister(void *host)
{
    ENTER();
    run_everything();
    return pinned_memory.erase(host) == 1 ? cudaSuccess : give(cudaErrorInvalidValue);
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    ENTER();
    if (n_bytes == 0) return cudaSuccess;
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if ((to_device && !is_device(to, n_bytes)) || (from_device && !is_device(from, n_bytes)) ||
        (!to_device && is_device(to, 0)) || (!from_device && is_device(from, 0)))
        return give(cudaErrorInvalidValue);
    const void *host = to_device ? from : to;
    bool host_waits = to_device != from_device && !is_pinned(host);
    if (host_waits && of(stream)->capture == nullptr) run_all(of(stream));
    work item = [=] { std::memcpy(to, from, n_bytes); };
    if (host_waits && of(stream)->capture == nullptr) {
        if (sticky == cudaSuccess) item();
        return give(sticky);
    }
    return put(stream, std::move(item));
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind)
{
    cudaError_t error = cudaMemcpyAsync(to, from, n_bytes, kind, nullptr);
    return error == cudaSuccess ? cudaStreamSynchronize(nullptr) : error;
}
cudaError_t cudaMemsetAsync(void *device, int byte, size_t n_bytes, cudaStream_t stream)
{
    ENTER();
    if (!is_device(device, n_bytes)) return give(cudaErrorInvalidValue);
    return put(stream, [=] { std::memset(device, byte, n_bytes); });
}
cudaError_t cudaMemset(void *device, int byte, size_t n_bytes)
{
    return cudaMemsetAsync(device, byte, n_bytes, nullptr);
}

/* ---- order ----------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    ENTER();
    streams.push_back(*out = new CUstream_st);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    run_all(stream);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + (long)i);
    delete stream;
    return give(sticky);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ENTER();
    if (of(stream)->capture != nullptr) return break_capture(of(stream));
    run_all(of(stream));
    return give(sticky);
}
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    ENTER();
    return of(stream)->pending.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    ENTER();
    *out = new CUevent_st;
    (*out)->state->timed = (flags & cudaEventDisableTiming) == 0;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    run_until(event->state, event->state->recorded);
    delete event;
    return give(sticky);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ENTER();
    CUstream_st *s = of(stream);
    event->captured = s->capture;
    if (s->capture != nullptr) return cudaSuccess; /* order within a graph is that of recording */
    run_until(event->state, event->state->recorded);
    std::shared_ptr<event_state> e = event->state;
    uint64_t ticket = ++e->recorded;
    e->stream = s;
    return put(stream, [e, ticket] { e->done = ticket; });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    ENTER();
    CUstream_st *s = of(stream);
    if (event->captured != nullptr) { /* this stream's work belongs to the same graph from now on */
        s->capture = event->captured;
        return cudaSuccess;
    }
    if (s->capture != nullptr) return break_capture(s);
    std::shared_ptr<event_state> e = event->state;
    uint64_t ticket = e->recorded;
    return put(stream, [e, ticket] { run_until(e, ticket); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    ENTER();
    if (event->captured != nullptr) return give(cudaErrorStreamCaptureUnsupported);
    run_until(event->state, event->state->recorded);
    return give(sticky);
}
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    ENTER();
    return event->state->done == event->state->recorded ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    ENTER();
    if (!begin->state->timed || !end->state->timed) return give(cudaErrorInvalidResourceHandle);
    if (begin->state->done != begin->state->recorded || end->state->done != end->state->recorded)
        return give(cudaErrorNotReady);
    *ms = 1.0f; /* the host device has no time of its own */
    return cudaSuccess;
}

/* ---- graphs ---------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode)
{
    ENTER();
    if (stream == nullptr || stream->capture != nullptr) return give(cudaErrorStreamCaptureUnsupported);
    stream->capture = new CUgraph_st;
    stream->capture->origin = stream;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = nullptr;
    std::lock_guard<std::recursive_mutex> held(lock);
    CUgraph_st *graph = of(stream)->capture;
    if (graph == nullptr || graph->origin != stream) return give(cudaErrorInvalidValue);
    for (CUstream_st *s : streams)
        if (s->capture == graph) s->capture = nullptr;
    if (graph->broken || sticky != cudaSuccess) {
        delete graph;
        return give(sticky != cudaSuccess ? sticky : cudaErrorStreamCaptureInvalidated);
    }
    *out = graph;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    ENTER();
    *status = of(stream)->capture != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = nullptr;
    ENTER();
    *out = new CUgraphExec_st{std::make_shared<std::vector<work>>(graph->items)};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    ENTER();
    if (of(stream)->capture != nullptr) return break_capture(of(stream));
    auto items = graph->items;
    return put(stream, [items] {
        for (const work &item : *items)
            if (sticky == cudaSuccess) item();
    });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    std::lock_guard<std::recursive_mutex> held(lock);
    delete graph;
    return give(sticky);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute, int value)
{
    ENTER();
    if (value < 0 || value > 163 * 1024) return give(cudaErrorInvalidValue);
    shared_allowed[kernel] = value;
    return cudaSuccess;
}

} // extern "C"

cudaError_t gln_host_launch_body(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                                 cudaStream_t stream, std::function<void()> body)
{
    ENTER();
    size_t n_threads = (size_t)block.x * block.y * block.z;
    auto allowed = shared_allowed.find(kernel);
    if (fails_now(&fail_launch) || n_threads == 0 || n_threads > 1024 || block.z > 64 || grid.x == 0 || grid.y == 0 ||
        grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 ||
        shared_bytes >
            (allowed != shared_allowed.end() && allowed->second > 48 * 1024 ? (size_t)allowed->second : 48 * 1024))
        return give(cudaErrorInvalidConfiguration);
    return put(stream, [=] {
        n_launches++;
        if (fails_now(&fail_run))
            sticky = cudaErrorIllegalAddress;
        else
            gln_host_run_kernel(name, grid, block, shared_bytes, body);
    });
}

/* For cublas_lt.cpp: work that is no kernel. */
cudaError_t gln_host_put(cudaStream_t stream, std::function<void()> item)
{
    ENTER();
    return put(stream, std::move(item));
}
