/* The shadow of a kernel's memory behind races.h, and what the compiler calls at every access. */
#include <cuda_runtime.h>

#include "tests/gpu/host_device/host_device.h"
#include "tests/gpu/host_device/races.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <sys/mman.h>
#include <vector>

/* The linker's: where the program begins, and static shared memory (cuda_runtime.h puts it there). */
extern "C" {
extern const char __executable_start[];
extern char __start_gln_shared[] __attribute__((weak)), __stop_gln_shared[] __attribute__((weak));
}

namespace {

constexpr unsigned MAX_WARPS = 32;

/*
 * Time is a number that grows with every barrier: what has one number lies between two barriers of one block
 * (`interval`), or between two __syncwarp of one warp (`epoch`). Since blocks run one after another, an older number
 * that is not older than the kernel's beginning is another block's.
 */
struct clock {
    uint32_t now, kernel, block, interval, epoch[MAX_WARPS];
};

struct access {
    uint32_t interval, epoch, from; /* from: the place in the program */
    uint16_t thread;
    bool warps, lanes; /* more than one of this interval, of this epoch */
    uint32_t other_block; /* the kernel in which a block before did the same; 0: none */
};

/* What is known of one byte. */
struct shadow {
    access write, read, atomic;
    uint16_t copying; /* thread + 1 whose asynchronous copy is on its way here */
};

struct region {
    char *low;
    size_t n_bytes;
    shadow *bytes;
    const char *name;
    bool shared;
};

clock at;
const char *kernel = "";
std::map<char *, region> device;
region dynamic_shared, static_shared, *latest;
std::vector<shadow> dynamic_bytes, static_bytes;
bool counting;
size_t n_found;
std::string first_found;

const char *word_of(gln_host_access what)
{
    return what == gln_host_access::read ? "reads" : what == gln_host_access::write ? "writes" : "changes atomically";
}

void report(const region *r, const char *address, gln_host_access what, uint32_t from, const std::string &why,
            uint32_t other_from)
{
    char text[640];
    std::snprintf(text, sizeof text,
                  "host device: kernel %s, block (%u, %u, %u), thread %u %s %s memory + %zu: %s (addr2line -Cfipe "
                  "PROGRAM 0x%x 0x%x)",
                  kernel, gln_host_block.index.x, gln_host_block.index.y, gln_host_block.index.z,
                  gln_host_self->linear, word_of(what), r->name, (size_t)(address - r->low), why.c_str(), from,
                  other_from);
    if (n_found++ == 0) first_found = text;
    if (counting) return;
    std::fprintf(stderr, "%s\n", text);
    std::abort();
}

region *region_of(const void *address)
{
    char *p = static_cast<char *>(const_cast<void *>(address));
    auto inside = [p](const region &r) { return p >= r.low && p < r.low + r.n_bytes; };
    if (inside(dynamic_shared)) return &dynamic_shared;
    if (inside(static_shared)) return &static_shared;
    if (latest != nullptr && inside(*latest)) return latest;
    auto next = device.upper_bound(p);
    if (next == device.begin()) return nullptr;
    --next;
    return inside(next->second) ? latest = &next->second : nullptr;
}

/* Whether `a` and what this thread does now are unordered. */
bool unordered(const access &a, const region *r, bool *other_block)
{
    unsigned self = gln_host_self->linear;
    *other_block = !r->shared && at.kernel != 0 &&
                   (a.other_block == at.kernel || (a.interval >= at.kernel && a.interval < at.block));
    if (*other_block) return true;
    if (a.interval != at.interval) return false;
    if (a.warps || a.thread / 32 != self / 32) return true;
    return a.epoch == at.epoch[self / 32] && (a.lanes || a.thread != self);
}

void check(const region *r, const char *address, const access &a, gln_host_access what, uint32_t from,
           const char *did)
{
    bool other_block = false;
    if (!unordered(a, r, &other_block)) return;
    std::string who = other_block ? "a thread of another block"
                      : a.warps   ? "threads of several warps"
                      : a.lanes   ? "lanes of warp " + std::to_string(a.thread / 32)
                                  : "thread " + std::to_string(a.thread);
    report(r, address, what, from, who + " " + did + " it, and nothing orders the two", a.from);
}

void note(access *a, const region *r, uint32_t from)
{
    unsigned self = gln_host_self->linear;
    if (!r->shared && a->interval >= at.kernel && a->interval < at.block && a->interval != 0)
        a->other_block = at.kernel;
    bool same = a->interval == at.interval, same_epoch = same && a->epoch == at.epoch[self / 32];
    a->warps = same && (a->warps || a->thread / 32 != self / 32);
    a->lanes = same_epoch && (a->lanes || a->thread != self);
    a->interval = at.interval;
    a->epoch = at.epoch[self / 32];
    a->thread = (uint16_t)self;
    a->from = from;
}

void touch(const void *address, size_t n_bytes, gln_host_access what, uint32_t from)
{
    if (gln_host_self == nullptr) return; /* the host's part of a kernel's file */
    region *r = region_of(address);
    if (r == nullptr) return; /* a thread's own, constants; AddressSanitizer knows what is nobody's */
    const char *p = static_cast<const char *>(address);
    for (size_t i = 0; i < n_bytes && p + i < r->low + r->n_bytes; i++) {
        shadow *s = &r->bytes[p + i - r->low];
        if (s->copying != 0)
            report(r, p + i, what, from,
                   "an asynchronous copy of thread " + std::to_string(s->copying - 1) + " is on its way there", 0);
        check(r, p + i, s->write, what, from, "wrote");
        if (what != gln_host_access::atomic) check(r, p + i, s->atomic, what, from, "changed");
        if (what != gln_host_access::read) check(r, p + i, s->read, what, from, "read");
        if (what == gln_host_access::read && r->shared && s->write.interval < at.block && s->atomic.interval < at.block)
            report(r, p + i, what, from, "no thread of the block has written there", 0);
        note(what == gln_host_access::read ? &s->read : what == gln_host_access::write ? &s->write : &s->atomic, r,
             from);
    }
}

uint32_t place(const void *in_program)
{
    return (uint32_t)(static_cast<const char *>(in_program) - __executable_start);
}

} // namespace

