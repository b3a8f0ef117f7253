/* The command run: the bootloader's loop.  A reset of the application, whatever its cause, goes through selection
 * again. */
#include "vesp/vesp.h"

#include "base/text.h"
#include "boot/boot.h"
#include "boot/slot.h"
#include "esp/esp.h"
#include "image/pack.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAST_CRASH_S   2 /* an application that ends sooner is started again after a pause */
#define CRASH_PAUSE_MS 1000

struct run_options {
    const char *path, *bundle, *speed;
    bool is_once;
};

struct runner {
    struct run_options options;
    struct node_flash flash;
    struct boot_port port;
    struct image_facts facts; /* of the slot that was verified last */
    char bundle[4096];
    int reset_reason;
    sigset_t signals;
};

static const struct argp_option run_options[] = {
    {"ca-bundle", 'c', "FILE", 0,
     "Authorities (PEM) that stand for the certificate bundle (default: FLASH.ca.pem, else the system's)", 0},
    {"flash-speed", 's', "SPEED", 0, "`real`: erasing and writing take as long as on a flash chip; `fast` (default)",
     0},
    {"once", 'o', NULL, 0, "End at the first reset instead of booting again", 0},
    {0},
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct run_options *o = state->input;
    switch (key) {
    case 'c':
        o->bundle = arg;
        return 0;
    case 's':
        if (strcmp(arg, "real") != 0 && strcmp(arg, "fast") != 0)
            argp_error(state, "--flash-speed is real or fast");
        o->speed = arg;
        return 0;
    case 'o':
        o->is_once = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->path != NULL)
            argp_usage(state);
        o->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->path == NULL)
            argp_error(state, "name the flash file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    struct runner *r = (struct runner *)(void *)((char *)port - offsetof(struct runner, port));
    struct why why = {{0}};
    enum err err = slot_verify(partition_stretch(&r->flash.file.flash, slot), CHIP_LINUX, &r->facts, &why);
    if (err != ERR_NONE)
        printf("vesp: %s does not boot: %s\n", slot->label, why_text(&why, err));
    return err == ERR_NONE;
}

/* The ELF's pieces are the segments behind the descriptor's. */
static enum err load_program(struct runner *r, const struct partition *slot, int *fd, struct why *why)
{
    uint8_t chunk[65536];
    struct stretch from = partition_stretch(&r->flash.file.flash, slot);
    *fd = memfd_create(r->facts.app.project_name, MFD_CLOEXEC);
    if (*fd < 0)
        return why_set(why, ERR_IO, "memory for the application: %s", strerror(errno));
    for (unsigned i = 1; i < r->facts.segments_read; i++)
        for (uint32_t done = 0; done < r->facts.segments[i].len;) {
            uint32_t left = r->facts.segments[i].len - done, n = left < sizeof chunk ? left : (uint32_t)sizeof chunk;
            enum err err = stretch_read(from, r->facts.segments[i].at + done, chunk, n, why);
            if (err != ERR_NONE)
                return err;
            if (write(*fd, chunk, n) != (ssize_t)n)
                return why_set(why, ERR_IO, "load the application: %s", strerror(errno));
            done += n;
        }
    return ERR_NONE;
}

static void set_number(const char *name, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

/* In the child: hands the flash over and becomes the application. */
static void become_app(struct runner *r, const struct partition *slot, int program, pid_t parent)
{
    char *argv[] = {r->facts.app.project_name, NULL};
    extern char **environ;
    int flash = dup(r->flash.file.fd); /* without close-on-exec */
    sigprocmask(SIG_UNBLOCK, &r->signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || flash < 0)
        _exit(126);
    set_number("VESP_FLASH_FD", flash);
    set_number("VESP_SLOT", slot->at);
    set_number("VESP_RESET", r->reset_reason);
    if (r->bundle[0])
        setenv("VESP_CRT_BUNDLE", r->bundle, 1);
    setenv("VESP_FLASH_SPEED", r->options.speed ? r->options.speed : "fast", 1);
    fexecve(program, argv, environ);
    fprintf(stderr, "vesp: start the application: %s\n", strerror(errno));
    _exit(127);
}

/* Waits for the application's end; false when we were told to stop. */
static bool wait_for_reset(struct runner *r, pid_t app, int *status)
{
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(&r->signals, &info) < 0)
            continue;
        if (info.si_signo != SIGCHLD) {
            kill(app, SIGKILL); /* power off */
            waitpid(app, status, 0);
            return false;
        }
        if (waitpid(app, status, WNOHANG) == app)
            return true;
    }
}

