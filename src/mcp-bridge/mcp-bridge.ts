// Connects an MCP client on stdin and stdout to the daemon's gateway, byte for byte. The session outlives a restart of
// the daemon.
import { once } from "node:events";
import { Duplex, type Readable, type Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { DaemonClient } from "../api/client/client.ts";
import type { WithoutDaemonGateway } from "../api/in-process.ts";
import { gatewayOff } from "../api/operations/gateway-names.ts";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { backoffMs } from "../runtime/time/backoff.ts";
import { type Clock, settlesWithin, systemClock, type Timer } from "../runtime/time/clock.ts";
import {
  createPassage,
  type GatewayConnection,
  openGatewayConnection,
  openInbox,
} from "./gateway-connection.ts";
import { createBridgeSession, NotTakenYet } from "./session.ts";

/** How long the client's requests wait for the next daemon. */
const PATIENCE_MS = 30_000;
/** How long the bridge looks for the next daemon. */
const UNREACHABLE_MS = 60 * 60_000;
/** Longest retry interval, short so that clients of a restarted daemon wait less than a second. */
const LAST_RETRY_MS = 250;
const RETRY_MS = { first: 100, most: LAST_RETRY_MS };
/** Retry interval after PATIENCE_MS, when no request still waits. */
const UNREACHABLE_RETRY_MS = 2_000;
/** How long the bridge waits for the first daemon to end if that daemon refuses the client. */
const BEGIN_MS = 2_000;
/** How long a gateway has to resume the session. */
const RESUME_MS = 10_000;
/** A gateway that refuses the client ends the connection within this time. */
const REFUSED_WITHIN_MS = 1_000;

export interface BridgeMeans {
  readonly find: () => Promise<BridgedDaemon | null>;
  /** Shows one line to a person. */
  readonly notify: (line: string) => void;
  readonly clock?: Clock;
  /** The only group that this client is served; absent: everything. */
  readonly group?: string | null;
  /** The folder in which the client has started the bridge; absent: it is gone. */
  readonly folder?: string | null;
}

/**
 * Passes messages on until the client has left and every request is answered. When the daemon ends the connection, the
 * bridge looks for the next daemon and resumes the session there. Until then requests wait 30 s, and are refused after
 * that. Rejects with `gateway_off` if the daemon has no gateway (after a restart: if the next one has none after these
 * 30 s), with `daemon_unreachable` if no daemon resumes the session within an hour, and with the signal's reason.
 */
export async function bridge(daemon: BridgedDaemon, ends: BridgeEnds, means: BridgeMeans): Promise<void> {
  const { input, output, signal } = ends;
  const left = new AbortController();
  const leave = (): void => left.abort(new MountaineerError("aborted", "the client has left"));
  // A closed output cannot take answers, and a broken input means that the client has gone.
  output.once("error", leave).once("close", leave);
  input.once("error", leave);
  try {
    using bridge = new Bridge({ ...ends, signal: AbortSignal.any([signal, left.signal]) }, means, leave);
    await bridge.relay(daemon);
  } catch (error) {
    signal.throwIfAborted();
    if (!left.signal.aborted) throw error;
  } finally {
    output.off("error", leave).off("close", leave);
    input.off("error", leave);
  }
}

/** A client's session, and its connection to the current daemon. */
class Bridge implements Disposable {
  readonly #ends: BridgeEnds;
  readonly #means: BridgeMeans;
  readonly #clock: Clock;
  /** Ends the bridge by aborting the signal in `ends`. */
  readonly #leave: () => void;
  readonly #session: ReturnType<typeof createBridgeSession>;
  readonly #passage: ReturnType<typeof createPassage>;
  readonly #inbox: ReturnType<typeof openInbox>;
  #connection: GatewayConnection | null = null;
  #moving: ReturnType<typeof createMoving> | null = null;
  /** True: no daemon returned in time. Requests are refused until one does. */
  #isUnreachable = false;
  /** Why the last daemon did not resume the session; null: there was no daemon, or it gave no reason. */
  #refusal: string | null = null;

  constructor(ends: BridgeEnds, means: BridgeMeans, leave: () => void) {
    this.#ends = ends;
    this.#means = means;
    this.#clock = means.clock ?? systemClock;
    this.#leave = leave;
    const session = createBridgeSession({
      sendToClient: (json) => void ends.output.write(`${json}\n`),
      sendToGateway: (json) => this.#connection?.write(`${json}\n`),
      group: means.group ?? null,
      folder: means.folder ?? null,
    });
    this.#session = session;
    this.#passage = createPassage({
      onLine: (messages, line) => {
        if (this.#isUnreachable) session.refuse(messages, line);
        else session.fromClient(messages, line);
        return !this.#isUnreachable;
      },
      onCut: session.notTaken,
      write: (bytes) => {
        if (!this.#isUnreachable) this.#connection?.write(bytes);
      },
    });
    this.#inbox = openInbox(ends.input, leave);
    ends.signal.addEventListener("abort", this.#cut, { once: true });
  }

  /** Rejects with the signal's reason when it aborts. */
  async relay(first: BridgedDaemon): Promise<never> {
    const { output, signal } = this.#ends;
    if (!(await this.#serveWith(first))) await this.#beginLater(first);
    for (;;) {
      const isHandover = this.#moving?.moved === true;
      if (!isHandover) {
        this.#means.notify(
          `the daemon ended the connection; waiting ${PATIENCE_MS / 1_000} s for it to return`,
        );
      }
      // Waits until the client reads again: the gateway may have cut off a client that does not read, and
      // would do so again.
      if (output.writableNeedDrain) await once(output, "drain", { signal });
      await this.#serveAgain(isHandover);
    }
  }

  [Symbol.dispose](): void {
    this.#cut();
    this.#inbox[Symbol.dispose]();
  }

  readonly #cut = (): void => this.#connection?.[Symbol.dispose]();

  #refuseAll(): void {
    const { output } = this.#ends;
    const [inbox, passage] = [this.#inbox, this.#passage];
    this.#isUnreachable = true;
    this.#session.refuseWaiting();
    inbox.handTo({
      push(chunk) {
        passage.push(chunk);
        // While the client does not read, the bridge does not read the client's input.
        if (output.writableNeedDrain) output.off("drain", inbox.more).once("drain", inbox.more);
        return !output.writableNeedDrain;
      },
      end: () => {
        // The last line may lack its newline, and also gets an answer.
        passage.end();
        this.#leave();
      },
    });
  }

  /** Resumes the session at this daemon; null if its gateway does not take the session now. */
  async #connectTo(daemon: BridgedDaemon): Promise<GatewayConnection | null> {
    const [session, passage, inbox, clock] = [this.#session, this.#passage, this.#inbox, this.#clock];
    const { output, signal } = this.#ends;
    const opened = await openGatewayConnection(daemon.mcpSocket, signal, {
      output,
      onLine: (messages, line) => {
        const isForClient = session.fromGateway(messages, line);
        // Deferred, so that an answer reaches the client before the bridge leaves the connection.
        queueMicrotask(() => this.#moving?.check());
        return isForClient;
      },
      onDrain: inbox.more,
      onEnd: () => {
        if (!this.#isUnreachable) inbox.keep();
        passage.cut();
        return inbox.ended && session.inFlight === 0;
      },
    });
    if (opened === null) return null;
    this.#connection = opened;
    this.#moving = null;
    let isTaken = false;
    try {
      isTaken = await this.#isTakenBy(opened);
      if (isTaken) {
        // If the beginning of a line was refused while no daemon was there, this gateway must not get the rest of the
        // line.
        if (this.#isUnreachable) passage.cut();
        this.#isUnreachable = false;
        this.#refusal = null;
        this.#moving = createMoving({ session, passage, inbox, connection: opened, clock });
        // If the daemon has handed over, the input waits for the next daemon.
        this.#moving.check();
        if (!this.#moving.moved) {
          inbox.handTo({
            push: (chunk) => opened.inOnePiece(() => passage.push(chunk)),
            end() {
              opened.inOnePiece(() => passage.end());
              session.fallSilent();
              opened.end();
            },
          });
        }
        return opened;
      }
    } finally {
      if (!isTaken) opened[Symbol.dispose]();
    }
    await opened.closed;
    session.lost();
    return null;
  }

  async #isTakenBy(connection: GatewayConnection): Promise<boolean> {
    let isTaken = false;
    const resumed = this.#session.resume().then(
      () => {
        isTaken = true;
      },
      (error: unknown) => {
        if (!(error instanceof NotTakenYet)) throw error;
        this.#refusal = error.message;
      },
    );
    await settlesWithin(this.#clock, RESUME_MS, Promise.race([resumed, connection.closed]));
    // Without a session to resume, only the end of the connection shows that a gateway refuses all clients.
    const isUnsure = isTaken && this.#isUnreachable && !connection.hasReceived;
    return isUnsure ? !(await settlesWithin(this.#clock, REFUSED_WITHIN_MS, connection.closed)) : isTaken;
  }

  /** Resolves when the connection has ended, with false if this gateway did not take the client. */
  async #serveWith(daemon: BridgedDaemon, onTaken: () => void = () => {}): Promise<boolean> {
    const { signal } = this.#ends;
    const opened = await this.#connectTo(daemon);
    signal.throwIfAborted();
    if (opened === null) return false;
    onTaken();
    const sinceMs = this.#clock.monotonicMs();
    await opened.closed;
    this.#moving?.[Symbol.dispose]();
    signal.throwIfAborted();
    this.#session.lost();
    if (this.#inbox.ended) this.#leave();
    signal.throwIfAborted();
    return opened.hasReceived || this.#clock.monotonicMs() - sinceMs >= REFUSED_WITHIN_MS;
  }

  async #serveAgain(isHandover: boolean): Promise<void> {
    const { notify } = this.#means;
    const clock = this.#clock;
    const sinceMs = clock.monotonicMs();
    let isReported = isHandover;
    const onTaken = (): void => {
      if (!isReported) notify("the daemon is back");
      isReported = true;
    };
    for (let tries = 0; ; tries++) {
      const unreachableMs = clock.monotonicMs() - sinceMs;
      if (unreachableMs >= UNREACHABLE_MS) throw noneCame(this.#refusal);
      if (!this.#isUnreachable && unreachableMs >= PATIENCE_MS) {
        isReported = false;
        notify("no daemon has returned yet: calls are refused until one does");
        this.#refuseAll();
      }
      const retryMs = this.#isUnreachable ? UNREACHABLE_RETRY_MS : backoffMs(RETRY_MS, tries + 1);
      await clock.sleep(isHandover && tries === 0 ? 0 : retryMs, this.#ends.signal);
      const next = this.#nextDaemon();
      // Within PATIENCE_MS `gateway_off` is ignored: a daemon that starts or ends has no gateway either.
      const daemon = await (this.#isUnreachable ? next : next.catch(recoverFrom("gateway_off", null)));
      if (daemon === null) this.#refusal = null;
      else if (await this.#serveWith(daemon, onTaken)) return;
    }
  }

  /**
   * Waits until `refusing`, a daemon that refuses the client and may be stopping, is gone. After BEGIN_MS the client
   * goes to the daemon that runs then; rejects with the reason if that daemon also refuses.
   */
  async #beginLater(refusing: BridgedDaemon): Promise<void> {
    const { signal } = this.#ends;
    const sinceMs = this.#clock.monotonicMs();
    while (this.#clock.monotonicMs() - sinceMs < BEGIN_MS) {
      if ((await whyRefused(refusing, signal)) === null) return;
      await this.#clock.sleep(LAST_RETRY_MS, signal);
    }
    const daemon = await this.#nextDaemon();
    if (daemon === null || (await this.#serveWith(daemon))) return;
    const why = await whyRefused(daemon, signal);
    if (why !== null) throw why;
  }

  /**
   * Returns the daemon that runs now; null if none runs. Waits 5 s at most for the daemon's backends, because the
   * client asks for the lists at once. Rejects with `gateway_off`, and as `find` does.
   */
  async #nextDaemon(): Promise<BridgedDaemon | null> {
    const daemon = await this.#means.find().catch(recoverFrom("daemon_unreachable", null));
    if (daemon === null) return null;
    const clock = this.#clock;
    const { signal } = this.#ends;
    const untilMs = clock.monotonicMs() + FIRST_LISTS_MS;
    for (;;) {
      const phases = await daemon.backendPhases(signal).catch(() => []);
      if (phases === null) throw gatewayOff();
      if (!phases.some((phase) => FIRST_ATTEMPT.has(phase)) || clock.monotonicMs() >= untilMs) return daemon;
      await clock.sleep(BETWEEN_CHECKS_MS, signal);
    }
  }
}

/** Why a daemon refuses the client; null: the daemon is gone. Rejects with `gateway_off`. */
async function whyRefused(daemon: BridgedDaemon, signal: AbortSignal): Promise<MountaineerError | null> {
  const phases = await daemon.backendPhases(signal).catch(recoverFrom("daemon_unreachable", undefined));
  if (phases === undefined) return null;
  if (phases === null) throw gatewayOff();
  return unreachable(
    "the daemon's gateway takes no MCP client here",
    "too many may be connected; its log has more, and a restart of the daemon may help",
  );
}

/** `refusal`: the last daemon's reason not to resume the session; null: no daemon was there. */
function noneCame(refusal: string | null): MountaineerError {
  if (refusal !== null) {
    return unreachable(
      `the daemon did not resume this session within an hour: ${refusal}`,
      "its log has more; restart the MCP client to begin a new session",
    );
  }
  return unreachable(
    "the daemon ended the connection, and no daemon returned within an hour",
    "start it, for example with mountaineer up, then restart the MCP client",
  );
}

function unreachable(message: string, hint: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", message, { hint, retry: "later" });
}

// When a daemon announces a handover, the bridge leaves this daemon at a moment without requests in flight.

/** How long new requests still go to the daemon that hands over, ms. */
const MOVES_WITHIN_MS = 5_000;

interface MovingParts {
  readonly session: { readonly movesOn: boolean; readonly mayMove: boolean; readonly openQuestions: number };
  readonly passage: { readonly isMidway: boolean };
  readonly inbox: { readonly ended: boolean; keep(): void };
  /** The connection to the daemon that hands over. */
  readonly connection: Pick<GatewayConnection, "end">;
  readonly clock: Clock;
}

export function createMoving({ session, passage, inbox, connection, clock }: MovingParts) {
  let timer: Timer | null = null;
  let moved = false;
  const pause = (): void => {
    // While the old daemon waits for answers to its questions, or for the rest of a line sent in part, the client's
    // lines still go to it.
    if (session.openQuestions === 0 && !passage.isMidway) inbox.keep();
    else timer = clock.setTimer(MOVES_WITHIN_MS, pause);
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  return {
    /** The bridge has left the connection for the next daemon. */
    get moved() {
      return moved;
    },
    /** To be called after each message of the gateway. */
    check(): void {
      if (!session.movesOn || moved || inbox.ended) return;
      if (session.mayMove && !passage.isMidway) {
        moved = true;
        rest();
        inbox.keep();
        connection.end();
      } else timer ??= clock.setTimer(MOVES_WITHIN_MS, pause);
    },
    [Symbol.dispose]: rest,
  };
}

const BETWEEN_CHECKS_MS = 100;
const FIRST_ATTEMPT: ReadonlySet<string> = new Set(["Pending", "Initializing"]);

export type BridgedDaemon = Pick<DaemonClient, "mcpSocket" | "backendPhases">;

export interface BridgeEnds {
  readonly input: Readable;
  readonly output: Writable;
  /** Ends the bridge at once. */
  readonly signal: AbortSignal;
}

/**
 * Longest wait for backends before a client is served, ms: many clients ask for the lists only once. A
 * notification announces tools that come later.
 */
export const FIRST_LISTS_MS = 5_000;

/**
 * Serves the client with a gateway of this process until the client leaves. Begins when the backends are ready or have
 * failed, or after 5 s. Rejects with the signal's reason.
 */
export async function serveHere(
  gateway: WithoutDaemonGateway,
  { input, output, signal }: BridgeEnds,
  folder: string | null = null,
): Promise<void> {
  // Node accepts a pair of streams, but its types do not.
  const pair = { readable: input, writable: output } as unknown as NodeJS.ReadWriteStream;
  const stream = Duplex.from(pair);
  const served = finished(stream, { signal });
  const ready = gateway.whenStarted(AbortSignal.any([signal, AbortSignal.timeout(FIRST_LISTS_MS)]));
  try {
    await Promise.race([ready, served]);
    if (!signal.aborted) gateway.serveLines(stream, folder ?? undefined);
    await served;
  } catch {
    // The client or we closed the stream: there is no client left to serve.
    stream.destroy();
    signal.throwIfAborted();
  }
}
