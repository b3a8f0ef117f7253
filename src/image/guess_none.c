/* For a chip, in place of guess.c: nobody reads a guess there, and its texts take more than a kilobyte. */
#include "image/image.h"

const char *image_guess(struct bytes head)
{
    (void)head;
    return NULL;
}
