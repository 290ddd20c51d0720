/* --device in words, and GPUs in words. */
#include "embed/backbone.h"
#include "kernels/cuda/device.h"

#include <stdio.h>
#include <string.h>

static gln_status refuse(const char *text)
{
    return gln_fail(GLN_E_ARGUMENT,
                    "device %.40s: auto, cpu, cuda or cuda:N,M with numbers of GPUs is possible, each once", text);
}

gln_status gln_device_choice_parse(gln_device_choice *out, const char *text)
{
    *out = (gln_device_choice){.kind = GLN_DEVICE_AUTO};
    if (strcmp(text, "auto") == 0) return GLN_OK;
    if (strcmp(text, "cpu") == 0) {
        out->kind = GLN_DEVICE_CPU;
        return GLN_OK;
    }
    if (strncmp(text, "cuda", 4) != 0 || (text[4] != 0 && text[4] != ':')) return refuse(text);
    out->kind = GLN_DEVICE_CUDA;
    const char *at = text + 4;
    while (*at != 0) {
        int number = 0;
        at++; /* the colon, or a comma */
        if (*at < '0' || *at > '9') return refuse(text);
        for (; *at >= '0' && *at <= '9'; at++) {
            number = number * 10 + (*at - '0');
            if (number > 999) return refuse(text);
        }
        if ((*at != 0 && *at != ',') || out->n == GLN_MAX_DEVICES) return refuse(text);
        for (size_t i = 0; i < out->n; i++) {
            if (out->numbers[i] == number) return refuse(text);
        }
        out->numbers[out->n++] = number;
    }
    return GLN_OK;
}

gln_status gln_device_choice_check(const gln_device_choice *choice)
{
    if (choice->kind != GLN_DEVICE_CUDA) return GLN_OK;
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    if (probe->state != GLN_CUDA_READY) return gln_fail(GLN_E_UNSUPPORTED, "%s", probe->why);
    for (size_t i = 0; i < choice->n; i++) {
        if (choice->numbers[i] < probe->n_devices) continue;
        return gln_fail(GLN_E_NOT_FOUND, "there is no GPU %d: %d are here, from 0 on", choice->numbers[i],
                        probe->n_devices);
    }
    return GLN_OK;
}

void gln_gpu_words(char *out, size_t capacity)
{
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    size_t length = 0;
    snprintf(out, capacity, "%s", probe->why);
    for (int i = 0; probe->state == GLN_CUDA_READY && i < probe->n_devices && length < capacity; i++) {
        gln_cuda_device d;
        if (gln_cuda_describe(&d, i) != GLN_OK) {
            length += (size_t)snprintf(out + length, capacity - length, "%sGPU %d: %s", i == 0 ? "" : "; ", i,
                                       gln_message());
            continue;
        }
        length += (size_t)snprintf(out + length, capacity - length, "%sGPU %d, %s, %.0f GB, compute capability %d.%d",
                                   i == 0 ? "" : "; ", i, d.name, (double)d.memory_bytes * 1e-9, d.capability_major,
                                   d.capability_minor);
    }
}
