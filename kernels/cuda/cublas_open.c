/*
 * Opens cuBLASLt (library.h says why it is not linked). Looked for under the names the loader knows (the run path of
 * the program, LD_LIBRARY_PATH, the system's folders), where CUDA's installer puts it, and where set-up may have put it
 * (GLN_CUBLAS_FOLDER, from the build).
 */
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/library.h"

#include <pthread.h>

#define STRINGIZE2(x) #x
#define STRINGIZE(x) STRINGIZE2(x)
#define LIBRARY "libcublasLt.so." STRINGIZE(CUBLAS_VER_MAJOR)

static gln_cublas_lt table;
static char failure[GLN_MESSAGE_MAX]; /* "": the table is filled */

static void open_once(void)
{
    static const char *const names[] = {LIBRARY, "/usr/local/cuda/lib64/" LIBRARY,
#ifdef GLN_CUBLAS_FOLDER
                                        GLN_CUBLAS_FOLDER "/" LIBRARY,
#endif
    };
    const gln_symbol wanted[] = {
        {&table.create, "cublasLtCreate"},
        {&table.destroy, "cublasLtDestroy"},
        {&table.desc_create, "cublasLtMatmulDescCreate"},
        {&table.desc_destroy, "cublasLtMatmulDescDestroy"},
        {&table.desc_set, "cublasLtMatmulDescSetAttribute"},
        {&table.layout_create, "cublasLtMatrixLayoutCreate"},
        {&table.layout_destroy, "cublasLtMatrixLayoutDestroy"},
        {&table.layout_set, "cublasLtMatrixLayoutSetAttribute"},
        {&table.preference_create, "cublasLtMatmulPreferenceCreate"},
        {&table.preference_destroy, "cublasLtMatmulPreferenceDestroy"},
        {&table.preference_set, "cublasLtMatmulPreferenceSetAttribute"},
        {&table.heuristic, "cublasLtMatmulAlgoGetHeuristic"},
        {&table.matmul, "cublasLtMatmul"},
    };
    gln_library_open(failure, &(gln_library){
                                  .name = LIBRARY,
                                  .purpose = "which multiplies matrices on the GPU",
                                  .product = "cuBLAS",
                                  .paths = names,
                                  .n_paths = sizeof names / sizeof *names,
                                  .symbols = wanted,
                                  .n_symbols = sizeof wanted / sizeof *wanted,
                              });
}

gln_status gln_cublas_lt_open(const gln_cublas_lt **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    *out = failure[0] == 0 ? &table : NULL;
    return failure[0] == 0 ? GLN_OK : gln_fail(GLN_E_UNSUPPORTED, "%s", failure);
}
