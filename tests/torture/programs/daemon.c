/* Leaves a daemon behind as the books teach it: fork, setsid, fork, and exits 0 once the daemon is up.
 *
 *   bare      the daemon empties its environment and calls itself another name
 *   deaf      it ignores every signal that can be ignored
 *   holding   it keeps standard output and error open
 *   writing   it writes to them for ever (at most 64 MiB)
 *   nested    it is a subreaper with children of its own
 *   stopped   it stops itself
 *   lifeline  it opens every pipe of its supervisor, to write or else to read, and keeps it open */
#include "mortal.h"
#include <dirent.h>
#include <sys/prctl.h>

static void hold_pipes_of(pid_t other) {
    char path[64], file[512];
    snprintf(path, sizeof path, "/proc/%d/fd", other);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (open(file, O_WRONLY | O_NONBLOCK) < 0)
            open(file, O_RDONLY | O_NONBLOCK);
    }
}

/* Where the daemon keeps the pipe that its closing says that it is up by. */
#define UP 200

int main(int count, char **words) {
    mortal();
    pid_t supervisor = getppid();
    if (!has(count, words, "again")) {
        int up[2];
        if (pipe(up) || dup2(up[1], UP) != UP || close(up[1]))
            return 9;
        pid_t child = fork();
        if (child < 0)
            return 9;
        if (child > 0) {
            char byte;
            close(UP);
            /* The one between must have gone, or it would be counted too. */
            return read(up[0], &byte, 1) == 0 && waitpid(child, NULL, 0) == child ? 0 : 9;
        }
        setsid();
        if (fork() != 0)
            _exit(0);
        mortal();
        if (has(count, words, "lifeline"))
            hold_pipes_of(supervisor);
        if (has(count, words, "bare")) {
            char *bare[count + 2];
            char *none[] = {NULL};
            memcpy(bare, words, sizeof(char *) * count);
            bare[0] = "[kworker/0:7]";
            bare[count] = "again";
            bare[count + 1] = NULL;
            execve("/proc/self/exe", bare, none);
            _exit(9);
        }
    }
    if (has(count, words, "deaf"))
        deaf();
    if (chdir("/"))
        _exit(9);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    if (!has(count, words, "holding") && !has(count, words, "writing")) {
        dup2(null, 1);
        dup2(null, 2);
    }
    if (has(count, words, "nested")) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        /* No zombies: what is counted is what runs. */
        signal(SIGCHLD, SIG_IGN);
        for (int i = 0; i < 5; i++) {
            pid_t between = fork();
            if (between == 0) {
                mortal();
                setsid();
                if (fork() != 0)
                    _exit(0);
                mortal();
                close(UP);
                for (;;)
                    pause();
            }
            /* It closes its end of the pipe a moment before it is gone, and would be counted. */
            waitpid(between, NULL, 0);
        }
    }
    close(UP);
    if (has(count, words, "stopped"))
        raise(SIGSTOP);
    static char text[65536];
    memset(text, 'x', sizeof text);
    if (has(count, words, "writing"))
        for (int i = 0; i < 1024; i++)
            if (write(1, text, sizeof text) < 0)
                break;
    for (;;)
        pause();
}
