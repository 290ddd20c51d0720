/* The fibers behind engine.h. */
#include <cuda_runtime.h>

#include "tests/gpu/host_device/host_device.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/mman.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace {

constexpr size_t STACK_BYTES = 256 * 1024;
constexpr size_t MAX_THREADS = 1024;

enum class state { ready, at_barrier, at_exchange, ended };

struct stack {
    char *low;
    size_t bytes;
    void *sp;
#if !defined(__x86_64__)
    ucontext_t context;
#endif
#if defined(__SANITIZE_ADDRESS__)
    void *fake = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
    void *tsan = nullptr;
#endif
};

} // namespace

struct gln_host_warp {
    unsigned existing, running;   /* lanes that are there; of those, that have not ended */
    unsigned mask, arrived;       /* of the exchange in progress; mask 0: none */
    unsigned parity;              /* which slots it fills */
    uint32_t slots[2][32 * 16];
};

namespace {

struct fiber : gln_host_thread {
    state what;
    stack *on;
    bool predicate;
    unsigned barrier_result;
};

struct {
    const char *name;
    const std::function<void()> *body;
    std::vector<fiber> threads;
    std::vector<gln_host_warp> warps;
    std::vector<unsigned> order;
    std::vector<std::unique_ptr<stack>> all_stacks;
    std::vector<stack *> free_stacks;
    stack main;
    fiber *current;
    gln_host_order which_order;
    uint64_t random;
} engine;

[[noreturn]] void give_up(const char *why)
{
    std::fprintf(stderr, "host device: kernel %s, block (%u, %u, %u): %s\n", engine.name, gln_host_block.index.x,
                 gln_host_block.index.y, gln_host_block.index.z, why);
    std::abort();
}

/* ---- changing stacks ------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Saves what a called function must keep, leaves the stack pointer in *from, goes on where *to was left. */
extern "C" void gln_host_switch_stack(void **from, void *to);
asm(".text\n"
    ".globl gln_host_switch_stack\n"
    ".type gln_host_switch_stack, @function\n"
    "gln_host_switch_stack:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    ".size gln_host_switch_stack, . - gln_host_switch_stack\n");
#endif

void change(stack *from, stack *to, bool for_good)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from->fake, to->low, to->bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)for_good;
#if defined(__x86_64__)
    gln_host_switch_stack(&from->sp, to->sp);
#else
    swapcontext(&from->context, &to->context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

void to_main(bool for_good)
{
    stack *from = engine.current->on;
    if (for_good) engine.free_stacks.push_back(from);
    change(from, &engine.main, for_good);
}

/* A fiber begins here. Its stack is given back before it leaves it for good: nobody takes it until the switch is done.
 */
void begin()
{
#if defined(__SANITIZE_ADDRESS__)
    const void *low;
    __sanitizer_finish_switch_fiber(nullptr, &low, &engine.main.bytes); /* the stack that we come from */
    engine.main.low = static_cast<char *>(const_cast<void *>(low));
#endif
    (*engine.body)();
    fiber *self = engine.current;
    if (self->n_copies != 0) give_up("a thread ended with asynchronous copies that it never waited for");
    self->what = state::ended;
    self->warp->running &= ~(1u << self->lane);
    to_main(true);
    give_up("an ended thread ran again");
}

stack *new_stack()
{
    auto s = std::make_unique<stack>();
    void *memory =
        mmap(nullptr, STACK_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE) != 0)
        give_up("no memory for the stacks of its threads");
    s->low = static_cast<char *>(memory) + 4096;
    s->bytes = STACK_BYTES;
#if defined(__SANITIZE_THREAD__)
    s->tsan = __tsan_create_fiber(0);
#endif
    engine.all_stacks.push_back(std::move(s));
    return engine.all_stacks.back().get();
}

void prepare(stack *s)
{
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(s->low, s->bytes); /* frames that were left and never returned from */
#endif
#if defined(__x86_64__)
    auto *top = reinterpret_cast<uint64_t *>(s->low + STACK_BYTES);
    *--top = 0; /* begin() is entered as if called: the stack pointer is 8 below a multiple of 16 */
    *--top = reinterpret_cast<uint64_t>(&begin);
    for (int i = 0; i < 6; i++) *--top = 0;
    s->sp = top;
#else
    getcontext(&s->context);
    s->context.uc_stack.ss_sp = s->low;
    s->context.uc_stack.ss_size = STACK_BYTES;
    s->context.uc_link = nullptr;
    makecontext(&s->context, begin, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
    s->fake = nullptr;
#endif
}

void resume(fiber *f)
{
    if (f->on == nullptr) {
        if (engine.free_stacks.empty()) engine.free_stacks.push_back(new_stack());
        f->on = engine.free_stacks.back();
        engine.free_stacks.pop_back();
        prepare(f->on);
    }
    engine.current = f;
    gln_host_self = f;
#if defined(__SANITIZE_THREAD__)
    engine.main.tsan = __tsan_get_current_fiber();
#endif
    change(&engine.main, f->on, false);
}

/* ---- a block --------------------------------------------------------------------------------------------------- */

void shuffle_order()
{
    size_t n = engine.order.size();
    for (size_t i = 0; i < n; i++)
        engine.order[i] = engine.which_order == GLN_HOST_REVERSE ? (unsigned)(n - 1 - i) : (unsigned)i;
    if (engine.which_order != GLN_HOST_SHUFFLED) return;
    for (size_t i = n; i > 1; i--) std::swap(engine.order[i - 1], engine.order[gln_host_chance(i)]);
}

bool release_barrier()
{
    unsigned n_waiting = 0, n_true = 0;
    for (fiber &f : engine.threads) {
        if (f.what == state::ended) continue;
        if (f.what != state::at_barrier) return false;
        n_waiting++;
        n_true += f.predicate;
    }
    gln_host_races_barrier();
    for (fiber &f : engine.threads) {
        if (f.what == state::ended) continue;
        f.barrier_result = n_true;
        f.what = state::ready;
    }
    return n_waiting > 0;
}

void run_block()
{
    size_t n = engine.threads.size();
    dim3 block = gln_host_block.block;
    for (size_t w = 0; w < engine.warps.size(); w++) {
        size_t lanes = n - w * 32 < 32 ? n - w * 32 : 32;
        gln_host_warp &warp = engine.warps[w];
        warp.existing = warp.running = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
        warp.mask = warp.arrived = warp.parity = 0;
    }
    for (size_t i = 0; i < n; i++) {
        fiber &f = engine.threads[i];
        unsigned t = (unsigned)i;
        f.index = uint3{t % block.x, t / block.x % block.y, t / (block.x * block.y)};
        f.linear = t;
        f.lane = t % 32;
        f.warp = &engine.warps[i / 32];
        f.n_groups = f.n_copies = 0;
        f.what = state::ready;
        f.on = nullptr;
    }
    for (;;) {
        shuffle_order();
        bool ran = true;
        while (ran) {
            ran = false;
            for (unsigned i : engine.order)
                if (engine.threads[i].what == state::ready) {
                    resume(&engine.threads[i]);
                    ran = true;
                }
        }
        if (release_barrier()) continue;
        for (fiber &f : engine.threads)
            if (f.what == state::at_exchange) give_up("threads wait for lanes of their warp that never come");
            else if (f.what != state::ended) give_up("threads wait at a barrier that others never reach");
        return;
    }
}

} // namespace

gln_host_thread *gln_host_self;
gln_host_block_state gln_host_block;

bool gln_host_is_shuffled() { return engine.which_order == GLN_HOST_SHUFFLED; }

size_t gln_host_chance(size_t n)
{
    engine.random = engine.random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(engine.random >> 33) % n;
}

void gln_host_device_order(gln_host_order order, uint64_t seed)
{
    engine.which_order = order;
    engine.random = seed * 2 + 1;
}

void gln_host_run_kernel(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                         const std::function<void()> &body)
{
    size_t n = (size_t)block.x * block.y * block.z;
    engine.name = name;
    engine.body = &body;
    engine.threads.resize(n);
    engine.warps.resize((n + 31) / 32);
    engine.order.resize(n);
    gln_host_block.grid = grid;
    gln_host_block.block = block;
    gln_host_races_kernel(name);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                gln_host_block.index = uint3{x, y, z};
                /* Exactly as many bytes as were asked for, new for each block, NaN: AddressSanitizer and the results
                   show misuse. */
                void *shared = nullptr;
                if (shared_bytes > 0 && posix_memalign(&shared, 128, shared_bytes) != 0)
                    give_up("no memory for shared memory");
                if (shared_bytes > 0) std::memset(shared, 0xff, shared_bytes);
                gln_host_block.dynamic_shared = shared;
                gln_host_races_block(shared, shared_bytes);
                run_block();
                std::free(shared);
            }
    gln_host_self = nullptr;
}