static void explain(struct runner *r, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == ESP_EXIT_RESTART) {
        printf("vesp: the application restarted\n");
        r->reset_reason = ESP_RST_SW;
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        printf("vesp: power was lost\n");
        r->reset_reason = ESP_RST_POWERON;
    } else {
        printf("vesp: the application ended (%s %d)\n", WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        r->reset_reason = ESP_RST_PANIC;
    }
}

/* A pause that a signal ends: false then. */
static bool pause_ms(struct runner *r, long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    int signal = sigtimedwait(&r->signals, NULL, &t);
    return signal < 0 || signal == SIGCHLD;
}

static enum err boot_once(struct runner *r, bool *goes_on, struct why *why)
{
    struct boot_choice choice;
    int program = -1, status = 0;
    time_t started = time(NULL);
    *goes_on = false;
    enum err err = boot_select(&r->flash.file.flash, &r->flash.table, &r->port, &choice, why);
    if (err != ERR_NONE)
        return why_add(why, err, "boot %s", r->options.path);
    if (choice.has_rolled_back)
        printf("vesp: the image on trial was not confirmed: rolled back\n");
    printf("vesp: booting %s: %s %s\n", choice.slot->label, r->facts.app.project_name, r->facts.app.version);
    fflush(stdout);
    err = load_program(r, choice.slot, &program, why);
    pid_t parent = getpid(), app = err == ERR_NONE ? fork() : -1;
    if (app == 0)
        become_app(r, choice.slot, program, parent);
    close(program);
    if (app < 0)
        return err ? err : why_set(why, ERR_NO_MEMORY, "fork: %s", strerror(errno));
    *goes_on = wait_for_reset(r, app, &status);
    if (!*goes_on)
        return ERR_NONE;
    explain(r, status);
    if (r->options.is_once)
        *goes_on = false;
    else if (r->reset_reason == ESP_RST_PANIC && time(NULL) - started < FAST_CRASH_S)
        *goes_on = pause_ms(r, CRASH_PAUSE_MS);
    return ERR_NONE;
}

static void find_bundle(struct runner *r)
{
    if (r->options.bundle != NULL) {
        text_copy(r->bundle, sizeof r->bundle, r->options.bundle);
        return;
    }
    bundle_path(r->options.path, r->bundle, sizeof r->bundle);
    if (access(r->bundle, R_OK) != 0)
        r->bundle[0] = '\0';
}

enum err command_run(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {
        run_options,
        take_option,
        "FLASH",
        "Run the node until Ctrl-C: select a slot by otadata, verify its image, start the application out "
        "of it; after every reset again.",
        NULL,
        NULL,
        NULL};
    static struct runner runner;
    struct runner *r = &runner;
    bool goes_on = true;
    argp_parse(&argp, argc, argv, 0, NULL, &r->options);
    setvbuf(stdout, NULL, _IOLBF, 0);
    r->port.is_bootable = is_bootable;
    r->reset_reason = ESP_RST_POWERON;
    sigemptyset(&r->signals);
    sigaddset(&r->signals, SIGINT);
    sigaddset(&r->signals, SIGTERM);
    sigaddset(&r->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &r->signals, NULL);
    find_bundle(r);
    enum err err = node_flash_open(&r->flash, r->options.path, false, why);
    if (err != ERR_NONE)
        return err;
    while (err == ERR_NONE && goes_on)
        err = boot_once(r, &goes_on, why);
    node_flash_close(&r->flash);
    return err;
}
