/* Dies by signal NUMBER, with its default action. */
#include "mortal.h"

int main(int count, char **words) {
    mortal();
    int number = count > 1 ? atoi(words[1]) : 0;
    sigset_t all;
    sigfillset(&all);
    signal(number, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    raise(number);
    return 9;
}
