#include "embed/cuda/nvjpeg.h"

#include "common/memory.h"
#include "embed/cuda/nvjpeg_api.h"

#include <string.h>

enum { ALIGNMENT = 256, OUT_OF_MEMORY = 2 }; /* of what is allocated; cudaErrorMemoryAllocation */

struct gln_nvjpeg {
    const gln_nvjpeg_api *api;
    gln_cuda_stream stream;
    gln_nvjpeg_handle handle;
    gln_nvjpeg_decoder decoder;
    gln_nvjpeg_state state;
    gln_nvjpeg_pinned pinned;
    gln_nvjpeg_device device;
    gln_nvjpeg_stream file;
    gln_nvjpeg_params params;
    unsigned char *memory; /* device: filters, pixels, rows between the passes, the result */
    size_t capacity;
    unsigned char *staging; /* pinned: gln_pixels and filters on their way in, the result on its way out */
    size_t staging_capacity;
    gln_pixels *device_pixels;
};

/* ---- memory for the library ---- */

static int allocate_device(void **out, size_t n_bytes)
{
    return gln_cuda_alloc(out, n_bytes, 1, "nvJPEG") == GLN_OK ? 0 : OUT_OF_MEMORY;
}

static int release_device(void *pointer)
{
    gln_cuda_free(pointer);
    return 0;
}

static int allocate_pinned(void **out, size_t n_bytes, unsigned flags)
{
    (void)flags;
    return gln_cuda_alloc_pinned(out, n_bytes, 1, "nvJPEG") == GLN_OK ? 0 : OUT_OF_MEMORY;
}

static int release_pinned(void *pointer)
{
    gln_cuda_free_pinned(pointer);
    return 0;
}

static gln_nvjpeg_device_allocator device_allocator = {allocate_device, release_device};
static gln_nvjpeg_pinned_allocator pinned_allocator = {allocate_pinned, release_pinned};

/* ---- the decoder ---- */

static gln_status check(unsigned result, const char *what)
{
    switch (result) {
    case GLN_NVJPEG_SUCCESS: return GLN_OK;
    case GLN_NVJPEG_BAD_JPEG:
    case GLN_NVJPEG_INCOMPLETE_BITSTREAM:
        return gln_fail(GLN_E_FORMAT, "nvJPEG, %s: a damaged JPEG image (%u)", what, result);
    case GLN_NVJPEG_JPEG_NOT_SUPPORTED:
    case GLN_NVJPEG_IMPLEMENTATION_NOT_SUPPORTED:
        return gln_fail(GLN_E_UNSUPPORTED, "nvJPEG, %s: a JPEG image of a kind that it does not read (%u)", what,
                        result);
    case GLN_NVJPEG_ALLOCATOR_FAILURE: return gln_fail(GLN_E_MEMORY, "nvJPEG, %s: no memory", what);
    default: return gln_fail(GLN_E_INTERNAL, "nvJPEG, %s: error %u", what, result);
    }
}

/* Making the parts of a decoder: whatever is wrong is not a photo's fault. */
static gln_status check_made(unsigned result, const char *what)
{
    gln_status st = result == GLN_NVJPEG_SUCCESS ? GLN_OK : check(result, what);
    return st == GLN_E_FORMAT || st == GLN_E_UNSUPPORTED
               ? gln_fail(GLN_E_INTERNAL, "nvJPEG, %s: error %u", what, result)
               : st;
}

