/* openapi.json as it was at build time: the interface described by itself. Constant data, any thread. */
#ifndef GLN_SERVER_OPENAPI_H
#define GLN_SERVER_OPENAPI_H

#include <stddef.h>

extern const unsigned char gln_openapi[];
extern const size_t gln_n_openapi;

#endif
