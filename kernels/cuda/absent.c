/*
 * device.h, cublas.h and kernels/gpu.h in a gleaner built without CUDA: the probe says so, everything else fails with
 * that sentence. Nothing can have been made, so freeing does nothing.
 */
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/device.h"
#include "kernels/gpu.h"

#include <string.h>

static const gln_cuda_probe none = {.state = GLN_CUDA_NOT_BUILT, .why = "no GPU: this gleaner was built without CUDA"};

const gln_cuda_probe *gln_cuda_probe_once(void)
{
    return &none;
}

static gln_status absent(void)
{
    return gln_fail(GLN_E_UNSUPPORTED, "%s", none.why);
}

/* Where the first parameter is where a pointer goes. */
static gln_status absent_pointer(void *out_pointer)
{
    void *nothing = NULL;
    memcpy(out_pointer, &nothing, sizeof nothing);
    return absent();
}

bool gln_cuda_lost(void) { return false; }
gln_status gln_cuda_describe(gln_cuda_device *out, int ordinal)
{
    (void)ordinal;
    memset(out, 0, sizeof *out);
    return absent();
}
gln_status gln_cuda_use(int ordinal)
{
    (void)ordinal;
    return absent();
}
gln_status gln_cuda_memory(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = *total_bytes = 0;
    return absent();
}
gln_status gln_cuda_check(int cuda_error, const char *format, ...)
{
    (void)format;
    return cuda_error == 0 ? GLN_OK : absent();
}

gln_status gln_cuda_alloc(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    (void)count;
    (void)item_bytes;
    (void)what;
    return absent_pointer(out_pointer);
}
void gln_cuda_free(void *device_pointer) { (void)device_pointer; }
gln_status gln_cuda_alloc_pinned(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    return gln_cuda_alloc(out_pointer, count, item_bytes, what);
}
void gln_cuda_free_pinned(void *host_pointer) { (void)host_pointer; }

gln_status gln_cuda_copy_in(void *device, const void *host, size_t n_bytes, gln_cuda_stream stream)
{
    (void)device;
    (void)host;
    (void)n_bytes;
    (void)stream;
    return absent();
}
gln_status gln_cuda_copy_out(void *host, const void *device, size_t n_bytes, gln_cuda_stream stream)
{
    return gln_cuda_copy_in(host, device, n_bytes, stream);
}
gln_status gln_cuda_fill(void *device, int byte, size_t n_bytes, gln_cuda_stream stream)
{
    (void)byte;
    return gln_cuda_copy_in(device, NULL, n_bytes, stream);
}

gln_status gln_cuda_stream_create(gln_cuda_stream *out) { return absent_pointer(out); }
void gln_cuda_stream_free(gln_cuda_stream stream) { (void)stream; }
gln_status gln_cuda_wait(gln_cuda_stream stream)
{
    (void)stream;
    return absent();
}
gln_status gln_cuda_event_create(gln_cuda_event *out, bool with_time)
{
    (void)with_time;
    return absent_pointer(out);
}
void gln_cuda_event_free(gln_cuda_event event) { (void)event; }
gln_status gln_cuda_event_record(gln_cuda_event event, gln_cuda_stream stream)
{
    (void)event;
    (void)stream;
    return absent();
}
gln_status gln_cuda_stream_after(gln_cuda_stream stream, gln_cuda_event event)
{
    return gln_cuda_event_record(event, stream);
}
gln_status gln_cuda_event_wait(gln_cuda_event event)
{
    (void)event;
    return absent();
}
gln_status gln_cuda_elapsed_ms(float *out, gln_cuda_event begin, gln_cuda_event end)
{
    (void)begin;
    (void)end;
    *out = 0;
    return absent();
}

gln_status gln_cuda_graph_begin(gln_cuda_stream stream) { return gln_cuda_wait(stream); }
gln_status gln_cuda_graph_end(gln_cuda_graph **out, gln_cuda_stream stream)
{
    (void)stream;
    return absent_pointer(out);
}
gln_status gln_cuda_graph_launch(gln_cuda_graph *graph, gln_cuda_stream stream)
{
    (void)graph;
    return gln_cuda_wait(stream);
}
void gln_cuda_graph_free(gln_cuda_graph *graph) { (void)graph; }

