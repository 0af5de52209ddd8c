// Ends a TCP connection by a reset.
import type { Socket } from "node:net";

/**
 * Discards unsent bytes. Destroys the socket without a reset in two states: after a FIN was sent (a reset fails with EINVAL,
 * and Node would never close the descriptor and spin at the process's end), and while connecting (a reset would wait for the
 * connection).
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
