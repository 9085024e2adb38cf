/* Writes MIB mebibytes to standard output as fast as it can, then exits with CODE.
 *
 *   flood MIB CODE [lines]    in lines, or without a single newline */
#include "mortal.h"

static char block[1 << 20];

int main(int count, char **words) {
    mortal();
    if (count < 3)
        return 9;
    memset(block, 'x', sizeof block);
    if (has(count, words, "lines"))
        for (size_t i = 99; i < sizeof block; i += 100)
            block[i] = '\n';
    for (int i = 0; i < atoi(words[1]); i++)
        if (write(1, block, sizeof block) != sizeof block)
            return 9;
    return atoi(words[2]);
}
