/* What every program here begins with, and every process that it forks: it ends by itself after a minute, whatever it ignores,
 * and leaves no core. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void mortal(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGALRM, SIG_DFL);
    alarm(60);
}

/* Whether a word is among the arguments. */
static inline int has(int count, char **words, const char *word) {
    for (int i = 1; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return 1;
    return 0;
}

static inline void deaf(void) {
    for (int number = 1; number < 32; number++)
        if (number != SIGALRM && number != SIGCHLD)
            signal(number, SIG_IGN);
}
