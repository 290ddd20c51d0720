#include "index/faiss.h"

#include <faiss/c_api/error_c.h>
#include <string.h>

gln_status gln_faiss_status(int code, const char *what)
{
    if (code == 0)
        return GLN_OK;
    const char *sentence = faiss_get_last_error();
    if (sentence == NULL)
        sentence = "no reason given";
    if (strstr(sentence, "bad_alloc") != NULL)
        return gln_fail(GLN_E_MEMORY, "%s: out of memory", what);
    return gln_fail(GLN_E_INTERNAL, "%s: FAISS: %s", what, sentence);
}
