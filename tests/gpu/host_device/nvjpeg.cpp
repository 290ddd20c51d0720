/*
 * nvJPEG of the host device, and the table of functions that embed/cuda/nvjpeg_open.c would have found: the "hybrid"
 * way by its phases. The host's phase unpacks, the copy and the device's phase are work in the stream, and buffers come
 * from the caller's allocators. What decodes is the test's (host_device.h); a phase out of its turn is refused as the
 * library does.
 */
#include <cuda_runtime.h>

#include "tests/gpu/host_device/host_device.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>

extern "C" {
#include "embed/cuda/nvjpeg_api.h"
}

cudaError_t gln_host_put(cudaStream_t stream, std::function<void()> item);

struct nvjpegHandle {
    gln_nvjpeg_device_allocator device;
    gln_nvjpeg_pinned_allocator pinned;
};
struct nvjpegJpegDecoder {
    int unused;
};
struct nvjpegDecodeParams {
    unsigned format = 0;
};
struct nvjpegJpegStream {
    const unsigned char *bytes = nullptr;
    size_t n_bytes = 0;
    unsigned width = 0, height = 0;
};
template <typename Allocator> struct buffer {
    Allocator allocator;
    void *data = nullptr;
    size_t capacity = 0;
};
struct nvjpegBufferPinned : buffer<gln_nvjpeg_pinned_allocator> {
};
struct nvjpegBufferDevice : buffer<gln_nvjpeg_device_allocator> {
};
struct nvjpegJpegState {
    gln_nvjpeg_pinned pinned = nullptr;
    gln_nvjpeg_device device = nullptr;
    unsigned width = 0, height = 0;
    int phase = 0; /* done: 1 host, 2 transfer */
};

