/* A process that forks its successor, in a session of its own, and exits; and so on, CAP times at the most.
 *
 *   chain CAP FILE [deaf]    how many there were is in the first four bytes of FILE; the first process exits 0 at once */
#include "mortal.h"
#include <sys/mman.h>

int main(int count, char **words) {
    mortal();
    if (count < 3)
        return 9;
    int cap = atoi(words[1]);
    if (cap > 20000)
        cap = 20000;
    int file = open(words[2], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof(int)))
        return 9;
    volatile int *links = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (links == MAP_FAILED)
        return 9;
    if (has(count, words, "deaf"))
        deaf();
    signal(SIGCHLD, SIG_IGN);
    while ((*links)++ < cap) {
        pid_t child = fork();
        if (child != 0)
            _exit(child < 0);
        mortal();
        setsid();
    }
    /* Told apart from a chain that was ended. */
    *links = -1;
    return 0;
}
