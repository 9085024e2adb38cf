// How cheaply this machine runs jobs: the programs named by a list of files, LANES at a time, with the duties that a test
// runner has and nothing else. It is what `benches/spawn` measures others against.
//
//     cc -O2 -o limit limit.c
//     limit LANES SCRATCH <list
//
// Duties, the same as those of `src/worker`: a private temporary folder, captured output in a file without a name, standard
// input from /dev/null, a session of its own, the folder to run in, a dozen variables, a pidfd that is polled together with a
// lifeline, the exit status, a look for what was left running. When a duty changes there, it changes here: otherwise the
// ratio means nothing. What is missing on purpose is all that could be done better: listing, planning, messages, reports.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VARIABLES = 12, STACK = 64 * 1024, MOST = 100000 };

static char *jobs[MOST];
static int count;
static const char *scratch;

struct job {
    char *program, **environment;
    const char *folder;
    int output, null;
};

static void need(int ok, const char *what) {
    if (ok) return;
    perror(what);
    _exit(1);
}

// Runs in the lane's own memory until execve, and only the lane's thread waits meanwhile: clone(2), CLONE_VFORK. Nothing
// here may write to what the lane reads later.
static int child(void *argument) {
    struct job *job = argument;
    dup2(job->null, 0);
    dup2(job->output, 1);
    dup2(job->output, 2);
    setsid();
    if (chdir(job->folder)) _exit(127);
    char *words[] = {job->program, NULL};
    execve(job->program, words, job->environment);
    _exit(127);
}

// Ours looks into the folder before it removes it, because jobs leave files there.
static void remove_folder(const char *path) {
    DIR *folder = opendir(path);
    need(folder != NULL, path);
    while (readdir(folder)) {}
    closedir(folder);
    need(rmdir(path) == 0, path);
}

static void run(struct job *job, char *stack, int lifeline, const char *tmp, const char *capture) {
    need(mkdir(tmp, 0700) == 0, tmp);
    job->output = open(capture, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(job->output >= 0, capture);
    unlink(capture);
    job->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int handle = -1;
    int pid = clone(child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, job, &handle);
    need(pid > 0, "clone");
    close(job->null);
    struct pollfd polled[] = {{.fd = handle, .events = POLLIN}, {.fd = lifeline, .events = POLLIN}};
    need(poll(polled, 2, 60000) > 0, "poll");
    int status;
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    close(handle);
    if (status) {
        fprintf(stderr, "%s: status %d\n", job->program, status);
        _exit(1);
    }
    need(waitpid(-1, NULL, WNOHANG) < 0, "something was left running");
    char output[4096];
    need(pread(job->output, output, sizeof output, 0) >= 0, "pread");
    close(job->output);
    remove_folder(tmp);
}

static void lane(int number, atomic_int *next, int lifeline) {
    static char stack[STACK] __attribute__((aligned(16)));
    extern char **environ;
    char tmp[4096], capture[4096], folder[4096];
    snprintf(tmp, sizeof tmp, "%s/%d-%d", scratch, getpid(), number);
    snprintf(capture, sizeof capture, "%s/%d-%d.output", scratch, getpid(), number);
    need(getcwd(folder, sizeof folder) != NULL, "getcwd");
    int inherited = 0;
    while (environ[inherited]) inherited++;
    char **environment = calloc(inherited + VARIABLES + 1, sizeof *environment);
    memcpy(environment, environ, inherited * sizeof *environment);
    for (int i = 0; i < VARIABLES; i++)
        need(asprintf(&environment[inherited + i], "JOB_VARIABLE_%d=%s", i, tmp) > 0, "asprintf");
    for (int i; (i = atomic_fetch_add(next, 1)) < count;) {
        struct job job = {.program = jobs[i], .environment = environment, .folder = folder};
        run(&job, stack, lifeline, tmp, capture);
    }
    _exit(0);
}

int main(int arguments, char **words) {
    if (arguments != 3) {
        fprintf(stderr, "limit LANES SCRATCH <LIST\n");
        return 2;
    }
    int lanes = atoi(words[1]), lifeline[2];
    scratch = words[2];
    char *line = NULL;
    size_t room = 0;
    for (ssize_t length; count < MOST && (length = getline(&line, &room, stdin)) > 0; count++) {
        line[strcspn(line, "\n")] = 0;
        jobs[count] = strdup(line);
    }
    // Processes and not threads, as our workers are: they share neither memory nor a table of descriptors.
    atomic_int *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(next != MAP_FAILED, "mmap");
    need(pipe2(lifeline, O_CLOEXEC) == 0, "pipe2");
    for (int i = 0; i < lanes; i++) {
        int pid = fork();
        need(pid >= 0, "fork");
        if (pid == 0) lane(i, next, lifeline[0]);
    }
    int failed = 0;
    for (int status; wait(&status) > 0;) failed |= status != 0;
    return failed;
}
