// A connection to a message bus: authentication, calls with deadlines, and answers to incoming calls.
import { connect, type Socket } from "node:net";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { createMessageReader, encodeMessage, type Message } from "./message.ts";

export const BUS_NAME = "org.freedesktop.DBus";
export const BUS_PATH = "/org/freedesktop/DBus";

const SIGN_IN_DEADLINE_MS = 5_000;
const CALL_DEADLINE_MS = 5_000;
/** Unsent bytes after which a bus that does not read is given up. */
const UNSENT_LIMIT = 8 * 1024 * 1024;
const LONGEST_GREETING = 16 * 1024;

interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Default: none. */
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

export interface BusSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

export type BusReply =
  | { readonly signature: string; readonly body: readonly unknown[] }
  | { readonly errorName: string; readonly text: string };

export interface BusOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Answers each incoming call; a thrown MountaineerError is answered as an error. */
  readonly onCall: (call: Message) => BusReply;
  /** Called with each signal that AddMatch has subscribed to. */
  readonly onSignal: (signal: Message) => void;
}

export interface BusConnection extends Disposable {
  /** The connection's name on the bus, such as `:1.42`. */
  readonly uniqueName: string;
  /**
   * Resolves with the answer's body. Rejects with `protocol` for an error (its name first in the message), `timed_out`
   * after 5 s, `daemon_unreachable` when the connection ends.
   */
  call(call: BusCall): Promise<readonly unknown[]>;
  emit(signal: BusSignal): void;
  /** Resolves with the reason when either side ends the connection. */
  readonly closed: Promise<string>;
}

/** Connects and signs in. Rejects with `daemon_unreachable`, `permission_denied`, `timed_out`, or the signal's reason. */
export async function connectToBus(socketPath: string, options: BusOptions): Promise<BusConnection> {
  const { clock, signal } = options;
  signal.throwIfAborted();
  const socket = connect(socketPath);
  const limit = new AbortController();
  using _timer = clock.setTimer(SIGN_IN_DEADLINE_MS, () => limit.abort());
  const either = AbortSignal.any([signal, limit.signal]);
  const cut = (): void => void socket.destroy();
  either.addEventListener("abort", cut, { once: true });
  try {
    await signIn(socket);
    const connection = serve(socket, options);
    const [name] = await connection.call({
      destination: BUS_NAME,
      path: BUS_PATH,
      interface: BUS_NAME,
      member: "Hello",
    });
    const disposing = (): void => connection[Symbol.dispose]();
    signal.addEventListener("abort", disposing, { once: true });
    void connection.closed.then(() => signal.removeEventListener("abort", disposing));
    return { ...connection, uniqueName: String(name) };
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    if (limit.signal.aborted)
      throw new MountaineerError("timed_out", "the session bus does not answer", { cause: error });
    throw error;
  } finally {
    either.removeEventListener("abort", cut);
  }
}

/**
 * Signs in as the user of this process. The bus then sends nothing unasked, so no byte of a message is lost.
 */
function signIn(socket: Socket): Promise<void> {
  const user = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
  return new Promise((resolve, reject) => {
    let greeting = Buffer.alloc(0);
    const conclude = (finish: () => void): void => {
      socket.off("data", onData).off("error", onError).off("close", onClose);
      finish();
    };
    const fail = (code: "daemon_unreachable" | "permission_denied", why: string): void =>
      conclude(() => reject(new MountaineerError(code, `the session bus cannot be used: ${why}`)));
    const onError = (error: Error): void => fail("daemon_unreachable", errorText(error));
    const onClose = (): void => fail("daemon_unreachable", "it ended the connection");
    const onData = (chunk: Buffer): void => {
      greeting = Buffer.concat([greeting, chunk]);
      const end = greeting.indexOf("\r\n");
      if (end < 0) {
        if (greeting.length > LONGEST_GREETING) fail("daemon_unreachable", "it speaks another protocol");
        return;
      }
      const line = greeting.toString("latin1", 0, end);
      if (!line.startsWith("OK ")) {
        fail("permission_denied", `it refused this user (${line.slice(0, 80)})`);
        return;
      }
      conclude(() => {
        socket.write("BEGIN\r\n");
        resolve();
      });
    };
    socket.on("data", onData).on("error", onError).on("close", onClose);
    socket.once("connect", () => socket.write(`\0AUTH EXTERNAL ${user}\r\n`));
  });
}

