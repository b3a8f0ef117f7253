/*
 * The command run: the bootloader's loop, for one node or many.  A reset of an application, whatever its cause, goes
 * through selection again.  One thread waits for all of them: ends of applications, what they print, and commands.
 */
#include "vesp/vesp.h"

#include "base/text.h"
#include "esp/esp.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAST_CRASH_MS  2000 /* an application that ends sooner is started again after a pause */
#define CRASH_PAUSE_MS 1000
#define LOG_BYTES_MAX  (1024 * 1024) /* then FLASH.log becomes FLASH.log.1 */
#define PROGRAMS_MAX   8             /* applications in memory, shared by the nodes that run them */

struct run_options {
    const char **paths;
    unsigned path_count;
    const char *bundle, *speed;
    long cut_after;
    bool is_once, wants_test;
};

/* An application's ELF in memory, for all nodes that run the same image. */
struct program {
    uint8_t digest[SHA256_LEN];
    int fd;
};

struct runner {
    struct supervisor *all;
    const char *path;
    char whole_path[PATH_MAX], bundle[4096];
    struct node node;
    struct boot_port port;
    struct image_facts facts; /* of the slot that was verified last */
    char slot[PARTITION_LABEL_LEN + 1];
    int reset_reason;
    struct flash_control *control;
    int control_fd, output, log;
    off_t log_bytes;
    pid_t app;
    unsigned resets;
    int64_t started_ms, due_ms; /* due_ms: when it is booted again; 0: it runs */
    bool is_reset_asked, is_over;
};

struct supervisor {
    struct run_options options;
    struct runner *runners;
    unsigned count, left;
    struct program programs[PROGRAMS_MAX];
    unsigned program_count;
    sigset_t signals, old_signals;
    int signal_fd, listener;
    bool is_stopping;
    enum err err;
    struct why *why;
};

enum { OPT_CUT_AFTER = 1000, OPT_TEST };

