/*
 * Lets the environment say what goes wrong with the host device that gleaner_host is linked with, before main() begins:
 *
 *     GLN_HOST_ABSENT=35:0         no device: cudaGetDeviceCount's answer and the driver's version
 *     GLN_HOST_FAIL_RUN=7          the seventh kernel from the start loses the context
 *     GLN_HOST_FAIL_LAUNCH=7       the seventh is not started
 *     GLN_HOST_FAIL_ALLOCATION=7   the seventh allocation finds no memory
 *     GLN_HOST_MEMORY=1000000      bytes of device memory
 */
#include "tests/gpu/host_device/host_device.h"

#include <stdlib.h>
#include <string.h>

static size_t number(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtoul(text, NULL, 10) : 0;
}

static int code(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

__attribute__((constructor)) static void prepare(void)
{
    const char *absent = getenv("GLN_HOST_ABSENT");
    if (absent != NULL) {
        const char *colon = strchr(absent, ':');
        gln_host_device_absent(code(absent), colon != NULL ? code(colon + 1) : 0);
    }
    gln_host_device_fail_run(number("GLN_HOST_FAIL_RUN"));
    gln_host_device_fail_launch(number("GLN_HOST_FAIL_LAUNCH"));
    gln_host_device_fail_allocation(number("GLN_HOST_FAIL_ALLOCATION"));
    if (number("GLN_HOST_MEMORY") != 0) gln_host_device_memory(number("GLN_HOST_MEMORY"));
}
