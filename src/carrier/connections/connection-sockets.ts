// A carried connection's socket to the server: how it is opened, and how it is reset.
import { Socket } from "node:net";
import { resetSocket } from "../../runtime/reset-socket.ts";

/** The system then asks ten times, a second apart. An outage that a TCP connection can outlive should not end it. */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** A socket that reads into `window`, pauses when `onBytes` says false, and reports every write that was taken. */
export function openServerSide(window: () => Buffer, onBytes: (length: number) => boolean): Socket {
  const options = {
    allowHalfOpen: true,
    // Every write then ends with a "drain".
    writableHighWaterMark: 1,
    onread: { buffer: window, callback: onBytes },
  };
  const socket = new Socket(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
  return socket;
}

/** With a reset the system drops what it has not sent yet; an ordinary end would send it, however late. */
export function resetServerSide(server: Socket): void {
  // An end that is on its way forbids a reset. It follows no bytes that wait here, so one turn of the loop is enough.
  const isEnding = !server.connecting && server.writableEnded && !server.writableFinished;
  if (isEnding && !server.destroyed) server.once("finish", () => resetSocket(server));
  else resetSocket(server);
}
