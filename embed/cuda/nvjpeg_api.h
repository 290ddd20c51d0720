/*
 * Inside embed/cuda/ and the host device only: what nvjpeg.c calls of nvJPEG, found at run time. Declared here, so that
 * nothing of it is needed to build; the interface is the same in the libraries of CUDA 12 and 13.
 * tests/gpu/nvjpeg_header.c compares it with NVIDIA's header where that is at hand.
 *
 * Source: nvJPEG documentation, release 13, "Decode using Decoupled Phases" and the API reference.
 */
#ifndef GLN_EMBED_CUDA_NVJPEG_API_H
#define GLN_EMBED_CUDA_NVJPEG_API_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/device.h"

/* Every function's result: 0, or what is wrong. */
enum {
    GLN_NVJPEG_SUCCESS = 0,
    GLN_NVJPEG_BAD_JPEG = 3,
    GLN_NVJPEG_JPEG_NOT_SUPPORTED = 4,
    GLN_NVJPEG_ALLOCATOR_FAILURE = 5,
    GLN_NVJPEG_EXECUTION_FAILED = 6,
    GLN_NVJPEG_IMPLEMENTATION_NOT_SUPPORTED = 9,
    GLN_NVJPEG_INCOMPLETE_BITSTREAM = 10
};

enum { GLN_NVJPEG_BACKEND_HYBRID = 1 };  /* codes are unpacked by the calling thread, the rest is done on the GPU */
enum { GLN_NVJPEG_OUTPUT_RGB_ROWS = 5 }; /* "RGBI": red, green, blue side by side, as we keep pixels */
enum {
    GLN_NVJPEG_STRICT = 1 << 2,
    GLN_NVJPEG_INTERPOLATE = 1 << 5
}; /* flags: damage is an error; colours as libjpeg smooths them */

typedef struct gln_nvjpeg_image {
    unsigned char *channel[4];
    size_t pitch[4];
} gln_nvjpeg_image;

/* Memory for the library: 0, or an error of the runtime's. */
typedef struct gln_nvjpeg_device_allocator {
    int (*allocate)(void **, size_t);
    int (*release)(void *);
} gln_nvjpeg_device_allocator;
typedef struct gln_nvjpeg_pinned_allocator {
    int (*allocate)(void **, size_t, unsigned);
    int (*release)(void *);
} gln_nvjpeg_pinned_allocator;

typedef struct nvjpegHandle *gln_nvjpeg_handle;
typedef struct nvjpegJpegDecoder *gln_nvjpeg_decoder;
typedef struct nvjpegJpegState *gln_nvjpeg_state;
typedef struct nvjpegJpegStream *gln_nvjpeg_stream;
typedef struct nvjpegDecodeParams *gln_nvjpeg_params;
typedef struct nvjpegBufferPinned *gln_nvjpeg_pinned;
typedef struct nvjpegBufferDevice *gln_nvjpeg_device;

typedef struct gln_nvjpeg_api {
    unsigned (*create)(unsigned backend, gln_nvjpeg_device_allocator *, gln_nvjpeg_pinned_allocator *, unsigned flags,
                       gln_nvjpeg_handle *);
    unsigned (*destroy)(gln_nvjpeg_handle);
    unsigned (*decoder_create)(gln_nvjpeg_handle, unsigned backend, gln_nvjpeg_decoder *);
    unsigned (*decoder_destroy)(gln_nvjpeg_decoder);
    unsigned (*state_create)(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state *);
    unsigned (*state_destroy)(gln_nvjpeg_state);
    unsigned (*pinned_create)(gln_nvjpeg_handle, gln_nvjpeg_pinned_allocator *, gln_nvjpeg_pinned *);
    unsigned (*pinned_destroy)(gln_nvjpeg_pinned);
    unsigned (*attach_pinned)(gln_nvjpeg_state, gln_nvjpeg_pinned);
    unsigned (*device_create)(gln_nvjpeg_handle, gln_nvjpeg_device_allocator *, gln_nvjpeg_device *);
    unsigned (*device_destroy)(gln_nvjpeg_device);
    unsigned (*attach_device)(gln_nvjpeg_state, gln_nvjpeg_device);
    unsigned (*stream_create)(gln_nvjpeg_handle, gln_nvjpeg_stream *);
    unsigned (*stream_destroy)(gln_nvjpeg_stream);
    unsigned (*stream_parse)(gln_nvjpeg_handle, const unsigned char *, size_t, int save_metadata, int save_stream,
                             gln_nvjpeg_stream);
    unsigned (*stream_size)(gln_nvjpeg_stream, unsigned *width, unsigned *height);
    unsigned (*params_create)(gln_nvjpeg_handle, gln_nvjpeg_params *);
    unsigned (*params_destroy)(gln_nvjpeg_params);
    unsigned (*params_output)(gln_nvjpeg_params, unsigned format);
    unsigned (*supported)(gln_nvjpeg_decoder, gln_nvjpeg_stream, gln_nvjpeg_params, int *out_zero_if_it_is);
    unsigned (*decode_host)(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state, gln_nvjpeg_params,
                            gln_nvjpeg_stream);
    unsigned (*decode_transfer)(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state, gln_nvjpeg_stream,
                                gln_cuda_stream);
    unsigned (*decode_device)(gln_nvjpeg_handle, gln_nvjpeg_decoder, gln_nvjpeg_state, gln_nvjpeg_image *,
                              gln_cuda_stream);
} gln_nvjpeg_api;

/* The library, opened once; GLN_E_UNSUPPORTED with where it was looked for. Stays open until the process ends. */
gln_status gln_nvjpeg_open(const gln_nvjpeg_api **out);

#ifdef __cplusplus
}
#endif
#endif
