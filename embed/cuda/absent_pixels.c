/* pixels.h in a gleaner built without CUDA; see kernels/cuda/absent.c. */
#include "embed/cuda/pixels.h"

gln_status gln_pixels_to_input(float *input, unsigned char *memory, const gln_pixels *photos, size_t first, size_t n, uint32_t side,
                               uint32_t most_rows, const gln_pixels_scale *scale, gln_cuda_stream stream)
{
    (void)input;
    (void)memory;
    (void)photos;
    (void)first;
    (void)n;
    (void)side;
    (void)most_rows;
    (void)scale;
    (void)stream;
    return gln_fail(GLN_E_UNSUPPORTED, "%s", gln_cuda_probe_once()->why);
}

gln_status gln_pixels_resize(unsigned char *rgb, unsigned char *memory, const gln_pixels *photo, uint32_t side,
                             uint32_t rows, gln_cuda_stream stream)
{
    (void)rgb;
    (void)memory;
    (void)photo;
    (void)side;
    (void)rows;
    (void)stream;
    return gln_fail(GLN_E_UNSUPPORTED, "%s", gln_cuda_probe_once()->why);
}