gln_status gln_nvjpeg_create(gln_nvjpeg **out, int device)
{
    gln_nvjpeg *d = NULL;
    const gln_nvjpeg_api *api = NULL;
    gln_status st = gln_cuda_use(device);
    if (st == GLN_OK) st = gln_nvjpeg_open(&api);
    if (st == GLN_OK) st = gln_alloc(&d, 1, sizeof *d, "nvJPEG");
    if (st != GLN_OK) return st;
    d->api = api;
    st = gln_cuda_stream_create(&d->stream);
    if (st == GLN_OK) st = gln_cuda_alloc(&d->device_pixels, 1, sizeof *d->device_pixels, "a photo");
    if (st == GLN_OK)
        st = check_made(api->create(GLN_NVJPEG_BACKEND_HYBRID, &device_allocator, &pinned_allocator,
                                    GLN_NVJPEG_STRICT | GLN_NVJPEG_INTERPOLATE, &d->handle),
                        "opening");
    if (st == GLN_OK)
        st = check_made(api->decoder_create(d->handle, GLN_NVJPEG_BACKEND_HYBRID, &d->decoder), "a decoder");
    if (st == GLN_OK) st = check_made(api->state_create(d->handle, d->decoder, &d->state), "a decoder's state");
    if (st == GLN_OK) st = check_made(api->pinned_create(d->handle, &pinned_allocator, &d->pinned), "a pinned buffer");
    if (st == GLN_OK) st = check_made(api->device_create(d->handle, &device_allocator, &d->device), "a buffer");
    if (st == GLN_OK) st = check_made(api->attach_pinned(d->state, d->pinned), "a pinned buffer");
    if (st == GLN_OK) st = check_made(api->attach_device(d->state, d->device), "a buffer");
    if (st == GLN_OK) st = check_made(api->stream_create(d->handle, &d->file), "a file");
    if (st == GLN_OK) st = check_made(api->params_create(d->handle, &d->params), "parameters");
    if (st == GLN_OK) st = check_made(api->params_output(d->params, GLN_NVJPEG_OUTPUT_RGB_ROWS), "parameters");
    if (st != GLN_OK) {
        char why[GLN_MESSAGE_MAX];
        gln_message_copy(why, sizeof why);
        gln_nvjpeg_free(d);
        return gln_fail(st, "%s", why);
    }
    *out = d;
    return GLN_OK;
}

void gln_nvjpeg_free(gln_nvjpeg *d)
{
    if (d == NULL) return;
    (void)gln_cuda_wait(d->stream);
    if (d->params != NULL) d->api->params_destroy(d->params);
    if (d->file != NULL) d->api->stream_destroy(d->file);
    if (d->state != NULL) d->api->state_destroy(d->state);
    if (d->device != NULL) d->api->device_destroy(d->device);
    if (d->pinned != NULL) d->api->pinned_destroy(d->pinned);
    if (d->decoder != NULL) d->api->decoder_destroy(d->decoder);
    if (d->handle != NULL) d->api->destroy(d->handle);
    gln_cuda_free(d->memory);
    gln_cuda_free(d->device_pixels);
    gln_cuda_free_pinned(d->staging);
    gln_cuda_stream_free(d->stream);
    gln_free(d);
}

/* ---- a photo ---- */

