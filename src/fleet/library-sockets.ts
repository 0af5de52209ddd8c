// The sockets that the library of NATS opens. When it gives up a server that never greets, it forgets its socket and leaves
// it open, one for each attempt.
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";

const opened = new AsyncLocalStorage<Set<Socket>>();

subscribe("net.client.socket", (message) => {
  if (typeof message !== "object" || message === null || !("socket" in message)) return;
  if (message.socket instanceof Socket) opened.getStore()?.add(message.socket);
});

/** What `connecting` opens is closed when it rejects. */
export async function withItsSockets<T>(connecting: () => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  try {
    return await opened.run(sockets, connecting);
  } catch (error) {
    for (const socket of sockets) {
      // The library has taken its own listeners off.
      socket.on("error", () => {});
      socket.destroy();
    }
    throw error;
  }
}
