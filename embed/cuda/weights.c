/* Constants on the device: as they are, or packed for the kernels; once for all plans of a backend. */
#include "common/hash.h"
#include "common/memory.h"
#include "embed/cuda/compiler.h"
#include "embed/resample.h"

#include <string.h>

/* Kinds beside 0, the constant as it is. */
enum { CONV = 1, DEPTHWISE, MATRIX, MATRIX_TURNED, ROW, TAPS };

/* binary16, halves to even; bfloat16 alike. */
static uint16_t f16_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* subnormal: the addition rounds */
        float small, half = 0.5f;
        memcpy(&small, &magnitude, sizeof small);
        small += half;
        memcpy(&bits, &small, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    return (uint16_t)(sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13));
}

static uint16_t bf16_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint64_t gln_gpu_float_bits(gln_item type, float value)
{
    uint32_t bits;
    if (type == GLN_ITEM_F16) return f16_bits(value);
    if (type == GLN_ITEM_BF16) return bf16_bits(value);
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/*
 * A constant is known by where it lies and by its content: an instance that has gone may leave its address to another
 * one's.
 */
static void *kept(gln_gpu *backend, const void *key, size_t bytes, int kind)
{
    uint64_t checksum = 0;
    for (size_t i = 0; i < backend->n_constants; i++) {
        const gln_gpu_kept *constant = &backend->constants[i];
        if (constant->key != key || constant->kind != kind) continue;
        if (checksum == 0) checksum = gln_xxh3(key, bytes);
        if (constant->checksum == checksum) return constant->data;
    }
    return NULL;
}

/* `key_bytes` of the constant at `key` (0 with no key: it is never asked for again), `bytes` of what it became. */
static gln_status keep(gln_gpu *backend, void **out, const void *key, size_t key_bytes, int kind, const void *data,
                       size_t bytes)
{
    gln_status st = gln_grow(&backend->constants, &backend->constants_capacity, backend->n_constants + 1,
                             sizeof *backend->constants, "weights");
    if (st != GLN_OK) return st;
    gln_gpu_kept *constant = &backend->constants[backend->n_constants];
    /* 16 bytes at the end: the last vector may be read whole. */
    if ((st = gln_cuda_alloc(&constant->data, bytes + 16, 1, "weights")) != GLN_OK) return st;
    st = gln_cuda_copy_in(constant->data, data, bytes, backend->base.stream);
    if (st == GLN_OK) st = gln_cuda_fill((unsigned char *)constant->data + bytes, 0, 16, backend->base.stream);
    if (st == GLN_OK) st = gln_cuda_wait(backend->base.stream);
    if (st != GLN_OK) {
        gln_cuda_free(constant->data);
        return st;
    }
    constant->key = key;
    constant->kind = kind;
    constant->checksum = key_bytes != 0 ? gln_xxh3(key, key_bytes) : 0;
    backend->n_constants++;
    backend->base.weights_bytes += bytes;
    *out = constant->data;
    return GLN_OK;
}

gln_status gln_gpu_constant(gln_gpu *backend, void **out, const void *key, int kind, const void *data, size_t bytes)
{
    *out = kept(backend, key, bytes, kind);
    return *out != NULL ? GLN_OK : keep(backend, out, key, bytes, kind, data, bytes);
}

static size_t weight_bytes(const gln_tensor *weights)
{
    return gln_shape_items(&weights->shape) * sizeof(float);
}

/* Room for 16-bit numbers, zeroed. */
static gln_status make_room(uint16_t **out, size_t rows, size_t columns)
{
    return gln_alloc(out, rows, columns * sizeof **out, "packed weights");
}

static uint16_t narrow(const gln_gpu_compiler *c, float value)
{
    return (uint16_t)gln_gpu_float_bits(gln_gpu_item(c->backend), value);
}

/* [c_out, c_in / groups, places] to [c_out, places, c_in / groups], channels that the weights lack and the end of a row
   zero. */
gln_status gln_gpu_pack_conv(gln_gpu_compiler *c, void **out, const gln_tensor *weights, const gln_conv *p)
{
    uint16_t *packed = NULL;
    if ((*out = kept(c->backend, weights->data, weight_bytes(weights), CONV)) != NULL) return GLN_OK;
    size_t c_out = weights->shape.dims[0], have = weights->shape.dims[1],
           taps = gln_shape_items(&weights->shape) / (c_out * have);
    size_t wanted = p->c_in / p->groups;
    const float *from = weights->data;
    gln_status st = make_room(&packed, c_out, p->k_pitch);
    for (size_t o = 0; st == GLN_OK && o < c_out; o++) {
        for (size_t i = 0; i < have; i++) {
            for (size_t t = 0; t < taps; t++)
                packed[o * p->k_pitch + t * wanted + i] = narrow(c, from[(o * have + i) * taps + t]);
        }
    }
    if (st == GLN_OK)
        st = keep(c->backend, out, weights->data, weight_bytes(weights), CONV, packed,
                  c_out * p->k_pitch * sizeof *packed);
    gln_free(packed);
    return st;
}

gln_status gln_gpu_pack_depthwise(gln_gpu_compiler *c, void **out, const gln_tensor *weights)
{
    uint16_t *packed = NULL;
    if ((*out = kept(c->backend, weights->data, weight_bytes(weights), DEPTHWISE)) != NULL) return GLN_OK;
    size_t channels = weights->shape.dims[0], taps = gln_shape_items(&weights->shape) / channels;
    const float *from = weights->data;
    gln_status st = make_room(&packed, taps, channels);
    for (size_t i = 0; st == GLN_OK && i < channels; i++) {
        for (size_t t = 0; t < taps; t++) packed[t * channels + i] = narrow(c, from[i * taps + t]);
    }
    if (st == GLN_OK)
        st = keep(c->backend, out, weights->data, weight_bytes(weights), DEPTHWISE, packed,
                  taps * channels * sizeof *packed);
    gln_free(packed);
    return st;
}

gln_status gln_gpu_pack_matrix(gln_gpu_compiler *c, void **out, const gln_tensor *weights, bool turned, size_t k_pitch)
{
    uint16_t *packed = NULL;
    int kind = turned ? MATRIX_TURNED : MATRIX;
    if ((*out = kept(c->backend, weights->data, weight_bytes(weights), kind)) != NULL) return GLN_OK;
    size_t k = weights->shape.dims[turned ? 1 : 0], n = weights->shape.dims[turned ? 0 : 1];
    const float *from = weights->data;
    gln_status st = make_room(&packed, n, k_pitch);
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        for (size_t j = 0; j < k; j++) packed[i * k_pitch + j] = narrow(c, turned ? from[i * k + j] : from[j * n + i]);
    }
    if (st == GLN_OK)
        st = keep(c->backend, out, weights->data, weight_bytes(weights), kind, packed, n * k_pitch * sizeof *packed);
    gln_free(packed);
    return st;
}

