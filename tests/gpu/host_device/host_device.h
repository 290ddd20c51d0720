/*
 * What a test may ask of the host device: how much memory it has, which call fails, in which order threads run. For
 * tests only; README.md says what the host device is.
 *
 *     gln_host_device_fail_allocation(3);               // the third from now, with "out of memory"
 *     gln_host_device_order(GLN_HOST_SHUFFLED, seed);   // threads of a block between barriers
 *
 * Threads: call these while nothing computes.
 */
#ifndef GLN_HOST_DEVICE_H
#define GLN_HOST_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gln_host_order { GLN_HOST_FORWARD, GLN_HOST_REVERSE, GLN_HOST_SHUFFLED } gln_host_order;

/* The order in which threads of a block run between two barriers; forward at the start. Shuffled: streams also run
   ahead by chance, where else they wait until somebody waits for them. */
void gln_host_device_order(gln_host_order order, uint64_t seed);

/* Bytes of device memory; 4 GiB at the start. */
void gln_host_device_memory(size_t n_bytes);
/* Bytes, device and pinned, that are allocated now. */
size_t gln_host_device_allocated(void);
/* Kernels, launched and run, since the start. */
size_t gln_host_device_launches(void);

/* The nth of these from now fails, once; 0: none. A kernel that fails to launch was not started and nothing else is
   harmed; one that fails while it runs has lost the context (cudaErrorIllegalAddress), and what comes after fails, too.
 */
void gln_host_device_fail_allocation(size_t nth);
void gln_host_device_fail_launch(size_t nth);
void gln_host_device_fail_run(size_t nth);

/* No device, with this answer of cudaGetDeviceCount (100: none, 35: the driver is too old); 0: a device again.
   driver_version 0: no driver. Before the first probe. */
void gln_host_device_absent(int cuda_error, int driver_version);

#ifdef GLN_HOST_RACES
/* In the build that looks for races (races.h) the first one ends the process with a line about it. With `count` they
   are counted, from 0: how many bytes they met, and that line. */
void gln_host_device_count_races(bool count);
size_t gln_host_device_races(void);
const char *gln_host_device_race(void);
#endif

#ifdef __cplusplus
}
#endif
#endif
