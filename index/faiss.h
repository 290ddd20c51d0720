/* Inside index/ only: FAISS's failures as ours. FAISS throws C++ exceptions; its C functions catch them all, return a
   code and keep the sentence, per thread. */
#ifndef GLN_INDEX_FAISS_H
#define GLN_INDEX_FAISS_H

#include "common/status.h"

/* The status of a C function of FAISS that returned `code`; `what` says what was being done. */
gln_status gln_faiss_status(int code, const char *what);

#endif
