/* Every check there is on a data directory, each told with what it found and how to mend it. Changes nothing. */
#include "embed/selftest.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

struct doctor {
    gln_engine *engine;
    gln_store *reader;
    gln_finding_fn finding;
    void *context;
    gln_progress *progress;
    bool thorough;
    gln_status worst;
    char worst_message[GLN_MESSAGE_MAX];
};

/* Tells a finding: `good` when the check passed, else the sentence of the failure. */
static void tell(struct doctor *doctor, const char *what, gln_status status, const char *good)
{
    doctor->finding(doctor->context, what, status, status == GLN_OK ? good : gln_message());
    if (status == GLN_OK || doctor->worst != GLN_OK) return;
    doctor->worst = status;
    gln_message_copy(doctor->worst_message, sizeof doctor->worst_message);
}

static void check_space(struct doctor *doctor)
{
    static const double enough_bytes = 1e9;
    struct statvfs disk;
    char words[128];
    if (statvfs(doctor->engine->data, &disk) != 0) return;
    double left = (double)disk.f_bavail * (double)disk.f_frsize;
    snprintf(words, sizeof words, "%.1f GB left", left * 1e-9);
    gln_status st = left >= enough_bytes ? GLN_OK
                                         : gln_fail(GLN_E_DISK_FULL, "only %.2f GB are left on this disk", left * 1e-9);
    tell(doctor, "disk", st, words);
}

/* What GPUs there are, or why there is none: not an error, everything is computed without one. */
static void check_gpu(struct doctor *doctor)
{
    char words[GLN_MESSAGE_MAX];
    gln_gpu_words(words, sizeof words);
    tell(doctor, "gpu", GLN_OK, words);
}

/* Loads the backbone in the precision that the project's vectors have, and has it test itself. */
static gln_status test_backbone(const char *manifest, const gln_vectors *vectors, char words[256])
{
    gln_backbone *backbone = NULL;
    gln_self_test test;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    options.max_batch = 2;
    options.devices.kind = GLN_DEVICE_AUTO; /* vectors of a GPU are judged by a GPU, where one is */
    if (vectors != NULL) {
        options.precision = GLN_PRECISION_AUTO;
        options.identity = gln_vectors_identity(vectors);
    }
    gln_status st = gln_backbone_load(&backbone, manifest, &options);
    if (st != GLN_OK) return st;
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    st = gln_backbone_self_test(backbone, &test);
    if (st == GLN_OK && vectors != NULL &&
        memcmp(info->identity, gln_vectors_identity(vectors), sizeof info->identity) != 0)
        st = gln_fail(GLN_E_CONFLICT,
                      "%s is not the backbone that the vectors were made with; put back the one that was there, "
                      "or make a new project",
                      info->name);
    if (st == GLN_OK)
        snprintf(words, 256, "%.60s: %zu numbers an image, %.1f million parameters, %s on %.80s", info->name, info->d,
                 (double)info->n_parameters * 1e-6, gln_precision_name(info->precision), info->device.name);
    gln_backbone_free(backbone);
    return st;
}

/* Rows and trailers say the same: row r of the file belongs to the image that the database says. */
struct row_check {
    const gln_vectors *vectors;
    int64_t n_rows, n_all; /* of this backbone, and of the one that has come farthest */
    size_t n, n_sampled;
};

static gln_status check_row(void *context, const gln_pool_row *row)
{
    struct row_check *check = context;
    if (row->vector_row >= check->n_rows && row->vector_row < check->n_all) return GLN_OK; /* to come */
    check->n++;
    check->n_sampled += row->cluster_id != 0;
    if ((size_t)row->vector_row >= gln_vectors_count(check->vectors))
        return gln_fail(GLN_E_CORRUPT,
                        "image %lld is said to be row %lld of a vectors file with %zu rows; restore it from a "
                        "backup, or delete the project and ingest again",
                        (long long)row->image_id, (long long)row->vector_row, gln_vectors_count(check->vectors));
    int64_t there = gln_vectors_image_id(check->vectors, (size_t)row->vector_row);
    if (there != row->image_id)
        return gln_fail(GLN_E_CORRUPT, "row %lld of the vectors file belongs to image %lld, not to %lld; restore both "
                        "files from the same backup", (long long)row->vector_row, (long long)there,
                        (long long)row->image_id);
    return GLN_OK;
}

