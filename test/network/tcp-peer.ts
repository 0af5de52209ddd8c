// Small TCP peers on loopback, each of which misbehaves in one way.
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** Listens on `address`; `treat` gets each connection. Ended with all its connections after the test. */
export async function startPeer(
  t: TestContext,
  treat: (socket: Socket) => void,
  address = "127.0.0.1",
  port = 0,
) {
  const sockets = new Set<Socket>();
  /** Where each connection came from. */
  const from: string[] = [];
  const server: Server = createServer((socket) => {
    from.push(socket.remoteAddress ?? "");
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    treat(socket);
  });
  await once(server.listen(port, address), "listening");
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  return {
    port: bound.port,
    from,
    /** Connections taken so far. */
    get connections() {
      return from.length;
    },
    /** Connections that are open now. */
    get open() {
      return sockets.size;
    },
  };
}

/** Reads and never answers. */
export function staySilent(socket: Socket): void {
  socket.resume();
}

/** Answers any question as an SMB 3.1.1 server does NEGOTIATE. */
export function answerNegotiate(socket: Socket): void {
  socket.once("data", () => socket.write(NEGOTIATE_ANSWER));
}

export const NEGOTIATE_ANSWER = ((): Buffer => {
  const packet = Buffer.alloc(4 + 129);
  packet.writeUInt32BE(129, 0);
  packet.write("\xfeSMB", 4, "latin1");
  packet.writeUInt16LE(64, 8);
  packet.writeUInt32LE(1, 20);
  packet.writeUInt16LE(65, 68);
  packet.writeUInt16LE(0x0311, 72);
  return packet;
})();
