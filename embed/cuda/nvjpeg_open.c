/*
 * Opens nvJPEG, as kernels/cuda/cublas_open.c opens cuBLASLt: under the names the loader knows, where CUDA's installer
 * puts it, and beside the cuBLAS that set-up fetched. A library of CUDA 12 does as well: streams and memory are the
 * driver's.
 */
#include "embed/cuda/nvjpeg_api.h"
#include "kernels/cuda/library.h"

#include <pthread.h>

static gln_nvjpeg_api table;
static char failure[GLN_MESSAGE_MAX]; /* "": the table is filled */

static void open_once(void)
{
    static const char *const names[] = {
        "libnvjpeg.so.13",
        "libnvjpeg.so.12",
        "/usr/local/cuda/lib64/libnvjpeg.so.13",
        "/usr/local/cuda/lib64/libnvjpeg.so.12",
#ifdef GLN_CUBLAS_FOLDER
        GLN_CUBLAS_FOLDER "/libnvjpeg.so.13",
#endif
    };
    const gln_symbol wanted[] = {
        {&table.create, "nvjpegCreateEx"},
        {&table.destroy, "nvjpegDestroy"},
        {&table.decoder_create, "nvjpegDecoderCreate"},
        {&table.decoder_destroy, "nvjpegDecoderDestroy"},
        {&table.state_create, "nvjpegDecoderStateCreate"},
        {&table.state_destroy, "nvjpegJpegStateDestroy"},
        {&table.pinned_create, "nvjpegBufferPinnedCreate"},
        {&table.pinned_destroy, "nvjpegBufferPinnedDestroy"},
        {&table.attach_pinned, "nvjpegStateAttachPinnedBuffer"},
        {&table.device_create, "nvjpegBufferDeviceCreate"},
        {&table.device_destroy, "nvjpegBufferDeviceDestroy"},
        {&table.attach_device, "nvjpegStateAttachDeviceBuffer"},
        {&table.stream_create, "nvjpegJpegStreamCreate"},
        {&table.stream_destroy, "nvjpegJpegStreamDestroy"},
        {&table.stream_parse, "nvjpegJpegStreamParse"},
        {&table.stream_size, "nvjpegJpegStreamGetFrameDimensions"},
        {&table.params_create, "nvjpegDecodeParamsCreate"},
        {&table.params_destroy, "nvjpegDecodeParamsDestroy"},
        {&table.params_output, "nvjpegDecodeParamsSetOutputFormat"},
        {&table.supported, "nvjpegDecoderJpegSupported"},
        {&table.decode_host, "nvjpegDecodeJpegHost"},
        {&table.decode_transfer, "nvjpegDecodeJpegTransferToDevice"},
        {&table.decode_device, "nvjpegDecodeJpegDevice"},
    };
    gln_library_open(failure, &(gln_library){
                                  .name = "libnvjpeg.so.13",
                                  .purpose = "which decodes JPEG files on the GPU",
                                  .product = "nvJPEG",
                                  .paths = names,
                                  .n_paths = sizeof names / sizeof *names,
                                  .symbols = wanted,
                                  .n_symbols = sizeof wanted / sizeof *wanted,
                              });
}

gln_status gln_nvjpeg_open(const gln_nvjpeg_api **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    *out = failure[0] == 0 ? &table : NULL;
    return failure[0] == 0 ? GLN_OK : gln_fail(GLN_E_UNSUPPORTED, "%s", failure);
}
