/*
 * The vectors file; its format is in the header.
 *
 * Writing goes through pwrite, reading through a mapping. A full disk is then an error code of pwrite, where a store to
 * a mapping would be a SIGBUS; and Linux keeps both coherent, as they share the page cache.
 *
 * The mapping is made once, at open, far longer than the file (LMDB does the same): pages beyond the end are
 * address space and nothing else, and become readable as the file grows. So no view ever moves, readers take no lock,
 * and an append publishes its rows by one atomic store of the count. Rejected: mremap (moves, so readers would
 * need a lock) and a list of mapped extents (a row could straddle two).
 *
 * What a crash can leave. Rows are written, synced, and only then committed to the database, so a committed row
 * is whole on the disk. Rows beyond the committed count may be missing, torn or whole: they are cut at open without a
 * look. A committed row that fails its checksum was damaged later, by the disk or by somebody: that is reported and
 * never repaired here. Checking reads through pread and not through the mapping, because a medium that cannot be read
 * then gives an error and not a signal.
 */
#include "index/vectors.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/memory.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are mapped as they lie on the disk");

#define HEADER_BYTES ((size_t)4096)
#define TRAILER_BYTES ((size_t)16)
#define FORMAT_VERSION 1u
#define VERIFIED_AT_OPEN ((size_t)1024)
#define BLOCK_ROWS ((size_t)256)              /* converted or checked at a time */
#define RESERVED_BYTES ((size_t)256 << 30)    /* address space: about 100 million rows of 1280 */
#define MAX_ROWS ((size_t)UINT32_MAX)         /* row numbers are 32 bits; the last one means "none" */

static const unsigned char magic[8] = {'G', 'L', 'N', 'V', 'E', 'C', '1', 0};

struct gln_vectors {
    int fd;
    char *path;
    uint8_t identity[GLN_VECTORS_IDENTITY_BYTES];
    size_t d, stride;
    unsigned char *map; /* of the whole file and the room to grow; NULL before it is mapped */
    size_t reserved_bytes;
    atomic_size_t n;
};

static size_t stride_of(size_t d)
{
    return (d * sizeof(uint16_t) + 15) / 16 * 16 + TRAILER_BYTES;
}

static size_t end_of(const gln_vectors *v, size_t n)
{
    return HEADER_BYTES + n * v->stride;
}

static void make_header(unsigned char header[HEADER_BYTES], size_t d, const uint8_t *identity)
{
    uint32_t version = FORMAT_VERSION, dimension = (uint32_t)d;
    uint64_t stride = stride_of(d), checksum;
    memset(header, 0, HEADER_BYTES);
    memcpy(header, magic, sizeof magic);
    memcpy(header + 8, &version, sizeof version);
    memcpy(header + 12, &dimension, sizeof dimension);
    memcpy(header + 16, &stride, sizeof stride);
    memcpy(header + 24, identity, GLN_VECTORS_IDENTITY_BYTES);
    checksum = gln_xxh3(header, HEADER_BYTES - sizeof checksum);
    memcpy(header + HEADER_BYTES - sizeof checksum, &checksum, sizeof checksum);
}

