// Ends a TCP connection by a reset.
import type { Socket } from "node:net";

/**
 * Resets the connection and discards unsent bytes. In two states, the socket is destroyed without a reset:
 * after a FIN was sent (a reset fails with EINVAL, and Node would never close the descriptor and spin at the
 * process's end), and while connecting (a reset would wait for the connection).
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
