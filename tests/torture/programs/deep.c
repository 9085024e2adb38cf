/* Makes a folder in TMPDIR with DEPTH folders within each other, a file in the deepest; then nobody may enter it.
 *
 *   deep DEPTH [closed]    closed: the outermost and the deepest get mode 000 */
#include "mortal.h"
#include <sys/stat.h>

int main(int count, char **words) {
    mortal();
    int depth = count > 1 ? atoi(words[1]) : 0;
    const char *tmp = getenv("TMPDIR");
    if (!tmp || chdir(tmp) || depth > 2000)
        return 9;
    for (int i = 0; i < depth; i++)
        if (mkdir("folder", 0700) || chdir("folder"))
            return 9;
    int file = open("file", O_WRONLY | O_CREAT, 0600);
    if (file < 0)
        return 9;
    if (has(count, words, "closed"))
        if (chmod(".", 0) || chdir(tmp) || chmod("folder", 0))
            return 9;
    return 0;
}