/* Reads exactly n_bytes. The caller has made sure that the file is that long. */
static gln_status read_at(const gln_vectors *v, void *out, size_t n_bytes, size_t offset)
{
    unsigned char *to = out;
    while (n_bytes > 0) {
        ssize_t got = pread(v->fd, to, n_bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return gln_fail_errno(errno, "%s: cannot read at byte %zu", v->path, offset);
        if (got == 0)
            return gln_fail(GLN_E_CORRUPT, "%s: ends at byte %zu, it was longer a moment ago", v->path, offset);
        to += got;
        offset += (size_t)got;
        n_bytes -= (size_t)got;
    }
    return GLN_OK;
}

static gln_status write_at(const gln_vectors *v, const unsigned char *from, size_t n_bytes, size_t offset)
{
    while (n_bytes > 0) {
        ssize_t put = pwrite(v->fd, from, n_bytes, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return gln_fail_errno(errno, "%s: cannot append", v->path);
        from += put;
        offset += (size_t)put;
        n_bytes -= (size_t)put;
    }
    return GLN_OK;
}

/* Reads the header into `v`, and compares it with what the caller expects (d 0, identity NULL: anything). */
static gln_status read_header(gln_vectors *v, size_t d, const uint8_t *identity)
{
    unsigned char header[HEADER_BYTES];
    gln_status st = read_at(v, header, HEADER_BYTES, 0);
    if (st != GLN_OK)
        return st;
    uint32_t version, dimension;
    uint64_t stride, checksum;
    memcpy(&version, header + 8, sizeof version);
    memcpy(&dimension, header + 12, sizeof dimension);
    memcpy(&stride, header + 16, sizeof stride);
    memcpy(v->identity, header + 24, sizeof v->identity);
    memcpy(&checksum, header + HEADER_BYTES - sizeof checksum, sizeof checksum);
    if (memcmp(header, magic, sizeof magic) != 0)
        return gln_fail(GLN_E_CORRUPT, "%s: not a vectors file", v->path);
    if (checksum != gln_xxh3(header, HEADER_BYTES - sizeof checksum))
        return gln_fail(GLN_E_CORRUPT, "%s: the header is damaged; restore the file from a backup", v->path);
    if (version != FORMAT_VERSION)
        return gln_fail(GLN_E_UNSUPPORTED, "%s: format %u, this gleaner reads %u", v->path, version, FORMAT_VERSION);
    if (dimension == 0 || dimension > GLN_VECTORS_MAX_DIMENSION || stride != stride_of(dimension))
        return gln_fail(GLN_E_CORRUPT, "%s: the header makes no sense: rows of %u numbers, %llu bytes apart", v->path,
                        dimension, (unsigned long long)stride);
    v->d = dimension;
    v->stride = (size_t)stride;
    if (d != 0 && dimension != d)
        return gln_fail(GLN_E_CONFLICT, "%s: rows of %u numbers, the backbone gives %zu", v->path, dimension, d);
    if (identity != NULL && memcmp(v->identity, identity, sizeof v->identity) != 0)
        return gln_fail(GLN_E_CONFLICT, "%s: was written by another backbone, or by one of another precision", v->path);
    return GLN_OK;
}

/*
 * Checks rows [begin, end). The first damaged one goes to *first_bad (SIZE_MAX: none), how many there are is added to
 * *n_bad. The status is about reading, not about damage.
 */
static gln_status check_rows(const gln_vectors *v, size_t begin, size_t end, size_t *first_bad, size_t *n_bad,
                             gln_progress *progress)
{
    unsigned char *block = NULL;
    gln_status st = gln_alloc_raw(&block, BLOCK_ROWS, v->stride, "rows to check");
    for (size_t r = begin; st == GLN_OK && r < end; r += BLOCK_ROWS) {
        size_t rows = end - r < BLOCK_ROWS ? end - r : BLOCK_ROWS;
        if ((st = read_at(v, block, rows * v->stride, end_of(v, r))) != GLN_OK)
            break;
        for (size_t i = 0; i < rows; i++) {
            const unsigned char *row = block + i * v->stride;
            uint64_t checksum;
            memcpy(&checksum, row + v->stride - sizeof checksum, sizeof checksum);
            if (checksum == gln_xxh3(row, v->stride - sizeof checksum))
                continue;
            if (*first_bad == SIZE_MAX)
                *first_bad = r + i;
            ++*n_bad;
        }
        st = gln_progress_add(progress, rows);
    }
    gln_free(block);
    return st;
}

static gln_status damage(const gln_vectors *v, size_t first_bad, size_t n_bad)
{
    if (n_bad == 0)
        return GLN_OK;
    if (n_bad == 1)
        return gln_fail(GLN_E_CORRUPT, "%s: row %zu fails its checksum; restore the file from a backup", v->path,
                        first_bad);
    return gln_fail(GLN_E_CORRUPT, "%s: row %zu and %zu others fail their checksums; restore the file from a backup",
                    v->path, first_bad, n_bad - 1);
}

/* Address space for the file and its growth. A limit on address space (ulimit -v) shrinks the room, not below twice
   the file; without that much it is an error. */
static gln_status map_file(gln_vectors *v, size_t file_bytes)
{
    size_t least = file_bytes * 2 + ((size_t)1 << 20);
    size_t bytes = least > RESERVED_BYTES ? least : RESERVED_BYTES;
    for (;;) {
        void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, v->fd, 0);
        if (map != MAP_FAILED) {
            v->map = map;
            v->reserved_bytes = bytes;
            return GLN_OK;
        }
        if ((errno != ENOMEM && errno != EINVAL) || bytes / 2 < least)
            return gln_fail_errno(errno, "%s: cannot map %zu bytes of address space", v->path, bytes);
        bytes /= 2;
    }
}

static gln_status open_file(gln_vectors *v, size_t d, const uint8_t *identity, size_t n_committed)
{
    v->fd = open(v->path, O_RDWR | O_CLOEXEC);
    if (v->fd < 0 && errno == ENOENT && identity != NULL) {
        if (n_committed > 0)
            return gln_fail(GLN_E_CORRUPT, "%s: the file is gone, with %zu committed rows; restore it from a backup",
                            v->path, n_committed);
        unsigned char header[HEADER_BYTES];
        make_header(header, d, identity);
        gln_status st = gln_file_write(v->path, header, sizeof header);
        if (st != GLN_OK)
            return st;
        v->fd = open(v->path, O_RDWR | O_CLOEXEC);
    }
    return v->fd < 0 ? gln_fail_errno(errno, "%s: cannot open", v->path) : GLN_OK;
}

static gln_status open_to_read(gln_vectors *v)
{
    v->fd = open(v->path, O_RDONLY | O_CLOEXEC);
    return v->fd < 0 ? gln_fail_errno(errno, "%s: cannot open", v->path) : GLN_OK;
}

static gln_status open_vectors(gln_vectors **out, const char *path, size_t d, const uint8_t *identity,
                               size_t n_committed, bool reading)
{
    gln_vectors *v = NULL;
    gln_status st;
    *out = NULL;
    if (d > GLN_VECTORS_MAX_DIMENSION || (d == 0 && identity != NULL))
        return gln_fail(GLN_E_ARGUMENT, "%s: rows of %zu numbers, 1 to %d are possible", path, d,
                        GLN_VECTORS_MAX_DIMENSION);
    if (n_committed > MAX_ROWS)
        return gln_fail(GLN_E_LIMIT, "%s: %zu rows, at most %zu", path, n_committed, MAX_ROWS);
    if ((st = gln_alloc(&v, 1, sizeof *v, "vectors file")) != GLN_OK)
        return st;
    v->fd = -1;
    atomic_init(&v->n, n_committed);
    if ((v->path = gln_strdup(path)) == NULL) {
        st = GLN_E_MEMORY;
        goto cleanup;
    }
    if ((st = reading ? open_to_read(v) : open_file(v, d, identity, n_committed)) != GLN_OK)
        goto cleanup;

    struct stat info;
    if (fstat(v->fd, &info) != 0) {
        st = gln_fail_errno(errno, "%s: cannot be examined", path);
        goto cleanup;
    }
    size_t file_bytes = (size_t)info.st_size;
    if (!S_ISREG(info.st_mode) || file_bytes < HEADER_BYTES) {
        st = gln_fail(GLN_E_CORRUPT, "%s: not a vectors file", path);
        goto cleanup;
    }
    if ((st = read_header(v, d, identity)) != GLN_OK)
        goto cleanup;
    if (file_bytes < end_of(v, n_committed)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: holds %zu rows, the database committed %zu; restore it from a backup", path,
                      (file_bytes - HEADER_BYTES) / v->stride, n_committed);
        goto cleanup;
    }
    size_t first_bad = SIZE_MAX, n_bad = 0;
    size_t begin = n_committed > VERIFIED_AT_OPEN ? n_committed - VERIFIED_AT_OPEN : 0;
    if ((st = check_rows(v, begin, n_committed, &first_bad, &n_bad, NULL)) != GLN_OK ||
        (st = damage(v, first_bad, n_bad)) != GLN_OK)
        goto cleanup;
    /* Last, so that a file which is refused is left as it was found. */
    if (!reading && file_bytes > end_of(v, n_committed) && ftruncate(v->fd, (off_t)end_of(v, n_committed)) != 0) {
        st = gln_fail_errno(errno, "%s: cannot cut off what was not committed", path);
        goto cleanup;
    }
    st = map_file(v, end_of(v, n_committed));

cleanup:
    if (st == GLN_OK)
        *out = v;
    else
        gln_vectors_close(v);
    return st;
}

