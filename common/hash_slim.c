/* hash.c in a slim build, without xxhash: the name is the same, the numbers are not. What they sign there, a GPU's
   tuning file, is made anew when another build wrote it. FNV-1a over words of eight bytes, then a mix (Steele et al.
   2014). */
#include "common/hash.h"

#include <string.h>

uint64_t gln_xxh3(const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u ^ n_bytes;
    for (size_t i = 0; i < n_bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, n_bytes - i < 8 ? n_bytes - i : 8);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 32;
    }
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    return hash ^ hash >> 31;
}