unsigned gln_host_barrier(bool predicate)
{
    fiber *self = engine.current;
    self->predicate = predicate;
    self->what = state::at_barrier;
    to_main(false);
    return self->barrier_result;
}

const uint32_t *gln_host_exchange(unsigned mask, const void *words, size_t n_bytes, unsigned *arrived)
{
    fiber *self = engine.current;
    gln_host_warp *warp = self->warp;
    mask &= warp->existing;
    if ((mask >> self->lane & 1u) == 0) give_up("a warp operation whose mask lacks the calling lane");
    if ((mask & ~warp->running) != 0) give_up("a warp operation whose mask names a lane that has ended");
    if (warp->mask != 0 && warp->mask != mask) give_up("warp operations with different masks at the same time");
    warp->mask = mask;
    uint32_t *slots = warp->slots[warp->parity];
    if (n_bytes > 0) std::memcpy(slots + self->lane * 16, words, n_bytes);
    warp->arrived |= 1u << self->lane;
    if (arrived != nullptr) *arrived = mask;
    if (warp->arrived == mask) {
        if (n_bytes == 0) gln_host_races_warp(self->linear / 32);
        size_t first = self->linear / 32 * 32;
        for (size_t i = first; i < first + 32 && i < engine.threads.size(); i++)
            if (engine.threads[i].what == state::at_exchange) engine.threads[i].what = state::ready;
        warp->mask = warp->arrived = 0;
        warp->parity ^= 1;
        return slots;
    }
    self->what = state::at_exchange;
    to_main(false);
    return slots;
}

