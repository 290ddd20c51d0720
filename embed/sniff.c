/*
 * Says what a file is that is none of ours. Real collections hold HEIC photos from telephones, videos, pages saved
 * instead of pictures, pointers of Git LFS, downloads that never arrived; "not an image" would leave their owner
 * guessing. A format of images (or pages) that gleaner does not read is GLN_E_UNSUPPORTED, all the rest GLN_E_FORMAT.
 */
#include "embed/decoders.h"

#include <string.h>
#include <strings.h>

struct signature {
    size_t at;
    const char *bytes;
    size_t n_bytes;
    gln_status status;
    const char *sentence;
};

#define SIGNATURE(at, text, status, sentence) {at, text, sizeof(text) - 1, status, sentence}
#define CONVERT "; convert it to JPEG, PNG or WebP"

static const struct signature signatures[] = {
    SIGNATURE(0, "GIF87a", GLN_E_UNSUPPORTED, "a GIF image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "GIF89a", GLN_E_UNSUPPORTED, "a GIF image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "II*\0", GLN_E_UNSUPPORTED,
              "a TIFF image or a camera's raw file, which gleaner does not read" CONVERT),
    SIGNATURE(0, "MM\0*", GLN_E_UNSUPPORTED,
              "a TIFF image or a camera's raw file, which gleaner does not read" CONVERT),
    SIGNATURE(0, "BM", GLN_E_UNSUPPORTED, "a BMP image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftypavif", GLN_E_UNSUPPORTED, "an AVIF image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftypavis", GLN_E_UNSUPPORTED, "an AVIF image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftyphei", GLN_E_UNSUPPORTED, "a HEIC image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftyphev", GLN_E_UNSUPPORTED, "a HEIC image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftypmif1", GLN_E_UNSUPPORTED, "a HEIC or AVIF image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftypmsf1", GLN_E_UNSUPPORTED, "a HEIC or AVIF image, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftypcrx ", GLN_E_UNSUPPORTED, "a camera's raw file, which gleaner does not read" CONVERT),
    SIGNATURE(4, "ftyp", GLN_E_FORMAT, "a video (MP4 or QuickTime), not an image"),
    SIGNATURE(0, "\0\0\0\x0cJXL \r\n", GLN_E_UNSUPPORTED, "a JPEG XL image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "\xff\x0a", GLN_E_UNSUPPORTED, "a JPEG XL image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "\0\0\0\x0cjP  \r\n", GLN_E_UNSUPPORTED, "a JPEG 2000 image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "\xff\x4f\xff\x51", GLN_E_UNSUPPORTED, "a JPEG 2000 image, which gleaner does not read" CONVERT),
    SIGNATURE(0, "8BPS", GLN_E_UNSUPPORTED, "a Photoshop document, which gleaner does not read" CONVERT),
    SIGNATURE(0, "\0\0\1\0", GLN_E_UNSUPPORTED, "an icon (ICO), which gleaner does not read" CONVERT),
    SIGNATURE(0, "%PDF-", GLN_E_UNSUPPORTED,
              "a PDF document, which gleaner does not read; export its pages as JPEG or PNG"),
    SIGNATURE(0, "PK\3\4", GLN_E_FORMAT, "a ZIP archive, not an image; unpack it first"),
    SIGNATURE(0, "\x1f\x8b", GLN_E_FORMAT, "a gzip archive, not an image; unpack it first"),
    SIGNATURE(0, "OggS", GLN_E_FORMAT, "a sound or video (Ogg), not an image"),
    SIGNATURE(0, "ID3", GLN_E_FORMAT, "a sound (MP3), not an image"),
    SIGNATURE(8, "WAVE", GLN_E_FORMAT, "a sound (WAV), not an image"),
    SIGNATURE(8, "AVI ", GLN_E_FORMAT, "a video (AVI), not an image"),
    SIGNATURE(0, "version https://git-lfs", GLN_E_FORMAT, "a Git LFS pointer, not the image itself; run git lfs pull"),
};

/* How much is looked at to tell text and zeros. */
enum { LOOK_BYTES = 1024 };

/* Whether `text` occurs in the first bytes, letters' case apart. */
static bool mentions(const unsigned char *bytes, size_t n_bytes, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= n_bytes; i++)
        if (strncasecmp((const char *)bytes + i, text, length) == 0) return true;
    return false;
}

/* Text has no control bytes but white space; bytes above 127 may be any encoding. */
static bool looks_like_text(const unsigned char *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if ((bytes[i] < 32 && memchr("\t\n\r\f\v\x1b", bytes[i], 6) == NULL) || bytes[i] == 127) return false;
    return true;
}

gln_status gln_refuse_foreign(const unsigned char *bytes, size_t n_bytes)
{
    if (n_bytes == 0) return gln_fail(GLN_E_FORMAT, "an empty file (0 bytes), not an image");
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const struct signature *s = &signatures[i];
        if (n_bytes >= s->at + s->n_bytes && memcmp(bytes + s->at, s->bytes, s->n_bytes) == 0)
            return gln_fail(s->status, "%s", s->sentence);
    }
    size_t n_look = n_bytes < LOOK_BYTES ? n_bytes : LOOK_BYTES;
    size_t n_zero = 0;
    while (n_zero < n_look && bytes[n_zero] == 0) n_zero++;
    if (n_zero == n_look) return gln_fail(GLN_E_FORMAT, "zero bytes only, not an image: the file was never written");
    if (looks_like_text(bytes, n_look)) {
        if (mentions(bytes, n_look, "<svg"))
            return gln_fail(GLN_E_UNSUPPORTED, "an SVG drawing, which gleaner does not read" CONVERT);
        if (mentions(bytes, n_look, "<html") || mentions(bytes, n_look, "<!doctype html"))
            return gln_fail(GLN_E_FORMAT, "an HTML page, not an image; fetch the picture itself");
        return gln_fail(GLN_E_FORMAT, "a text file, not an image");
    }
    return gln_fail(GLN_E_FORMAT, "not an image that gleaner knows: starts with bytes %02x %02x %02x %02x", bytes[0],
                    n_bytes > 1 ? bytes[1] : 0u, n_bytes > 2 ? bytes[2] : 0u, n_bytes > 3 ? bytes[3] : 0u);
}
