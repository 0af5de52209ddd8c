// Owns MCP over a child process' stdin and stdout: newline-delimited JSON both ways, bounded, and the end of the whole
// process group whichever way the program ends.

import { errorText } from "../../../../runtime/errors.ts";
import { withoutByteOrderMark } from "../../../../runtime/text/byte-order-mark.ts";
import { parseExactly } from "../../../../runtime/text/exact-json.ts";
import { createLineSplitter } from "../../../../runtime/text/line-splitter.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { settledWithin } from "../../../../runtime/time/clock.ts";
import type { RpcMessage } from "../../../json-rpc.ts";
import type { BackendLink, LinkEvents, LinkFailure, OpenLink } from "../backend-link.ts";
import { closedLink } from "../closed-link.ts";
import { createLineCleaner } from "../line-cleaner.ts";
import { linkText } from "../link-text.ts";
import { createLastWords } from "./last-words.ts";
import { readLogLines } from "./log.ts";
import {
  type BackendProcess,
  isLauncherLine,
  type ProgramOptions,
  startFailure,
  startProgram,
} from "./start.ts";
import { signalGroup } from "./warden.ts";

const LIMIT_BYTES = 64 * 1024 * 1024;
/** A server that prints its banner to stdout is tolerated, one that speaks something else is not. */
const GARBAGE = { lines: 1_000, bytes: 1024 * 1024, withinMs: 10_000 };
/** From the end of stdin to SIGTERM, from there to SIGKILL, and from there to giving up (the kernel holds it). */
const CLOSE_MS = { term: 1_000, kill: 2_000, giveUp: 1_000 };
/** After an exit: a process that left the group may hold the pipes for ever. */
const DRAIN_MS = 500;
/** A program that closes its stdin or stdout usually ends with it. */
const PIPE_CLOSED_MS = 1_000;

export interface StdioLinkOptions extends ProgramOptions {
  readonly clock: Clock;
  /** Never appear in log lines and failures. */
  readonly secrets?: readonly string[];
  /** Of one message from the server. Default 64 MiB. */
  readonly lineLimitBytes?: number;
  /** Of what waits to be taken by the server. Default 64 MiB. */
  readonly backlogLimitBytes?: number;
}

/** A way to start the program anew, as one link each. Environment names are letters, digits and `_`. */
export function openStdioLink(options: StdioLinkOptions): OpenLink {
  return (events) => {
    const child = startProgram(options);
    return "kind" in child ? closedLink(child, events) : runLink(child, options, events);
  };
}

