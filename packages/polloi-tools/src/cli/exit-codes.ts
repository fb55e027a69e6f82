/** The command has done what it was asked to do; a server that was asked to stop has stopped. */
export const EXIT_OK = 0;
/** The system refused: a port in use, a connection refused, a full disk. */
export const EXIT_FAILED = 1;
/** The command line is wrong. */
export const EXIT_USAGE = 2;
/** Ctrl-C ended a measurement, which has shown what there was, or, twice, a server that was starting. */
export const EXIT_INTERRUPTED = 130;
/** The reader of standard output has left: 128 and the number of SIGPIPE, as a shell reports it. */
export const EXIT_PIPE = 141;