interface Waiting {
  readonly resolve: (body: readonly unknown[]) => void;
  readonly reject: (error: MountaineerError) => void;
  readonly timer: Timer;
}

function serve(socket: Socket, options: BusOptions): Omit<BusConnection, "uniqueName"> {
  const { clock, onCall, onSignal } = options;
  const waiting = new Map<number, Waiting>();
  const closed = Promise.withResolvers<string>();
  const readMessages = createMessageReader();
  let lastSerial = 0;
  let endedBecause: string | null = null;

  /** Removes and returns the call that waits for the answer to `serial`, and stops its deadline. */
  const taken = (serial: number): Waiting | undefined => {
    const waiter = waiting.get(serial);
    waiting.delete(serial);
    waiter?.timer[Symbol.dispose]();
    return waiter;
  };
  const end = (reason: string): void => {
    endedBecause ??= reason;
    socket.destroy();
    for (const serial of [...waiting.keys()]) taken(serial)?.reject(gone(endedBecause));
    closed.resolve(endedBecause);
  };
  const send = (message: Omit<Message, "serial">): number => {
    lastSerial = (lastSerial % 0xffff_ffff) + 1;
    const bytes = encodeMessage({ ...message, serial: lastSerial });
    socket.write(bytes);
    if (socket.writableLength > UNSENT_LIMIT) end("the session bus takes in nothing more");
    return lastSerial;
  };
  const answer = (call: Message): void => {
    const reply = replyTo(call, onCall);
    if (call.noReply === true) return;
    const to = {
      replySerial: call.serial,
      ...(call.sender === undefined ? {} : { destination: call.sender }),
    };
    if ("errorName" in reply)
      send({ type: "error", ...to, errorName: reply.errorName, signature: "s", body: [reply.text] });
    else send({ type: "return", ...to, signature: reply.signature, body: reply.body });
  };
  const conclude = (message: Message): void => {
    const waiter = taken(message.replySerial ?? 0);
    if (message.type === "return") waiter?.resolve(message.body);
    else {
      const text = typeof message.body[0] === "string" ? message.body[0] : "no reason given";
      waiter?.reject(new MountaineerError("protocol", `${message.errorName ?? "error"}: ${text}`));
    }
  };
  const receive = (chunk: Buffer): void => {
    try {
      for (const message of readMessages(chunk)) {
        if (message.type === "call") answer(message);
        else if (message.type === "signal") onSignal(message);
        else conclude(message);
      }
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      end(errorText(error));
    }
  };

  socket.on("data", receive);
  socket.on("error", (error) => end(`the session bus broke the connection: ${error.message}`));
  socket.on("close", () => end("the session bus ended the connection"));
  return {
    closed: closed.promise,
    emit: (signal) => void send({ type: "signal", ...signal }),
    call({ signature = "", body = [], ...call }) {
      if (endedBecause !== null) return Promise.reject(gone(endedBecause));
      return new Promise((resolve, reject) => {
        const serial = send({ type: "call", ...call, signature, body });
        const timer = clock.setTimer(CALL_DEADLINE_MS, () => {
          const what = `${call.destination} did not answer ${call.member}`;
          const text = `${what} within ${CALL_DEADLINE_MS / 1000} s`;
          taken(serial)?.reject(new MountaineerError("timed_out", text));
        });
        waiting.set(serial, { resolve, reject, timer });
      });
    },
    [Symbol.dispose]: () => end("closed"),
  };
}

function replyTo(call: Message, onCall: BusOptions["onCall"]): BusReply {
  try {
    return onCall(call);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return { errorName: "org.freedesktop.DBus.Error.Failed", text: error.message };
  }
}

function gone(reason: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", reason);
}
