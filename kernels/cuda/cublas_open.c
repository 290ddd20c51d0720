/*
 * Opens cuBLASLt. It is not linked: half a gigabyte that most machines lack, and a program linked with it would not
 * start there. Looked for under the names the loader knows (the run path of the program, LD_LIBRARY_PATH, the system's
 * folders), where CUDA's installer puts it, and where set-up may have put it (GLN_CUBLAS_FOLDER, from the build).
 */
#include "kernels/cuda/cublas_lt.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define STRINGIZE2(x) #x
#define STRINGIZE(x) STRINGIZE2(x)
#define LIBRARY "libcublasLt.so." STRINGIZE(CUBLAS_VER_MAJOR)

static gln_cublas_lt table;
static char failure[GLN_MESSAGE_MAX]; /* "": the table is filled */

static bool find(void *library, void *slot, const char *name)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol,
           sizeof symbol); /* an object pointer into a function pointer, as POSIX allows dlsym's result to be used */
    if (symbol == NULL) snprintf(failure, sizeof failure, "%s has no function %s", LIBRARY, name);
    return symbol != NULL;
}

static void open_once(void)
{
    static const char *const names[] = {LIBRARY, "/usr/local/cuda/lib64/" LIBRARY,
#ifdef GLN_CUBLAS_FOLDER
                                        GLN_CUBLAS_FOLDER "/" LIBRARY,
#endif
    };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(failure, sizeof failure,
                 "%s, which multiplies matrices on the GPU, was not found; install CUDA's cuBLAS, or name its folder "
                 "in LD_LIBRARY_PATH",
                 LIBRARY);
        return;
    }
    if (!(find(library, &table.create, "cublasLtCreate") && find(library, &table.destroy, "cublasLtDestroy") &&
          find(library, &table.desc_create, "cublasLtMatmulDescCreate") &&
          find(library, &table.desc_destroy, "cublasLtMatmulDescDestroy") &&
          find(library, &table.desc_set, "cublasLtMatmulDescSetAttribute") &&
          find(library, &table.layout_create, "cublasLtMatrixLayoutCreate") &&
          find(library, &table.layout_destroy, "cublasLtMatrixLayoutDestroy") &&
          find(library, &table.layout_set, "cublasLtMatrixLayoutSetAttribute") &&
          find(library, &table.preference_create, "cublasLtMatmulPreferenceCreate") &&
          find(library, &table.preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
          find(library, &table.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
          find(library, &table.heuristic, "cublasLtMatmulAlgoGetHeuristic") &&
          find(library, &table.matmul, "cublasLtMatmul")))
        dlclose(library);
}

gln_status gln_cublas_lt_open(const gln_cublas_lt **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    *out = failure[0] == 0 ? &table : NULL;
    return failure[0] == 0 ? GLN_OK : gln_fail(GLN_E_UNSUPPORTED, "%s", failure);
}
