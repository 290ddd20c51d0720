/* The data directory: what goes in, what stays after a crash, what damage looks like. Batches are in test_batches.c. */
#include "tests/engine/photos.h"

#include "common/hash.h"
#include "common/memory.h"
#include "embed/backbone.h"
#include "tests/embed/onnx_builder.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void put(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[GLN_PATH_MAX];
    gln_ok(gln_path_join(path, folder, name));
    gln_ok(gln_file_write_derived(path, bytes, n));
}

START_TEST(init__is_repeatable_and_refuses_other_folders)
{
    char folder[GLN_PATH_MAX], data[GLN_PATH_MAX], manifest[GLN_PATH_MAX], backbone[64];
    if (!gln_photos_backbone(manifest)) return;
    gln_test_folder(folder);
    gln_ok(gln_path_join(data, folder, "data"));
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    ck_assert_str_eq(backbone, "efficientnet-lite0");
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    put(folder, "holiday.txt", "x", 1);
    gln_fails(gln_engine_init(folder, manifest, backbone, sizeof backbone), GLN_E_CONFLICT);
    gln_message_has("not empty");
    gln_engine *engine = NULL;
    gln_engine_options options = {.data = folder};
    gln_fails(gln_engine_open(&engine, &options), GLN_E_NOT_FOUND);
    gln_message_has("gleaner init");
}
END_TEST

/* Model `name`.onnx whose weights, one number repeated, lie in model.data, and its manifest, which lists that file or does not. */
static void make_external_backbone(const char *folder, const char *name, char weight, bool listed, char out_manifest[GLN_PATH_MAX])
{
    unsigned char weights[12];
    char text[1024], file[64], hex[GLN_SHA256_HEX], files[128] = "";
    uint8_t sha256[GLN_SHA256_BYTES];
    size_t n_bytes = 0;
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});
    Onnx__TensorProto *w = onnx_floats(b, "w", 4, (size_t[]){1, 3, 1, 1}, NULL);
    Onnx__StringStringEntryProto *entry = onnx_memory(b, sizeof *entry);
    onnx__string_string_entry_proto__init(entry);
    char key[] = "location", value[] = "model.data";
    entry->key = key;
    entry->value = value;
    w->external_data = &entry;
    w->n_external_data = 1;
    onnx_node(b, "Conv", "conv", "input,w", "c");
    onnx_node(b, "GlobalAveragePool", "pool", "c", "p");
    onnx_node(b, "Flatten", "flat", "p", "embedding");
    const unsigned char *bytes = onnx_pack(b, &n_bytes);
    memset(weights, weight, sizeof weights);
    put(folder, "model.data", weights, sizeof weights);
    gln_sha256(sha256, weights, sizeof weights);
    gln_hex(hex, sha256, sizeof sha256);
    if (listed) snprintf(files, sizeof files, ", \"files\": {\"model.data\": \"%s\"}", hex);
    snprintf(file, sizeof file, "%s.onnx", name);
    put(folder, file, bytes, n_bytes);
    gln_sha256(sha256, bytes, n_bytes);
    gln_hex(hex, sha256, sizeof sha256);
    int n = snprintf(text, sizeof text,
                     "{\"name\": \"%s\", \"model\": \"%s\", \"sha256\": \"%s\", \"input\": {\"side\": 8, \"resize\": {\"filter\": "
                     "\"bilinear\", \"mode\": \"crop\", \"scale\": 1}, \"mean\": [0, 0, 0], \"std\": [1, 1, 1]}, \"output\": "
                     "\"embedding\", \"dimension\": 1, \"licence\": \"CC0-1.0\", \"source\": \"a test\"%s}",
                     name, file, hex, files);
    snprintf(file, sizeof file, "%s.json", name);
    put(folder, file, text, (size_t)n);
    gln_ok(gln_path_join(out_manifest, folder, file));
    onnx_builder_free(b);
}

