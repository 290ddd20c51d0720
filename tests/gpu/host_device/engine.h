/*
 * How the host device runs a kernel: blocks one after another, the threads of a block as fibers that give way only
 * where they wait for each other: barriers, warp operations, matrix instructions. Included by the stand-in for
 * <cuda_runtime.h>.
 *
 * A thread runs until it has to wait, then the next one runs, in an order that the test picks (host_device.h), so a
 * missing barrier shows in one of the orders. Waiting that can never end (a barrier that some threads do not reach, a
 * shuffle that names a lane which has ended) aborts with the kernel's name.
 *
 * Threads: one kernel at a time in the process, under the lock of runtime.cpp.
 */
#ifndef GLN_HOST_DEVICE_ENGINE_H
#define GLN_HOST_DEVICE_ENGINE_H

#include "tests/gpu/host_device/races.h"

#include <functional>

struct gln_host_copy { /* an asynchronous copy to shared memory, not done until it is waited for */
    void *to;
    unsigned char bytes[16];
    unsigned group, n_bytes;
};

struct gln_host_thread {
    uint3 index;
    unsigned linear, lane;
    struct gln_host_warp *warp;
    unsigned n_groups, n_copies;
    gln_host_copy copies[64];
};

struct gln_host_block_state {
    uint3 index;
    dim3 block, grid;
    void *dynamic_shared;
};

extern gln_host_thread *gln_host_self;
extern gln_host_block_state gln_host_block;

cudaError_t gln_host_launch_body(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                                 cudaStream_t stream, std::function<void()> body);

/* Whether the test asked for shuffled order, and its next number below n. */
bool gln_host_is_shuffled();
size_t gln_host_chance(size_t n);

/* Runs all blocks now; called by the stream it was launched in. */
void gln_host_run_kernel(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                         const std::function<void()> &body);

/* All threads of the block that have not ended. Returns how many gave a `predicate`. */
unsigned gln_host_barrier(bool predicate);

/* Gives 16 words to the lanes of `mask`, waits for all of them, and returns where the words of lane 0 begin: lane l's
   are at [l * 16]. They stay until the warp's next operation but one. *arrived: the lanes that took part. */
const uint32_t *gln_host_exchange(unsigned mask, const void *words, size_t n_bytes, unsigned *arrived);

void gln_host_copy_async(void *to, const void *from, bool in_range, unsigned n_bytes);
void gln_host_copy_commit();
void gln_host_copy_wait(unsigned n_left);

static inline void __syncthreads() { (void)gln_host_barrier(false); }
static inline int __syncthreads_count(int predicate) { return (int)gln_host_barrier(predicate != 0); }
static inline int __syncthreads_or(int predicate) { return gln_host_barrier(predicate != 0) != 0; }
static inline int __syncthreads_and(int predicate) { return gln_host_barrier(predicate == 0) == 0; }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { (void)gln_host_exchange(mask, nullptr, 0, nullptr); }

template <typename T> GLN_HOST_UNWATCHED static inline T gln_host_from_lane(unsigned mask, T value, unsigned lane, unsigned own_if_absent)
{
    static_assert(sizeof(T) <= 64, "what one lane gives");
    unsigned arrived = 0;
    const uint32_t *all = gln_host_exchange(mask, &value, sizeof value, &arrived);
    if (lane > 31 || own_if_absent) return value;
    if ((arrived >> lane & 1u) == 0) return value; /* undefined on a GPU */
    T out;
    std::memcpy(&out, all + lane * 16, sizeof out);
    return out;
}
template <typename T> static inline T __shfl_sync(unsigned mask, T v, int lane, int width = 32)
{
    unsigned base = gln_host_self->lane / (unsigned)width * (unsigned)width;
    return gln_host_from_lane(mask, v, base + ((unsigned)lane & ((unsigned)width - 1)), 0);
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T v, int flip, int width = 32)
{
    unsigned self = gln_host_self->lane, lane = self ^ (unsigned)flip, w = (unsigned)width;
    return gln_host_from_lane(mask, v, lane, lane / w > self / w);
}
template <typename T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32)
{
    unsigned self = gln_host_self->lane, w = (unsigned)width;
    return gln_host_from_lane(mask, v, self + by, (self + by) / w != self / w);
}
template <typename T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32)
{
    unsigned self = gln_host_self->lane, w = (unsigned)width;
    return gln_host_from_lane(mask, v, self - by, by > self % w);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    unsigned arrived = 0, word = predicate != 0, out = 0;
    const uint32_t *all = gln_host_exchange(mask, &word, sizeof word, &arrived);
    for (unsigned lane = 0; lane < 32; lane++)
        if (arrived >> lane & 1u) out |= all[lane * 16] << lane;
    return out;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }
static inline unsigned __match_any_sync(unsigned mask, unsigned value)
{
    unsigned arrived = 0, out = 0;
    const uint32_t *all = gln_host_exchange(mask, &value, sizeof value, &arrived);
    for (unsigned lane = 0; lane < 32; lane++)
        if ((arrived >> lane & 1u) != 0 && all[lane * 16] == value) out |= 1u << lane;
    return out;
}

#endif
