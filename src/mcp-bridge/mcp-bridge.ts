// Connects an MCP client on stdin and stdout to the daemon's gateway, byte for byte. The session outlives a restart of
// the daemon.
import { once } from "node:events";
import { Duplex, type Readable, type Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { BackendPhases } from "../api/backend-phases.ts";
import type { DaemonClient } from "../api/client/client.ts";
import { gatewayOff } from "../api/gateway-names.ts";
import type { InProcessGateway } from "../api/in-process.ts";
import { expecting, MountaineerError } from "../runtime/errors.ts";
import { type Clock, settledWithin, systemClock, type Timer } from "../runtime/time/clock.ts";
import { createPassage, type GatewayLink, openGatewayLink, openInbox } from "./gateway-link.ts";
import { createBridgeSession, NotTakenYet } from "./session.ts";

/** How long the client's requests wait for a daemon to come back. */
const PATIENCE_MS = 30_000;
/** How long a daemon is looked for in all: over an upgrade, or until somebody starts it. */
const AWAY_MS = 60 * 60_000;
const FIRST_RETRY_MS = 100;
/** A daemon that is back serves its clients within a second. */
const LAST_RETRY_MS = 250;
/** While nothing waits for it. */
const AWAY_RETRY_MS = 2_000;
/** How long to wait for a daemon that is there at first but takes no client to go or be replaced. */
const BEGIN_MS = 2_000;
/** How long a gateway may take to take the session on. */
const RESUME_MS = 10_000;
/** A gateway that takes no client ends its connection at once. */
const REFUSED_WITHIN_MS = 1_000;

export interface BridgeMeans {
  /** Looks for the daemon after one has ended. */
  readonly find: FindDaemon;
  /** Tells a person one line. */
  readonly note: (line: string) => void;
  readonly clock?: Clock;
  /** The group that the client is to be served; absent: everything. */
  readonly group?: string | null;
}

/**
 * Carries messages until the client has left and everything is answered. When the daemon ends the connection it is
 * looked for again, and the session goes on with it; what the client asks waits 30 s, and is refused after that, until
 * one is back. Rejects with `gateway_off` when the daemon has no gateway, and the next one none after these 30 s,
 * `daemon_unreachable` when none comes back within an hour or it does not take the session on, and the signal's reason.
 */
export async function bridge(daemon: BridgedDaemon, ends: BridgeEnds, means: BridgeMeans): Promise<void> {
  const { input, output, signal } = ends;
  const left = new AbortController();
  const leave = (): void => left.abort(new MountaineerError("aborted", "the client has left"));
  // Whoever reads has gone: nothing more can be answered. A client that breaks off, rather than ends, is gone, too.
  output.once("error", leave).once("close", leave);
  input.once("error", leave);
  try {
    await carry(daemon, { ...ends, signal: AbortSignal.any([signal, left.signal]) }, means, leave);
  } catch (error) {
    signal.throwIfAborted();
    if (!left.signal.aborted) throw error;
  } finally {
    output.off("error", leave).off("close", leave);
    input.off("error", leave);
  }
}

/** `leave` aborts the signal; rejects with its reason when it is. */
async function carry(
  first: BridgedDaemon,
  { input, output, signal }: BridgeEnds,
  { find, note, clock = systemClock, group = null }: BridgeMeans,
  leave: () => void,
): Promise<never> {
  let link: GatewayLink | null = null;
  let isAway = false;
  const session = createBridgeSession({
    tellClient: (json) => void output.write(`${json}\n`),
    tellGateway: (json) => link?.write(`${json}\n`),
    group,
  });
  const passage = createPassage({
    onLine(messages, line) {
      if (isAway) session.refuse(messages, line);
      else session.fromClient(messages, line);
      return !isAway;
    },
    onCut: session.notTaken,
    write(bytes) {
      if (!isAway) link?.write(bytes);
    },
  });
  using inbox = openInbox(input, leave);
  /** No daemon came back in time: what the client asks is refused, until one does. */
  const refuseAll = (): void => {
    isAway = true;
    session.refuseWaiting();
    inbox.handTo({
      push(chunk) {
        passage.push(chunk);
        // While the client does not read, its input is not read either.
        if (output.writableNeedDrain) output.off("drain", inbox.more).once("drain", inbox.more);
        return !output.writableNeedDrain;
      },
      end() {
        // The last line may lack its newline, and is answered all the same.
        passage.end();
        leave();
      },
    });
  };
  let moving = null as ReturnType<typeof createMoving> | null;
  /** Why the gateway that is there does not take the session; null: there is none, or it has not said. */
  let refusal: string | null = null;

  /** null if the gateway did not take the session; then what the client asks waits, or is refused. */
  const connectTo = async (daemon: BridgedDaemon): Promise<GatewayLink | null> => {
    const opened = await openGatewayLink(daemon.mcpSocketPath, signal, {
      output,
      onLine(messages, line) {
        const isForClient = session.fromGateway(messages, line);
        // An answer is passed on before the connection it came on is left.
        queueMicrotask(() => {
          if (link !== null && link === opened) moving?.look(link);
        });
        return isForClient;
      },
      onRoom: inbox.more,
      onEnd() {
        if (!isAway) inbox.keep();
        passage.cut();
        return inbox.ended && session.inFlight === 0;
      },
    });
    if (opened === null) return null;
    link = opened;
    moving = null;
    let isTaken = false;
    try {
      const resumed = session.resume().then(
        () => {
          isTaken = true;
        },
        (error: unknown) => {
          if (!(error instanceof NotTakenYet)) throw error;
          refusal = error.message;
        },
      );
      await settledWithin(clock, RESUME_MS, Promise.race([resumed, opened.closed]));
      // A gateway that was asked nothing yet may still refuse everybody: it ends the connection at once.
      if (isTaken && isAway && !opened.said) {
        isTaken = !(await settledWithin(clock, REFUSED_WITHIN_MS, opened.closed));
      }
      if (isTaken) {
        // The beginning of the line was refused already.
        if (isAway) passage.cut();
        isAway = false;
        refusal = null;
        moving = createMoving({ session, passage, inbox, clock });
        // The daemon may have handed over meanwhile: then the client's input goes to the next one.
        moving.look(opened);
        if (moving.moved) return opened;
        inbox.handTo({
          push: (chunk) => opened.together(() => passage.push(chunk)),
          end() {
            opened.together(() => passage.end());
            session.fallSilent();
            opened.end();
          },
        });
        return opened;
      }
    } finally {
      if (!isTaken) opened[Symbol.dispose]();
    }
    await opened.closed;
    session.lost();
    return null;
  };
  /** Runs until the connection is gone. False if this gateway has taken no client. */
  const serveWith = async (daemon: BridgedDaemon, onTaken: () => void): Promise<boolean> => {
    const opened = await connectTo(daemon);
    signal.throwIfAborted();
    if (opened === null) return false;
    onTaken();
    const sinceMs = clock.monotonicMs();
    await opened.closed;
    moving?.[Symbol.dispose]();
    signal.throwIfAborted();
    session.lost();
    if (inbox.ended) leave();
    signal.throwIfAborted();
    return opened.said || clock.monotonicMs() - sinceMs >= REFUSED_WITHIN_MS;
  };
  const serveAgain = async (isHandover: boolean): Promise<void> => {
    const sinceMs = clock.monotonicMs();
    let isTold = isHandover;
    const onTaken = (): void => {
      if (!isTold) note("the daemon is back");
      isTold = true;
    };
    for (let tries = 0; ; tries++) {
      const awayMs = clock.monotonicMs() - sinceMs;
      if (awayMs >= AWAY_MS) throw noneCame(refusal);
      if (!isAway && awayMs >= PATIENCE_MS) {
        isTold = false;
        note("none came back yet: calls are refused until one does");
        refuseAll();
      }
      const first = isHandover && tries === 0;
      const retryMs = isAway ? AWAY_RETRY_MS : Math.min(FIRST_RETRY_MS * 2 ** tries, LAST_RETRY_MS);
      await clock.sleep(first ? 0 : retryMs, signal);
      const next = nextDaemon(find, clock, signal);
      // One that begins or ends has none, either, nor one whose file is being written.
      const daemon = await (isAway ? next : next.catch(expecting("gateway_off", null)));
      if (daemon === null) refusal = null;
      else if (await serveWith(daemon, onTaken)) return;
    }
  };
  const cut = (): void => link?.[Symbol.dispose]();
  signal.addEventListener("abort", cut, { once: true });
  try {
    if (!(await serveWith(first, () => {}))) await beginLater(first, { find, clock, signal }, serveWith);
    for (;;) {
      const isHandover = moving?.moved === true;
      if (!isHandover) {
        note(`the daemon ended the connection; waiting ${PATIENCE_MS / 1_000} s for it to come back`);
      }
      // A client that did not read was cut off for that, and would be again.
      if (output.writableNeedDrain) await once(output, "drain", { signal });
      await serveAgain(isHandover);
    }
  } finally {
    signal.removeEventListener("abort", cut);
    cut();
  }
}

/**
 * A daemon that is stopping takes nobody, either: returns when it is gone, or when the one a moment later has served.
 * Rejects with the reason why that one takes no client.
 */
async function beginLater(
  refusing: BridgedDaemon,
  { find, clock, signal }: { find: FindDaemon; clock: Clock; signal: AbortSignal },
  serveWith: (daemon: BridgedDaemon, onTaken: () => void) => Promise<boolean>,
): Promise<void> {
  const sinceMs = clock.monotonicMs();
  while (clock.monotonicMs() - sinceMs < BEGIN_MS) {
    if ((await whyRefused(refusing, signal)) === null) return;
    await clock.sleep(LAST_RETRY_MS, signal);
  }
  const daemon = await nextDaemon(find, clock, signal);
  if (daemon === null || (await serveWith(daemon, () => {}))) return;
  const why = await whyRefused(daemon, signal);
  if (why !== null) throw why;
}

/** Why the daemon has taken no client; null: it is gone. Rejects with `gateway_off`. */
async function whyRefused(daemon: BridgedDaemon, signal: AbortSignal): Promise<MountaineerError | null> {
  const phases = await daemon.backendPhases(signal).catch(expecting("daemon_unreachable", undefined));
  if (phases === undefined) return null;
  if (phases === null) throw gatewayOff();
  return unreachable(
    "the daemon's gateway takes no MCP client here",
    "too many may be connected; its log has more, and a restart of the daemon may help",
  );
}

/** `refusal`: of the last daemon that was there all the same. */
function noneCame(refusal: string | null): MountaineerError {
  if (refusal !== null) {
    return unreachable(
      `the daemon did not go on with this session within an hour: ${refusal}`,
      "its log has more; the MCP client has to begin a new session: start it again",
    );
  }
  return unreachable(
    "the daemon ended the connection, and none came back within an hour",
    "start it, say by mountaineer up, and then the MCP client again",
  );
}

function unreachable(message: string, hint: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", message, { hint, retry: "later" });
}

// Leaves a daemon that hands over, in a moment in which nothing is in flight.

/** For so long, a daemon that hands over still gets requests while others are in flight there. */
const MOVES_WITHIN_MS = 5_000;

interface MovingParts {
  readonly session: { readonly movesOn: boolean; readonly mayMove: boolean; readonly openQuestions: number };
  readonly passage: { readonly isMidway: boolean };
  readonly inbox: { readonly ended: boolean; keep(): void };
  readonly clock: Clock;
}

export function createMoving({ session, passage, inbox, clock }: MovingParts) {
  let timer: Timer | null = null;
  let moved = false;
  const hold = (): void => {
    // A question must still be answered there, and a line that has begun must be ended there.
    if (session.openQuestions === 0 && !passage.isMidway) inbox.keep();
    else timer = clock.setTimer(MOVES_WITHIN_MS, hold);
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  return {
    /** The connection was left for the next daemon. */
    get moved() {
      return moved;
    },
    /** To be called after each message of the gateway. */
    look(link: Pick<GatewayLink, "end">): void {
      if (!session.movesOn || moved || inbox.ended) return;
      if (session.mayMove && !passage.isMidway) {
        moved = true;
        rest();
        inbox.keep();
        link.end();
      } else timer ??= clock.setTimer(MOVES_WITHIN_MS, hold);
    },
    /** The connection is gone. */
    [Symbol.dispose]: rest,
  };
}

// Finds the daemon that replaces one that has ended, and waits for its backends.

const BETWEEN_LOOKS_MS = 100;

/** A daemon as far as a bridge needs it. */
export type BridgedDaemon = Pick<DaemonClient, "mcpSocketPath" | "backendPhases">;
/** The daemon that runs now, or null. */
type FindDaemon = () => Promise<BridgedDaemon | null>;

/**
 * The daemon that runs now, when its backends are ready or have failed, or after 5 s: the client is told that the lists
 * have changed, and asks for them at once. Null when there is none. Rejects with `gateway_off`, and as `find` does.
 */
async function nextDaemon(
  find: FindDaemon,
  clock: Clock,
  signal: AbortSignal,
): Promise<BridgedDaemon | null> {
  const daemon = await find().catch(expecting("daemon_unreachable", null));
  if (daemon === null) return null;
  const deadline = clock.monotonicMs() + FIRST_LISTS_MS;
  for (;;) {
    const phases = await phasesOf(daemon, signal);
    signal.throwIfAborted();
    if (!phases.some(isFirstAttempt) || clock.monotonicMs() >= deadline) return daemon;
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

/** None when they are not to be had: whether it takes a client it tells itself. Rejects with `gateway_off`. */
async function phasesOf(daemon: BridgedDaemon, signal: AbortSignal): Promise<BackendPhases> {
  let phases: BackendPhases | null;
  try {
    phases = await daemon.backendPhases(signal);
  } catch {
    return [];
  }
  if (phases === null) throw gatewayOff();
  return phases;
}

function isFirstAttempt(phase: string): boolean {
  return phase === "Pending" || phase === "Initializing";
}

// The two ends of an MCP client that started its server: its input and its output.

export interface BridgeEnds {
  readonly input: Readable;
  readonly output: Writable;
  /** Leaves at once. */
  readonly signal: AbortSignal;
}

/**
 * Many clients ask for the lists once, right after the handshake; they are notified of tools that start later than
 * this.
 */
export const FIRST_LISTS_MS = 5_000;

// Serves an MCP client on stdin and stdout with a gateway inside this process.

/**
 * Serves the client with a gateway of this process, until the client has left; begins when its backends are ready or
 * have failed, or after 5 s. Rejects with the signal's reason.
 */
export async function serveHere(
  gateway: Pick<InProcessGateway, "status" | "serveLines">,
  { input, output, signal }: BridgeEnds,
): Promise<void> {
  // Node takes a pair of streams; its types do not say so.
  const pair = { readable: input, writable: output } as unknown as NodeJS.ReadWriteStream;
  const stream = Duplex.from(pair);
  const served = finished(stream, { signal });
  const ready = gateway.status(AbortSignal.any([signal, AbortSignal.timeout(FIRST_LISTS_MS)]));
  try {
    await Promise.race([ready, served]);
    if (!signal.aborted) gateway.serveLines(stream);
    await served;
  } catch {
    // The client broke off, or we do: either way nobody is left to be served.
    stream.destroy();
    signal.throwIfAborted();
  }
}
