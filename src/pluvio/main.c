/*
 * pluvio - the command line of makers and operators.
 */
#include "pluvio/commands.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct command {
    const char *noun, *verb, *help;
    enum err (*run)(int argc, char **argv, struct why *why);
} commands[] = {
    {"login", NULL, "Log in to a server and remember the session", command_login},
    {"logout", NULL, "End all of your sessions", command_logout},
    {"whoami", NULL, "Tell who is logged in", command_whoami},
    {"why", NULL, "Why a node was or was not offered what is under way, and when next", command_why},
    {"getnodes", NULL, "List the nodes that are yours", command_getnodes},
    {"getnodeconfig", NULL, "What a node says of itself", command_getnodeconfig},
    {"getnodestatus", NULL, "Whether a node is connected", command_getnodestatus},
    {"getparams", NULL, "A node's parameters", command_getparams},
    {"setparams", NULL, "Set parameters of nodes", command_setparams},
    {"removenode", NULL, "Give a node of yours up", command_removenode},
    {"otaupgrade", NULL, "Update one node by a parameter, with its progress", command_otaupgrade},
    {"node", "add", "Register a node and make its credentials and fctry partition", command_node_add},
    {"node", "fctry", "Make a fctry partition from credentials that you have", command_node_fctry},
    {"node", "list", "List nodes with their versions and whether they are online", command_node_list},
    {"node", "show", "All that is known of a node", command_node_show},
    {"node", "tag", "Give a node tags", command_node_tag},
    {"node", "untag", "Take tags from a node", command_node_untag},
    {"node", "activate", "Let a node in that was deactivated", command_node_activate},
    {"node", "deactivate", "Throw a node out, and let it in no more", command_node_deactivate},
    {"node", "delete", "Delete a node", command_node_delete},
    {"authority", "add", "Let in nodes of a maker's own certificate authority", command_authority_add},
    {"authority", "list", "List such authorities", command_authority_list},
    {"authority", "delete", "Let their nodes in no more", command_authority_delete},
    {"simulator", "add", "Register simulated nodes, for pluvio-fleet", command_simulator_add},
    {"simulator", "list", "List simulators", command_simulator_list},
    {"simulator", "delete", "Delete a simulator's nodes", command_simulator_delete},
    {"image", "inspect", "Explain an image file, and whether it is whole and runs on a chip", command_image_inspect},
    {"image", "pack", "Wrap a Linux program in an ESP image, for Linux nodes", command_image_pack},
    {"image", "encrypt", "Encrypt an image for a device's key", command_image_encrypt},
    {"image", "decrypt", "Open an encrypted image", command_image_decrypt},
    {"image", "upload", "Verify and upload an image", command_image_upload},
    {"image", "list", "List uploaded images", command_image_list},
    {"image", "attach", "Upload files that belong to an image", command_image_attach},
    {"image", "files", "List such files", command_image_files},
    {"image", "sign", "Sign an uploaded image with keys of the server", command_image_sign},
    {"image", "archive", "Archive an image", command_image_archive},
    {"image", "delete", "Delete an image", command_image_delete},
    {"sign", "key", "Generate a signing key", command_sign_key},
    {"sign", "public", "Extract a key's public half", command_sign_public},
    {"sign", "digest", "Print a key's digest, as eFuses hold it", command_sign_digest},
    {"sign", "image", "Sign an image, a bootloader or other data", command_sign_image},
    {"sign", "verify", "Verify signatures", command_sign_verify},
    {"sign", "info", "Print a file's signatures", command_sign_info},
    {"partition", "show", "Show a partition table and check its rules", command_partition_show},
    {"partition", "make", "Make a binary partition table from CSV", command_partition_make},
    {"partition", "csv", "Print a partition table as CSV", command_partition_csv},
    {"otadata", "show", "Show an otadata partition", command_otadata_show},
    {"otadata", "make", "Make one that boots a slot", command_otadata_make},
    {"otadata", "erase", "Erase one", command_otadata_erase},
    {"otadata", "select", "Select as the bootloader would", command_otadata_select},
    {"nvs", "show", "Show what an NVS partition holds", command_nvs_show},
    {"nvs", "get", "Print one of its values", command_nvs_get},
    {"nvs", "make", "Make an NVS partition from CSV", command_nvs_make},
    {"nvs", "csv", "Print an NVS partition as CSV", command_nvs_csv},
    {"nvs", "keys", "Make a key partition", command_nvs_keys},
    {"nvs", "encrypt", "Encrypt an NVS partition", command_nvs_encrypt},
    {"nvs", "decrypt", "Decrypt an NVS partition", command_nvs_decrypt},
    {"flash", "show", "Show what a flash dump holds and what would boot", command_flash_show},
    {"flash", "split", "Take a flash dump apart", command_flash_split},
    {"flash", "join", "Put one together", command_flash_join},
    {"job", "start", "Start an update job", command_job_start},
    {"job", "plan", "Simulate a job before starting it", command_job_plan},
    {"job", "watch", "Follow a job live to its end", command_job_watch},
    {"job", "list", "List jobs", command_job_list},
    {"job", "pause", "Offer a job to nobody until it is resumed", command_job_pause},
    {"job", "edit", "Change a paused job", command_job_edit},
    {"job", "approve", "Say yes, as a second person, to a job", command_job_approve},
    {"job", "resume", "Let a paused job go on", command_job_resume},
    {"job", "why", "Why a node was or was not offered a job, and when next", command_job_why},
    {"job", "clusters", "Failures of a job that look alike", command_job_clusters},
    {"job", "exclude", "Leave out nodes that fit a query", command_job_exclude},
    {"job", "retry", "Offer a job again to nodes that failed", command_job_retry},
    {"job", "cancel", "Offer a job to no further node", command_job_cancel},
    {"group", "add", "Make a group of nodes, by name or by a query", command_group_add},
    {"group", "list", "List groups", command_group_list},
    {"group", "delete", "Delete a group", command_group_delete},
    {"user", "add", "Make a user", command_user_add},
    {"user", "list", "List users", command_user_list},
    {"user", "edit", "Change a user's role or password", command_user_edit},
    {"user", "delete", "Delete a user", command_user_delete},
    {"org", "add", "Make an organisation", command_org_add},
    {"org", "list", "List organisations", command_org_list},
    {"org", "delete", "Delete an empty one", command_org_delete},
    {"token", "add", "Make an API token", command_token_add},
    {"token", "list", "List your API tokens", command_token_list},
    {"token", "delete", "Withdraw an API token", command_token_delete},
    {"key", "add", "Make a key of the server that signs images", command_key_add},
    {"key", "list", "List such keys", command_key_list},
    {"key", "delete", "Delete one", command_key_delete},
    {"webhook", "add", "Send events to a URL", command_webhook_add},
    {"webhook", "list", "List where events are sent", command_webhook_list},
    {"webhook", "deliveries", "A webhook's last deliveries", command_webhook_deliveries},
    {"webhook", "replay", "Send events again", command_webhook_replay},
    {"webhook", "delete", "Send nothing there any more", command_webhook_delete},
    {"audit", "list", "List what people changed", command_audit_list},
    {"audit", "verify", "Whether the audit log is as it was written", command_audit_verify},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(FILE *to)
{
    fprintf(to, "Usage: pluvio COMMAND [OPTION...]\n"
                "Over-the-air updates for ESP32 fleets: nodes, images and jobs of a Pluvio server, and the files of "
                "ESP firmware.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        char name[40];
        bool is_first = i == 0 || (strcmp(commands[i].noun, commands[i - 1].noun) != 0 && commands[i].verb != NULL);
        snprintf(name, sizeof name, "%s %s", commands[i].noun, commands[i].verb ? commands[i].verb : "");
        fprintf(to, "%s  %-18s %s\n", is_first && i > 0 ? "\n" : "", name, commands[i].help);
    }
    fprintf(to, "\n  completion SHELL   Completion for bash, zsh or fish: source <(pluvio completion bash)\n"
                "  manual             The manual page: pluvio manual | man -l -\n");
    fprintf(to, "\n`pluvio COMMAND --help` tells a command's options. Most take --json.\n\n"
                "From an image to a finished update:\n"
                "  pluvio login --server http://127.0.0.1:8080 --user admin@localhost\n"
                "  pluvio image upload blinky-1.1.0.bin\n"
                "  pluvio job start --image blinky-1.1.0 --all --force-push --watch\n\n"
                "From a project's files to a signed image:\n"
                "  pluvio sign key --type p256 --output signing.pem\n"
                "  pluvio sign image --key signing.pem app.bin\n"
                "  pluvio image inspect app.bin\n\n"
                "For scripts: PLUVIO_SERVER and PLUVIO_TOKEN (from `pluvio token add`) take the session's place.\n\n"
                "Exit status: 0 success; 1 a watched job did not succeed everywhere; 64 wrong usage; 65 bad input;\n"
                "66 not found; 69 server not reached; 73 exists already; 74 input or output failed; 77 not logged in "
                "or not allowed.\n");
}

/* --- completion for shells, and the manual, from the same table ------------------------------- */

static bool is_first_of_noun(size_t i)
{
    return i == 0 || strcmp(commands[i].noun, commands[i - 1].noun) != 0;
}

static void print_nouns(void)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (is_first_of_noun(i))
            printf("%s ", commands[i].noun);
}