function runLink(child: BackendProcess, options: StdioLinkOptions, events: LinkEvents): BackendLink {
  const { clock, warden } = options;
  const { stdin, stdout, stderr } = child;
  const backlogLimitBytes = options.backlogLimitBytes ?? LIMIT_BYTES;
  const lineLimitBytes = options.lineLimitBytes ?? LIMIT_BYTES;
  const splitter = createLineSplitter(lineLimitBytes);
  const clean = createLineCleaner(options.secrets ?? []);
  const group = child.pid ?? null;
  const gone = Promise.withResolvers<void>();

  /** Nothing is told to the instance any more. */
  let silent = false;
  /** Why we end it ourselves; the process' own end is only a consequence. */
  let verdict: LinkFailure | null = null;
  let closing: Promise<void> | null = null;
  const words = createLastWords();
  let exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null;
  let held = false;
  let gathering = false;
  let stdoutEnded = false;
  let stderrEnded = false;
  let drainTimer: Timer | null = null;
  let pipeTimer: Timer | null = null;
  let garbage = { sinceMs: 0, lines: 0, bytes: 0 };

  if (group !== null) warden.watch(group);

  const onLogLine = (line: string): void => {
    words.hear(line);
    if (!silent && !isLauncherLine(line)) events.onLogLine(clean(line));
  };
  const log = readLogLines(stderr, clock, onLogLine);

  const onGarbage = (line: string): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - garbage.sinceMs > GARBAGE.withinMs) garbage = { sinceMs: nowMs, lines: 0, bytes: 0 };
    garbage.lines += 1;
    garbage.bytes += line.length;
    if (garbage.lines > GARBAGE.lines || garbage.bytes > GARBAGE.bytes) {
      end({
        kind: "protocol",
        message: "its standard output is no MCP: too many lines that are no JSON",
        hint: "a server over stdio must write nothing but MCP to stdout, and its log to stderr",
      });
    } else if (!silent) events.onLogLine(clean(line));
  };

  const onSettled = (): void => {
    held = false;
    readOn();
    if (!held && !silent) stdout.resume();
    finishWhenRead();
  };

  /** Hands over what is whole, up to a message whose receiver wants no more for now. */
  const readOn = (): void => {
    while (!held && !silent) {
      const next = splitter.next();
      if (next === null) break;
      const line = withoutByteOrderMark(next);
      if (line === "") continue;
      let message: unknown;
      try {
        message = parseExactly(line);
      } catch {
        onGarbage(line);
        continue;
      }
      const wait = events.onMessage(message, null);
      if (wait === null) continue;
      held = true;
      stdout.pause();
      void wait.then(onSettled, onSettled);
    }
    if (splitter.overlong && !silent) {
      end({
        kind: "overloaded",
        message: `it sent a message of more than ${lineLimitBytes} bytes`,
        hint: null,
      });
    }
  };
  stdout.on("data", (chunk: Buffer) => {
    if (silent) return;
    splitter.push(chunk);
    readOn();
  });
  stdout.on("error", () => {});
  /** It lives on, and cannot be talked with any more: calls would only run into their deadlines. */
  const onPipeClosed = (message: string): void => {
    if (exit !== null || closing !== null || silent || pipeTimer !== null) return;
    pipeTimer = clock.setTimer(PIPE_CLOSED_MS, () => {
      pipeTimer = null;
      if (held) onPipeClosed(message);
      else if (exit === null) end({ kind: "closed", message, hint: null });
    });
  };
  stdin.on("error", (error) => onPipeClosed(`it takes no more input: ${errorText(error)}`));

  /** What is sent in one turn of the event loop goes out as one write: that call is half of what a message costs. */
  const gather = (): void => {
    if (gathering) return;
    gathering = true;
    stdin.cork();
    setImmediate(() => {
      gathering = false;
      stdin.uncork();
    });
  };

  /** We end it for cause: it is told to nobody again, and its group gets no grace. */
  const end = (failure: LinkFailure): void => {
    if (silent) return;
    silent = true;
    verdict = failure;
    stdout.destroy();
    if (group !== null && exit === null) signalGroup(group, "SIGKILL");
    setImmediate(() => {
      if (closing === null) events.onClosed(failure);
    });
  };

  const endFailure = (): LinkFailure => {
    const notStarted = startFailure(options, exit?.code ?? null, words.lastLine);
    if (notStarted !== null) return notStarted;
    const how =
      exit === null || exit.signal !== null
        ? `was ended by ${exit?.signal ?? "nobody"}`
        : `ended with exit code ${exit.code}`;
    const { reason } = words;
    return { kind: "closed", message: reason === null ? how : `${how}: ${clean(reason)}`, hint: null };
  };

  /** The process has ended and all it wrote is handed over, or will never be. */
  const finishWhenRead = (): void => {
    if (exit === null || held || !stdoutEnded || !stderrEnded) return;
    drainTimer?.[Symbol.dispose]();
    pipeTimer?.[Symbol.dispose]();
    log.finish();
    const rest = silent ? null : splitter.rest();
    if (rest !== null) takeRest(rest);
    if (silent) return;
    silent = true;
    events.onClosed(endFailure());
  };
  /** What it wrote last may lack the line's end. */
  const takeRest = (rest: string): void => {
    try {
      events.onMessage(parseExactly(rest), null)?.catch(() => {});
    } catch {
      onGarbage(rest);
    }
  };

  const drainLimit = (): void => {
    drainTimer = clock.setTimer(DRAIN_MS, () => {
      if (held) {
        drainLimit();
        return;
      }
      stdoutEnded = true;
      stderrEnded = true;
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
      finishWhenRead();
    });
  };
  const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (exit !== null) return;
    exit = { code, signal };
    const swept = group === null ? Promise.resolve() : warden.release(group);
    void swept.then(gone.resolve, gone.resolve);
    drainLimit();
    finishWhenRead();
  };
  child.once("exit", onExit);
  child.on("error", (error) => {
    // Without a process there is no exit; with one, this is about a signal that could not be sent.
    if (child.pid !== undefined) return;
    words.hear(errorText(error));
    stdoutEnded = true;
    stderrEnded = true;
    verdict = {
      kind: "unreachable",
      message: `cannot start ${options.command}: ${errorText(error)}`,
      hint: null,
    };
    gone.resolve();
    if (silent) return;
    silent = true;
    events.onClosed(verdict);
  });
  stdout.once("close", () => {
    stdoutEnded = true;
    onPipeClosed("it has closed its standard output");
    finishWhenRead();
  });
  stderr.once("close", () => {
    stderrEnded = true;
    finishWhenRead();
  });

  const isGone = (ms: number): Promise<boolean> => settledWithin(clock, ms, gone.promise);
  const endInOrder = async (): Promise<void> => {
    stdin.end();
    if (verdict === null && (await isGone(CLOSE_MS.term))) return;
    if (group !== null && exit === null) {
      signalGroup(group, "SIGTERM");
      if (verdict === null && (await isGone(CLOSE_MS.kill))) return;
      if (exit === null) signalGroup(group, "SIGKILL");
    }
    if (await isGone(CLOSE_MS.giveUp)) return;
    // It sits in the kernel; the warden goes on knowing it.
    child.unref();
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  };

  return {
    pid: group,
    get backlogBytes() {
      return stdin.writableLength;
    },
    send(message) {
      if (silent || closing !== null || !stdin.writable) return;
      if (stdin.writableLength > backlogLimitBytes) {
        refuse(message, events, () => !silent && closing === null);
        return;
      }
      const json = linkText(message, events, () => !silent && closing === null);
      if (json === null) return;
      const text = `${json}\n`;
      gather();
      // A long text as bytes, so that the backlog counts bytes; a short one is written faster as it is.
      stdin.write(text.length > 16_384 ? Buffer.from(text) : text);
    },
    established() {},
    close() {
      if (closing === null) {
        silent = true;
        drainTimer?.[Symbol.dispose]();
        pipeTimer?.[Symbol.dispose]();
        log[Symbol.dispose]();
        // Read on and dropped: a server that blocks on a full pipe would not see its stdin end.
        stdout.resume();
        stderr.resume();
        closing = endInOrder();
      }
      return closing;
    },
  };
}

function refuse(message: RpcMessage, events: LinkEvents, open: () => boolean): void {
  if (!("method" in message) || !("id" in message)) return;
  const { id } = message;
  setImmediate(() => {
    if (!open()) return;
    events.onRequestFailed(id, {
      kind: "overloaded",
      message: "it does not read its input: too much is waiting for it",
      hint: null,
    });
  });
}
