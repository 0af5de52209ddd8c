// The two sockets of a carried connection: the server's, which reads into one buffer, and how each is reset.
import { Socket } from "node:net";

/** What the server sends is read into one buffer for each connection, larger while much comes. */
const SMALL_BUFFER_BYTES = 8 * 1024;
const LARGE_BUFFER_BYTES = 64 * 1024;
const SMALL_READS_BEFORE_SHRINKING = 64;
/** The system then asks ten times, a second apart. An outage that a TCP connection can outlive should not end it. */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** A socket that reads into a buffer of its own, which is small at rest, and is told of every write that was taken. */
export function openServerSide(onBytes: (length: number, buffer: Uint8Array) => boolean): Socket {
  let buffer = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
  let smallReads = 0;
  let isFree = true;
  const options = {
    allowHalfOpen: true,
    // Every write then ends with a "drain".
    writableHighWaterMark: 1,
    onread: {
      buffer: (): Buffer => {
        if (!isFree) return buffer;
        if (smallReads < 0 && buffer.length === SMALL_BUFFER_BYTES)
          buffer = Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
        else if (smallReads >= SMALL_READS_BEFORE_SHRINKING && buffer.length === LARGE_BUFFER_BYTES)
          buffer = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
        return buffer;
      },
      callback: (length: number, bytes: Uint8Array): boolean => {
        if (length === buffer.length) smallReads = -1;
        else if (length < SMALL_BUFFER_BYTES) smallReads = Math.max(0, smallReads) + 1;
        else smallReads = 0;
        isFree = onBytes(length, bytes);
        return isFree;
      },
    },
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
