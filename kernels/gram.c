#include "kernels/gram.h"

#include "kernels/kernels.h"

/* A BLAS packs y anew for each call: enough rows that it does not show, few enough that threads end together. */
#define LEAST_ROWS ((size_t)64)

struct product {
    float *out;
    const float *x, *y;
    size_t m, d;
};

static gln_status multiply(void *context, size_t begin, size_t end, size_t worker)
{
    const struct product *p = context;
    (void)worker;
    gln_kernels()->gram_f32(p->out + begin * p->m, p->x + begin * p->d, end - begin, p->y, p->m, p->d);
    return GLN_OK;
}

gln_status gln_gram_f32(gln_pool *threads, float *out, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    struct product p = {.out = out, .x = x, .y = y, .m = m, .d = d};
    size_t grain = n / gln_pool_size(threads) + 1;
    return gln_pool_for(threads, n, grain < LEAST_ROWS ? LEAST_ROWS : grain, multiply, &p);
}