static void print_bash(void)
{
    printf("# Completion of pluvio for bash: source <(pluvio completion bash)\n"
           "_pluvio() {\n  local verbs words=\"");
    print_nouns();
    printf("\"\n  case \"${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].verb == NULL)
            continue;
        bool is_last = i + 1 == COMMANDS || strcmp(commands[i].noun, commands[i + 1].noun) != 0;
        if (is_first_of_noun(i))
            printf("    %s) verbs=\"", commands[i].noun);
        printf("%s%s", commands[i].verb, is_last ? "\" ;;\n" : " ");
    }
    printf(
        "  esac\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$2\"))\n"
        "  elif [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$verbs\" ]; then COMPREPLY=($(compgen -W \"$verbs\" -- \"$2\"))\n"
        "  elif [[ $2 == -* ]]; then\n"
        "    COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[@]:0:3}\" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort "
        "-u)\" "
        "-- \"$2\"))\n"
        "  else COMPREPLY=($(compgen -f -- \"$2\")); fi\n"
        "}\ncomplete -o filenames -F _pluvio pluvio\n");
}

static void print_zsh(void)
{
    printf("#compdef pluvio\n# Completion of pluvio for zsh: a file _pluvio in a folder of $fpath\n"
           "local -a nouns verbs\nnouns=(");
    print_nouns();
    printf(")\ncase $words[2] in\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].verb == NULL)
            continue;
        bool is_last = i + 1 == COMMANDS || strcmp(commands[i].noun, commands[i + 1].noun) != 0;
        if (is_first_of_noun(i))
            printf("  %s) verbs=(", commands[i].noun);
        printf("'%s:", commands[i].verb);
        for (const char *at = commands[i].help; *at; at++)
            printf(*at == '\'' ? "%c\\'%c" : "%c", *at, '\'');
        printf("'%s", is_last ? ") ;;\n" : " ");
    }
    printf("esac\nif (( CURRENT == 2 )); then compadd -a nouns\n"
           "elif (( CURRENT == 3 && $#verbs )); then _describe verb verbs\nelse _files; fi\n");
}