static const struct argp_option run_options[] = {
    {"ca-bundle", 'c', "FILE", 0,
     "Authorities (PEM) that stand for the certificate bundle (default: FLASH.ca.pem, else the system's)", 0},
    {"flash-speed", 's', "SPEED", 0, "`real`: erasing and writing take as long as on a flash chip; `fast` (default)",
     0},
    {"once", 'o', NULL, 0, "End at the first reset instead of booting again", 0},
    {"cut-after", OPT_CUT_AFTER, "N", 0, "Cut the power in the middle of the N-th flash operation after the first boot",
     0},
    {"test-pin", OPT_TEST, NULL, 0, "The pin that selects the test application is held", 0},
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
    case OPT_CUT_AFTER:
        o->cut_after = strtol(arg, NULL, 10);
        return 0;
    case OPT_TEST:
        o->wants_test = true;
        return 0;
    case ARGP_KEY_ARGS:
        o->paths = (const char **)state->argv + state->next;
        o->path_count = (unsigned)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name the flash file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- what a node prints ----------------------------------------------------------------------- */

static void open_log(struct runner *r)
{
    char path[PATH_MAX + 8];
    node_path(r->path, ".log", path, sizeof path);
    r->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat st;
    r->log_bytes = r->log >= 0 && fstat(r->log, &st) == 0 ? st.st_size : 0;
}

static void keep_log(struct runner *r, const char *text, size_t len)
{
    if (r->log_bytes > LOG_BYTES_MAX) {
        char path[PATH_MAX + 8], old[PATH_MAX + 16];
        node_path(r->path, ".log", path, sizeof path);
        snprintf(old, sizeof old, "%s.1", path);
        close(r->log);
        rename(path, old);
        open_log(r);
    }
    if (r->log >= 0 && write(r->log, text, len) == (ssize_t)len)
        r->log_bytes += (off_t)len;
}

/* One node's words are printed as they are; of many each says whose. */
static void print(struct runner *r, const char *text, size_t len)
{
    keep_log(r, text, len);
    if (r->all->count == 1) {
        fwrite(text, 1, len, stdout);
        fflush(stdout);
    }
}

static void say(struct runner *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct runner *r, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    print(r, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
    if (r->all->count > 1)
        printf("%s: %s", r->path, line);
    fflush(stdout);
}

static void drain_output(struct runner *r)
{
    char chunk[16384];
    ssize_t n;
    while (r->output >= 0 && (n = read(r->output, chunk, sizeof chunk)) > 0)
        print(r, chunk, (size_t)n);
}

/* --- boot ------------------------------------------------------------------------------------- */

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    struct runner *r = (struct runner *)(void *)((char *)port - offsetof(struct runner, port));
    struct slot_rules rules;
    struct why why = {{0}};
    enum err err = node_slot_rules(&r->node, &rules, &why);
    if (err == ERR_NONE)
        err = slot_verify(partition_stretch(&r->node.file.flash, slot), &rules, &r->facts, &why);
    if (err != ERR_NONE)
        say(r, "vesp: %s does not boot: %s\n", slot->label, why_text(&why, err));
    return err == ERR_NONE;
}

/* The ELF's pieces are the segments behind the descriptor's. */
static enum err copy_program(struct runner *r, const struct partition *slot, int fd, struct why *why)
{
    uint8_t chunk[65536];
    struct stretch from = partition_stretch(&r->node.file.flash, slot);
    for (unsigned i = 1; i < r->facts.segments_read; i++)
        for (uint32_t done = 0; done < r->facts.segments[i].len;) {
            uint32_t left = r->facts.segments[i].len - done, n = left < sizeof chunk ? left : (uint32_t)sizeof chunk;
            enum err err = stretch_read(from, r->facts.segments[i].at + done, chunk, n, why);
            if (err != ERR_NONE)
                return err;
            if (i == 1 && done == 0 && (n < 4 || memcmp(chunk, "\177ELF", 4) != 0))
                return why_set(why, ERR_FORMAT,
                               "%s holds firmware for the chip itself: vesp selects as its bootloader does, but cannot "
                               "run it",
                               slot->label);
            if (write(fd, chunk, n) != (ssize_t)n)
                return why_set(why, ERR_IO, "load the application: %s", strerror(errno));
            done += n;
        }
    return ERR_NONE;
}

/* From memory when another node runs the same image. */
static enum err load_program(struct runner *r, const struct partition *slot, int *fd, struct why *why)
{
    struct supervisor *s = r->all;
    for (unsigned i = 0; i < s->program_count; i++)
        if (memcmp(s->programs[i].digest, r->facts.digest, SHA256_LEN) == 0) {
            *fd = s->programs[i].fd;
            return ERR_NONE;
        }
    *fd = memfd_create(r->facts.app.project_name, MFD_CLOEXEC);
    if (*fd < 0)
        return why_set(why, ERR_IO, "memory for the application: %s", strerror(errno));
    enum err err = copy_program(r, slot, *fd, why);
    if (err != ERR_NONE) {
        close(*fd);
        return err;
    }
    unsigned place = s->program_count < PROGRAMS_MAX ? s->program_count++ : 0; /* whoever runs keeps its own */
    if (s->program_count == PROGRAMS_MAX && place == 0)
        close(s->programs[0].fd);
    s->programs[place].fd = *fd;
    memcpy(s->programs[place].digest, r->facts.digest, SHA256_LEN);
    return ERR_NONE;
}

static void set_number(const char *name, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

static void set_trusted(const struct node_settings *s)
{
    char text[SIGNATURE_BLOCKS_MAX * (2 * SHA256_LEN + 1) + 1] = "";
    size_t at = 0;
    for (unsigned i = 0; i < s->trusted_count; i++)
        for (unsigned k = 0; k < SHA256_LEN; k++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%02x", i > 0 && k == 0 ? "," : "",
                                   s->trusted[i].bytes[k]);
    if (s->trusted_count > 0)
        setenv("VESP_TRUSTED", text, 1);
}

static void hand_over(const char *name, int fd)
{
    int copy = dup(fd); /* without close-on-exec */
    if (copy < 0)
        _exit(126);
    set_number(name, copy);
}

/* In the child: hands the flash over and becomes the application. */
static void become_app(struct runner *r, const struct partition *slot, int program, int output, pid_t parent)
{
    char *argv[] = {r->facts.app.project_name, NULL};
    extern char **environ;
    sigprocmask(SIG_SETMASK, &r->all->old_signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        _exit(126);
    hand_over("VESP_FLASH_FD", r->node.file.fd);
    if (r->node.efuse_file.fd >= 0)
        hand_over("VESP_EFUSE_FD", r->node.efuse_file.fd);
    if (r->control_fd >= 0)
        hand_over("VESP_CONTROL_FD", r->control_fd);
    set_number("VESP_SLOT", slot->at);
    set_number("VESP_RESET", r->reset_reason);
    setenv("VESP_CHIP", r->node.settings.chip->platform, 1);
    set_trusted(&r->node.settings);
    if (r->bundle[0])
        setenv("VESP_CRT_BUNDLE", r->bundle, 1);
    setenv("VESP_FLASH_SPEED", r->all->options.speed ? r->all->options.speed : "fast", 1);
    fexecve(program, argv, environ);
    fprintf(stderr, "vesp: start the application: %s\n", strerror(errno));
    _exit(127);
}

static enum err start_app(struct runner *r, const struct partition *slot, struct why *why)
{
    int program = -1, ends[2];
    enum err err = load_program(r, slot, &program, why);
    if (err == ERR_NONE && pipe2(ends, O_CLOEXEC) != 0)
        err = why_set(why, ERR_IO, "pipe: %s", strerror(errno));
    if (err != ERR_NONE)
        return err;
    pid_t parent = getpid();
    r->app = fork();
    if (r->app == 0)
        become_app(r, slot, program, ends[1], parent);
    close(ends[1]);
    r->output = ends[0];
    fcntl(r->output, F_SETFL, O_NONBLOCK);
    return r->app > 0 ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "fork: %s", strerror(errno));
}

static enum err boot(struct runner *r, struct why *why)
{
    struct boot_choice choice;
    const struct node_settings *s = &r->node.settings;
    struct bootloader loader = {.flash = &r->node.file.flash,
                                .table = &r->node.table,
                                .port = &r->port,
                                .rules = s->is_chip_loader ? OTADATA_CHIP : OTADATA_SEALED,
                                .has_rollback = s->has_rollback,
                                .efuse = s->has_anti_rollback ? &r->node.efuse : NULL,
                                .wants_test = r->all->options.wants_test};
    enum err err = boot_select(&loader, &choice, why);
    if (err != ERR_NONE)
        return why_add(why, err, "boot %s", r->path);
    if (choice.has_rolled_back)
        say(r, "vesp: the image on trial was not confirmed: rolled back\n");
    say(r, "vesp: booting %s: %s %s\n", choice.slot->label, r->facts.app.project_name, r->facts.app.version);
    text_copy(r->slot, sizeof r->slot, choice.slot->label);
    r->started_ms = now_ms();
    r->due_ms = 0;
    return start_app(r, choice.slot, why);
}

/* --- reset ------------------------------------------------------------------------------------ */

static void explain(struct runner *r, int status)
{
    bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == ESP_EXIT_RESTART) {
        say(r, "vesp: the application restarted\n");
        r->reset_reason = ESP_RST_SW;
    } else if (code == ESP_EXIT_WATCHDOG) {
        say(r, "vesp: the task watchdog reset the node\n");
        r->reset_reason = ESP_RST_TASK_WDT;
    } else if (is_killed && r->is_reset_asked) {
        say(r, "vesp: the node was reset\n");
        r->reset_reason = ESP_RST_EXT;
    } else if (is_killed) {
        say(r, "vesp: power was lost\n");
        r->reset_reason = ESP_RST_POWERON;
    } else {
        say(r, "vesp: the application ended (%s %d)\n", WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        r->reset_reason = ESP_RST_PANIC;
    }
    r->is_reset_asked = false;
}

static void end_runner(struct runner *r)
{
    r->is_over = true;
    r->all->left--;
}

static void boot_or_give_up(struct runner *r)
{
    struct why why = {{0}};
    enum err err = boot(r, &why);
    if (err == ERR_NONE)
        return;
    if (r->all->count == 1)
        *r->all->why = why;
    else
        say(r, "%s\n", why_text(&why, err));
    r->all->err = err;
    end_runner(r);
}

static void take_end(struct runner *r, int status)
{
    drain_output(r);
    close(r->output);
    r->output = -1;
    r->app = 0;
    r->resets++;
    if (r->all->is_stopping) {
        end_runner(r);
        return;
    }
    explain(r, status);
    bool is_crash = r->reset_reason == ESP_RST_PANIC && now_ms() - r->started_ms < FAST_CRASH_MS;
    if (r->all->options.is_once)
        end_runner(r);
    else
        r->due_ms = now_ms() + (is_crash ? CRASH_PAUSE_MS : 0);
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < s->count; i++)
            if (s->runners[i].app == pid) {
                take_end(&s->runners[i], status);
                break;
            }
}

static void stop_all(struct supervisor *s)
{
    s->is_stopping = true;
    for (unsigned i = 0; i < s->count; i++)
        if (s->runners[i].app > 0)
            kill(s->runners[i].app, SIGKILL); /* power off */
        else if (!s->runners[i].is_over)
            end_runner(&s->runners[i]);
}

/* --- commands --------------------------------------------------------------------------------- */

static void tell_state(const struct runner *r, struct buf *to)
{
    char app[80];
    snprintf(app, sizeof app, "%s %s", r->facts.app.project_name, r->facts.app.version);
    buf_addf(to, "%7ld %-9s %-10s %-24s %7u %9lu %9lu  %s\n", (long)r->app, r->app > 0 ? "running" : "waiting", r->slot,
             app, r->resets, r->control ? atomic_load(&r->control->programs) : 0ul,
             r->control ? atomic_load(&r->control->erases) : 0ul, r->whole_path);
}

static void cut(struct runner *r, long operations, struct buf *to)
{
    if (operations > 0 && r->control != NULL) {
        atomic_store(&r->control->seed, (unsigned)now_ms());
        atomic_store(&r->control->cut_after, operations);
        buf_addf(to, "%s loses power in flash operation %ld from now\n", r->path, operations);
        return;
    }
    buf_addf(to, "%s lost power\n", r->path);
    if (r->app > 0)
        kill(r->app, SIGKILL);
}

static void answer(void *context, const struct control_words *w, struct buf *to)
{
    struct supervisor *s = context;
    for (unsigned i = 0; i < s->count; i++) {
        struct runner *r = &s->runners[i];
        bool is_meant = strcmp(w->path, r->whole_path) == 0;
        if (r->is_over)
            continue;
        if (strcmp(w->name, "ps") == 0)
            tell_state(r, to);
        else if (is_meant && strcmp(w->name, "cut") == 0)
            cut(r, w->number, to);
        else if (is_meant && strcmp(w->name, "reset") == 0) {
            r->is_reset_asked = true;
            if (r->app > 0)
                kill(r->app, SIGKILL);
            buf_addf(to, "%s was reset\n", r->path);
        }
    }
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Milliseconds until something is due; -1: nothing is. */
static int next_due(const struct supervisor *s)
{
    int64_t now = now_ms(), best = -1;
    for (unsigned i = 0; i < s->count; i++) {
        const struct runner *r = &s->runners[i];
        if (r->is_over || r->due_ms == 0)
            continue;
        int64_t left = r->due_ms > now ? r->due_ms - now : 0;
        best = best < 0 || left < best ? left : best;
    }
    return (int)best;
}

static void boot_due(struct supervisor *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct runner *r = &s->runners[i];
        if (!r->is_over && !s->is_stopping && r->due_ms != 0 && r->due_ms <= now_ms())
            boot_or_give_up(r);
    }
}

static void take_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            stop_all(s);
    reap(s);
}

