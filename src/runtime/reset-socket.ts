// Ends a TCP connection by a reset, whatever it is just doing.
import type { Socket } from "node:net";

/**
 * What was written and not sent yet is dropped. A connection whose own end is on its way cannot be reset (EINVAL): Node would
 * never close its descriptor, and the process would spin for ever when it ends. A reset of one that is still connecting
 * would wait for the connection. Both are closed as they are.
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || isEnding) socket.destroy();
  else socket.resetAndDestroy();
}