static size_t aligned(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Where things lie in the device's memory; pixels are aligned, whatever the filters before them take. */
typedef struct places {
    size_t filters, pixels, between, result, end;
} places;

static places lay_out(const gln_pixels *p)
{
    places at;
    size_t filter_bytes = gln_pixels_pixels_at(p);
    at.pixels = aligned(filter_bytes);
    at.filters = at.pixels - filter_bytes; /* a multiple of 4, as filters are */
    at.between = at.pixels + aligned((size_t)p->height * p->width * 3);
    at.result = at.between + aligned(gln_pixels_between_bytes(p));
    at.end = at.result + (size_t)p->side * p->side * 3;
    return at;
}

static gln_status make_room(gln_nvjpeg *d, size_t bytes, size_t staging_bytes)
{
    gln_status st = GLN_OK;
    if (d->capacity < bytes) {
        gln_cuda_free(d->memory);
        d->memory = NULL;
        d->capacity = 0;
        bytes += bytes / 4; /* photos of one camera differ a little */
        if ((st = gln_cuda_alloc(&d->memory, bytes, 1, "a photo")) != GLN_OK) return st;
        d->capacity = bytes;
    }
    if (d->staging_capacity < staging_bytes) {
        gln_cuda_free_pinned(d->staging);
        d->staging = NULL;
        d->staging_capacity = 0;
        if ((st = gln_cuda_alloc_pinned(&d->staging, staging_bytes, 1, "a photo")) != GLN_OK) return st;
        d->staging_capacity = staging_bytes;
    }
    return st;
}

/* The file's bits, here; its pixels, in the order of the stream. */
static gln_status decode(gln_nvjpeg *d, unsigned char *pixels, const unsigned char *bytes, size_t n_bytes,
                         const gln_pixels *p)
{
    const gln_nvjpeg_api *api = d->api;
    gln_nvjpeg_image image = {.channel = {pixels}, .pitch = {(size_t)p->width * 3}};
    unsigned width = 0, height = 0;
    int unsupported = 0;
    gln_status st = check(api->stream_parse(d->handle, bytes, n_bytes, 0, 0, d->file), "reading a header");
    if (st == GLN_OK) st = check(api->stream_size(d->file, &width, &height), "reading a header");
    if (st == GLN_OK && (width != p->width || height != p->height)) {
        st = gln_fail(GLN_E_UNSUPPORTED, "nvJPEG sees %u x %u pixels in an image of %u x %u", width, height, p->width,
                      p->height);
    }
    if (st == GLN_OK) st = check(api->supported(d->decoder, d->file, d->params, &unsupported), "reading a header");
    if (st == GLN_OK && unsupported != 0)
        st = gln_fail(GLN_E_UNSUPPORTED, "a JPEG image of a kind that nvJPEG does not read");
    if (st == GLN_OK) st = check(api->decode_host(d->handle, d->decoder, d->state, d->params, d->file), "unpacking");
    if (st == GLN_OK) st = check(api->decode_transfer(d->handle, d->decoder, d->state, d->file, d->stream), "copying");
    if (st == GLN_OK) st = check(api->decode_device(d->handle, d->decoder, d->state, &image, d->stream), "decoding");
    return st;
}

gln_status gln_nvjpeg_resize(gln_nvjpeg *d, unsigned char *rgb, const unsigned char *bytes, size_t n_bytes,
                             const gln_pixels *pixels, const unsigned char *filters)
{
    places at = lay_out(pixels);
    size_t filter_bytes = gln_pixels_pixels_at(pixels), result_bytes = (size_t)pixels->side * pixels->side * 3;
    size_t out_at = aligned(sizeof *pixels) + aligned(filter_bytes);
    gln_status st = make_room(d, at.end, out_at + result_bytes);
    if (st != GLN_OK) return st;
    gln_pixels p = *pixels;
    p.at = at.filters;
    p.between = at.between;
    memcpy(d->staging, &p, sizeof p);
    memcpy(d->staging + aligned(sizeof p), filters, filter_bytes);
    st = decode(d, d->memory + at.pixels, bytes, n_bytes, &p);
    if (st == GLN_OK) st = gln_cuda_copy_in(d->device_pixels, d->staging, sizeof p, d->stream);
    if (st == GLN_OK)
        st = gln_cuda_copy_in(d->memory + at.filters, d->staging + aligned(sizeof p), filter_bytes, d->stream);
    if (st == GLN_OK)
        st = gln_pixels_resize(d->memory + at.result, d->memory, d->device_pixels, p.side, p.height, d->stream);
    if (st == GLN_OK) st = gln_cuda_copy_out(d->staging + out_at, d->memory + at.result, result_bytes, d->stream);
    /* Also after a failure: what is in flight reads the file's bytes and the buffers. A lost context tells itself here.
     */
    char why[GLN_MESSAGE_MAX];
    gln_message_copy(why, sizeof why);
    gln_status waited = gln_cuda_wait(d->stream);
    if (st != GLN_OK) return gln_cuda_lost() ? gln_fail(GLN_E_INTERNAL, "%s", why) : gln_fail(st, "%s", why);
    if (waited == GLN_OK) memcpy(rgb, d->staging + out_at, result_bytes);
    return waited;
}
