/*
 * Each GPU has a stream for copies beside the one it computes on, and two sets of memory, so that copying into one set goes on
 * while the other is computed:
 *
 *     copies    [pixels of 1][pixels of 2][pixels of 3]
 *     computes               [shrink 1, network, results 1][shrink 2, network, results 2]
 *     host                                                  waits for 1, hands it on, submits 3
 *
 * A set is free when its batch is finished, so copies never overtake what is still read; an event makes computing wait for its copies.
 * The network's input exists once a GPU: order on the stream protects it.
 *
 * The calling thread drives all GPUs; putting a batch on a GPU takes it tens of microseconds an image, computing it a hundred or more.
 * Nothing here waits but gln_feed_finish.
 */
#include "embed/feed.h"

#include "common/log.h"
#include "common/memory.h"
#include "embed/preprocess.h"
#include "kernels/cuda/device.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { N_SETS = 2 };

/* Memory for a batch on one GPU. */
typedef struct set {
    bool taken;
    unsigned char *memory; /* device: blocks of photos, then what lies between the passes */
    size_t capacity;
    gln_pixels *pixels, *device_pixels; /* [max_batch], pinned and on the device */
    float *output;                      /* [max_batch, items], pinned */
    gln_cuda_event copied, done;
} set;

/* One GPU. */
typedef struct lane {
    gln_worker *gpu;
    gln_cuda_stream copies;
    set sets[N_SETS];
} lane;

typedef struct batch {
    gln_photo **photos; /* [max_batch] */
    size_t n;
    lane *lane; /* NULL: nobody computes it yet */
    set *set;
} batch;

struct gln_feed {
    gln_workers *workers;
    const gln_preprocess *preprocess;
    size_t max_batch, n_lanes, output_items, input_items;
    lane lanes[GLN_MAX_DEVICES];
    batch *ring; /* [depth] */
    size_t depth, first, n_in_flight;
    float *input; /* of the processor, [max_batch, 3, side, side]; made when it is needed */
    gln_pixels_scale scale;
    _Atomic int device;
};

/* ---- Sets ---- */

static void dispose_lane(lane *l)
{
    if (gln_cuda_use(l->gpu->device) != GLN_OK) return; /* the context is gone, and all of this with it */
    gln_cuda_wait(l->copies);
    gln_cuda_wait(gln_runner_backend(l->gpu->runner)->stream);
    for (size_t i = 0; i < N_SETS; i++) {
        set *s = &l->sets[i];
        gln_cuda_free(s->memory);
        gln_cuda_free(s->device_pixels);
        gln_cuda_free_pinned(s->pixels);
        gln_cuda_free_pinned(s->output);
        gln_cuda_event_free(s->copied);
        gln_cuda_event_free(s->done);
    }
    gln_cuda_stream_free(l->copies);
}

static gln_status make_lane(gln_feed *f, lane *l)
{
    gln_status st = gln_cuda_use(l->gpu->device);
    if (st == GLN_OK) st = gln_cuda_stream_create(&l->copies);
    for (size_t i = 0; st == GLN_OK && i < N_SETS; i++) {
        set *s = &l->sets[i];
        st = gln_cuda_alloc_pinned(&s->pixels, f->max_batch, sizeof *s->pixels, "photos of a batch");
        if (st == GLN_OK) st = gln_cuda_alloc(&s->device_pixels, f->max_batch, sizeof *s->pixels, "photos of a batch");
        if (st == GLN_OK) st = gln_cuda_alloc_pinned(&s->output, f->max_batch, f->output_items * sizeof *s->output, "results of a batch");
        if (st == GLN_OK) st = gln_cuda_event_create(&s->copied, false);
        if (st == GLN_OK) st = gln_cuda_event_create(&s->done, false);
    }
    return st;
}

static gln_status make_memory(set *s, size_t bytes)
{
    if (s->capacity >= bytes) return GLN_OK;
    gln_cuda_free(s->memory);
    s->memory = NULL;
    s->capacity = 0;
    bytes += bytes / 4;
    gln_status st = gln_cuda_alloc(&s->memory, bytes, 1, "pixels of a batch");
    if (st == GLN_OK) s->capacity = bytes;
    return st;
}