static void print_fish(void)
{
    printf("# Completion of pluvio for fish: pluvio completion fish > ~/.config/fish/completions/pluvio.fish\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *c = &commands[i];
        if (is_first_of_noun(i))
            printf("complete -c pluvio -n __fish_use_subcommand -a %s%s\n", c->noun, c->verb ? "" : " -f");
        if (c->verb != NULL)
            printf("complete -c pluvio -n '__fish_seen_subcommand_from %s' -a %s -d \"%s\"\n", c->noun, c->verb,
                   c->help);
    }
}

static int print_completion(const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; shell != NULL && i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].print();
            return 0;
        }
    fprintf(stderr, "pluvio: `completion` goes with bash, zsh, fish\n");
    return err_exit_status(ERR_USAGE);
}

/* roff: a full stop or quote at the start of a line, and backslashes, mean something. */
static void print_roff(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at == '\\' || *at == '-')
            printf("\\%c", *at);
        else
            putchar(*at);
}

/* The command's own table prints them, and ends its process. */
static void print_options(const struct command *c)
{
    char *argv[] = {(char *)(uintptr_t)c->noun, (char *)(uintptr_t)OPTIONS_ROFF, NULL};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct why why;
        c->run(2, argv, &why);
        _exit(1); /* a command without options of its own */
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

static int print_manual(void)
{
    printf(".TH PLUVIO 1 \"\" \"pluvio " PLUVIO_VERSION "\" \"User Commands\"\n.SH NAME\n"
           "pluvio \\- over\\-the\\-air updates for ESP32 fleets\n.SH SYNOPSIS\n.B pluvio\n.I COMMAND\n[OPTION...]\n"
           ".SH DESCRIPTION\nNodes, images and jobs of a Pluvio server, and the files of ESP firmware.\n"
           ".SH COMMANDS\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        printf(".TP\n.B pluvio %s%s%s\n", commands[i].noun, commands[i].verb ? " " : "",
               commands[i].verb ? commands[i].verb : "");
        print_roff(commands[i].help);
        printf(".\n");
        print_options(&commands[i]);
    }
    printf(
        ".SH ENVIRONMENT\n.TP\n.B PLUVIO_SERVER\nThe server, in place of the session's.\n.TP\n.B PLUVIO_TOKEN\n"
        "An API token, in place of the session.\n.TP\n.B PLUVIO_ORGANISATION\nThe organisation to act in, for super "
        "administrators.\n.TP\n.B PLUVIO_CA_FILE\nThe authority to trust.\n.TP\n"
        ".B PLUVIO_SESSION\nThe file of the session.\n.TP\n.B NO_COLOR\nNo colours.\n"
        ".SH EXIT STATUS\n0 success; 1 a watched job did not succeed everywhere; 64 wrong usage; 65 bad input; 66 not "
        "found; 69 server not reached; 73 exists already; 74 input or output failed; 77 not logged in or not "
        "allowed.\n");
    return 0;
}

