/*
 * move.h - `pluviod migrate FROM TO [IMAGES-FROM IMAGES-TO]`: an installation moves to another database, and its images
 * to another place.
 */
#ifndef PLUVIO_PLUVIOD_MOVE_H
#define PLUVIO_PLUVIOD_MOVE_H

/* The process's exit status. */
int move_main(int argc, char **argv);

#endif