/* ---- The feed ---- */

static void tell_device(gln_feed *f)
{
    int device = -1;
    for (size_t i = f->n_lanes; i-- > 0;) {
        if (!f->lanes[i].gpu->lost) device = f->lanes[i].gpu->device;
    }
    atomic_store(&f->device, device);
}

gln_status gln_feed_create(gln_feed **out, gln_workers *workers, const gln_preprocess *preprocess, size_t max_batch)
{
    gln_feed *f = NULL;
    const gln_runner *runner = gln_workers_runner(workers);
    gln_status st = gln_alloc(&f, 1, sizeof *f, "feed");
    if (st != GLN_OK) return st;
    f->workers = workers;
    f->preprocess = preprocess;
    f->max_batch = max_batch;
    f->input_items = gln_shape_items(gln_runner_input_shape(runner));
    f->output_items = gln_shape_items(gln_runner_output_shape(runner));
    gln_preprocess_scale(f->scale.scale, f->scale.offset, preprocess);
    for (size_t i = 0; i < workers->n_gpus; i++) {
        lane *l = &f->lanes[f->n_lanes];
        if (workers->gpus[i].lost) continue;
        l->gpu = &workers->gpus[i];
        f->n_lanes++; /* so that what there is of it goes with the feed */
        if ((st = make_lane(f, l)) != GLN_OK && (st = gln_workers_fail(workers, l->gpu, st)) != GLN_OK) goto cleanup;
    }
    f->depth = f->n_lanes != 0 ? N_SETS * f->n_lanes : 1;
    if ((st = gln_alloc(&f->ring, f->depth, sizeof *f->ring, "feed")) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < f->depth; i++) {
        if ((st = gln_alloc(&f->ring[i].photos, max_batch, sizeof(gln_photo *), "feed")) != GLN_OK) goto cleanup;
    }
    tell_device(f);
    *out = f;
    f = NULL;

cleanup:
    gln_feed_free(f);
    return st;
}

void gln_feed_free(gln_feed *feed)
{
    if (feed == NULL) return;
    for (size_t i = 0; i < feed->n_lanes; i++) dispose_lane(&feed->lanes[i]);
    for (size_t i = 0; feed->ring != NULL && i < feed->depth; i++) gln_free(feed->ring[i].photos);
    gln_free(feed->ring);
    gln_free(feed->input);
    gln_free(feed);
}

int gln_feed_device(const gln_feed *feed)
{
    return atomic_load(&feed->device);
}

size_t gln_feed_depth(const gln_feed *feed)
{
    return feed->depth;
}

size_t gln_feed_in_flight(const gln_feed *feed)
{
    return feed->n_in_flight;
}

/* ---- A batch on a GPU ---- */

static bool all_for_gpu(const batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!b->photos[i]->for_gpu) return false;
    }
    return true;
}

/* Where everything lies in the set's memory; *out_rows is the largest height. */
static gln_status lay_out(set *s, const batch *b, uint32_t *out_rows)
{
    size_t bytes = 0;
    *out_rows = 0;
    for (size_t i = 0; i < b->n; i++) { /* no overflow: a photo has 8 MiB and filters, a batch some thousand photos */
        s->pixels[i] = b->photos[i]->pixels;
        s->pixels[i].at = bytes;
        bytes += gln_pixels_bytes(&s->pixels[i]);
        if (s->pixels[i].height > *out_rows) *out_rows = s->pixels[i].height;
    }
    for (size_t i = 0; i < b->n; i++) {
        s->pixels[i].between = bytes;
        bytes += gln_pixels_between_bytes(&s->pixels[i]);
    }
    return make_memory(s, bytes);
}