START_TEST(init__weights_beside_the_model_move_in_with_it)
{
    char folder[GLN_PATH_MAX], data[GLN_PATH_MAX], manifest[GLN_PATH_MAX], copied[GLN_PATH_MAX], weights[GLN_PATH_MAX], backbone[64];
    gln_backbone *loaded = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    gln_engine *engine = NULL;
    gln_test_folder(folder);
    gln_ok(gln_path_join(data, folder, "data"));
    make_external_backbone(folder, "first", 1, true, manifest);
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    gln_ok(gln_path_join(copied, data, "backbones/first.json"));
    gln_ok(gln_path_join(weights, data, "backbones/model.data"));
    gln_ok(gln_backbone_load(&loaded, copied, &options));
    gln_backbone_free(loaded);
    make_external_backbone(folder, "second", 2, true, manifest); /* other weights under the same name */
    gln_fails(gln_engine_init(data, manifest, backbone, sizeof backbone), GLN_E_CONFLICT);
    gln_message_has("model.data");
    /* They leave with it, and then the name is free. */
    gln_ok(gln_engine_open(&engine, &(gln_engine_options){.data = data}));
    gln_ok(gln_engine_backbone_remove(engine, "first"));
    gln_engine_close(engine);
    ck_assert(!gln_file_exists(weights));
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    ck_assert(gln_file_exists(weights));
}
END_TEST

START_TEST(init__weights_that_changed_are_named)
{
    char folder[GLN_PATH_MAX], data[GLN_PATH_MAX], manifest[GLN_PATH_MAX], copied[GLN_PATH_MAX], backbone[64];
    gln_backbone *loaded = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    uint8_t identity[2][32];
    gln_test_folder(folder);
    gln_ok(gln_path_join(data, folder, "data"));
    make_external_backbone(folder, "first", 1, false, manifest);
    gln_fails(gln_engine_init(data, manifest, backbone, sizeof backbone), GLN_E_FORMAT);
    gln_message_has("model.data");
    gln_fails(gln_backbone_load(&loaded, manifest, &options), GLN_E_UNSUPPORTED);
    gln_message_has("model.data");
    for (char weight = 1; weight <= 2; weight++) { /* other weights, another identity; the model file is the same */
        make_external_backbone(folder, "first", weight, true, manifest);
        gln_ok(gln_backbone_load(&loaded, manifest, &options));
        memcpy(identity[weight - 1], gln_backbone_info_of(loaded)->identity, 32);
        gln_backbone_free(loaded);
        loaded = NULL;
    }
    ck_assert(memcmp(identity[0], identity[1], 32) != 0);
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    put(folder, "model.data", "twelve bytes", 12);
    gln_fails(gln_backbone_load(&loaded, manifest, &options), GLN_E_CORRUPT);
    gln_message_has("model.data");
    gln_ok(gln_path_join(copied, data, "backbones/model.data"));
    gln_ok(gln_file_write(copied, "twelve bytes", 12));
    gln_fails(gln_engine_init(data, manifest, backbone, sizeof backbone), GLN_E_CORRUPT);
    gln_message_has("model.data");
    make_external_backbone(folder, "first", 2, true, manifest); /* the right one again mends the data directory */
    gln_ok(gln_engine_init(data, manifest, backbone, sizeof backbone));
    gln_ok(gln_path_join(copied, data, "backbones/first.json"));
    gln_ok(gln_backbone_load(&loaded, copied, &options));
    gln_backbone_free(loaded);
}
END_TEST

