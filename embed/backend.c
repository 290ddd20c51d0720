/* Which classes of backends there are, and the calls that go through one. The only file that knows what the build
   has. */
#include "embed/backend.h"

/* Without CUDA that one creates nothing and says why. */
static const gln_backend_class *class_of(gln_backend_kind kind)
{
    switch (kind) {
    case GLN_BACKEND_CPU:
#if GLN_HAVE_ONEDNN
        return &gln_backend_onednn;
#else
        return &gln_backend_plain;
#endif
    case GLN_BACKEND_PLAIN: return &gln_backend_plain;
    case GLN_BACKEND_CUDA: return &gln_backend_cuda; /* embed/cuda/absent.c without CUDA */
    }
    return &gln_backend_plain;
}

bool gln_backend_computes_in(gln_backend_kind kind, gln_precision precision)
{
    return class_of(kind)->computes_in(precision);
}

gln_status gln_backend_create(gln_backend **out, const gln_backend_options *options)
{
    const gln_backend_class *class = class_of(options->kind);
    if (options->precision == GLN_PRECISION_BF16 && !class->computes_in(GLN_PRECISION_BF16)) {
        return gln_fail(GLN_E_UNSUPPORTED, "%s has no bf16 arithmetic; use the precision f32",
                        options->kind == GLN_BACKEND_CUDA ? "the GPU's path" : "this processor");
    }
    if (!class->computes_in(options->precision)) {
        return gln_fail(GLN_E_UNSUPPORTED, "%s does not compute in %s", class->name,
                        gln_precision_name(options->precision));
    }
    gln_status st = class->create(out, options);
    if (st == GLN_OK) {
        (*out)->class = class;
        (*out)->precision = options->precision;
    }
    return st;
}

void gln_backend_free(gln_backend *backend)
{
    if (backend != NULL) backend->class->free(backend);
}

gln_status gln_backend_ceiling(gln_backend *backend, double *out_flops)
{
    if (backend->class->ceiling == NULL)
        return gln_fail(GLN_E_UNSUPPORTED, "%s tells no ceiling", backend->class->name);
    return backend->class->ceiling(backend, out_flops);
}

gln_status gln_plan_create(gln_plan **out, gln_backend *backend, const gln_net *instance, bool wide)
{
    gln_status st = backend->class->plan_create(out, backend, instance, wide);
    if (st != GLN_OK) return st;
    (*out)->class = backend->class;
    (*out)->graph = instance;
    return GLN_OK;
}

void gln_plan_free(gln_plan *plan)
{
    if (plan != NULL) plan->class->plan_free(plan);
}

gln_status gln_plan_run(gln_plan *plan, const float *input, size_t n, float *output)
{
    return plan->class->plan_run(plan, input, n, output);
}