static gln_status put_on(gln_feed *f, const batch *b, lane *l, set *s)
{
    gln_plan *plan = gln_runner_plan(l->gpu->runner);
    gln_cuda_stream computes = gln_runner_backend(l->gpu->runner)->stream;
    size_t whole = gln_runner_plan_images(l->gpu->runner), items = f->output_items;
    uint32_t rows = 0, side = (uint32_t)f->preprocess->side;
    gln_status st = lay_out(s, b, &rows);
    for (size_t i = 0; st == GLN_OK && i < b->n; i++) {
        st = gln_cuda_copy_in(s->memory + s->pixels[i].at, b->photos[i]->block, gln_pixels_bytes(&s->pixels[i]), l->copies);
    }
    if (st == GLN_OK) st = gln_cuda_copy_in(s->device_pixels, s->pixels, b->n * sizeof *s->pixels, l->copies);
    if (st == GLN_OK) st = gln_cuda_event_record(s->copied, l->copies);
    if (st == GLN_OK) st = gln_cuda_stream_after(computes, s->copied);
    for (size_t done = 0; st == GLN_OK && done < b->n; done += whole) {
        size_t n = b->n - done < whole ? b->n - done : whole;
        if (n < whole) st = gln_cuda_fill(plan->device_input, 0, plan->input_items * sizeof(float), computes);
        if (st == GLN_OK) st = gln_pixels_to_input(plan->device_input, s->memory, s->device_pixels, done, n, side, rows, &f->scale, computes);
        if (st == GLN_OK) st = plan->class->plan_launch(plan);
        if (st == GLN_OK) st = gln_cuda_copy_out(s->output + done * items, plan->device_output, n * items * sizeof(float), computes);
    }
    return st == GLN_OK ? gln_cuda_event_record(s->done, computes) : st;
}

/* Puts the batch on a GPU that has a set free. Nobody may have one: the batch then waits for its turn to be finished. */
static gln_status submit(gln_feed *f, batch *b)
{
    gln_worker *gpu;
    b->lane = NULL;
    while (all_for_gpu(b) && (gpu = gln_workers_gpu(f->workers)) != NULL) {
        lane *l = NULL;
        set *s = NULL;
        for (size_t i = 0; i < f->n_lanes; i++) {
            if (f->lanes[i].gpu == gpu) l = &f->lanes[i];
        }
        for (size_t i = 0; l != NULL && i < N_SETS; i++) {
            if (!l->sets[i].taken) s = &l->sets[i];
        }
        if (s == NULL) return GLN_OK;
        gln_status st = put_on(f, b, l, s);
        while (st == GLN_E_MEMORY) {
            /* Half as many images at once, once all that uses the plan is done. */
            st = gln_cuda_wait(l->copies);
            if (st == GLN_OK) st = gln_cuda_wait(gln_runner_backend(gpu->runner)->stream);
            if (st == GLN_OK) st = gln_runner_halve(gpu->runner);
            if (st != GLN_OK) break;
            gln_log(GLN_LOG_WARNING, "%s is out of memory; it goes on with %zu images at once", gpu->name, gln_runner_plan_images(gpu->runner));
            st = put_on(f, b, l, s);
        }
        if (st == GLN_OK) {
            b->lane = l;
            b->set = s;
            s->taken = true;
            return GLN_OK;
        }
        st = gln_workers_fail(f->workers, gpu, st);
        tell_device(f);
        if (st != GLN_OK) return st;
    }
    return GLN_OK;
}

gln_status gln_feed_submit(gln_feed *feed, gln_photo *const *photos, size_t n)
{
    if (n == 0 || n > feed->max_batch || feed->n_in_flight == feed->depth) {
        return gln_fail(GLN_E_ARGUMENT, "%zu photos to %zu batches in flight", n, feed->n_in_flight);
    }
    batch *b = &feed->ring[(feed->first + feed->n_in_flight) % feed->depth];
    memcpy(b->photos, photos, n * sizeof *photos);
    b->n = n;
    gln_status st = submit(feed, b);
    if (st == GLN_OK) feed->n_in_flight++;
    return st;
}

/* ---- Results ---- */