static void loop(struct supervisor *s, struct pollfd *waits)
{
    while (s->left > 0) {
        waits[0] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
        waits[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
        for (unsigned i = 0; i < s->count; i++)
            waits[2 + i] = (struct pollfd){.fd = s->runners[i].output, .events = POLLIN};
        if (poll(waits, 2 + s->count, next_due(s)) > 0) {
            for (unsigned i = 0; i < s->count; i++)
                if (waits[2 + i].revents & POLLIN)
                    drain_output(&s->runners[i]);
            if (waits[0].revents & POLLIN)
                take_signals(s);
            if (waits[1].revents & POLLIN)
                control_serve(s->listener, answer, s);
        }
        /* An application that closed its output is about to end; its end comes with a signal. */
        for (unsigned i = 0; i < s->count; i++)
            if ((waits[2 + i].revents & (POLLHUP | POLLIN)) == POLLHUP && s->runners[i].output >= 0 &&
                s->runners[i].app > 0) {
                close(s->runners[i].output);
                s->runners[i].output = -1;
            }
        boot_due(s);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static void find_bundle(struct runner *r, const char *given)
{
    if (given != NULL) {
        text_copy(r->bundle, sizeof r->bundle, given);
        return;
    }
    node_path(r->path, ".ca.pem", r->bundle, sizeof r->bundle);
    if (access(r->bundle, R_OK) != 0)
        r->bundle[0] = '\0';
}

static enum err open_runner(struct supervisor *s, struct runner *r, const char *path, struct why *why)
{
    *r = (struct runner){.all = s, .path = path, .output = -1, .log = -1, .control_fd = -1, .due_ms = 1};
    r->port.is_bootable = is_bootable;
    r->reset_reason = ESP_RST_POWERON;
    enum err err = node_open(&r->node, path, why);
    if (err != ERR_NONE)
        return err;
    if (realpath(path, r->whole_path) == NULL)
        text_copy(r->whole_path, sizeof r->whole_path, path);
    find_bundle(r, s->options.bundle);
    open_log(r);
    r->control_fd = flash_control_make();
    r->control = r->control_fd >= 0 ? flash_control_map(r->control_fd) : NULL;
    if (r->control != NULL) {
        atomic_store(&r->control->cut_after, s->options.cut_after);
        atomic_store(&r->control->seed, (unsigned)now_ms());
    }
    return ERR_NONE;
}

static void close_runner(struct runner *r)
{
    node_close(&r->node);
    if (r->log >= 0)
        close(r->log);
    if (r->control_fd >= 0)
        close(r->control_fd);
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max; /* a node needs four descriptors */
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void block_signals(struct supervisor *s)
{
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGINT);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &s->signals, &s->old_signals);
    sigdelset(&s->old_signals, SIGINT);
    sigdelset(&s->old_signals, SIGTERM);
    sigdelset(&s->old_signals, SIGCHLD);
    s->signal_fd = signalfd(-1, &s->signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static enum err run_all(struct supervisor *s, struct why *why)
{
    unsigned opened = 0;
    enum err err = ERR_NONE;
    s->runners = calloc(s->options.path_count, sizeof *s->runners);
    struct pollfd *waits = calloc(s->options.path_count + 2, sizeof *waits);
    if (s->runners == NULL || waits == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory for %u nodes", s->options.path_count);
    s->count = s->options.path_count;
    for (; err == ERR_NONE && opened < s->count; opened += err == ERR_NONE)
        err = open_runner(s, &s->runners[opened], s->options.paths[opened], why);
    if (err == ERR_NONE) {
        s->left = s->count;
        s->why = why;
        block_signals(s);
        s->listener = control_listen(NULL); /* without it a node runs all the same */
        boot_due(s);
        loop(s, waits);
        if (s->listener >= 0)
            control_unlink();
        err = s->err;
    }
    for (unsigned i = 0; i < opened; i++)
        close_runner(&s->runners[i]);
    free(waits);
    free(s->runners);
    return err;
}

enum err command_run(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {
        run_options,
        take_option,
        "FLASH...",
        "Run nodes until Ctrl-C: select a slot by otadata, verify its image, start the application out of it; after "
        "every "
        "reset again.  What a node prints is kept in FLASH.log, and of a single one shown.",
        NULL,
        NULL,
        NULL};
    static struct supervisor supervisor;
    argp_parse(&argp, argc, argv, 0, NULL, &supervisor.options);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_limit();
    return run_all(&supervisor, why);
}