gln_status gln_vectors_open(gln_vectors **out, const char *path, size_t d,
                            const uint8_t identity[GLN_VECTORS_IDENTITY_BYTES], size_t n_committed)
{
    return open_vectors(out, path, d, identity, n_committed, false);
}

gln_status gln_vectors_open_reading(gln_vectors **out, const char *path, size_t n_committed)
{
    return open_vectors(out, path, 0, NULL, n_committed, true);
}

void gln_vectors_close(gln_vectors *vectors)
{
    if (vectors == NULL)
        return;
    if (vectors->map != NULL)
        munmap(vectors->map, vectors->reserved_bytes);
    if (vectors->fd >= 0)
        close(vectors->fd);
    gln_free(vectors->path);
    gln_free(vectors);
}

/* One row as it lies in the file. The first number that binary16 cannot hold makes it an argument error. */
static gln_status encode_row(const gln_vectors *v, unsigned char *out, const float *row, int64_t image_id)
{
    uint16_t *numbers = (uint16_t *)(void *)out;
    size_t numbers_bytes = v->d * sizeof *numbers;
    gln_kernels()->f32_to_f16(numbers, row, v->d);
    for (size_t j = 0; j < v->d; j++)
        if ((numbers[j] & 0x7c00u) == 0x7c00u)
            return gln_fail(GLN_E_ARGUMENT, "image %lld: number %zu of its embedding is %g, beyond what float16 holds",
                            (long long)image_id, j, (double)row[j]);
    memset(out + numbers_bytes, 0, v->stride - TRAILER_BYTES - numbers_bytes);
    memcpy(out + v->stride - TRAILER_BYTES, &image_id, sizeof image_id);
    uint64_t checksum = gln_xxh3(out, v->stride - sizeof checksum);
    memcpy(out + v->stride - sizeof checksum, &checksum, sizeof checksum);
    return GLN_OK;
}