static gln_status by_processor(gln_feed *f, gln_photo *const *photos, size_t n, float *output)
{
    gln_runner *runner = NULL;
    if (f->workers->n_gpus != 0 && f->workers->options.devices.kind == GLN_DEVICE_CUDA) {
        return gln_fail(GLN_E_INTERNAL, "no GPU is left, and --device cuda asks for one");
    }
    gln_status st = gln_workers_processor(f->workers, &runner);
    if (st == GLN_OK && f->input == NULL) st = gln_alloc_raw(&f->input, f->max_batch, f->input_items * sizeof *f->input, "batch");
    for (size_t i = 0; st == GLN_OK && i < n; i++) st = gln_photo_input(f->input + i * f->input_items, photos[i], f->preprocess);
    return st == GLN_OK ? gln_runner_run(runner, f->input, n, output) : st;
}

/* Whether a launch can meet an index that is not there: only where indices, or integers to divide by, are computed. */
static bool may_fault(const gln_net *net)
{
    for (size_t i = 0; i < net->n_nodes; i++) {
        const gln_node *node = &net->nodes[i];
        bool indexed = node->op == GLN_OP_GATHER || node->op == GLN_OP_GATHER_ELEMENTS || node->op == GLN_OP_GATHER_ND ||
                       node->op == GLN_OP_SCATTER_ND;
        bool divides = (node->op == GLN_OP_DIV || node->op == GLN_OP_MOD) && net->values[node->output].tensor.dtype == GLN_I64;
        if ((indexed || divides) && net->values[node->inputs[1]].tensor.data == NULL) return true;
    }
    return false;
}

/* Waits for the GPU; *out_done is false when it failed and the batch is nobody's. */
static gln_status wait_for(gln_feed *f, batch *b, float *output, bool *out_done)
{
    lane *l = b->lane;
    set *s = b->set;
    gln_status st = GLN_OK;
    *out_done = false;
    b->lane = NULL;
    s->taken = false;
    if (l->gpu->lost) return GLN_OK; /* it failed on another batch */
    gln_plan *plan = gln_runner_plan(l->gpu->runner);
    if ((st = gln_cuda_use(l->gpu->device)) == GLN_OK) st = gln_cuda_event_wait(s->done);
    if (st == GLN_OK && may_fault(plan->graph)) st = plan->class->plan_check(plan);
    if (st == GLN_OK) {
        memcpy(output, s->output, b->n * f->output_items * sizeof *output);
        *out_done = true;
        return GLN_OK;
    }
    st = gln_workers_fail(f->workers, l->gpu, st);
    tell_device(f);
    return st;
}

/* Rows with anything but numbers: f16 ends at 65504, so an image far from all others may leave it. */
static gln_status mend_rows(gln_feed *f, const batch *b, float *output)
{
    for (size_t i = 0; i < b->n; i++) {
        const float *row = output + i * f->output_items;
        bool finite = true;
        for (size_t j = 0; j < f->output_items && finite; j++) finite = isfinite(row[j]);
        if (finite || f->workers->options.devices.kind == GLN_DEVICE_CUDA) continue; /* the caller refuses what is left */
        gln_status st = by_processor(f, &b->photos[i], 1, output + i * f->output_items);
        if (st != GLN_OK) return st;
    }
    return GLN_OK;
}

gln_status gln_feed_finish(gln_feed *feed, float *output)
{
    if (feed->n_in_flight == 0) return gln_fail(GLN_E_ARGUMENT, "no batch is in flight");
    batch *b = &feed->ring[feed->first];
    bool done = false;
    gln_status st = GLN_OK;
    while (st == GLN_OK && !done) {
        if (b->lane == NULL) st = submit(feed, b);
        if (st != GLN_OK) break;
        if (b->lane != NULL) {
            st = wait_for(feed, b, output, &done);
            if (st == GLN_OK && done) st = mend_rows(feed, b, output);
        } else {
            st = by_processor(feed, b->photos, b->n, output);
            done = true;
        }
    }
    feed->first = (feed->first + 1) % feed->depth;
    feed->n_in_flight--;
    return st;
}
