#define _GNU_SOURCE /* getopt_long */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 32, HELP_CODE = 1000, FIRST_CODE = 1001 };

static void print_help(const gln_usage *usage, const gln_option *options)
{
    printf("usage: gleaner %s [options]%s%s\n\n%s\n\noptions:\n", usage->command, usage->arguments[0] != 0 ? " " : "",
           usage->arguments, usage->purpose);
    for (const gln_option *o = options; o->name != NULL; o++) {
        char left[64], letter[8] = "    ";
        if (o->letter != 0) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
                 o->argument != NULL ? o->argument : "");
        printf("  %-32s %s\n", left, o->help);
    }
    printf("  %-32s %s\n", "-h, --help", "this text");
    if (usage->examples != NULL) printf("\nexamples:\n%s", usage->examples);
}

int gln_usage_error(const gln_usage *usage, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "gleaner %s: ", usage->command);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry `gleaner %s --help`.\n", usage->command);
    return GLN_EXIT_USAGE;
}

/* Takes one value; false when it is not of the option's kind. */
static bool take_value(const gln_option *option, const char *value)
{
    char *end = NULL;
    errno = 0;
    if (option->kind == GLN_OPTION_FLAG) {
        *(bool *)option->target = true;
    } else if (option->kind == GLN_OPTION_TEXT) {
        *(const char **)option->target = value;
    } else if (option->kind == GLN_OPTION_TEXTS) {
        gln_texts *texts = option->target;
        if (texts->n == GLN_TEXTS_MAX) return false;
        texts->text[texts->n++] = value;
    } else if (option->kind == GLN_OPTION_SIZE) {
        unsigned long long number = strtoull(value, &end, 10);
        if (end == value || *end != 0 || errno != 0 || strchr(value, '-') != NULL || number > SIZE_MAX / 2)
            return false;
        *(size_t *)option->target = (size_t)number;
    } else {
        double number = strtod(value, &end);
        if (end == value || *end != 0 || !isfinite(number)) return false;
        *(double *)option->target = number;
    }
    return true;
}

int gln_options_parse(const gln_usage *usage, const gln_option *options, int argc, char **argv, size_t *out_n_rest,
                      char ***out_rest)
{
    struct option longs[MAX_OPTIONS + 2] = {{"help", no_argument, NULL, HELP_CODE}};
    char shorts[3 * MAX_OPTIONS] = ":h";
    size_t n = 0;
    for (; options[n].name != NULL && n < MAX_OPTIONS; n++) {
        bool flag = options[n].kind == GLN_OPTION_FLAG;
        longs[n + 1] = (struct option){options[n].name, flag ? no_argument : required_argument, NULL,
                                       FIRST_CODE + (int)n};
        if (options[n].letter == 0) continue;
        size_t length = strlen(shorts);
        snprintf(shorts + length, sizeof shorts - length, "%c%s", options[n].letter, flag ? "" : ":");
    }
    opterr = 0;
    optind = 1;
    for (int code; (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const gln_option *option = NULL;
        if (code == 'h' || code == HELP_CODE) {
            print_help(usage, options);
            return GLN_EXIT_OK;
        }
        if (code == ':') return gln_usage_error(usage, "%s needs a value", argv[optind - 1]);
        if (code >= FIRST_CODE) option = &options[code - FIRST_CODE];
        for (size_t i = 0; i < n && option == NULL; i++)
            if (options[i].letter != 0 && options[i].letter == code) option = &options[i];
        if (option == NULL) return gln_usage_error(usage, "unknown option %s", argv[optind - 1]);
        if (!take_value(option, optarg))
            return gln_usage_error(usage, "--%s %s: not a value that makes sense", option->name, optarg);
    }
    *out_n_rest = (size_t)(argc - optind);
    *out_rest = argv + optind;
    return -1;
}
