#include "kernels/cuda/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void gln_library_open(char failure[GLN_MESSAGE_MAX], const gln_library *library)
{
    void *opened = NULL;
    failure[0] = 0;
    for (size_t i = 0; i < library->n_paths && opened == NULL; i++)
        opened = dlopen(library->paths[i], RTLD_NOW | RTLD_LOCAL);
    if (opened == NULL) {
        snprintf(failure, GLN_MESSAGE_MAX,
                 "%s, %s, was not found; install CUDA's %s, or name its folder in LD_LIBRARY_PATH", library->name,
                 library->purpose, library->product);
        return;
    }
    for (size_t i = 0; i < library->n_symbols; i++) {
        void *symbol = dlsym(opened, library->symbols[i].name);
        if (symbol == NULL) {
            snprintf(failure, GLN_MESSAGE_MAX, "%s has no function %s", library->name, library->symbols[i].name);
            dlclose(opened);
            return;
        }
        /* an object pointer into a function pointer, as POSIX allows dlsym's result to be used */
        memcpy(library->symbols[i].slot, &symbol, sizeof symbol);
    }
}
