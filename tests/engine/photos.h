/* A folder of small JPEG photos that the engine's tests make themselves: three kinds that any backbone tells apart. */
#ifndef GLN_TESTS_ENGINE_PHOTOS_H
#define GLN_TESTS_ENGINE_PHOTOS_H

#include "engine/engine.h"
#include "tests/support/support.h"

/* Writes n_each photos of each kind to folder/stripes, folder/discs, folder/noise. The same seed gives the same bytes. */
void gln_photos_make(const char *folder, size_t n_each, uint64_t seed);

/* The manifest of the default backbone; false, with the skip noted, where set-up has not put it. */
bool gln_photos_backbone(char out[GLN_PATH_MAX]);

/* A data directory with project "p", classes stripes, discs, noise at a price of 0.10 and 6 seconds, and the photos
   ingested. */
typedef struct gln_pool_fixture {
    char data[GLN_PATH_MAX], photos[GLN_PATH_MAX];
    gln_engine *engine;
    int64_t project_id;
} gln_pool_fixture;
bool gln_pool_fixture_make(gln_pool_fixture *f, size_t n_each);
void gln_pool_fixture_ingest(gln_pool_fixture *f, gln_ingest_summary *summary);
void gln_pool_fixture_resample(gln_pool_fixture *f, gln_resample_summary *summary);
void gln_pool_fixture_reopen(gln_pool_fixture *f);
/* Made and ingested; false as above. */
bool gln_pool_fixture_fill(gln_pool_fixture *f, size_t n_each);

/* A batch as it stands. Its images' classes are what their folders say. */
enum { GLN_POOL_MAX_ITEMS = 200 };
typedef struct gln_pool_batch {
    size_t n;
    int64_t image[GLN_POOL_MAX_ITEMS];
    char class_name[GLN_POOL_MAX_ITEMS][16], arm[GLN_POOL_MAX_ITEMS][12], state[GLN_POOL_MAX_ITEMS][12];
    char reason[GLN_POOL_MAX_ITEMS][512], batch_state[16];
    double inclusion[GLN_POOL_MAX_ITEMS];
    uint8_t manifest[32];
} gln_pool_batch;
void gln_pool_batch_read(const gln_pool_fixture *f, int64_t id, gln_pool_batch *batch);
/* Labels of its first n images, 4 seconds each, by annotator "a": as their folders say, or all of them class_name. */
void gln_pool_batch_return(const gln_pool_fixture *f, int64_t id, const gln_pool_batch *batch, size_t n, const char *class_name,
                           gln_label_summary *summary);

/* The class that a photo's folder says. */
const char *gln_photos_class(const char *path);

TCase *gln_backbones_tests(void);
TCase *gln_batches_tests(void);
TCase *gln_resample_tests(void);
TCase *gln_audits_tests(void);
TCase *gln_forget_tests(void);

#endif