START_TEST(open__second_engine_is_told_who_owns_the_directory)
{
    gln_pool_fixture f;
    if (!gln_pool_fixture_make(&f, 1)) return;
    gln_engine *second = NULL;
    gln_engine_options options = {.data = f.data};
    gln_fails(gln_engine_open(&second, &options), GLN_E_BUSY);
    gln_message_has("process");
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(project__bad_values_are_named)
{
    gln_pool_fixture f;
    int64_t id = 0;
    if (!gln_pool_fixture_make(&f, 1)) return;
    gln_project_spec spec = {.name = "../p"};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_ARGUMENT);
    gln_message_has("name");
    spec = (gln_project_spec){.name = "p"};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_CONFLICT);
    spec = (gln_project_spec){.name = "q", .backbone = "resnet-9000"};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_NOT_FOUND);
    spec = (gln_project_spec){.name = "q", .currency = "euro"};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_ARGUMENT);
    gln_class_spec classes[2] = {{.name = "a", .target_share = 0.7}, {.name = "b", .target_share = 0.7}};
    spec = (gln_project_spec){.name = "q", .classes = classes, .n_classes = 2};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_ARGUMENT);
    gln_message_has("1.4");
    classes[1] = (gln_class_spec){.name = "b", .target_share = NAN, .price = -1};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_ARGUMENT);
    gln_message_has("classes/1/price");
    classes[1] = (gln_class_spec){.name = "b\n", .target_share = NAN};
    gln_fails(gln_engine_project_create(f.engine, &spec, &id), GLN_E_ARGUMENT);
    /* nothing of a refused project stays */
    classes[1] = (gln_class_spec){.name = "b", .target_share = NAN};
    gln_ok(gln_engine_project_create(f.engine, &spec, &id));
    gln_ok(gln_engine_project_delete(f.engine, id));
    gln_fails(gln_engine_project_delete(f.engine, id), GLN_E_NOT_FOUND);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(ingest__takes_good_files_refuses_bad_ones_and_passes_over_known_ones)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    unsigned char *jpeg = NULL;
    size_t n = 0;
    char path[GLN_PATH_MAX];
    if (!gln_pool_fixture_make(&f, 7)) return;
    gln_ok(gln_path_join(path, f.photos, "discs/1-000.jpg"));
    gln_ok(gln_file_read(&jpeg, &n, path, 1 << 20));
    put(f.photos, "copy.jpg", jpeg, n);
    put(f.photos, "empty.jpg", "", 0);
    put(f.photos, "notes.jpg", "dear diary", 10);
    put(f.photos, "torn.jpg", jpeg, n / 2);
    gln_free(jpeg);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_found, 25);
    ck_assert_uint_eq(s.n_added, 21);
    ck_assert_uint_eq(s.n_duplicates, 1);
    ck_assert_uint_eq(s.n_refused, 3);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_unchanged, 25);
    ck_assert_uint_eq(s.n_added + s.n_duplicates + s.n_refused, 0);
    /* more photos, after a restart */
    gln_pool_fixture_reopen(&f);
    gln_photos_make(f.photos, 3, 2);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_added, 9);
    ck_assert_uint_eq(s.n_unchanged, 25);
    gln_engine_close(f.engine);
}
END_TEST

static gln_status count_image(void *context, const gln_image_row *row)
{
    (void)row;
    ++*(size_t *)context;
    return GLN_OK;
}

static size_t count_images(const gln_pool_fixture *f)
{
    gln_store *reader = NULL;
    size_t n = 0;
    gln_image_filter filter = {.project_id = f->project_id};
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_images(reader, &filter, 0, 100000, count_image, &n));
    gln_engine_reader_give(f->engine, reader);
    return n;
}

static void note_finding(void *context, const char *what, gln_status status, const char *words)
{
    (void)context;
    ck_assert_msg(status == GLN_OK, "%s: %s", what, words);
}

START_TEST(ingest__killed_at_any_moment_goes_on_where_it_stopped)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    if (!gln_pool_fixture_make(&f, 40)) return;
    gln_engine_close(f.engine);
    f.engine = NULL;
    size_t before = 0;
    for (int round = 0; round < 4; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            gln_engine *engine = NULL;
            gln_engine_options options = {.data = f.data, .n_threads = 2};
            const char *roots[] = {f.photos};
            gln_ingest_request request = {.project_id = f.project_id, .roots = roots, .n_roots = 1};
            if (gln_engine_open(&engine, &options) == GLN_OK) gln_engine_ingest(engine, &request, NULL, &s);
            _exit(0);
        }
        /* Wherever the child is by then: reading, in the model, writing. */
        struct timespec pause = {.tv_nsec = 250000000 + round * 130000000};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        gln_pool_fixture_reopen(&f);
        size_t now = count_images(&f);
        ck_assert_uint_ge(now, before); /* what was acknowledged is there */
        before = now;
        gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
        gln_engine_close(f.engine);
        f.engine = NULL;
    }
    gln_pool_fixture_reopen(&f);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(count_images(&f), 120);
    ck_assert_uint_eq(s.n_unchanged + s.n_added, 120);
    ck_assert_uint_eq(s.n_unchanged, before);
    gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
    gln_engine_close(f.engine);
}
END_TEST

