#include "pluviod/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LETTER_MAX 2048 /* fits into a pipe, so writing does not wait for the program */

/* In the child's child: nobody has to wait for it. */
static void become_program(const char *program, int letter)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(letter, STDIN_FILENO) >= 0)
        execlp(program, program, "-t", (char *)NULL);
    _exit(127);
}

static bool start(const struct mail_program *m, int letter)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0)
            become_program(m->program, letter);
        _exit(grandchild < 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void send_letter(struct rest_mail *port, const char *to, const char *subject, const char *text)
{
    struct mail_program *m = (struct mail_program *)port;
    char letter[LETTER_MAX];
    int fds[2], len = snprintf(letter, sizeof letter,
                               "To: %s\nSubject: %s\nContent-Type: text/plain; charset=utf-8\n\n%s", to, subject, text);
    if (strpbrk(to, "\r\n") != NULL || len < 0 || len >= (int)sizeof letter || pipe2(fds, O_CLOEXEC) != 0) {
        log_line(m->log, LOG_ERROR, "mail", "no letter to %s: %s", to, strerror(errno));
        return;
    }
    bool is_sent = write(fds[1], letter, (size_t)len) == len;
    close(fds[1]);
    is_sent = is_sent && start(m, fds[0]);
    close(fds[0]);
    log_line(m->log, is_sent ? LOG_INFO : LOG_ERROR, "mail", "a letter to %s %s", to,
             is_sent ? "was handed on" : "could not be handed on");
}

void mail_init(struct mail_program *m, const char *program, struct log *log)
{
    *m = (struct mail_program){{send_letter}, program, log};
}
