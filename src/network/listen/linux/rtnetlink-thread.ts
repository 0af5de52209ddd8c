// The shared memory by which the main thread stops the rtnetlink thread.

/** Slots of the shared Int32Array: stop is asked for by 1. */
export const STOP_SLOT = 0;
/** The eventfd that wakes the thread, plus one; 0 while there is none. */
export const EVENT_FD_SLOT = 1;
export const CONTROL_BYTES = 8;
