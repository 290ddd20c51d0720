#include "embed/cuda/tune.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_RUNS = 5, MAX_FILE_BYTES = 1 << 20 };

/* ---- The ways ---- */

static bool is_library(size_t way)
{
    return way >= gln_conv_tiles();
}

static bool over_patches(size_t way)
{
    return way == gln_conv_tiles() + 1;
}

static bool is_pointwise(const gln_conv *p)
{
    bool is = true;
    for (size_t i = 0; i < 3; i++)
        is = is && p->kernel[i] == 1 && p->stride[i] == 1 && p->pad[i] == 0 && p->in[i] == p->out[i];
    return is;
}

bool gln_gpu_way_fits(const gln_gpu *backend, const gln_gpu_step *step, size_t way)
{
    const gln_conv *p = &step->p.conv;
    if (!is_library(way)) return gln_conv_tile_fits(p, way);
    if (way > gln_conv_tiles() + 1 || backend->blas == NULL || p->groups != 1 || p->in[0] != 1) return false;
    bool row = step->bound[3] == NULL || step->bound[5] != NULL; /* the bias in the working type */
    bool after =
        p->after.n == 0 || (p->after.n == 1 && (p->after.op[0] == GLN_OP_RELU || p->after.op[0] == GLN_OP_GELU_TANH));
    bool reads = over_patches(way) || (is_pointwise(p) && p->x_pitch % 8 == 0);
    return row && after && reads && p->y_pitch == p->c_out;
}

const char *gln_gpu_way_name(size_t way)
{
    return !is_library(way) ? gln_conv_tile_name(way) : over_patches(way) ? "patches and cuBLASLt" : "cuBLASLt";
}

size_t gln_gpu_way_workspace(const gln_gpu_step *step, size_t way)
{
    const gln_conv *p = &step->p.conv;
    return over_patches(way) ? (size_t)p->n * p->out[1] * p->out[2] * p->k_pitch * sizeof(uint16_t) : 0;
}

gln_status gln_gpu_run_conv(gln_gpu_plan *plan, const gln_gpu_step *step, size_t way, gln_cuda_stream stream)
{
    const gln_conv *p = &step->p.conv;
    void *const *at = step->bound;
    if (!is_library(way)) return gln_conv_run(p, way, at, stream);
    gln_cublas_type type = p->type == GLN_ITEM_F16 ? GLN_CUBLAS_F16 : GLN_CUBLAS_BF16;
    gln_cublas_product product = {.n = (size_t)p->n * p->out[1] * p->out[2],
                                  .m = p->c_out,
                                  .d = p->c_in,
                                  .in = type,
                                  .out = type,
                                  .y_is_transposed = true,
                                  .x_stride = p->x_pitch,
                                  .y_stride = p->k_pitch,
                                  .bias = at[5],
                                  .addend = p->after.residual != 0 ? at[4] : NULL};
    if (p->after.n != 0) product.epilogue = p->after.op[0] == GLN_OP_RELU ? GLN_CUBLAS_RELU : GLN_CUBLAS_GELU_TANH;
    const void *x = at[1];
    if (over_patches(way)) {
        gln_status st = gln_patches_run(p, (void *const[]){plan->workspace, at[1]}, stream);
        if (st != GLN_OK) return st;
        x = plan->workspace;
        product.d = product.x_stride = p->k_pitch;
    }
    return gln_cublas_multiply(plan->backend->blas, &product, at[0], x, at[2], stream);
}

/* ---- The file ---- */

/* What a choice depends on beside the convolution itself. */
static void first_line(char out[512], const gln_gpu *backend)
{
    char tiles[256] = "";
    for (size_t i = 0; i < gln_conv_tiles(); i++) {
        size_t length = strlen(tiles);
        snprintf(tiles + length, sizeof tiles - length, " %s", gln_conv_tile_name(i));
    }
    snprintf(out, 512, "gleaner tuning 1, %.200s, driver %d, runtime %d, tilings %016llx", backend->device.name,
             gln_cuda_probe_once()->driver_version, gln_cuda_probe_once()->runtime_version,
             (unsigned long long)gln_xxh3(tiles, strlen(tiles)));
}

static gln_status remember(gln_gpu *backend, uint64_t key, size_t choice)
{
    gln_status st = gln_grow(&backend->choices, &backend->choices_capacity, backend->n_choices + 1,
                             sizeof *backend->choices, "tuning");
    if (st == GLN_OK) backend->choices[backend->n_choices++] = (gln_gpu_choice){key, choice};
    return st;
}

static const gln_gpu_choice *known(const gln_gpu *backend, uint64_t key)
{
    for (size_t i = 0; i < backend->n_choices; i++) {
        if (backend->choices[i].key == key) return &backend->choices[i];
    }
    return NULL;
}