namespace
{

enum { INVALID_PARAMETER = 2 };
std::mutex lock;
gln_host_nvjpeg knobs;

gln_host_nvjpeg knobs_now()
{
    std::lock_guard<std::mutex> held(lock);
    return knobs;
}
/* Whether this call is the one that fails. */
bool fails_now(gln_host_nvjpeg_phase phase)
{
    std::lock_guard<std::mutex> held(lock);
    return knobs.fail_phase == phase && knobs.fail_nth != 0 && --knobs.fail_nth == 0;
}
bool reserve(nvjpegBufferPinned *b, size_t n)
{
    if (b->capacity >= n) return true;
    b->allocator.release(b->data);
    b->data = nullptr;
    b->capacity = 0;
    if (b->allocator.allocate(&b->data, n, 0) != 0) return false;
    b->capacity = n;
    return true;
}
bool reserve(nvjpegBufferDevice *b, size_t n)
{
    if (b->capacity >= n) return true;
    b->allocator.release(b->data);
    b->data = nullptr;
    b->capacity = 0;
    if (b->allocator.allocate(&b->data, n) != 0) return false;
    b->capacity = n;
    return true;
}

unsigned create(unsigned backend, gln_nvjpeg_device_allocator *device, gln_nvjpeg_pinned_allocator *pinned,
                unsigned flags, gln_nvjpeg_handle *out)
{
    if (backend != GLN_NVJPEG_BACKEND_HYBRID || flags != (GLN_NVJPEG_STRICT | GLN_NVJPEG_INTERPOLATE))
        return INVALID_PARAMETER;
    if (fails_now(GLN_HOST_NVJPEG_CREATE)) return knobs_now().fail_with;
    *out = new nvjpegHandle{*device, *pinned};
    return 0;
}
unsigned destroy(gln_nvjpeg_handle h)
{
    delete h;
    return 0;
}
unsigned decoder_create(gln_nvjpeg_handle, unsigned, gln_nvjpeg_decoder *out)
{
    *out = new nvjpegJpegDecoder{0};
    return 0;
}
unsigned decoder_destroy(gln_nvjpeg_decoder d)
{
    delete d;
    return 0;
}
unsigned state_create(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state *out)
{
    *out = new nvjpegJpegState;
    return 0;
}
unsigned state_destroy(gln_nvjpeg_state s)
{
    delete s;
    return 0;
}
unsigned pinned_create(gln_nvjpeg_handle, gln_nvjpeg_pinned_allocator *a, gln_nvjpeg_pinned *out)
{
    *out = new nvjpegBufferPinned;
    (*out)->allocator = *a;
    return 0;
}
unsigned pinned_destroy(gln_nvjpeg_pinned b)
{
    b->allocator.release(b->data);
    delete b;
    return 0;
}
unsigned attach_pinned(gln_nvjpeg_state s, gln_nvjpeg_pinned b)
{
    s->pinned = b;
    return 0;
}
unsigned device_create(gln_nvjpeg_handle, gln_nvjpeg_device_allocator *a, gln_nvjpeg_device *out)
{
    *out = new nvjpegBufferDevice;
    (*out)->allocator = *a;
    return 0;
}
unsigned device_destroy(gln_nvjpeg_device b)
{
    b->allocator.release(b->data);
    delete b;
    return 0;
}
unsigned attach_device(gln_nvjpeg_state s, gln_nvjpeg_device b)
{
    s->device = b;
    return 0;
}
unsigned stream_create(gln_nvjpeg_handle, gln_nvjpeg_stream *out)
{
    *out = new nvjpegJpegStream;
    return 0;
}
unsigned stream_destroy(gln_nvjpeg_stream s)
{
    delete s;
    return 0;
}

/* The size in the first frame header. */
unsigned stream_parse(gln_nvjpeg_handle, const unsigned char *bytes, size_t n, int, int, gln_nvjpeg_stream s)
{
    *s = nvjpegJpegStream{};
    for (size_t at = 2; at + 9 < n && bytes[at] == 0xff;) {
        unsigned marker = bytes[at + 1];
        if (marker >= 0xc0 && marker <= 0xc2) {
            *s = nvjpegJpegStream{bytes, n, (unsigned)bytes[at + 7] << 8 | bytes[at + 8],
                                  (unsigned)bytes[at + 5] << 8 | bytes[at + 6]};
            return 0;
        }
        at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    }
    return GLN_NVJPEG_BAD_JPEG;
}
unsigned stream_size(gln_nvjpeg_stream s, unsigned *width, unsigned *height)
{
    *width = s->width;
    *height = s->height;
    return 0;
}
unsigned params_create(gln_nvjpeg_handle, gln_nvjpeg_params *out)
{
    *out = new nvjpegDecodeParams;
    return 0;
}
unsigned params_destroy(gln_nvjpeg_params p)
{
    delete p;
    return 0;
}
unsigned params_output(gln_nvjpeg_params p, unsigned format)
{
    p->format = format;
    return 0;
}
unsigned supported(gln_nvjpeg_decoder, gln_nvjpeg_stream, gln_nvjpeg_params, int *out)
{
    *out = 0;
    return 0;
}

unsigned decode_host(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state s, gln_nvjpeg_params p,
                     gln_nvjpeg_stream file)
{
    gln_host_nvjpeg k = knobs_now();
    if (p->format != GLN_NVJPEG_OUTPUT_RGB_ROWS || s->pinned == nullptr || s->device == nullptr ||
        file->bytes == nullptr)
        return INVALID_PARAMETER;
    s->phase = 0;
    if (fails_now(GLN_HOST_NVJPEG_UNPACK)) return k.fail_with;
    unsigned char *rgb = nullptr;
    size_t width = 0, height = 0;
    bool whole = k.decode(&rgb, &width, &height, file->bytes, file->n_bytes);
    if (!whole && !k.trusting) return GLN_NVJPEG_BAD_JPEG;
    s->width = file->width;
    s->height = file->height;
    size_t n = (size_t)s->width * s->height * 3;
    bool room = reserve(s->pinned, n);
    if (room && whole) std::memcpy(s->pinned->data, rgb, n);
    else if (room) std::memset(s->pinned->data, 128, n);
    std::free(rgb);
    if (!room) return GLN_NVJPEG_ALLOCATOR_FAILURE;
    unsigned char *pixels = static_cast<unsigned char *>(s->pinned->data);
    for (size_t i = 0; i < n && k.off_by != 0; i++) {
        int level = pixels[i] + k.off_by;
        pixels[i] = (unsigned char)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
    s->phase = 1;
    return 0;
}
unsigned decode_transfer(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state s, gln_nvjpeg_stream,
                         gln_cuda_stream stream)
{
    size_t n = (size_t)s->width * s->height * 3;
    if (s->phase != 1) return INVALID_PARAMETER;
    if (!reserve(s->device, n)) return GLN_NVJPEG_ALLOCATOR_FAILURE;
    void *to = s->device->data, *from = s->pinned->data;
    s->phase = 2;
    return gln_host_put(stream, [=] { std::memcpy(to, from, n); }) == cudaSuccess ? 0 : GLN_NVJPEG_EXECUTION_FAILED;
}
unsigned decode_device(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state s, gln_nvjpeg_image *image,
                       gln_cuda_stream stream)
{
    if (s->phase != 2) return INVALID_PARAMETER;
    if (fails_now(GLN_HOST_NVJPEG_DECODE)) return knobs_now().fail_with;
    unsigned char *to = image->channel[0], *from = static_cast<unsigned char *>(s->device->data);
    size_t row = (size_t)s->width * 3, height = s->height, pitch = image->pitch[0];
    if (pitch < row) return INVALID_PARAMETER;
    s->phase = 0;
    return gln_host_put(stream,
                        [=] {
                            for (size_t y = 0; y < height; y++) std::memcpy(to + y * pitch, from + y * row, row);
                        }) == cudaSuccess
               ? 0
               : GLN_NVJPEG_EXECUTION_FAILED;
}

} // namespace

extern "C" {

void gln_host_device_nvjpeg(const gln_host_nvjpeg *how)
{
    std::lock_guard<std::mutex> held(lock);
    knobs = how != nullptr ? *how : gln_host_nvjpeg{};
}

gln_status gln_nvjpeg_open(const gln_nvjpeg_api **out)
{
    static const gln_nvjpeg_api api = {create,         destroy,         decoder_create, decoder_destroy, state_create,
                                       state_destroy,  pinned_create,   pinned_destroy, attach_pinned,   device_create,
                                       device_destroy, attach_device,   stream_create,  stream_destroy,  stream_parse,
                                       stream_size,    params_create,   params_destroy, params_output,   supported,
                                       decode_host,    decode_transfer, decode_device};
    bool installed = knobs_now().decode != nullptr;
    *out = installed ? &api : nullptr;
    return installed ? GLN_OK : gln_fail(GLN_E_UNSUPPORTED, "the test has installed no nvJPEG");
}

} // extern "C"
