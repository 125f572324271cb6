/*
 * talk COMMAND...: runs it on a pseudo-terminal and holds the dialogue that standard input describes, line by line:
 *
 *   expect TEXT   waits until TEXT is written, at most 20 seconds; what comes before it is skipped
 *   absent TEXT   complains if TEXT was written since the last expect
 *   send TEXT     types it; \n, \\ and \3 (Ctrl-C), \4 (Ctrl-D) and so on stand for single bytes
 *   wait SECONDS  lets time pass
 *
 * An expectation that is not met is told, with what was written instead. Exits as the command did; TALK_SHOW=1 shows everything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char heard[1 << 20];
static size_t heard_size;
static int terminal;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Listens for at most `seconds`; false when nothing came, or all is over. */
static int listen_for(double seconds) {
    struct pollfd input = {.fd = terminal, .events = POLLIN};
    if (poll(&input, 1, (int)(1e3 * seconds) + 1) <= 0) return 0;
    if (heard_size > sizeof heard / 2) {
        memmove(heard, heard + heard_size / 2, heard_size - heard_size / 2);
        heard_size -= heard_size / 2;
    }
    const ssize_t got = read(terminal, heard + heard_size, sizeof heard - heard_size - 1);
    if (got <= 0) return 0;
    if (getenv("TALK_SHOW") != NULL) fwrite(heard + heard_size, 1, (size_t)got, stderr);
    heard_size += (size_t)got;
    heard[heard_size] = '\0';
    return 1;
}

static char *find(const char *text) { return memmem(heard, heard_size, text, strlen(text)); }

static void expect(const char *text) {
    const double end = now() + 20.0;
    while (find(text) == NULL) {
        const double left = end - now();
        if (left > 0 && listen_for(left)) continue;
        if (find(text) != NULL) break;
        printf("expected '%s', found:\n%.*s\n", text, (int)heard_size, heard);
        return;
    }
    const size_t skipped = (size_t)(find(text) - heard) + strlen(text);
    heard_size -= skipped;
    memmove(heard, heard + skipped, heard_size);
}

static void send_text(const char *text) {
    for (; *text != '\0'; text++) {
        char byte = *text;
        if (byte == '\\' && text[1] != '\0') {
            text++;
            byte = *text == 'n' ? '\n' : *text >= '1' && *text <= '7' ? (char)(*text - '0') : *text;
        }
        if (write(terminal, &byte, 1) != 1) printf("cannot send: %s\n", strerror(errno));
    }
}

static void obey(const char *line) {
    if (strncmp(line, "expect ", 7) == 0) {
        expect(line + 7);
    } else if (strncmp(line, "send ", 5) == 0) {
        send_text(line + 5);
    } else if (strncmp(line, "absent ", 7) == 0) {
        if (find(line + 7) != NULL) printf("found '%s'\n", line + 7);
    } else if (strncmp(line, "wait ", 5) == 0) {
        const double end = now() + strtod(line + 5, NULL);
        while (now() < end) (void)listen_for(end - now());
    } else {
        printf("not understood: %s\n", line);
    }
}

int main(int count, char **arguments) {
    if (count < 2) return fprintf(stderr, "usage: talk COMMAND [ARGUMENT...] <DIALOGUE\n"), 2;
    const struct winsize size = {.ws_row = 40, .ws_col = 100};
    const pid_t child = forkpty(&terminal, NULL, NULL, &size);
    if (child == 0) {
        execvp(arguments[1], arguments + 1);
        perror(arguments[1]);
        _exit(127);
    }
    if (child < 0) return perror("forkpty"), 77;
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (*line != '\0' && *line != '#') obey(line);
    }
    const double end = now() + 20.0;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        (void)listen_for(0.05);
        if (now() < end) continue;
        printf("it goes on and on: killed\n");
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