static void check_vectors(struct doctor *doctor, const gln_project_row *project, const gln_project_backbone *backbone,
                          int64_t n_rows, const gln_vectors *vectors)
{
    char words[256];
    /* Of a file opened for reading, rows that were appended since are to come as well. */
    int64_t n_open = (int64_t)gln_vectors_count(vectors);
    struct row_check check = {
        .vectors = vectors, .n_rows = backbone->n_rows < n_open ? backbone->n_rows : n_open, .n_all = n_rows};
    gln_status st = gln_store_pool(doctor->reader, project->id, check_row, &check);
    if (st == GLN_OK && doctor->thorough) {
        gln_progress_stage(doctor->progress, "vectors", gln_vectors_count(vectors));
        st = gln_vectors_verify(vectors, doctor->progress);
    }
    int length = snprintf(words, sizeof words, "%zu rows of %zu numbers by %.60s belong to %zu images%s",
                          gln_vectors_count(vectors), gln_vectors_dimension(vectors), backbone->name, check.n,
                          doctor->thorough ? ", every checksum verified" : "");
    if (backbone->n_gaps != 0)
        length += snprintf(words + length, sizeof words - (size_t)length, "; %lld had no photo any more",
                           (long long)backbone->n_gaps);
    if (backbone->n_rows < n_rows)
        snprintf(words + length, sizeof words - (size_t)length, "; %lld are to come, by the next ingest%s",
                 (long long)(n_rows - backbone->n_rows), backbone->active ? " or resample" : "");
    tell(doctor, "vectors", st, words);
    if (!backbone->active) return;
    snprintf(words, sizeof words,
             check.n_sampled == check.n ? "all %zu images are in the published state"
                                        : "%zu of %zu images are in the published state; `gleaner "
                                          "resample` takes in the others",
             check.n_sampled, check.n);
    if (project->published_run_id != 0) tell(doctor, "sampling", GLN_OK, words);
    else tell(doctor, "sampling", GLN_OK, "not resampled yet");
}

static gln_status check_project(void *context, const gln_project_row *project)
{
    struct doctor *doctor = context;
    gln_engine *engine = doctor->engine;
    gln_room *room = NULL;
    gln_project_backbones backbones;
    char words[256], path[GLN_PATH_MAX];
    snprintf(words, sizeof words, "%s: %lld images, %lld labels, %lld classes", project->name,
             (long long)project->n_images, (long long)project->n_labels, (long long)project->n_classes);
    tell(doctor, "project", GLN_OK, words);
    gln_status st = gln_project_backbones_read(doctor->reader, project->id, &backbones);
    if (st == GLN_OK) st = gln_engine_room(engine, project->id, &room);
    for (size_t i = 0; i < backbones.n && st == GLN_OK; i++) {
        const gln_project_backbone *backbone = &backbones.item[i];
        gln_vectors *vectors = gln_room_vectors(engine, room, backbone->name);
        gln_status tested = gln_engine_manifest_path(engine->data, backbone->name, path);
        if (tested == GLN_OK) tested = test_backbone(path, vectors, words);
        if (backbones.n > 1)
            strncat(words, backbone->active ? ", active" : ", not active", sizeof words - strlen(words) - 1);
        tell(doctor, "backbone", tested, words);
        if (vectors != NULL) check_vectors(doctor, project, backbone, backbones.n_rows, vectors);
        else tell(doctor, "vectors", GLN_OK, "none yet");
    }
    return st;
}

gln_status gln_engine_doctor(gln_engine *engine, bool thorough, gln_finding_fn finding, void *context,
                             gln_progress *progress)
{
    struct doctor doctor = {.engine = engine, .finding = finding, .context = context, .progress = progress,
                            .thorough = thorough};
    char words[128];
    gln_status st = gln_engine_reader_take(engine, &doctor.reader);
    if (st != GLN_OK) return st;
    check_space(&doctor);
    check_gpu(&doctor);
    snprintf(words, sizeof words, "schema %d, sound%s", gln_store_schema_version(doctor.reader),
             thorough ? ", indexes compared with tables" : "");
    tell(&doctor, "database", gln_store_check(doctor.reader, thorough), words);
    if ((st = gln_store_projects(doctor.reader, 0, SIZE_MAX, check_project, &doctor)) != GLN_OK)
        tell(&doctor, "projects", st, "");
    gln_engine_reader_give(engine, doctor.reader);
    return doctor.worst == GLN_OK ? GLN_OK : gln_fail(doctor.worst, "%s", doctor.worst_message);
}