void gln_host_copy_async(void *to, const void *from, bool in_range, unsigned n_bytes)
{
    gln_host_thread *t = gln_host_self;
    if (t->n_copies == sizeof t->copies / sizeof *t->copies)
        give_up("more asynchronous copies in flight than the host device holds");
    gln_host_copy *c = &t->copies[t->n_copies++];
    c->to = to;
    c->group = t->n_groups;
    c->n_bytes = n_bytes;
    std::memset(c->bytes, 0, sizeof c->bytes);
    if (in_range) gln_host_races_access(from, n_bytes, gln_host_access::read);
    if (in_range) std::memcpy(c->bytes, from, n_bytes);
    gln_host_races_copying(to, n_bytes);
}

void gln_host_copy_commit() { gln_host_self->n_groups++; }

/* Groups older than the last n_left are there now; until now shared memory held what it held. */
void gln_host_copy_wait(unsigned n_left)
{
    gln_host_thread *t = gln_host_self;
    unsigned kept = 0;
    for (unsigned i = 0; i < t->n_copies; i++) {
        gln_host_copy *c = &t->copies[i];
        if (c->group + n_left < t->n_groups) {
            std::memcpy(c->to, c->bytes, c->n_bytes);
            gln_host_races_copied(c->to, c->n_bytes);
        } else {
            t->copies[kept++] = *c;
        }
    }
    t->n_copies = kept;
}
