// Ends a TCP connection by a reset, whatever its state.
import type { Socket } from "node:net";

/**
 * Drops what was written and not sent yet. Two kinds are closed as usual: a connection whose own end was sent already
 * (a reset fails with EINVAL, Node would never close its descriptor, and the process would spin at its end), and one
 * that is still connecting (a reset would wait for the connection).
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
