/* Starts COUNT processes, every third in a session of its own, every fifth deaf to all signals; each stays.
 *
 *   bomb COUNT stay    waits with them
 *   bomb COUNT         exits 0 once all are up */
#include "mortal.h"

int main(int count, char **words) {
    mortal();
    int number = count > 1 ? atoi(words[1]) : 0;
    if (number > 200)
        number = 200;
    int up[2];
    if (pipe(up))
        return 9;
    for (int i = 0; i < number; i++) {
        pid_t child = fork();
        if (child < 0)
            return 9;
        if (child == 0) {
            mortal();
            if (i % 3 == 0)
                setsid();
            if (i % 5 == 0)
                deaf();
            close(up[0]);
            close(up[1]);
            for (;;)
                pause();
        }
    }
    close(up[1]);
    char byte;
    if (read(up[0], &byte, 1) != 0)
        return 9;
    while (has(count, words, "stay"))
        pause();
    return 0;
}
