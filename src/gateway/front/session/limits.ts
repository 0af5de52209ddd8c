// Owns the bounds of what one client may cost.

/** Calls of one session in flight. */
export const IN_FLIGHT_LIMIT = 512;
/** Streams that one session listens on; the oldest gives way. */
export const LISTENING_LIMIT = 4;
/** Messages of one batch. */
export const BATCH_LIMIT = 100;
/** Unread notifications and questions beyond it cut the stream; results are as large as they are. */
export const BACKLOG_LIMIT_BYTES = 8 * 1024 * 1024;