static const struct command *find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].noun, noun) == 0 &&
            (commands[i].verb == NULL || (verb != NULL && strcmp(commands[i].verb, verb) == 0)))
            return &commands[i];
    return NULL;
}

static int unknown(const char *noun, const char *verb)
{
    bool is_noun = false;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].noun, noun) == 0) {
            if (!is_noun)
                fprintf(stderr, "pluvio: `%s` goes with", noun);
            fprintf(stderr, "%s %s", is_noun ? "," : "", commands[i].verb);
            is_noun = true;
        }
    if (is_noun)
        fprintf(stderr, "%s%s\n", verb ? ", not " : "", verb ? verb : "");
    else
        fprintf(stderr, "pluvio: there is no command %s; `pluvio --help` lists them\n", noun);
    return err_exit_status(ERR_USAGE);
}

static int run(const struct command *c, int argc, char **argv)
{
    struct why why = {{0}};
    char title[40];
    int skip = c->verb ? 2 : 1;
    snprintf(title, sizeof title, c->verb ? "pluvio %s %s" : "pluvio %s", c->noun, c->verb);
    argv[skip] = title;
    enum err err = c->run(argc - skip, argv + skip, &why);
    if (err != ERR_NONE)
        fprintf(stderr, "%spluvio: %s%s\n", style(STYLE_RED), why_text(&why, err), style(STYLE_NONE));
    return err_exit_status(err);
}

int main(int argc, char **argv)
{
    const char *noun = argc > 1 ? argv[1] : "--help", *verb = argc > 2 ? argv[2] : NULL;
    if (strcmp(noun, "--help") == 0 || strcmp(noun, "help") == 0 || strcmp(noun, "-?") == 0) {
        print_help(stdout);
        return argc > 1 ? 0 : err_exit_status(ERR_USAGE);
    }
    if (strcmp(noun, "--version") == 0) {
        printf("pluvio " PLUVIO_VERSION "\n");
        return 0;
    }
    if (strcmp(noun, "completion") == 0)
        return print_completion(verb);
    if (strcmp(noun, "manual") == 0)
        return print_manual();
    const struct command *c = find(noun, verb);
    return c ? run(c, argc, argv) : unknown(noun, verb);
}

/* --- what commands print with ----------------------------------------------------------------- */

const char *style(enum style s)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m", "\033[32m",
                                        "\033[31m", "\033[33m", "\033[36m"};
    return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL ? codes[s] : "";
}

void print_json(const struct json *doc)
{
    char *text = json_dup_text(doc);
    printf("%s\n", text ? text : "null");
    free(text);
}

const char *text_of(const struct json *object, const char *key)
{
    const char *text = json_text(json_get(object, key));
    return text ? text : "";
}

int64_t int_of(const struct json *object, const char *key)
{
    int64_t value = 0;
    return json_int(json_get(object, key), &value) ? value : 0;
}