gln_status gln_cublas_create(gln_cublas **out, size_t workspace_bytes)
{
    (void)workspace_bytes;
    return absent_pointer(out);
}
void gln_cublas_free(gln_cublas *blas) { (void)blas; }
gln_status gln_cublas_multiply(gln_cublas *blas, const gln_cublas_product *product, void *out, const void *x,
                               const void *y, gln_cuda_stream stream)
{
    (void)blas;
    (void)product;
    (void)out;
    (void)x;
    (void)y;
    return gln_cuda_wait(stream);
}

/* ---- kernels/gpu.h --------------------------------------------------------------------------------------------- */

bool gln_gpu_usable(double n_operations)
{
    (void)n_operations;
    return false;
}
void gln_gpu_choose(int ordinal) { (void)ordinal; }
void gln_gpu_set_least_work(double n_operations) { (void)n_operations; }
bool gln_gpu_gave_up(gln_status st, const char *job)
{
    (void)job;
    return st != GLN_OK && st != GLN_E_CANCELLED;
}

gln_status gln_gpu_rows_create(gln_gpu_rows **out, const gln_embeddings *view, const uint32_t *ids, size_t first,
                               size_t n, gln_pool *threads)
{
    (void)view;
    (void)ids;
    (void)first;
    (void)n;
    (void)threads;
    return absent_pointer(out);
}
void gln_gpu_rows_free(gln_gpu_rows *rows) { (void)rows; }
size_t gln_gpu_rows_capacity(size_t d)
{
    (void)d;
    return 0;
}
gln_status gln_gpu_neighbours(uint32_t *index, float *similarity, gln_gpu_rows *queries, gln_gpu_rows *pool, size_t k,
                              gln_progress *progress)
{
    (void)index;
    (void)similarity;
    (void)queries;
    (void)pool;
    (void)k;
    (void)progress;
    return absent();
}
gln_status gln_gpu_lloyd_create(gln_gpu_lloyd **out, gln_gpu_rows *rows, const float *centroid, size_t k)
{
    (void)rows;
    (void)centroid;
    (void)k;
    return absent_pointer(out);
}
void gln_gpu_lloyd_free(gln_gpu_lloyd *l) { (void)l; }
gln_status gln_gpu_lloyd_assign(gln_gpu_lloyd *l, bool keep, uint32_t *size, size_t *n_moved, gln_progress *progress)
{
    (void)l;
    (void)keep;
    (void)size;
    (void)n_moved;
    (void)progress;
    return absent();
}
gln_status gln_gpu_lloyd_average(gln_gpu_lloyd *l)
{
    (void)l;
    return absent();
}
gln_status gln_gpu_lloyd_get(gln_gpu_lloyd *l, float *centroid, uint32_t *cluster, float *l2_sq)
{
    (void)l;
    (void)centroid;
    (void)cluster;
    (void)l2_sq;
    return absent();
}
gln_status gln_gpu_lloyd_put(gln_gpu_lloyd *l, const float *centroid, const uint32_t *cluster)
{
    (void)l;
    (void)centroid;
    (void)cluster;
    return absent();
}
gln_status gln_gpu_decide(gln_gpu_rows *rows, const gln_gpu_machine *machine, gln_gpu_decisions_fn use, void *context)
{
    (void)rows;
    (void)machine;
    (void)use;
    (void)context;
    return absent();
}
gln_status gln_gpu_project(float *out, gln_gpu_rows *rows, const float *mean, const float *component, size_t k)
{
    (void)out;
    (void)rows;
    (void)mean;
    (void)component;
    (void)k;
    return absent();
}
gln_status gln_gpu_distances(float *l2_sq, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    (void)l2_sq;
    (void)x;
    (void)n;
    (void)y;
    (void)m;
    (void)d;
    return absent();
}
gln_status gln_gpu_cover_create(gln_gpu_cover **out, float *l2_sq, const float *x, size_t n, const float *y, size_t m,
                                size_t d)
{
    (void)gln_gpu_distances(l2_sq, x, n, y, m, d);
    return absent_pointer(out);
}
void gln_gpu_cover_free(gln_gpu_cover *cover) { (void)cover; }
gln_status gln_gpu_cover_gains(gln_gpu_cover *cover, float *kernel, float *gain, float gamma, const float *covered,
                               const float *weight)
{
    (void)cover;
    (void)kernel;
    (void)gain;
    (void)gamma;
    (void)covered;
    (void)weight;
    return absent();
}
