#include "tests/engine/photos.h"

#include "common/memory.h"
#include "common/rng.h"
#include "embed/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 96, N_KINDS = 3 };
static const char *const kinds[N_KINDS] = {"stripes", "discs", "noise"};

static void draw(uint8_t *rgb, size_t kind, gln_rng *rng)
{
    double phase = gln_rng_uniform(rng) * 6.0, width = 0.2 + 0.3 * gln_rng_uniform(rng);
    double cx = SIDE * (0.3 + 0.4 * gln_rng_uniform(rng)), cy = SIDE * (0.3 + 0.4 * gln_rng_uniform(rng));
    double radius = SIDE * (0.15 + 0.2 * gln_rng_uniform(rng));
    for (size_t y = 0; y < SIDE; y++) {
        for (size_t x = 0; x < SIDE; x++) {
            uint8_t *p = rgb + 3 * (y * SIDE + x);
            bool on = kind == 0 ? sin((double)x * width + phase) > 0.0
                                : hypot((double)x - cx, (double)y - cy) < radius;
            if (kind == 2) {
                for (int c = 0; c < 3; c++) p[c] = (uint8_t)gln_rng_below(rng, 256);
            } else {
                p[0] = on ? 250 : kind == 0 ? 20 : 240;
                p[1] = on ? 240 : kind == 0 ? 20 : 240;
                p[2] = on ? (kind == 0 ? 230 : 30) : kind == 0 ? 40 : 240;
            }
        }
    }
}

void gln_photos_make(const char *folder, size_t n_each, uint64_t seed)
{
    uint8_t *rgb = NULL;
    char path[GLN_PATH_MAX], name[64];
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    gln_ok(gln_alloc(&rgb, SIDE * SIDE, 3, "photo"));
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        gln_ok(gln_path_join(path, folder, kinds[kind]));
        gln_ok(gln_folder_create(path));
        for (size_t i = 0; i < n_each; i++) {
            unsigned char *jpeg = NULL;
            size_t n_bytes = 0;
            draw(rgb, kind, &rng);
            gln_ok(gln_image_encode_jpeg(&jpeg, &n_bytes, rgb, SIDE, SIDE, 90));
            snprintf(name, sizeof name, "%s/%llu-%03zu.jpg", kinds[kind], (unsigned long long)seed, i);
            gln_ok(gln_path_join(path, folder, name));
            gln_ok(gln_file_write_derived(path, jpeg, n_bytes));
            gln_free(jpeg);
        }
    }
    gln_free(rgb);
}

const char *gln_photos_class(const char *path)
{
    for (size_t kind = 0; kind < N_KINDS; kind++)
        if (strstr(path, kinds[kind]) != NULL) return kinds[kind];
    return NULL;
}

bool gln_photos_backbone(char out[GLN_PATH_MAX])
{
    if (gln_test_find(out, "GLN_DEPS", "backbones/efficientnet-lite0.json")) return true;
    gln_test_skip("the default backbone (make setup puts it into $GLN_DEPS/backbones)");
    return false;
}

bool gln_pool_fixture_make(gln_pool_fixture *f, size_t n_each)
{
    char folder[GLN_PATH_MAX], manifest[GLN_PATH_MAX], backbone[64];
    memset(f, 0, sizeof *f);
    if (!gln_photos_backbone(manifest)) return false;
    gln_test_folder(folder);
    gln_ok(gln_path_join(f->data, folder, "data"));
    gln_ok(gln_path_join(f->photos, folder, "photos"));
    gln_photos_make(f->photos, n_each, 1);
    gln_ok(gln_engine_init(f->data, manifest, backbone, sizeof backbone));
    gln_engine_options options = {.data = f->data, .n_threads = 2};
    gln_ok(gln_engine_open(&f->engine, &options));
    gln_class_spec classes[N_KINDS];
    for (size_t i = 0; i < N_KINDS; i++)
        classes[i] = (gln_class_spec){.name = kinds[i], .target_share = NAN, .price = 0.10, .seconds = 6.0};
    gln_project_spec spec = {.name = "p", .classes = classes, .n_classes = N_KINDS};
    gln_ok(gln_engine_project_create(f->engine, &spec, &f->project_id));
    return true;
}

void gln_pool_fixture_ingest(gln_pool_fixture *f, gln_ingest_summary *summary)
{
    const char *roots[] = {f->photos};
    gln_ingest_request request = {.project_id = f->project_id, .roots = roots, .n_roots = 1};
    gln_ok(gln_engine_ingest(f->engine, &request, NULL, summary));
}

void gln_pool_fixture_resample(gln_pool_fixture *f, gln_resample_summary *summary)
{
    gln_resample_request request = {.project_id = f->project_id, .seed = 1};
    gln_ok(gln_engine_resample(f->engine, &request, NULL, summary));
}

void gln_pool_fixture_reopen(gln_pool_fixture *f)
{
    gln_engine_close(f->engine);
    f->engine = NULL;
    gln_engine_options options = {.data = f->data, .n_threads = 2};
    gln_ok(gln_engine_open(&f->engine, &options));
}

bool gln_pool_fixture_fill(gln_pool_fixture *f, size_t n_each)
{
    gln_ingest_summary summary;
    if (!gln_pool_fixture_make(f, n_each)) return false;
    gln_pool_fixture_ingest(f, &summary);
    return true;
}

static gln_status copy_item(void *context, const gln_batch_item_row *row)
{
    gln_pool_batch *batch = context;
    size_t i = batch->n++;
    ck_assert_uint_lt(i, GLN_POOL_MAX_ITEMS);
    batch->image[i] = row->image_id;
    batch->inclusion[i] = row->inclusion_probability;
    snprintf(batch->class_name[i], sizeof batch->class_name[i], "%s", gln_photos_class(row->path));
    snprintf(batch->reason[i], sizeof batch->reason[i], "%s", row->reason);
    snprintf(batch->state[i], sizeof batch->state[i], "%s", row->state);
    snprintf(batch->arm[i], sizeof batch->arm[i], "%s", row->arm);
    return GLN_OK;
}

static gln_status copy_batch(void *context, const gln_batch_row *row)
{
    gln_pool_batch *batch = context;
    memcpy(batch->manifest, row->manifest_sha256, sizeof batch->manifest);
    snprintf(batch->batch_state, sizeof batch->batch_state, "%s", row->state);
    return GLN_OK;
}

void gln_pool_batch_read(const gln_pool_fixture *f, int64_t id, gln_pool_batch *batch)
{
    gln_store *reader = NULL;
    memset(batch, 0, sizeof *batch);
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_batch_get(reader, id, copy_batch, batch));
    gln_ok(gln_store_batch_items(reader, id, copy_item, batch));
    gln_engine_reader_give(f->engine, reader);
}

void gln_pool_batch_return(const gln_pool_fixture *f, int64_t id, const gln_pool_batch *batch, size_t n, const char *class_name,
                           gln_label_summary *summary)
{
    gln_label_item labels[GLN_POOL_MAX_ITEMS];
    for (size_t i = 0; i < n; i++)
        labels[i] = (gln_label_item){.image_id = batch->image[i], .annotator = "a", .seconds = 4.0,
                                     .class_name = class_name != NULL ? class_name : batch->class_name[i]};
    gln_ok(gln_engine_batch_return(f->engine, id, labels, n, "human", NULL, NULL, summary));
}