/* Even where this fails nothing is wrong: the next append writes over what is left, or the next open cuts it. */
static void cut_back(const gln_vectors *v, size_t n)
{
    int saved_errno = errno;
    if (ftruncate(v->fd, (off_t)end_of(v, n)) != 0)
        errno = saved_errno;
}

gln_status gln_vectors_append(gln_vectors *vectors, const float *rows, const int64_t *image_ids, size_t n,
                              size_t *out_first)
{
    gln_vectors *v = vectors;
    size_t before = gln_vectors_count(v);
    size_t room = (v->reserved_bytes - end_of(v, before)) / v->stride;
    *out_first = before;
    if (n > room || n > MAX_ROWS - before)
        return gln_fail(GLN_E_LIMIT, "%s: no room for %zu rows after %zu; start gleaner again to make room", v->path, n,
                        before);
    unsigned char *block = NULL;
    gln_status st = gln_alloc_raw(&block, n < BLOCK_ROWS ? n : BLOCK_ROWS, v->stride, "rows to append");
    for (size_t begin = 0; st == GLN_OK && begin < n; begin += BLOCK_ROWS) {
        size_t rows_now = n - begin < BLOCK_ROWS ? n - begin : BLOCK_ROWS;
        for (size_t i = 0; st == GLN_OK && i < rows_now; i++)
            st = encode_row(v, block + i * v->stride, rows + (begin + i) * v->d, image_ids[begin + i]);
        if (st == GLN_OK)
            st = write_at(v, block, rows_now * v->stride, end_of(v, before + begin));
    }
    if (st == GLN_OK)
        atomic_store_explicit(&v->n, before + n, memory_order_release);
    else
        cut_back(v, before);
    gln_free(block);
    return st;
}

