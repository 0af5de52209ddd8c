// The daemon's side of the control socket: one connection, its requests and their deadlines.
import { connect } from "node:net";
import { ERROR_CODES, type ErrorCode, errorText, MountaineerError } from "../../runtime/errors.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  formatLine,
  LINE_BYTES_AT_MOST,
  PROTOCOL_VERSION,
  parseLine,
  speaksWith,
} from "../control/control-messages.ts";

const CONNECT_WITHIN_MS = 2_000;
const REQUESTS_AT_MOST = 1_000;

type Members = Readonly<Record<string, unknown>>;

export interface ControlConnection extends Disposable {
  /** The first characters of the hash of the relay's program. */
  readonly program: string;
  /** May be true already when the caller gets the connection. */
  readonly hasEnded: boolean;
  /** Rejects with `timed_out`, with the signal's reason, with the relay's error, or when the connection ends. */
  call(operation: string, members: Members, deadlineMs: number, signal: AbortSignal): Promise<unknown>;
}

/**
 * null: nothing listens at the control socket. Rejects with `protocol` if the listener is not a relay, or is one of
 * another version. `isInCharge` false: pings are not answered, so that the relay decides for itself if no daemon does.
 */
export async function connectControl(
  path: string,
  clock: Clock,
  listener: { onPush(message: Members): void; onEnd(): void; readonly isInCharge?: boolean },
): Promise<ControlConnection | null> {
  const greeted = Promise.withResolvers<ControlConnection | null>();
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let nextId = 1;
  let ended = false;
  let isGreeted = false;

  const socket = connect(path);
  const end = (error: MountaineerError): void => {
    if (ended) return;
    ended = true;
    deadline[Symbol.dispose]();
    socket.destroy();
    for (const request of waiting.values()) request.reject(error);
    waiting.clear();
    if (isGreeted) listener.onEnd();
    else if (error.code === "protocol") greeted.reject(error);
    else greeted.resolve(null);
  };
  const endOtherwise = (): void => end(unreachable("the relay closed the connection"));
  const deadline = clock.setTimer(CONNECT_WITHIN_MS, () => {
    if (!isGreeted) end(unreachable("the relay does not answer"));
  });
  const onLine = (line: string): void => {
    const message = parseLine(line);
    if (message === null) {
      end(new MountaineerError("protocol", "another program answers at the relay's socket"));
      return;
    }
    const { hello, id, push } = message;
    if (isObject(hello) && !isGreeted) {
      if (!speaksWith(hello["protocol"])) {
        end(new MountaineerError("protocol", `the relay speaks protocol ${String(hello["protocol"])}`));
        return;
      }
      isGreeted = true;
      // A relay of the version before this one pings only who says that it answers.
      socket.write(formatLine({ hello: { protocol: PROTOCOL_VERSION, answers: true } }));
      greeted.resolve(connection(String(hello["program"])));
    } else if (typeof id === "number") {
      const request = waiting.get(id);
      waiting.delete(id);
      if (message["ok"] === true) request?.resolve(message["result"]);
      else request?.reject(errorOf(message));
    } else if (push === "ping") {
      if (listener.isInCharge !== false) socket.write(formatLine({ pong: true }));
    } else if (typeof push === "string" && isGreeted) {
      listener.onPush(message);
    } else if (message["refused"] !== undefined) {
      end(new MountaineerError("protocol", `the relay refused: ${String(message["refused"])}`));
    }
  };
  const connection = (program: string): ControlConnection => ({
    program,
    get hasEnded() {
      return ended;
    },
    call(operation, members, deadlineMs, signal) {
      signal.throwIfAborted();
      if (ended || waiting.size >= REQUESTS_AT_MOST || socket.writableLength > LINE_BYTES_AT_MOST)
        return Promise.reject(unreachable("the relay has exited, or is too busy to answer"));
      const id = nextId;
      nextId += 1;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      waiting.set(id, { resolve, reject });
      const giveUp = (error: unknown): void => {
        waiting.delete(id);
        reject(error);
      };
      const timer = clock.setTimer(deadlineMs, () =>
        giveUp(
          new MountaineerError("timed_out", `the relay did not answer "${operation}"`, {
            retry: "later",
          }),
        ),
      );
      const onAbort = (): void => giveUp(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      socket.write(formatLine({ ...members, id, do: operation }));
      return promise.finally(() => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", onAbort);
      });
    },
    [Symbol.dispose]: endOtherwise,
  });
  const splitter = createLineSplitter(LINE_BYTES_AT_MOST);
  socket.on("data", (chunk) => {
    for (const line of splitter.take(chunk)) if (line !== "") onLine(line);
    if (splitter.overlong) endOtherwise();
  });
  socket.on("error", (error) => end(unreachable(errorText(error))));
  socket.on("close", endOtherwise);
  return greeted.promise;
}

/** The error for a relay that cannot be reached now. */
export function unreachable(text: string): MountaineerError {
  return new MountaineerError("program_unavailable", `the relay cannot be reached: ${text}`, {
    retry: "later",
  });
}

function errorOf({ code, message }: Members): MountaineerError {
  const known = typeof code === "string" && Object.hasOwn(ERROR_CODES, code);
  // `known` is true only if `ERROR_CODES` has the code.
  return new MountaineerError(known ? (code as ErrorCode) : "internal", String(message));
}
