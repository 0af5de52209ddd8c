// The two sockets of a carried connection: how the server's is opened, and how each is reset.
import { Socket } from "node:net";

/** The system then asks ten times, a second apart. An outage that a TCP connection can outlive should not end it. */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** A socket that reads into `window`, pauses when `onBytes` says false, and is told of every write that was taken. */
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

export function resetClient(client: Socket): void {
  if (client.destroyed) return;
  // An end that is on its way forbids a reset.
  if (client.writableEnded && !client.writableFinished) client.destroy();
  else client.resetAndDestroy();
}

/** With a reset the system drops what it has not sent yet; an ordinary end would send it, however late. */
export function resetServerSide(server: Socket): void {
  if (server.destroyed) return;
  // Nothing was written to it.
  if (server.connecting) server.destroy();
  // An end that is on its way forbids a reset. It follows no bytes that wait here, so one turn of the loop is enough.
  else if (server.writableEnded && !server.writableFinished)
    server.once("finish", () => server.resetAndDestroy());
  else server.resetAndDestroy();
}