gln_status gln_vectors_sync(gln_vectors *vectors)
{
    if (fdatasync(vectors->fd) != 0)
        return gln_fail_errno(errno, "%s: cannot sync", vectors->path);
    return GLN_OK;
}

gln_status gln_vectors_truncate(gln_vectors *vectors, size_t n)
{
    if (n > gln_vectors_count(vectors))
        return gln_fail(GLN_E_ARGUMENT, "%s: cannot cut to %zu rows, there are %zu", vectors->path, n,
                        gln_vectors_count(vectors));
    atomic_store_explicit(&vectors->n, n, memory_order_release);
    if (ftruncate(vectors->fd, (off_t)end_of(vectors, n)) != 0)
        return gln_fail_errno(errno, "%s: cannot cut to %zu rows", vectors->path, n);
    return GLN_OK;
}

gln_status gln_vectors_erase(gln_vectors *vectors, size_t r)
{
    unsigned char *row = NULL;
    float *zeros = NULL;
    if (r >= gln_vectors_count(vectors))
        return gln_fail(GLN_E_ARGUMENT, "%s: there is no row %zu, but %zu rows", vectors->path, r,
                        gln_vectors_count(vectors));
    gln_status st = gln_alloc(&row, vectors->stride, 1, "a row of zeros");
    if (st == GLN_OK) st = gln_alloc(&zeros, vectors->d, sizeof *zeros, "a row of zeros");
    if (st == GLN_OK) st = encode_row(vectors, row, zeros, gln_vectors_image_id(vectors, r));
    if (st == GLN_OK) st = write_at(vectors, row, vectors->stride, end_of(vectors, r));
    if (st == GLN_OK) st = gln_vectors_sync(vectors);
    gln_free(row);
    gln_free(zeros);
    return st;
}

bool gln_vectors_is_empty(const gln_vectors *vectors, size_t r)
{
    gln_embeddings view = gln_vectors_view(vectors);
    const uint16_t *row = gln_embeddings_row(&view, r);
    size_t j = 0;
    while (j < vectors->d && row[j] == 0) j++;
    return j == vectors->d;
}

size_t gln_vectors_count(const gln_vectors *vectors)
{
    return atomic_load_explicit(&vectors->n, memory_order_acquire);
}

const uint8_t *gln_vectors_identity(const gln_vectors *vectors)
{
    return vectors->identity;
}

size_t gln_vectors_dimension(const gln_vectors *vectors)
{
    return vectors->d;
}

int64_t gln_vectors_image_id(const gln_vectors *vectors, size_t r)
{
    int64_t id;
    memcpy(&id, vectors->map + end_of(vectors, r + 1) - TRAILER_BYTES, sizeof id);
    return id;
}

gln_embeddings gln_vectors_view(const gln_vectors *vectors)
{
    return (gln_embeddings){.data = vectors->map + HEADER_BYTES,
                            .stride_bytes = vectors->stride,
                            .n = gln_vectors_count(vectors),
                            .d = vectors->d};
}

gln_status gln_vectors_verify(const gln_vectors *vectors, gln_progress *progress)
{
    size_t n = gln_vectors_count(vectors), first_bad = SIZE_MAX, n_bad = 0;
    gln_progress_stage(progress, "verify vectors", n);
    gln_status st = check_rows(vectors, 0, n, &first_bad, &n_bad, progress);
    return st != GLN_OK ? st : damage(vectors, first_bad, n_bad);
}
