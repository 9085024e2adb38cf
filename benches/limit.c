// How cheaply this machine runs jobs: the programs named by a list of files, LANES at a time, with the duties that a test
// runner has and nothing else. It is what `benches/spawn` measures others against.
//
//     cc -O2 -o limit limit.c
//     limit LANES CAPTURES SCRATCH <list
//
// Duties, the same as those of `src/worker`: a private temporary folder, made and removed; captured output in a file without
// a name, and a look at how long it is; standard input from /dev/null; a session of its own, and so a group; the folder to
// run in; 50 variables besides those that are inherited; a pidfd that is polled together with a lifeline; the exit status and
// the usage; a look for what was left running. When a duty changes there, it changes here: otherwise the ratio means nothing.
//
// CAPTURES is 1 for the same duties: we capture standard output and error in one file, so that their lines stay in order. With
// 2 each has a file of its own, as some runners do it; that is one more file than we make.
//
// Whatever can be made once a lane is (variables, paths, /dev/null), and the cheapest call is taken: what a clean job that
// wrote nothing needs at the least. What is missing on purpose is all that could be done better: listing, planning, messages,
// reports, a journal; and that signals are blocked around the clone, which only a program with handlers must do.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VARIABLES = 50, STACK = 64 * 1024, MOST = 100000 };

static char *jobs[MOST];
static int count;
static const char *scratch;
static int captures;

struct job {
    char *program, **environment;
    const char *folder;
    int output, errors, null;
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
    dup2(job->errors, 2);
    setsid();
    if (chdir(job->folder)) _exit(127);
    char *words[] = {job->program, NULL};
    execve(job->program, words, job->environment);
    _exit(127);
}

static int capture(void) {
    int file = open(scratch, O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    need(file >= 0, scratch);
    return file;
}

// A clean job has written nothing, so nothing is read.
static void look(int file) {
    struct stat about;
    need(fstat(file, &about) == 0 && about.st_size == 0, "something was written");
    close(file);
}

static void run(struct job *job, char *stack, int lifeline, const char *tmp) {
    need(mkdir(tmp, 0700) == 0, tmp);
    job->output = job->errors = capture();
    if (captures == 2) job->errors = capture();
    int handle = -1;
    int pid = clone(child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, job, &handle);
    need(pid > 0, "clone");
    struct pollfd polled[] = {{.fd = handle, .events = POLLIN}, {.fd = lifeline, .events = POLLIN}};
    need(poll(polled, 2, 60000) > 0, "poll");
    int status;
    struct rusage usage;
    need(wait4(pid, &status, 0, &usage) == pid, "wait4");
    close(handle);
    if (status) {
        fprintf(stderr, "%s: status %d\n", job->program, status);
        _exit(1);
    }
    need(waitpid(-1, NULL, WNOHANG) < 0, "something was left running");
    look(job->output);
    if (captures == 2) look(job->errors);
    need(rmdir(tmp) == 0, tmp);
}

static void lane(int number, atomic_int *next, int lifeline) {
    static char stack[STACK] __attribute__((aligned(16)));
    extern char **environ;
    char tmp[4096], folder[4096];
    snprintf(tmp, sizeof tmp, "%s/%d-%d", scratch, getpid(), number);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    need(null >= 0, "/dev/null");
    need(getcwd(folder, sizeof folder) != NULL, "getcwd");
    int inherited = 0;
    while (environ[inherited]) inherited++;
    char **environment = calloc(inherited + VARIABLES + 1, sizeof *environment);
    memcpy(environment, environ, inherited * sizeof *environment);
    for (int i = 0; i < VARIABLES; i++)
        need(asprintf(&environment[inherited + i], "JOB_VARIABLE_%d=%s", i, tmp) > 0, "asprintf");
    for (int i; (i = atomic_fetch_add(next, 1)) < count;) {
        struct job job = {.program = jobs[i], .environment = environment, .folder = folder, .null = null};
        run(&job, stack, lifeline, tmp);
    }
    _exit(0);
}

int main(int arguments, char **words) {
    if (arguments != 4) {
        fprintf(stderr, "limit LANES CAPTURES SCRATCH <LIST\n");
        return 2;
    }
    int lanes = atoi(words[1]), lifeline[2];
    captures = atoi(words[2]);
    scratch = words[3];
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
