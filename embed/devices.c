/* --device in words. */
#include "embed/backbone.h"

#include <stdio.h>
#include <string.h>

static gln_status refuse(const char *text)
{
    return gln_fail(GLN_E_ARGUMENT, "device %.40s: auto, cpu, cuda or cuda:N,M with numbers of GPUs is possible, each once", text);
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
