/** All went well; a server that was asked to stop has stopped. */
export const EXIT_OK = 0;
/** The system refused: a port in use, a connection refused. */
export const EXIT_FAILED = 1;
/** The command line asks for something that there is not. */
export const EXIT_USAGE = 2;
/** A measurement was ended by Ctrl-C, and has shown what there was. */
export const EXIT_INTERRUPTED = 130;
