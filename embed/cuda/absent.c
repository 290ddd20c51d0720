/* The class of networks on a GPU in a gleaner built without CUDA; see kernels/cuda/absent.c. */
#include "embed/backend.h"
#include "kernels/cuda/device.h"

static bool computes_in(gln_precision precision)
{
    (void)precision;
    return true; /* so that create tells what is wrong */
}

static gln_status create(gln_backend **out, const gln_backend_options *options)
{
    (void)out;
    (void)options;
    return gln_fail(GLN_E_UNSUPPORTED, "%s", gln_cuda_probe_once()->why);
}

const gln_backend_class gln_backend_cuda = {.name = "CUDA", .computes_in = computes_in, .create = create};
