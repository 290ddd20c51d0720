/*
 * A backbone: manifest, model, and the plan that runs it. Loading goes through reading, folding, shapes, fusing,
 * compiling; what cannot run fails here with a name, never at the first batch.
 */
#include "embed/backbone.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/memory.h"
#include "embed/manifest.h"
#include "embed/onnx.h"
#include "embed/pooling.h"
#include "embed/workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BATCH 4096
#define GPU_BATCH 64

struct gln_backbone {
    gln_manifest manifest;
    char model_path[GLN_PATH_MAX];
    gln_backbone_info info;
    gln_net *graph; /* as read and folded: owns the weights */
    gln_workers *workers;
    gln_pooling_layout pooling;
    float *tensors; /* [max_batch, pooling.n_items] where the output is pooled, else NULL */
};

/* The input is [n, 3, side, side], whatever of it the file leaves open; or [n, side, side, 3], as TensorFlow has it. */
static gln_status fix_input(gln_backbone *backbone)
{
    gln_value *input = &backbone->graph->values[backbone->graph->input];
    gln_shape *shape = &input->tensor.shape;
    size_t side = backbone->info.preprocess.side, wanted[4] = {0, 3, side, side};
    bool fits = shape->rank == 4 || shape->rank == 0;
    for (size_t i = 1; i < 4; i++)
        fits = fits && (shape->rank == 0 || shape->dims[i] == 0 || shape->dims[i] == wanted[i]);
    bool last = shape->rank == 4 && shape->dims[3] == 3;
    for (size_t i = 1; i < 3; i++) last = last && (shape->dims[i] == 0 || shape->dims[i] == side);
    if (!fits && last) {
        *shape = (gln_shape){4, {0, side, side, 3}};
        return gln_net_feed_channels_first(backbone->graph);
    }
    if (!fits) {
        return gln_fail(GLN_E_FORMAT, "the model's input %s is not [n, 3, %zu, %zu], as its manifest says", input->name,
                        side, side);
    }
    *shape = (gln_shape){4, {0, 3, side, side}};
    return GLN_OK;
}

/* Weights and biases that the output needs, each once. */
static gln_status count_parameters(gln_backbone *backbone)
{
    const gln_net *graph = backbone->graph;
    bool *counted = NULL;
    gln_status st = gln_alloc(&counted, graph->n_values, sizeof *counted, "parameters");
    for (size_t i = 0; st == GLN_OK && i < graph->n_nodes; i++) {
        for (size_t j = 0; j < graph->nodes[i].n_inputs; j++) {
            size_t value = graph->nodes[i].inputs[j];
            if (value == GLN_NO_VALUE || counted[value]) continue;
            counted[value] = true;
            const gln_tensor *tensor = &graph->values[value].tensor;
            if (tensor->data != NULL && tensor->dtype == GLN_F32)
                backbone->info.n_parameters += gln_shape_items(&tensor->shape);
        }
    }
    gln_free(counted);
    return st;
}

static gln_status read_model(gln_backbone *backbone, const char *manifest_path)
{
    char folder[GLN_PATH_MAX], *path = backbone->model_path;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    uint8_t sha256[GLN_SHA256_BYTES];
    const char *slash = strrchr(manifest_path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - manifest_path);
    if (length >= sizeof folder) return gln_fail(GLN_E_LIMIT, "the path of the manifest is too long");
    snprintf(folder, sizeof folder, "%.*s", slash == NULL || length == 0 ? 1 : (int)length,
             slash == NULL ? "." : manifest_path);
    const gln_manifest *manifest = &backbone->manifest;
    gln_status st = gln_path_join(path, folder, manifest->model);
    if (st != GLN_OK) return st;
    if ((st = gln_file_read(&bytes, &n_bytes, path, GLN_ONNX_MAX_BYTES)) != GLN_OK) return st;
    gln_sha256(sha256, bytes, n_bytes);
    if (memcmp(sha256, manifest->sha256, sizeof sha256) != 0) {
        st = gln_fail(GLN_E_CORRUPT, "%s is not the file that its manifest names: the SHA-256 differs; import it again",
                      path);
    }
    if (st == GLN_OK && manifest->n_files != 0) st = gln_manifest_check_files(manifest, bytes, n_bytes, folder);
    if (st == GLN_OK) {
        st = gln_onnx_read(&backbone->graph, bytes, n_bytes, manifest->output, manifest->n_files != 0 ? folder : NULL);
    }
    gln_free(bytes);
    return st;
}