/* Vectors of two precisions are of two kinds: a project goes on in the one it has, or refuses. */
START_TEST(ingest__vectors_of_two_precisions_never_mix)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    if (!gln_pool_fixture_make(&f, 2)) return;
    gln_pool_fixture_ingest(&f, &s); /* in f32, the fixture's */
    ck_assert_uint_eq(s.n_added, 6);
    gln_photos_make(f.photos, 3, 2);
    static const gln_precision precisions[] = {GLN_PRECISION_BF16, GLN_PRECISION_AUTO};
    for (size_t i = 0; i < 2; i++) {
        gln_engine_close(f.engine);
        f.engine = NULL;
        gln_engine_options options = {.data = f.data, .n_threads = 2, .precision = precisions[i]};
        gln_ok(gln_engine_open(&f.engine, &options));
        const char *roots[] = {f.photos};
        gln_ingest_request request = {.project_id = f.project_id, .roots = roots, .n_roots = 1};
        gln_status st = gln_engine_ingest(f.engine, &request, NULL, &s);
        if (precisions[i] == GLN_PRECISION_AUTO) {
            gln_ok(st);
            ck_assert_uint_gt(s.n_added, 0);
        } else { /* a processor without bf16 says so */
            ck_assert(st == GLN_E_CONFLICT || st == GLN_E_UNSUPPORTED);
            ck_assert_uint_eq(s.n_added, 0);
            if (st == GLN_E_CONFLICT) gln_message_has("bf16");
        }
    }
    gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
    gln_engine_close(f.engine);
}
END_TEST

static void vectors_path(const gln_pool_fixture *f, char out[GLN_PATH_MAX])
{
    char name[64];
    snprintf(name, sizeof name, "vectors/%lld-efficientnet-lite0.vec", (long long)f->project_id);
    gln_ok(gln_path_join(out, f->data, name));
}