/* ---- what the host device tells ------------------------------------------------------------------------------------ */

void gln_host_races_memory(void *memory, size_t n_bytes)
{
    void *bytes = mmap(nullptr, n_bytes * sizeof(shadow), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) std::abort();
    char *low = static_cast<char *>(memory);
    device[low] = region{low, n_bytes, static_cast<shadow *>(bytes), "device", false};
}

void gln_host_races_no_memory(void *memory)
{
    auto gone = device.find(static_cast<char *>(memory));
    munmap(gone->second.bytes, gone->second.n_bytes * sizeof(shadow));
    device.erase(gone);
    latest = nullptr;
}

void gln_host_races_kernel(const char *name)
{
    kernel = name;
    at.kernel = ++at.now;
    size_t n_static = (size_t)(__stop_gln_shared - __start_gln_shared);
    static_bytes.resize(n_static);
    static_shared = region{__start_gln_shared, n_static, static_bytes.data(), "static shared", true};
}

void gln_host_races_block(void *memory, size_t n_bytes)
{
    at.block = ++at.now;
    if (dynamic_bytes.size() < n_bytes) dynamic_bytes.resize(n_bytes);
    dynamic_shared = region{static_cast<char *>(memory), n_bytes, dynamic_bytes.data(), "shared", true};
    std::memset(static_shared.low, 0xff, static_shared.n_bytes);
    gln_host_races_barrier();
}

void gln_host_races_barrier()
{
    at.interval = ++at.now;
    for (uint32_t &epoch : at.epoch) epoch = at.now;
}

void gln_host_races_warp(unsigned warp)
{
    at.epoch[warp] = ++at.now;
}

void gln_host_races_access(const void *address, size_t n_bytes, gln_host_access what)
{
    touch(address, n_bytes, what, place(__builtin_return_address(0)));
}

void gln_host_races_copying(void *shared, size_t n_bytes)
{
    touch(shared, n_bytes, gln_host_access::write, place(__builtin_return_address(0)));
    region *r = region_of(shared);
    for (size_t i = 0; r != nullptr && i < n_bytes; i++)
        r->bytes[static_cast<char *>(shared) + i - r->low].copying = (uint16_t)(gln_host_self->linear + 1);
}

void gln_host_races_copied(void *shared, size_t n_bytes)
{
    region *r = region_of(shared);
    for (size_t i = 0; r != nullptr && i < n_bytes; i++)
        r->bytes[static_cast<char *>(shared) + i - r->low].copying = 0;
    touch(shared, n_bytes, gln_host_access::write, place(__builtin_return_address(0)));
}

extern "C" {

void gln_host_device_count_races(bool count)
{
    counting = count;
    n_found = 0;
    first_found.clear();
}
size_t gln_host_device_races(void) { return n_found; }
const char *gln_host_device_race(void) { return first_found.c_str(); }

/* ---- what the compiler calls --------------------------------------------------------------------------------------- */

#define HERE place(__builtin_return_address(0))
#define ACCESSES(n)                                                                                                    \
    void __tsan_read##n(const void *p) { touch(p, n, gln_host_access::read, HERE); }                                   \
    void __tsan_write##n(void *p) { touch(p, n, gln_host_access::write, HERE); }                                       \
    void __tsan_unaligned_read##n(const void *p) { touch(p, n, gln_host_access::read, HERE); }                         \
    void __tsan_unaligned_write##n(void *p) { touch(p, n, gln_host_access::write, HERE); }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-declarations"
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(const void *p, size_t n) { touch(p, n, gln_host_access::read, HERE); }
void __tsan_write_range(void *p, size_t n) { touch(p, n, gln_host_access::write, HERE); }
void *__tsan_memcpy(void *to, const void *from, size_t n)
{
    touch(from, n, gln_host_access::read, HERE);
    touch(to, n, gln_host_access::write, HERE);
    return std::memcpy(to, from, n);
}
void *__tsan_memset(void *to, int byte, size_t n)
{
    touch(to, n, gln_host_access::write, HERE);
    return std::memset(to, byte, n);
}
void __tsan_vptr_update(void **, void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_init(void) {}
#pragma GCC diagnostic pop
}
