// A relayed connection's socket to the server: how it is opened, and how it is reset.
import { Socket } from "node:net";
import { resetSocket } from "../../runtime/reset-socket.ts";

/**
 * After this long without data, ms, the system sends ten keep-alives, a second apart. It is this long so that
 * idle connections survive short outages.
 */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** A socket that reads into `window()`, pauses when `onBytes` returns false, and emits "drain" after every write. */
export function openServerSide(window: () => Buffer, onBytes: (length: number) => boolean): Socket {
  const options = {
    allowHalfOpen: true,
    writableHighWaterMark: 1,
    onread: { buffer: window, callback: onBytes },
  };
  const socket = new Socket(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
  return socket;
}

/**
 * Resets the connection, so that the system drops unsent bytes; an ordinary end would send them, however
 * late.
 */
export function resetServerSide(server: Socket): void {
  // A socket that is ending cannot be reset before "finish", which comes soon because no bytes wait before the end.
  const isEnding = !server.connecting && server.writableEnded && !server.writableFinished;
  if (isEnding && !server.destroyed) server.once("finish", () => resetSocket(server));
  else resetSocket(server);
}