gln_status gln_gpu_pack_row(gln_gpu_compiler *c, void **out, const gln_tensor *row)
{
    uint16_t *packed = NULL;
    size_t n = gln_shape_items(&row->shape);
    if ((*out = kept(c->backend, row->data, weight_bytes(row), ROW)) != NULL) return GLN_OK;
    gln_status st = make_room(&packed, 1, n);
    for (size_t i = 0; st == GLN_OK && i < n; i++) packed[i] = narrow(c, ((const float *)row->data)[i]);
    if (st == GLN_OK) st = keep(c->backend, out, row->data, weight_bytes(row), ROW, packed, n * sizeof *packed);
    gln_free(packed);
    return st;
}

gln_status gln_gpu_resize_tables(gln_gpu_compiler *c, gln_resample *p, gln_spot tables[3], const gln_resize *r,
                                 size_t axis, size_t in)
{
    gln_taps taps = {0};
    int32_t *from = NULL;
    float *weight = NULL;
    gln_status st = gln_taps_make(&taps, r, axis, in, gln_gpu_node_now(c));
    size_t n_out = r->out.dims[axis], n = n_out * taps.n;
    if (st == GLN_OK) st = gln_alloc(&from, n, sizeof *from, "resize");
    if (st == GLN_OK) st = gln_alloc(&weight, n, sizeof *weight, "resize");
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        from[i] = (int32_t)taps.from[i];
        weight[i] = (float)taps.weight[i];
    }
    /* Of this plan alone: no constant of the network stands for them. They go with the backend. */
    if (st == GLN_OK) st = keep(c->backend, &tables[0].fixed, NULL, 0, TAPS, from, n * sizeof *from);
    if (st == GLN_OK) st = keep(c->backend, &tables[1].fixed, NULL, 0, TAPS, weight, n * sizeof *weight);
    if (st == GLN_OK)
        st = keep(c->backend, &tables[2].fixed, NULL, 0, TAPS, taps.outside, n_out * sizeof *taps.outside);
    p->taps = (int32_t)taps.n;
    gln_taps_dispose(&taps);
    gln_free(from);
    gln_free(weight);
    return st;
}
