/*
 * Options of a command: one table parses them (getopt_long) and prints the help, so that neither can forget the other.
 *
 *     struct { const char *name; size_t size; bool json; } o = {0};
 *     const gln_option options[] = {
 *         {"size", 'n', GLN_OPTION_SIZE, &o.size, "N", "how many images"},
 *         {"json", 0, GLN_OPTION_FLAG, &o.json, NULL, "machine-readable output"},
 *         {0}};
 *     switch (gln_options_parse(&usage, options, argc, argv, &n_rest, &rest)) ...
 */
#ifndef GLN_CLI_OPTIONS_H
#define GLN_CLI_OPTIONS_H

#include <stddef.h>

typedef enum gln_option_kind {
    GLN_OPTION_FLAG,   /* bool */
    GLN_OPTION_TEXT,   /* const char * */
    GLN_OPTION_SIZE,   /* size_t */
    GLN_OPTION_NUMBER, /* double */
    GLN_OPTION_TEXTS   /* gln_texts: may be given several times */
} gln_option_kind;

enum { GLN_TEXTS_MAX = 256 };
typedef struct gln_texts {
    const char *text[GLN_TEXTS_MAX];
    size_t n;
} gln_texts;

typedef struct gln_option {
    const char *name;
    char letter; /* 0: none */
    gln_option_kind kind;
    void *target;
    const char *argument; /* what help calls it; NULL for a flag */
    const char *help;
} gln_option;

typedef struct gln_usage {
    const char *command;   /* "batch" */
    const char *arguments; /* "PATH..." or "" */
    const char *purpose;   /* a sentence or two */
    const char *examples;  /* whole lines, NULL: none */
} gln_usage;

/* Exit codes of every command. */
enum {
    GLN_EXIT_OK = 0,
    GLN_EXIT_FAILURE = 1, /* the sentence is on standard error */
    GLN_EXIT_USAGE = 2,   /* the command line makes no sense */
    GLN_EXIT_PARTIAL = 3, /* done, but some of the input was refused, and --strict was given */
    GLN_EXIT_BUSY = 4     /* another process works on the data directory */
};

/* Fills the targets; what is not an option is left in `*out_rest` [*out_n_rest]. Returns -1 to go on, else the exit
   code (0 after --help). */
int gln_options_parse(const gln_usage *usage, const gln_option *options, int argc, char **argv, size_t *out_n_rest,
                      char ***out_rest);

/* Says what is wrong with the command line and how to get help; returns GLN_EXIT_USAGE. */
int gln_usage_error(const gln_usage *usage, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