/* What comes out, checked against what the manifest promises. */
static gln_status settle_output(gln_backbone *backbone, const char *manifest_path, bool promised)
{
    const gln_manifest *manifest = &backbone->manifest;
    gln_backbone_info *info = &backbone->info;
    const gln_shape *shape = gln_runner_output_shape(gln_workers_runner(backbone->workers));
    gln_status st = gln_pooling_resolve(&backbone->pooling, &manifest->pooling, shape, manifest->output);
    if (st != GLN_OK) return st;
    if (promised && backbone->pooling.d != manifest->dimension) {
        return gln_fail(GLN_E_FORMAT, "%s says dimension %zu, but the model's output %s has %zu numbers an image",
                        manifest_path, manifest->dimension, manifest->output, backbone->pooling.d);
    }
    info->d = backbone->pooling.d;
    if (info->d > GLN_MAX_DIMENSION) {
        return gln_fail(GLN_E_LIMIT, "the tensor %s has %zu numbers an image, more than %d; pool it", manifest->output,
                        info->d, GLN_MAX_DIMENSION);
    }
    if (manifest->pooling.kind == GLN_POOLING_NONE) return GLN_OK;
    return gln_alloc(&backbone->tensors, backbone->info.max_batch,
                     backbone->pooling.n_items * sizeof *backbone->tensors, "tapped tensors");
}

/* Fewer leave most of a GPU idle. The environment's GLN_GPU_BATCH is for measuring, and for a GPU that is shared. */
static size_t gpu_batch_for(size_t max_batch)
{
    const char *text = getenv("GLN_GPU_BATCH");
    unsigned long wanted = text != NULL ? strtoul(text, NULL, 10) : 0;
    if (wanted != 0 && wanted <= MAX_BATCH) return wanted;
    return max_batch < GPU_BATCH ? GPU_BATCH : max_batch;
}

/* What to run in and on: as asked, or as the vectors have it that are there already, or by measurement. */
static gln_status settle_workers(gln_backbone *backbone, const gln_backbone_options *options)
{
    static const gln_precision kept[] = {GLN_PRECISION_F32, GLN_PRECISION_BF16, GLN_PRECISION_F16};
    gln_backbone_info *info = &backbone->info;
    gln_workers_options run = {.devices = options->devices,
                               .precision = options->precision,
                               .max_batch = options->max_batch,
                               .n_threads = options->n_threads,
                               .gpu_batch = gpu_batch_for(options->max_batch),
                               .tuning = backbone->model_path};
    uint8_t identity[GLN_SHA256_BYTES];
    for (size_t i = 0; options->identity != NULL && i < sizeof kept / sizeof kept[0]; i++) {
        gln_manifest_identity(identity, &backbone->manifest, kept[i]);
        if (memcmp(identity, options->identity, sizeof identity) != 0) continue;
        if (run.precision == GLN_PRECISION_AUTO) run.precision = kept[i];
        run.stand_in = kept[i] == GLN_PRECISION_F16;
    }
    gln_status st = gln_workers_create(&backbone->workers, backbone->graph, &run);
    if (st != GLN_OK) return st;
    info->precision = backbone->workers->precision;
    info->agreement = backbone->workers->agreement;
    info->speed_up = backbone->workers->speed_up;
    info->device = backbone->workers->device;
    if (info->device.n_gpus != 0) info->max_batch = run.gpu_batch;
    gln_manifest_identity(info->identity, &backbone->manifest, info->precision);
    return GLN_OK;
}

