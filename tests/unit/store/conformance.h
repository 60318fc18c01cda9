/* The parts of the conformance suite; each gives the number of failed tests. */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

int run_write_conformance(void);
int run_list_conformance(void);
int run_read_conformance(void);
int run_feed_conformance(void);

#endif
