/* gleaner COMMAND [options]: finds the command and hands over. */
#include "cli/commands.h"
#include "common/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *purpose;
} commands[] = {
    {"init", gln_command_init, "make a data directory and a project"},
    {"ingest", gln_command_ingest, "embed the photos below folders"},
    {"embed", gln_command_embed, "write photos as vectors to a file, without a project"},
    {"backbone", gln_command_backbone, "add, list, show, verify, compare and remove networks"},
    {"label", gln_command_label, "take labels from a CSV, JSON lines, or folder names"},
    {"resample", gln_command_resample, "clusters, classifier and predictions, for the next batches"},
    {"batch", gln_command_batch, "take a batch of images worth labelling, show it, give it back"},
    {"propose", gln_command_propose, "labels for many images at once, after an audit of a few"},
    {"forecast", gln_command_forecast, "what the next labels would bring, and whether that is worth it"},
    {"check", gln_command_check, "labels that look wrong"},
    {"drift", gln_command_drift, "whether new images lie as those before"},
    {"export", gln_command_export, "write labels or a batch as CSV or JSON lines"},
    {"forget", gln_command_forget, "remove images for good, as whoever is on them may ask"},
    {"serve", gln_command_serve, "HTTP interface and dashboard"},
    {"doctor", gln_command_doctor, "check everything in a data directory"},
    {"token", gln_command_token, "make, list and revoke access tokens"},
    {"version", gln_command_version, "version, libraries and processor features in use"},
};

static void print_help(FILE *out)
{
    fprintf(out,
            "usage: gleaner COMMAND [options]\n\nPicks which of your unlabelled photos are worth paying to label.\n\n"
            "commands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].purpose);
    fprintf(out, "\n`gleaner COMMAND --help` explains a command.\n"
                 "exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some input was refused (--strict),\n"
                 "            4 another process works on the data directory\n");
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error of the write, not the end */
    if (getenv("GLEANER_DEBUG") != NULL) gln_log_set_level(GLN_LOG_DEBUG);
    if (argc < 2) {
        print_help(stderr);
        return GLN_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return GLN_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "gleaner: there is no command %s\n\n", name);
    print_help(stderr);
    return GLN_EXIT_USAGE;
}
