// The home's socket for MCP clients. Only the home's owner can connect; each connection is one client.
import type { Socket } from "node:net";
import { createServer } from "node:net";
import type { Duplex } from "node:stream";
import { createDisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { connectionLimit } from "../../runtime/process/connection-limit.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { listenPrivately, MCP_SOCKET } from "./private-socket.ts";

/** Maximum number of clients; further connections are closed at once. */
export const mostMcpConnections = (): number => connectionLimit(256, 1 / 8);
/** Time for a client to read the remaining data when its connection ends, ms. */
const END_DEADLINE_MS = 1_000;

interface McpSocketOptions {
  readonly home: string;
  /**
   * Serves one client that sends lines of JSON-RPC. The client may end its side first; `serve` ends the other side after
   * the last answer.
   */
  readonly serve: (stream: Duplex) => void;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Default: connections that end with the socket. */
  readonly connections?: McpConnections;
}

/** The clients' connections. Disposing ends each one, and destroys the remaining ones after a second. */
export type McpConnections = ReturnType<typeof createMcpConnections>;

export function createMcpConnections(clock: Clock) {
  const sockets = new Set<Socket>();
  return {
    add(socket: Socket): void {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    },
    async [Symbol.asyncDispose]() {
      const cut = clock.setTimer(END_DEADLINE_MS, () => {
        for (const socket of sockets) socket.destroy();
      });
      const closed = [...sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
      );
      for (const socket of sockets) socket.destroySoon();
      await Promise.all(closed);
      cut[Symbol.dispose]();
    },
  };
}

/**
 * Listens at `<home>/mcp.sock`, see `listenPrivately`. The caller must have the home's lock. Disposing removes the
 * socket, and ends the connections unless `connections` was given. Rejects with `path_taken` and `home_unwritable`.
 */
export async function startMcpSocket(options: McpSocketOptions) {
  const { home, serve, logger, clock = systemClock } = options;
  const stack = createDisposalStack((error) => {
    logger.warn("the MCP socket did not end cleanly", { error: errorText(error) });
  });
  const connections = options.connections ?? stack.use(createMcpConnections(clock));
  // A client that pipes its requests ends its side and waits for the answers.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    socket.on("error", () => socket.destroy());
    try {
      serve(socket);
    } catch (error) {
      logger.error("an MCP client could not be served", { error: errorText(error) });
      socket.destroy();
    }
  });
  const most = mostMcpConnections();
  server.maxConnections = most;
  server.on("drop", () => logger.warn("MCP connection dropped", { connections: most }));
  stack.defer(() => void server.close());
  try {
    const socket = stack.use(await listenPrivately(server, home, MCP_SOCKET));
    return { socketPath: socket.path, [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose]() };
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}
