/* nvjpeg.h in a gleaner built without CUDA; see kernels/cuda/absent.c. */
#include "embed/cuda/nvjpeg.h"

gln_status gln_nvjpeg_create(gln_nvjpeg **out, int device)
{
    (void)device;
    *out = NULL;
    return gln_fail(GLN_E_UNSUPPORTED, "%s", gln_cuda_probe_once()->why);
}

void gln_nvjpeg_free(gln_nvjpeg *decoder)
{
    (void)decoder;
}

gln_status gln_nvjpeg_resize(gln_nvjpeg *decoder, unsigned char *rgb, const unsigned char *bytes, size_t n_bytes,
                             const gln_pixels *pixels, const unsigned char *filters)
{
    (void)decoder;
    (void)rgb;
    (void)bytes;
    (void)n_bytes;
    (void)pixels;
    (void)filters;
    return gln_fail(GLN_E_UNSUPPORTED, "%s", gln_cuda_probe_once()->why);
}