/* Lines of "key way", then "end" and a checksum of all before it. */
static gln_status read_file(gln_gpu *backend)
{
    enum { TAIL = 21 }; /* "end 0123456789abcdef\n" */
    unsigned char *bytes = NULL;
    char expected[512], tail[TAIL + 1];
    size_t n_bytes = 0;
    if (gln_file_read(&bytes, &n_bytes, backend->tuning_path, MAX_FILE_BYTES) != GLN_OK)
        return GLN_OK; /* none yet, or none readable */
    gln_status st = GLN_OK;
    first_line(expected, backend);
    size_t length = strlen(expected), rest = n_bytes > TAIL ? n_bytes - TAIL : 0;
    snprintf(tail, sizeof tail, "end %016llx\n", (unsigned long long)gln_xxh3(bytes, rest));
    bool whole = rest > length && memcmp(bytes, expected, length) == 0 && bytes[length] == '\n' &&
                 memcmp(bytes + rest, tail, TAIL) == 0;
    if (!whole)
        gln_log(GLN_LOG_INFO, "%s is not from this GPU and version, or damaged; it is measured anew",
                backend->tuning_path);
    char *at = (char *)bytes + length + 1, *after = NULL;
    while (whole && st == GLN_OK && at < (char *)bytes + rest) {
        uint64_t key = strtoull(at, &after, 16);
        size_t way = strtoul(after, &after, 10);
        at = after + 1;
        if (known(backend, key) == NULL) st = remember(backend, key, way);
    }
    gln_free(bytes);
    return st;
}

static void write_file(const gln_gpu *backend)
{
    char *text = NULL;
    size_t at = 0, room = 640 + backend->n_choices * 48;
    if (gln_alloc(&text, room, 1, "tuning") != GLN_OK) return;
    char line[512];
    first_line(line, backend);
    at += (size_t)snprintf(text, room, "%s\n", line);
    for (size_t i = 0; i < backend->n_choices; i++) {
        at += (size_t)snprintf(text + at, room - at, "%016llx %zu\n", (unsigned long long)backend->choices[i].key,
                               backend->choices[i].choice);
    }
    at += (size_t)snprintf(text + at, room - at, "end %016llx\n", (unsigned long long)gln_xxh3(text, at));
    if (gln_file_write_derived(backend->tuning_path, text, at) != GLN_OK) {
        gln_log(GLN_LOG_INFO, "the tuning of the GPU is not kept: %s", gln_message());
    }
    gln_free(text);
}

gln_status gln_gpu_keep_tuning(gln_backend *backend, const char *path)
{
    gln_gpu *own = (gln_gpu *)backend;
    gln_free(own->tuning_path);
    own->tuning_path = gln_strdup(path);
    return own->tuning_path != NULL ? GLN_OK : GLN_E_MEMORY;
}

/* ---- Measuring ---- */

static gln_status time_way(float *out_ms, gln_gpu_plan *plan, const gln_gpu_step *step, size_t way)
{
    gln_gpu *backend = plan->backend;
    gln_cuda_stream stream = backend->base.stream;
    float ms = 0;
    *out_ms = -1;
    gln_status st = gln_gpu_run_conv(plan, step, way, stream);
    for (int i = 0; st == GLN_OK && i < N_RUNS; i++) {
        st = gln_cuda_event_record(backend->begin, stream);
        if (st == GLN_OK) st = gln_gpu_run_conv(plan, step, way, stream);
        if (st == GLN_OK) st = gln_cuda_event_record(backend->end, stream);
        if (st == GLN_OK) st = gln_cuda_event_wait(backend->end);
        if (st == GLN_OK) st = gln_cuda_elapsed_ms(&ms, backend->begin, backend->end);
        if (st == GLN_OK && (*out_ms < 0 || ms < *out_ms)) *out_ms = ms;
    }
    return st;
}

static gln_status measure(size_t *out, gln_gpu_plan *plan, const gln_gpu_step *step)
{
    float best = -1, ms = 0;
    gln_status st = GLN_OK;
    for (size_t way = 0; way < gln_conv_tiles() + 1; way++) {
        if (!gln_gpu_way_fits(plan->backend, step, way)) continue;
        st = time_way(&ms, plan, step, way);
        if (st != GLN_OK && gln_cuda_lost()) return st;
        if (st != GLN_OK) continue; /* a tiling that this GPU has not enough shared memory for */
        if (best < 0 || ms < best) {
            best = ms;
            *out = way;
        }
    }
    return best < 0 ? gln_fail(GLN_E_UNSUPPORTED, "no way to run a convolution works on this GPU") : GLN_OK;
}

gln_status gln_gpu_tune(gln_gpu_plan *plan)
{
    gln_gpu *backend = plan->backend;
    size_t had = 0, workspace = 0;
    gln_status st = backend->tuning_path != NULL && backend->n_choices == 0 ? read_file(backend) : GLN_OK;
    had = backend->n_choices;
    for (size_t i = 0; i < plan->n_steps && st == GLN_OK; i++) {
        gln_gpu_step *step = &plan->steps[i];
        if (step->kernel != GLN_KERNEL_CONV) continue;
        uint64_t key = gln_xxh3(&step->p.conv, sizeof step->p.conv);
        const gln_gpu_choice *found = known(backend, key);
        step->choice = gln_conv_guess(&step->p.conv, (size_t)backend->device.n_multiprocessors);
        if (backend->forced != SIZE_MAX) {
            if (gln_gpu_way_fits(backend, step, backend->forced)) step->choice = backend->forced;
        } else if (found != NULL && gln_gpu_way_fits(backend, step, found->choice)) {
            step->choice = found->choice;
        } else if (backend->measures) {
            st = measure(&step->choice, plan, step);
            if (st == GLN_OK) st = remember(backend, key, step->choice);
            backend->n_measured += st == GLN_OK;
        }
        size_t needs = gln_gpu_way_workspace(step, step->choice);
        workspace = needs > workspace ? needs : workspace;
    }
    if (st == GLN_OK && workspace != 0) st = gln_cuda_alloc(&plan->workspace, workspace, 1, "workspace of a network");
    if (st == GLN_OK && backend->n_choices != had && backend->tuning_path != NULL) write_file(backend);
    return st;
}
