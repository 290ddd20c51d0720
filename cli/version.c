#include "cli/commands.h"
#include "kernels/kernels.h"

#include <stdio.h>

static const gln_usage usage = {"version", "", "Prints the version and what the processor lets gleaner use.", NULL};

int gln_command_version(int argc, char **argv)
{
    bool json = false;
    const gln_option options[] = {{"json", 'j', GLN_OPTION_FLAG, &json, NULL, "print JSON instead of text"}, {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (json) {
        gln_json *object = gln_json_object();
        gln_json_set_string(object, "version", GLN_VERSION);
        gln_json_set_string(object, "kernels", gln_kernels()->name);
        gln_print_json(object);
    } else {
        printf("gleaner %s (kernels: %s)\n", GLN_VERSION, gln_kernels()->name);
    }
    return GLN_EXIT_OK;
}
