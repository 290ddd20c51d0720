/*
 * Races and reads of nothing: what the host device's order of threads hides. In the build with GLN_HOST_RACES the
 * kernels are compiled with -fsanitize=thread and linked with the functions of races.cpp in the place of the thread
 * sanitizer's own, so that every access of a kernel passes there; in every other build these functions are empty.
 *
 * Two accesses to a byte race when one of them writes, they are of different threads, and nothing orders them:
 *
 *     threads of a block   __syncthreads; of one warp, __syncwarp as well. Shuffles, votes and matrix instructions do
 *                          not (CUDA Programming Guide, "Warp Shuffle Functions": no memory barrier).
 *     blocks of a kernel   nothing
 *     cp.async             writes at any moment from where it is issued to where it is waited for; who waits sees its
 *                          own copies, others after the next barrier
 *     atomic functions     race with plain accesses, not with each other
 *
 * Reading shared memory that no thread of the block has written is reported, too. Not seen: kernels in two streams that
 * nothing orders (shuffled order shows some), and how weakly memory is ordered between blocks.
 *
 * Threads: one kernel at a time, under the lock of runtime.cpp.
 */
#ifndef GLN_HOST_DEVICE_RACES_H
#define GLN_HOST_DEVICE_RACES_H

#include <cstddef>

enum class gln_host_access { read, write, atomic };

#if defined(GLN_HOST_RACES)
/* Device memory that is there from now on, and no more. */
void gln_host_races_memory(void *memory, size_t n_bytes);
void gln_host_races_no_memory(void *memory);

void gln_host_races_kernel(const char *name);
/* A block begins, with this dynamic shared memory. */
void gln_host_races_block(void *dynamic_shared, size_t n_bytes);
/* All of the block, all of a warp have met. */
void gln_host_races_barrier();
void gln_host_races_warp(unsigned warp);

void gln_host_races_access(const void *at, size_t n_bytes, gln_host_access what);
/* An asynchronous copy of this thread to shared memory: on its way, there. */
void gln_host_races_copying(void *shared, size_t n_bytes);
void gln_host_races_copied(void *shared, size_t n_bytes);

/* What is compiled with these is told apart or does not touch a kernel's memory. */
#define GLN_HOST_UNWATCHED __attribute__((no_sanitize("thread")))
#define GLN_HOST_ATOMIC __attribute__((no_sanitize("thread"), noinline))
#else
static inline void gln_host_races_memory(void *, size_t) {}
static inline void gln_host_races_no_memory(void *) {}
static inline void gln_host_races_kernel(const char *) {}
static inline void gln_host_races_block(void *, size_t) {}
static inline void gln_host_races_barrier() {}
static inline void gln_host_races_warp(unsigned) {}
static inline void gln_host_races_access(const void *, size_t, gln_host_access) {}
static inline void gln_host_races_copying(void *, size_t) {}
static inline void gln_host_races_copied(void *, size_t) {}
#define GLN_HOST_UNWATCHED
#define GLN_HOST_ATOMIC
#endif

#endif
