// A daemon's socket that can hang: its events go on, and no other question gets an answer.
import { connect, createServer, type Socket } from "node:net";
import { EVENT_STREAM_PATH } from "../../src/api/contract/contract.ts";
import { defaultSocketPath } from "../../src/api/socket/private-socket.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

const EVENTS = `GET ${EVENT_STREAM_PATH} `;

/** Stands in front of the server at `socketPath`, and passes on what is said. */
export async function startHangingApi(t: Scope, socketPath: string) {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    // Either side may cut a connection at any time.
    return socket.on("error", () => {}).on("close", () => void sockets.delete(socket));
  };
  let hangs = false;
  let waiting = 0;
  let mostWaiting = 0;
  const hold = (asking: Socket): void => {
    waiting += 1;
    mostWaiting = Math.max(mostWaiting, waiting);
    asking.once("close", () => {
      waiting -= 1;
    });
    asking.resume();
  };
  const pass = (asking: Socket, said: Buffer): void => {
    const answering = keep(connect(socketPath));
    answering.write(said);
    asking.pipe(answering).pipe(asking);
    asking.once("close", () => answering.destroy());
    answering.once("close", () => asking.destroy());
  };
  const server = createServer((asking) => {
    keep(asking);
    let said = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      said = Buffer.concat([said, chunk]);
      if (said.length < EVENTS.length) return;
      asking.off("data", onData);
      const isEvents = said.toString("latin1", 0, EVENTS.length) === EVENTS;
      if (hangs && !isEvents) hold(asking);
      else pass(asking, said);
    };
    asking.on("data", onData);
  });
  /** As `cut`, and nobody listens any more. */
  const end = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(end);
  /** Where it is found, with the home's usual path. */
  const home = await temporaryFolder(t);
  await new Promise<void>((resolve) => server.listen(defaultSocketPath(home), resolve));
  return {
    home,
    /** What is asked from now on gets no answer, events apart. */
    hang() {
      hangs = true;
    },
    /** What is asked from now on is answered; what waits goes on waiting. */
    goOn() {
      hangs = false;
    },
    /** Ends all connections, as a daemon does that ends. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    end,
    /** How many wait for an answer that does not come, now. */
    get waiting() {
      return waiting;
    },
    /** The most that ever did at once. */
    get mostWaiting() {
      return mostWaiting;
    },
  };
}
