/*
 * Compiled where NVIDIA's nvjpeg.h is at hand: the declarations of embed/cuda/nvjpeg_api.h against it. Functions are
 * compared by their types; the two structs that we name differently by size and offsets, as pointers to them are
 * passed.
 */
#include "embed/cuda/nvjpeg_api.h"

#include <nvjpeg.h>

#include <stddef.h>

#define SAME_FUNCTION(ours, theirs)                                                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((gln_nvjpeg_api *)0)->ours), __typeof__(&theirs)), #theirs)
#define SAME_FIELD(ours, our_field, theirs, their_field)                                                               \
    _Static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field) && sizeof(ours) == sizeof(theirs),       \
                   #theirs "." #their_field)

SAME_FUNCTION(destroy, nvjpegDestroy);
SAME_FUNCTION(decoder_create, nvjpegDecoderCreate);
SAME_FUNCTION(decoder_destroy, nvjpegDecoderDestroy);
SAME_FUNCTION(state_create, nvjpegDecoderStateCreate);
SAME_FUNCTION(state_destroy, nvjpegJpegStateDestroy);
SAME_FUNCTION(pinned_destroy, nvjpegBufferPinnedDestroy);
SAME_FUNCTION(attach_pinned, nvjpegStateAttachPinnedBuffer);
SAME_FUNCTION(device_destroy, nvjpegBufferDeviceDestroy);
SAME_FUNCTION(attach_device, nvjpegStateAttachDeviceBuffer);
SAME_FUNCTION(stream_create, nvjpegJpegStreamCreate);
SAME_FUNCTION(stream_destroy, nvjpegJpegStreamDestroy);
SAME_FUNCTION(stream_parse, nvjpegJpegStreamParse);
SAME_FUNCTION(stream_size, nvjpegJpegStreamGetFrameDimensions);
SAME_FUNCTION(params_create, nvjpegDecodeParamsCreate);
SAME_FUNCTION(params_destroy, nvjpegDecodeParamsDestroy);
SAME_FUNCTION(params_output, nvjpegDecodeParamsSetOutputFormat);
SAME_FUNCTION(supported, nvjpegDecoderJpegSupported);
SAME_FUNCTION(decode_host, nvjpegDecodeJpegHost);
SAME_FUNCTION(decode_transfer, nvjpegDecodeJpegTransferToDevice);

/* The four that take a struct of ours: their types with the struct's name exchanged. */
typedef nvjpegStatus_t (*create)(nvjpegBackend_t, nvjpegDevAllocator_t *, nvjpegPinnedAllocator_t *, unsigned,
                                 nvjpegHandle_t *);
typedef nvjpegStatus_t (*pinned_create)(nvjpegHandle_t, nvjpegPinnedAllocator_t *, nvjpegBufferPinned_t *);
typedef nvjpegStatus_t (*device_create)(nvjpegHandle_t, nvjpegDevAllocator_t *, nvjpegBufferDevice_t *);
typedef nvjpegStatus_t (*decode_device)(nvjpegHandle_t, nvjpegJpegDecoder_t, nvjpegJpegState_t, nvjpegImage_t *,
                                        cudaStream_t);
_Static_assert(__builtin_types_compatible_p(create, __typeof__(&nvjpegCreateEx)), "nvjpegCreateEx");
_Static_assert(__builtin_types_compatible_p(pinned_create, __typeof__(&nvjpegBufferPinnedCreate)),
               "nvjpegBufferPinnedCreate");
_Static_assert(__builtin_types_compatible_p(device_create, __typeof__(&nvjpegBufferDeviceCreate)),
               "nvjpegBufferDeviceCreate");
_Static_assert(__builtin_types_compatible_p(decode_device, __typeof__(&nvjpegDecodeJpegDevice)),
               "nvjpegDecodeJpegDevice");

SAME_FIELD(gln_nvjpeg_image, channel, nvjpegImage_t, channel);
SAME_FIELD(gln_nvjpeg_image, pitch, nvjpegImage_t, pitch);
SAME_FIELD(gln_nvjpeg_device_allocator, allocate, nvjpegDevAllocator_t, dev_malloc);
SAME_FIELD(gln_nvjpeg_device_allocator, release, nvjpegDevAllocator_t, dev_free);
SAME_FIELD(gln_nvjpeg_pinned_allocator, allocate, nvjpegPinnedAllocator_t, pinned_malloc);
SAME_FIELD(gln_nvjpeg_pinned_allocator, release, nvjpegPinnedAllocator_t, pinned_free);

_Static_assert((int)GLN_NVJPEG_BAD_JPEG == (int)NVJPEG_STATUS_BAD_JPEG &&
                   (int)GLN_NVJPEG_JPEG_NOT_SUPPORTED == (int)NVJPEG_STATUS_JPEG_NOT_SUPPORTED &&
                   (int)GLN_NVJPEG_ALLOCATOR_FAILURE == (int)NVJPEG_STATUS_ALLOCATOR_FAILURE &&
                   (int)GLN_NVJPEG_EXECUTION_FAILED == (int)NVJPEG_STATUS_EXECUTION_FAILED &&
                   (int)GLN_NVJPEG_IMPLEMENTATION_NOT_SUPPORTED == (int)NVJPEG_STATUS_IMPLEMENTATION_NOT_SUPPORTED &&
                   (int)GLN_NVJPEG_INCOMPLETE_BITSTREAM == (int)NVJPEG_STATUS_INCOMPLETE_BITSTREAM,
               "results");
_Static_assert((int)GLN_NVJPEG_BACKEND_HYBRID == (int)NVJPEG_BACKEND_HYBRID &&
                   (int)GLN_NVJPEG_OUTPUT_RGB_ROWS == (int)NVJPEG_OUTPUT_RGBI &&
                   GLN_NVJPEG_STRICT == (NVJPEG_FLAGS_BITSTREAM_STRICT) &&
                   GLN_NVJPEG_INTERPOLATE == (NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION),
               "choices");
