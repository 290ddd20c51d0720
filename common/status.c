#include "common/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[GLN_MESSAGE_MAX];

gln_status gln_fail(gln_status code, const char *format, ...)
{
    /* Formatted aside first: an argument may well be gln_message() itself. */
    char text[GLN_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof text);
    return code;
}

gln_status gln_fail_errno(int saved_errno, const char *format, ...)
{
    char text[GLN_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    char reason[128];
    if (strerror_r(saved_errno, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", saved_errno);

    gln_status code = GLN_E_IO;
    if (saved_errno == ENOSPC || saved_errno == EDQUOT) code = GLN_E_DISK_FULL;
    else if (saved_errno == ENOENT || saved_errno == ENOTDIR) code = GLN_E_NOT_FOUND;
    else if (saved_errno == EACCES || saved_errno == EPERM || saved_errno == EROFS) code = GLN_E_PERMISSION;
    else if (saved_errno == ENOMEM) code = GLN_E_MEMORY;
    return gln_fail(code, "%s: %s", text, reason);
}

const char *gln_message(void)
{
    return message;
}

void gln_message_copy(char *out, size_t capacity)
{
    if (capacity != 0) snprintf(out, capacity, "%s", message);
}

const char *gln_status_name(gln_status status)
{
    switch (status) {
    case GLN_OK: return "ok";
    case GLN_E_ARGUMENT: return "argument";
    case GLN_E_NOT_FOUND: return "not-found";
    case GLN_E_CONFLICT: return "conflict";
    case GLN_E_LIMIT: return "limit";
    case GLN_E_MEMORY: return "memory";
    case GLN_E_IO: return "io";
    case GLN_E_DISK_FULL: return "disk-full";
    case GLN_E_CORRUPT: return "corrupt";
    case GLN_E_FORMAT: return "format";
    case GLN_E_UNSUPPORTED: return "unsupported";
    case GLN_E_BUSY: return "busy";
    case GLN_E_CANCELLED: return "cancelled";
    case GLN_E_INTERNAL: return "internal";
    case GLN_E_PERMISSION: return "permission";
    }
    return "unknown";
}
