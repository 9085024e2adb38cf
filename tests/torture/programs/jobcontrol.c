/* What a shell is to its foreground job: runs a command in a process group of its own that has the terminal, and writes what
 * becomes of it to FILE, a line each: `started PID`, `stopped SIGNAL`, `exited CODE`, `killed SIGNAL`.
 *
 *   jobcontrol FILE COMMAND...    standard input is the terminal, and this process leads its session */
#include "mortal.h"

int main(int count, char **words) {
    mortal();
    if (count < 3)
        return 9;
    int file = open(words[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        alarm(0);
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGTTIN, SIG_DFL);
        signal(SIGTSTP, SIG_DFL);
        close(file);
        execv(words[2], words + 2);
        _exit(127);
    }
    setpgid(child, child);
    tcsetpgrp(0, child);
    dprintf(file, "started %d\n", child);
    for (int status; waitpid(child, &status, WUNTRACED) == child;) {
        if (WIFSTOPPED(status))
            dprintf(file, "stopped %d\n", WSTOPSIG(status));
        if (WIFEXITED(status)) {
            dprintf(file, "exited %d\n", WEXITSTATUS(status));
            return 0;
        }
        if (WIFSIGNALED(status)) {
            dprintf(file, "killed %d\n", WTERMSIG(status));
            return 0;
        }
    }
    return 9;
}
