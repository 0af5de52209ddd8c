// A server that speaks just enough SMB2 for the carrier, answers what it is told to, and writes down what it gets.
import { createServer, type Server, type Socket } from "node:net";
import type { RouteEndpoint } from "../../src/relay/relay.ts";
import { FrameReader } from "../../src/relay/smb/smb-frames.ts";
import { ANSWER, answerTo, COMMAND, negotiated } from "./smb-messages.ts";

export interface FakeConnection {
  readonly socket: Socket;
  /** All that came. */
  readonly bytes: Buffer;
  /** The message ids that came and have no answer. */
  readonly unanswered: { readonly command: number; readonly messageId: number }[];
  /** How it ended. */
  ending: "open" | "end" | "reset";
  /** It asked NEGOTIATE, as only the carrier does here. */
  isProof: boolean;
}

export interface FakeNas extends AsyncDisposable {
  readonly endpoint: RouteEndpoint;
  readonly connections: readonly FakeConnection[];
  /** Those of mounts, which are not the carrier's own. */
  joined(): readonly FakeConnection[];
  /**
   * `answer`: all. `silent`: nothing at all, NEGOTIATE neither. `withhold`: only NEGOTIATE. `unproved`: all but NEGOTIATE.
   * `deaf`: connections that come now are not read.
   */
  mode: "answer" | "silent" | "withhold" | "unproved" | "deaf";
  guid: Buffer;
  /** The status of answers to requests to log in; null: it gives none. */
  logon: number | null;
  /** Stops listening, and ends what there is. */
  stop(): Promise<void>;
  /** Listens again at the same port. */
  start(): Promise<void>;
}

export interface FakeNasOptions {
  readonly host?: string;
  readonly port?: number;
  readonly guid?: Buffer;
  /** The address that the carrier leaves from; the system chooses by default. */
  readonly from?: string;
  /** Bytes after the header of each answer to a READ. */
  readonly answerBytes?: number;
}

/** What every test gives its servers, unless they are to be told apart. */
export const ONE_GUID = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

export async function startFakeNas(options: FakeNasOptions = {}): Promise<FakeNas> {
  const { host = "127.0.0.1", answerBytes = 16 } = options;
  const connections: FakeConnection[] = [];
  let server: Server | null = null;
  let port = options.port ?? 0;

  const onConnection = (socket: Socket): void => {
    let pieces: Buffer[] = [];
    const connection: FakeConnection = {
      socket,
      get bytes() {
        const whole = Buffer.concat(pieces);
        pieces = [whole];
        return whole;
      },
      unanswered: [],
      ending: "open",
      isProof: false,
    };
    connections.push(connection);
    const reader = new FrameReader({
      message(command, flags, messageId) {
        if ((flags & ANSWER) !== 0) return;
        if (command === COMMAND.negotiate) {
          connection.isProof = true;
          if (nas.mode !== "silent" && nas.mode !== "unproved") socket.write(negotiated(nas.guid));
          return;
        }
        connection.unanswered.push({ command, messageId });
      },
      opaque() {},
      frameEnd() {
        if (nas.mode !== "answer" && nas.mode !== "unproved") return;
        for (const { command, messageId } of connection.unanswered.splice(0)) {
          const status = command === COMMAND.sessionSetup ? nas.logon : 0;
          if (command === COMMAND.changeNotify || status === null) continue;
          socket.write(answerTo(command, messageId, Buffer.alloc(answerBytes, messageId & 0xff), status));
        }
      },
    });
    if (nas.mode === "deaf") socket.pause();
    socket.on("data", (chunk: Buffer) => {
      pieces.push(chunk);
      reader.push(chunk, 0, false);
    });
    socket.on("end", () => {
      if (connection.ending === "open") connection.ending = "end";
      socket.end();
    });
    socket.on("error", () => {
      connection.ending = "reset";
    });
  };
  const start = async (): Promise<void> => {
    const next = createServer({ allowHalfOpen: true }, onConnection);
    await new Promise<void>((resolve, reject) => {
      next.once("error", reject);
      next.listen({ host, port, backlog: 1024 }, resolve);
    });
    server = next;
    const address = next.address();
    if (typeof address === "object" && address !== null) port = address.port;
  };
  const stop = async (): Promise<void> => {
    const ending = server;
    server = null;
    if (ending === null) return;
    const closed = new Promise<void>((resolve) => ending.close(() => resolve()));
    for (const { socket } of connections) socket.destroy();
    await closed;
  };
  const nas: FakeNas = {
    get endpoint() {
      return { address: host, port, localAddress: options.from ?? null };
    },
    connections,
    joined: () => connections.filter(({ isProof }) => !isProof),
    mode: "answer",
    guid: options.guid ?? ONE_GUID,
    logon: 0,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
  await start();
  return nas;
}
