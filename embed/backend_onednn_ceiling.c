/* What this machine's matrix units give at most, as the yardstick for networks: a square product that fits the
   cache. */
#include "embed/backend_onednn.h"

#include "common/clock.h"
#include "common/memory.h"

#include <omp.h>

enum { SIDE = 512 };

/* Long enough to outlast what else the machine does: a product takes less than a time slice. */
static const double measured_s = 0.5;

typedef struct product {
    dnnl_memory_desc_t desc[3];
    dnnl_memory_t memory[3];
    void *data[3];
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
} product;

/* Ones times ones: the speed does not depend on the numbers, as long as none is denormal. */
static gln_status make_product(product *p, gln_onednn *backend)
{
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    gln_shape shape = {2, {SIDE, SIDE}};
    dnnl_memory_desc_t a = gln_typed_desc(&shape, backend->type), b = gln_any_desc(&shape, backend->type);
    dnnl_status_t status = dnnl_matmul_desc_init(&desc, &a, &b, NULL, &a);
    if (status == dnnl_success) status = dnnl_primitive_desc_create(&pd, &desc, NULL, backend->engine, NULL);
    if (status == dnnl_success) {
        p->desc[0] = p->desc[2] = a;
        p->desc[1] = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
        status = dnnl_primitive_create(&p->primitive, pd);
    }
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    if (status == dnnl_success) status = dnnl_stream_create(&p->stream, backend->engine, dnnl_stream_default_flags);
    gln_status st = gln_onednn_check(NULL, status, "a square product");
    for (size_t i = 0; st == GLN_OK && i < 3; i++) {
        size_t bytes = dnnl_memory_desc_get_size(&p->desc[i]);
        if ((st = gln_alloc(&p->data[i], bytes, 1, "a matrix")) != GLN_OK) break;
        unsigned short *half = p->data[i];
        for (size_t j = 0; j < bytes / sizeof *half; j++) half[j] = 0x3f80; /* 1 in bf16; as f32 halves 1.0020 */
        st = gln_onednn_check(NULL, dnnl_memory_create(&p->memory[i], &p->desc[i], backend->engine, p->data[i]),
                              "binding memory");
    }
    return st;
}

static void dispose_product(product *p)
{
    for (size_t i = 0; i < 3; i++) {
        if (p->memory[i] != NULL) dnnl_memory_destroy(p->memory[i]);
        gln_free(p->data[i]);
    }
    if (p->primitive != NULL) dnnl_primitive_destroy(p->primitive);
    if (p->stream != NULL) dnnl_stream_destroy(p->stream);
}

gln_status gln_onednn_ceiling(gln_backend *base, double *out_flops)
{
    gln_onednn *backend = (gln_onednn *)base;
    product p = {0};
    int had_threads = omp_get_max_threads();
    omp_set_num_threads((int)gln_pool_size(backend->pool));
    *out_flops = 0;
    gln_status st = make_product(&p, backend);
    if (st == GLN_OK) {
        dnnl_exec_arg_t arguments[3] = {
            {DNNL_ARG_SRC, p.memory[0]}, {DNNL_ARG_WEIGHTS, p.memory[1]}, {DNNL_ARG_DST, p.memory[2]}};
        double begun = gln_clock_monotonic_s();
        while (st == GLN_OK && gln_clock_monotonic_s() - begun < measured_s) {
            double start = gln_clock_monotonic_s();
            dnnl_status_t status = dnnl_primitive_execute(p.primitive, p.stream, 3, arguments);
            if (status == dnnl_success) status = dnnl_stream_wait(p.stream);
            st = gln_onednn_check(NULL, status, "a square product");
            double flops = 2.0 * SIDE * SIDE * SIDE / (gln_clock_monotonic_s() - start);
            if (flops > *out_flops) *out_flops = flops;
        }
    }
    omp_set_num_threads(had_threads);
    dispose_product(&p);
    return st;
}