START_TEST(open__damaged_or_missing_files_are_said_and_nothing_is_written)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    char path[GLN_PATH_MAX], moved[GLN_PATH_MAX + 16];
    struct stat before, after;
    if (!gln_pool_fixture_make(&f, 4)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_engine_close(f.engine);
    gln_engine_options options = {.data = f.data};
    vectors_path(&f, path);

    /* one flipped bit in the last row */
    int fd = open(path, O_RDWR);
    unsigned char byte = 0;
    ck_assert_int_eq(fstat(fd, &before), 0);
    ck_assert_int_eq(pread(fd, &byte, 1, before.st_size - 1000), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, before.st_size - 1000), 1);
    gln_fails(gln_engine_open(&f.engine, &options), GLN_E_CORRUPT);
    gln_message_has(".vec");
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, before.st_size - 1000), 1);
    close(fd);

    snprintf(moved, sizeof moved, "%s.away", path);
    ck_assert_int_eq(rename(path, moved), 0);
    gln_fails(gln_engine_open(&f.engine, &options), GLN_E_CORRUPT);
    gln_message_has("missing");
    ck_assert_int_eq(rename(moved, path), 0);

    /* a database whose pages are overwritten */
    char database[GLN_PATH_MAX];
    gln_ok(gln_path_join(database, f.data, "gleaner.db"));
    fd = open(database, O_RDWR);
    ck_assert_int_eq(fstat(fd, &before), 0);
    char page[4096], kept[4096];
    memset(page, 0x5a, sizeof page);
    ck_assert_int_eq(pread(fd, kept, sizeof kept, 4096), (ssize_t)sizeof kept);
    ck_assert_int_eq(pwrite(fd, page, sizeof page, 4096), (ssize_t)sizeof page);
    gln_fails(gln_engine_open(&f.engine, &options), GLN_E_CORRUPT);
    ck_assert_int_eq(fstat(fd, &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    ck_assert_int_eq(pwrite(fd, kept, sizeof kept, 4096), (ssize_t)sizeof kept);
    close(fd);
    gln_ok(gln_engine_open(&f.engine, &options));
    gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(thumbnail__is_made_again_when_it_is_gone)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    unsigned char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    char command[2 * GLN_PATH_MAX + 32];
    if (!gln_pool_fixture_make(&f, 1)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_ok(gln_engine_thumbnail(f.engine, 1, &first, &n_first));
    snprintf(command, sizeof command, "rm -r '%s/thumbs'", f.data);
    ck_assert_int_eq(system(command), 0);
    gln_ok(gln_engine_thumbnail(f.engine, 1, &second, &n_second));
    ck_assert_uint_gt(n_second, 100);
    ck_assert_mem_eq(second, "\xff\xd8", 2);
    gln_free(first);
    gln_free(second);
    snprintf(command, sizeof command, "rm -r '%s/thumbs' '%s'", f.data, f.photos);
    ck_assert_int_eq(system(command), 0);
    gln_fails(gln_engine_thumbnail(f.engine, 1, &second, &n_second), GLN_E_NOT_FOUND);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(label__rejects_by_item_and_keeps_history)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_label_summary labels;
    char path[GLN_PATH_MAX];
    if (!gln_pool_fixture_make(&f, 2)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_ok(gln_path_join(path, f.photos, "discs/1-000.jpg"));
    gln_label_item items[] = {
        {.path = path, .class_name = "discs", .seconds = NAN},
        {.path = "/nowhere.jpg", .class_name = "discs", .seconds = NAN},
        {.image_id = 1, .class_name = "circles", .seconds = NAN},
        {.image_id = 99, .class_name = "discs", .seconds = NAN},
        {.image_id = 1, .class_name = "discs", .seconds = -5},
        {.class_name = "discs", .seconds = NAN},
    };
    gln_ok(gln_engine_label(f.engine, f.project_id, items, 6, "imported", false, NULL, NULL, &labels));
    ck_assert_uint_eq(labels.n_taken, 1);
    ck_assert_uint_eq(labels.n_rejected, 5);
    gln_ok(gln_engine_label(f.engine, f.project_id, items, 1, "imported", false, NULL, NULL, &labels));
    ck_assert_uint_eq(labels.n_unchanged, 1);
    gln_ok(gln_engine_label(f.engine, f.project_id, items + 2, 1, "imported", true, NULL, NULL, &labels));
    ck_assert_uint_eq(labels.n_taken, 1); /* the class was added */
    items[0].class_name = NULL;
    gln_ok(gln_engine_label(f.engine, f.project_id, items, 1, "human", false, NULL, NULL, &labels));
    ck_assert_uint_eq(labels.n_taken, 1); /* taken away again */
    gln_fails(gln_engine_label(f.engine, f.project_id, items, 1, "guessed", false, NULL, NULL, &labels), GLN_E_ARGUMENT);
    gln_balance balance;
    gln_ok(gln_engine_balance(f.engine, f.project_id, &balance));
    ck_assert_uint_eq(balance.n_labels, 0);
    ck_assert_uint_eq(balance.n_classes, 4);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(similar__finds_the_same_kind)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_resample_summary r;
    gln_similar before[5], after[5];
    size_t n = 0;
    if (!gln_pool_fixture_make(&f, 8)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_ok(gln_engine_similar(f.engine, 3, 5, before, &n)); /* from the vectors */
    ck_assert_uint_eq(n, 5);
    gln_pool_fixture_resample(&f, &r);
    gln_ok(gln_engine_similar(f.engine, 3, 5, after, &n)); /* from the graph */
    ck_assert_uint_eq(n, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(before[i].image_id, after[i].image_id);
        ck_assert_int_ne(after[i].image_id, 3);
        ck_assert_int_le(after[i].image_id, 8); /* discs come first, in the order of paths */
        if (i > 0) ck_assert(after[i].similarity <= after[i - 1].similarity);
    }
    gln_fails(gln_engine_similar(f.engine, 3, 0, after, &n), GLN_E_ARGUMENT);
    gln_fails(gln_engine_similar(f.engine, 999, 5, after, &n), GLN_E_NOT_FOUND);
    gln_engine_close(f.engine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, init__is_repeatable_and_refuses_other_folders);
    tcase_add_test(tests, init__weights_beside_the_model_move_in_with_it);
    tcase_add_test(tests, init__weights_that_changed_are_named);
    tcase_add_test(tests, open__second_engine_is_told_who_owns_the_directory);
    tcase_add_test(tests, project__bad_values_are_named);
    tcase_add_test(tests, ingest__takes_good_files_refuses_bad_ones_and_passes_over_known_ones);
    tcase_add_test(tests, ingest__killed_at_any_moment_goes_on_where_it_stopped);
    tcase_add_test(tests, ingest__vectors_of_two_precisions_never_mix);
    tcase_add_test(tests, open__damaged_or_missing_files_are_said_and_nothing_is_written);
    tcase_add_test(tests, thumbnail__is_made_again_when_it_is_gone);
    tcase_add_test(tests, label__rejects_by_item_and_keeps_history);
    tcase_add_test(tests, similar__finds_the_same_kind);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, gln_backbones_tests());
    suite_add_tcase(suite, gln_batches_tests());
    suite_add_tcase(suite, gln_resample_tests());
    suite_add_tcase(suite, gln_audits_tests());
    suite_add_tcase(suite, gln_forget_tests());
    return gln_test_main(suite);
}