gln_status gln_backbone_load(gln_backbone **out, const char *manifest_path, const gln_backbone_options *options)
{
    gln_backbone *backbone = NULL;
    if (options->max_batch == 0 || options->max_batch > MAX_BATCH) {
        return gln_fail(GLN_E_ARGUMENT, "batches of %zu images; 1 to %d are possible", options->max_batch, MAX_BATCH);
    }
    gln_status st = gln_alloc(&backbone, 1, sizeof *backbone, "backbone");
    if (st != GLN_OK) return st;
    gln_manifest *manifest = &backbone->manifest;
    if ((st = gln_manifest_read(manifest, manifest_path)) != GLN_OK) goto cleanup;
    gln_backbone_info *info = &backbone->info;
    info->max_batch = options->max_batch;
    info->name = manifest->name;
    info->licence = manifest->licence;
    info->preprocess = manifest->preprocess;
    if (options->tensor != NULL) {
        if (strlen(options->tensor) >= sizeof manifest->output) {
            st = gln_fail(GLN_E_ARGUMENT, "the name of a tensor has at most %zu bytes", sizeof manifest->output - 1);
            goto cleanup;
        }
        snprintf(manifest->output, sizeof manifest->output, "%s", options->tensor);
        manifest->pooling = (gln_pooling){.kind = GLN_POOLING_NONE};
    }
    if (options->pooling != NULL) manifest->pooling = *options->pooling;

    if ((st = read_model(backbone, manifest_path)) != GLN_OK) goto cleanup;
    if ((st = fix_input(backbone)) != GLN_OK) goto cleanup;
    if ((st = gln_net_fold(backbone->graph)) != GLN_OK) goto cleanup;
    if ((st = count_parameters(backbone)) != GLN_OK) goto cleanup;
    if ((st = settle_workers(backbone, options)) != GLN_OK) goto cleanup;
    if ((st = settle_output(backbone, manifest_path, options->tensor == NULL && options->pooling == NULL)) != GLN_OK)
        goto cleanup;
    info->weights_bytes = gln_runner_weights_bytes(gln_workers_runner(backbone->workers));
    info->activations_bytes = gln_runner_memory_bytes(gln_workers_runner(backbone->workers));
    info->multiply_adds = gln_runner_multiply_adds(gln_workers_runner(backbone->workers));
    *out = backbone;
    backbone = NULL;

cleanup:
    gln_backbone_free(backbone);
    return st;
}

void gln_backbone_free(gln_backbone *backbone)
{
    if (backbone == NULL) return;
    gln_workers_free(backbone->workers);
    gln_net_free(backbone->graph);
    gln_manifest_dispose(&backbone->manifest);
    gln_free(backbone->tensors);
    gln_free(backbone);
}

const gln_backbone_info *gln_backbone_info_of(const gln_backbone *backbone)
{
    return &backbone->info;
}

gln_status gln_backbone_run(gln_backbone *backbone, const float *input, size_t n, float *embeddings)
{
    if (n == 0 || n > backbone->info.max_batch) {
        return gln_fail(GLN_E_ARGUMENT, "a batch of %zu images; 1 to %zu are possible", n, backbone->info.max_batch);
    }
    float *tensors = backbone->tensors;
    gln_status st = gln_workers_run(backbone->workers, input, n, tensors != NULL ? tensors : embeddings);
    backbone->info.device = backbone->workers->device;
    return st == GLN_OK ? gln_backbone_settle(backbone, n, embeddings) : st;
}

float *gln_backbone_tensors(gln_backbone *backbone)
{
    return backbone->tensors;
}

gln_workers *gln_backbone_workers(gln_backbone *backbone)
{
    return backbone->workers;
}

gln_status gln_backbone_settle(gln_backbone *backbone, size_t n, float *embeddings)
{
    size_t d = backbone->info.d;
    const float *tensors = backbone->tensors;
    gln_status st = GLN_OK;
    backbone->info.device = backbone->workers->device;
    for (size_t i = 0; tensors != NULL && i < n; i++) {
        gln_pooling_apply(embeddings + i * d, tensors + i * backbone->pooling.n_items, &backbone->pooling);
    }
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        for (size_t j = 0; j < d; j++) {
            if (!isfinite(embeddings[i * d + j])) {
                return gln_fail(GLN_E_INTERNAL,
                                "the model %s gives a number that is not finite for image %zu of the batch",
                                backbone->info.name, i);
            }
        }
    }
    return st;
}
