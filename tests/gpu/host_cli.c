/*
 * Lets the environment say what goes wrong with the host device that gleaner_host is linked with, before main() begins:
 *
 *     GLN_HOST_ABSENT=35:0         no device: cudaGetDeviceCount's answer and the driver's version
 *     GLN_HOST_FAIL_RUN=7          the seventh kernel from the start loses the context
 *     GLN_HOST_FAIL_LAUNCH=7       the seventh is not started
 *     GLN_HOST_FAIL_ALLOCATION=7   the seventh allocation finds no memory
 *     GLN_HOST_MEMORY=1000000      bytes of device memory
 *     GLN_HOST_NVJPEG=0            there is nvJPEG, and its pixels are that many levels away from the processor's
 *     GLN_HOST_FAIL_NVJPEG=7       the seventh photo that it unpacks ends in an error of the library's
 */
#include "embed/decoders.h"
#include "tests/gpu/host_device/host_device.h"

#include <stdlib.h>
#include <string.h>

static size_t number(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtoul(text, NULL, 10) : 0;
}

static int code(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static bool decode(unsigned char **rgb, size_t *width, size_t *height, const unsigned char *bytes, size_t n_bytes)
{
    const gln_decode_options limits = GLN_DECODE_OPTIONS_INIT;
    gln_image image = {0};
    unsigned orientation;
    bool whole = gln_decode_jpeg(&image, &orientation, bytes, n_bytes, &limits) == GLN_OK;
    size_t n = image.width * image.height * 3;
    *width = image.width;
    *height = image.height;
    *rgb = whole ? malloc(n) : NULL;
    if (*rgb != NULL) memcpy(*rgb, image.rgb, n);
    gln_image_dispose(&image);
    return *rgb != NULL;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *absent = getenv("GLN_HOST_ABSENT");
    if (absent != NULL) {
        const char *colon = strchr(absent, ':');
        gln_host_device_absent(code(absent), colon != NULL ? code(colon + 1) : 0);
    }
    gln_host_device_fail_run(number("GLN_HOST_FAIL_RUN"));
    gln_host_device_fail_launch(number("GLN_HOST_FAIL_LAUNCH"));
    gln_host_device_fail_allocation(number("GLN_HOST_FAIL_ALLOCATION"));
    if (getenv("GLN_HOST_NVJPEG") != NULL) {
        gln_host_device_nvjpeg(&(gln_host_nvjpeg){.decode = decode,
                                                  .off_by = code(getenv("GLN_HOST_NVJPEG")),
                                                  .fail_phase = GLN_HOST_NVJPEG_UNPACK,
                                                  .fail_nth = number("GLN_HOST_FAIL_NVJPEG"),
                                                  .fail_with = 8});
    }
    if (number("GLN_HOST_MEMORY") != 0) gln_host_device_memory(number("GLN_HOST_MEMORY"));
}
