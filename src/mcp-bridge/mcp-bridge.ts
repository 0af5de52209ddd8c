// Connects an MCP client on stdin and stdout to the daemon's gateway, byte for byte. The session outlives a restart of
// the daemon.
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import type { DaemonClient } from "../api/client/client.ts";
import { gatewayOff } from "../api/operations/gateway-names.ts";
import { MountaineerError, recoverFrom } from "../runtime/errors.ts";
import { backoffMs } from "../runtime/time/backoff.ts";
import { type Clock, settlesWithin, systemClock } from "../runtime/time/clock.ts";
import { openClientInput } from "./client-input.ts";
import { type GatewayConnection, openGatewayConnection } from "./gateway-connection.ts";
import type { GatewayExchange } from "./gateway-exchange.ts";
import { NotTakenYet } from "./lasting-effects.ts";
import { createPassage } from "./line-passage.ts";
import { BridgeSession } from "./session.ts";

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
/**
 * Longest wait for backends before a client is served, ms: many clients ask for the lists only once. A
 * notification announces tools that come later.
 */
export const FIRST_LISTS_MS = 5_000;
const BETWEEN_CHECKS_MS = 100;
const FIRST_ATTEMPT: ReadonlySet<string> = new Set(["Pending", "Initializing"]);

export type BridgedDaemon = Pick<DaemonClient, "mcpSocket" | "backendPhases">;

export interface BridgeEnds {
  readonly input: Readable;
  readonly output: Writable;
  /** Ends the bridge at once. */
  readonly signal: AbortSignal;
}

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
 * Passes messages on until the client has left and every request is answered. When the daemon hands
 * over or ends the connection, the bridge looks for the next daemon and resumes the session there. Until then requests wait
 * 30 s, and are refused after that. Rejects with `gateway_off` if the daemon has no gateway (after a restart: if the next one has none after these
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

/** A connection to a gateway, and what the client and that gateway have asked each other. */
interface OpenGateway {
  readonly connection: GatewayConnection;
  readonly exchange: GatewayExchange;
  /** Resolves when the daemon has handed over, and the client's requests are to go to the next one. */
  readonly handedOver: PromiseWithResolvers<void>;
}

/** How the time has ended in which a gateway took the client's requests. */
type Served = "not_taken" | "lost" | "handed_over";

/** A client's session, and its gateways: the one that takes its requests, and those that still answer some. */
class Bridge implements Disposable {
  readonly #ends: BridgeEnds;
  readonly #means: BridgeMeans;
  readonly #clock: Clock;
  /** Ends the bridge by aborting the signal in `ends`. */
  readonly #leave: () => void;
  readonly #session: BridgeSession;
  readonly #passage: ReturnType<typeof createPassage>;
  readonly #input: ReturnType<typeof openClientInput>;
  readonly #gateways = new Set<OpenGateway>();
  /** True: no daemon returned in time. Requests are refused until one does. */
  #isUnreachable = false;
  /** Why the last daemon did not resume the session; null: there was no daemon, or it gave no reason. */
  #refusal: string | null = null;

  constructor(ends: BridgeEnds, means: BridgeMeans, leave: () => void) {
    this.#ends = ends;
    this.#means = means;
    this.#clock = means.clock ?? systemClock;
    this.#leave = leave;
    const { group = null, folder = null } = means;
    const sendToClient = (json: string): void => void ends.output.write(`${json}\n`);
    const session = new BridgeSession({ sendToClient, group, folder });
    this.#session = session;
    this.#passage = createPassage({
      onLine: (messages, line) => {
        for (const gateway of session.fromClient(messages, line)) gateway.write(line);
        this.#moveOn();
      },
      onTooLong: (messages) => session.tooLong(messages),
    });
    this.#input = openClientInput(ends.input, leave);
    ends.signal.addEventListener("abort", this.#cut, { once: true });
  }

  /** Rejects with the signal's reason when it aborts. */
  async relay(first: BridgedDaemon): Promise<never> {
    const { output, signal } = this.#ends;
    let served = await this.#serveWith(first);
    if (served === "not_taken") served = await this.#beginLater(first);
    for (;;) {
      const isHandover = served === "handed_over";
      if (!isHandover) {
        this.#means.notify(
          `the daemon ended the connection; waiting ${PATIENCE_MS / 1_000} s for it to return`,
        );
      }
      // Waits until the client reads again: the gateway may have cut off a client that does not read, and
      // would do so again.
      if (output.writableNeedDrain) await once(output, "drain", { signal });
      served = await this.#serveAgain(isHandover);
    }
  }

  [Symbol.dispose](): void {
    this.#cut();
    this.#input[Symbol.dispose]();
  }

  readonly #cut = (): void => {
    for (const { connection } of this.#gateways) connection[Symbol.dispose]();
  };

  #refuseAll(): void {
    const { output } = this.#ends;
    const [input, passage] = [this.#input, this.#passage];
    this.#isUnreachable = true;
    this.#session.refuseWaiting();
    input.handTo({
      push(chunk) {
        passage.push(chunk);
        // While the client does not read, the bridge does not read the client's input.
        if (output.writableNeedDrain) output.off("drain", input.more).once("drain", input.more);
        return !output.writableNeedDrain;
      },
      end: () => {
        // The last line may lack its newline, and also gets an answer.
        passage.end();
        this.#leave();
      },
    });
  }

  /** Serves the client with this gateway, until it hands over or the connection ends. */
  async #serveWith(daemon: BridgedDaemon, onTaken: () => void = () => {}): Promise<Served> {
    const { signal } = this.#ends;
    const gateway = await this.#open(daemon);
    signal.throwIfAborted();
    if (gateway === null || !(await this.#isTakenBy(gateway))) return "not_taken";
    signal.throwIfAborted();
    const { connection, exchange, handedOver } = gateway;
    this.#isUnreachable = false;
    this.#refusal = null;
    onTaken();
    const sinceMs = this.#clock.monotonicMs();
    if (!exchange.hasHandedOver) this.#handInputTo(gateway);
    this.#moveOn();
    await Promise.race([connection.closed, handedOver.promise]);
    signal.throwIfAborted();
    if (exchange.hasHandedOver) return "handed_over";
    const wasThere = connection.hasReceived || this.#clock.monotonicMs() - sinceMs >= REFUSED_WITHIN_MS;
    return wasThere ? "lost" : "not_taken";
  }

  /** Null: the connection is refused. */
  async #open(daemon: BridgedDaemon): Promise<OpenGateway | null> {
    const { signal } = this.#ends;
    const [session, input] = [this.#session, this.#input];
    const connection = await openGatewayConnection(daemon.mcpSocket, signal, {
      output: this.#ends.output,
      onLine: (messages, line) => {
        const isForClient = session.fromGateway(exchange, messages, line);
        this.#moveOn();
        return isForClient;
      },
      onTooLong: (messages) => {
        session.answersTooLong(exchange, messages);
        this.#moveOn();
      },
      onDrain: input.more,
      onEnd: () => {
        if (session.current === exchange) input.keep();
        return input.ended && session.inFlight === 0;
      },
    });
    if (connection === null) return null;
    const exchange = session.join(connection.write);
    const gateway: OpenGateway = { connection, exchange, handedOver: Promise.withResolvers() };
    this.#gateways.add(gateway);
    void connection.closed.then(() => {
      this.#gateways.delete(gateway);
      if (signal.aborted) return;
      session.lost(exchange);
      if (input.ended && this.#gateways.size === 0) this.#leave();
    });
    return gateway;
  }

  /** Whether this gateway takes the session now. If not, the connection is closed. */
  async #isTakenBy({ connection, exchange }: OpenGateway): Promise<boolean> {
    let isTaken = false;
    const resumed = this.#session.introduce(exchange).then(
      () => {
        isTaken = true;
      },
      (error: unknown) => {
        if (!(error instanceof NotTakenYet)) throw error;
        this.#refusal = error.message;
      },
    );
    try {
      await settlesWithin(this.#clock, RESUME_MS, Promise.race([resumed, connection.closed]));
      // Without a session to resume, only the end of the connection shows that a gateway refuses all clients.
      if (isTaken && this.#isUnreachable && !connection.hasReceived)
        isTaken = !(await settlesWithin(this.#clock, REFUSED_WITHIN_MS, connection.closed));
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
    if (isTaken) return true;
    connection[Symbol.dispose]();
    await connection.closed;
    return false;
  }

  #handInputTo({ connection, exchange }: OpenGateway): void {
    const [session, passage] = [this.#session, this.#passage];
    session.continueAt(exchange);
    this.#input.handTo({
      push: (chunk) => connection.inOnePiece(() => passage.push(chunk)),
      end: () => {
        connection.inOnePiece(() => passage.end());
        session.fallSilent();
        for (const gateway of this.#gateways) gateway.connection.end();
      },
    });
  }

  /** Leaves gateways that have handed over: at once for the client's requests, and for good when nothing is unanswered. */
  #moveOn(): void {
    // A client that has ended its input sends no further requests.
    if (this.#input.ended) return;
    for (const { connection, exchange, handedOver } of this.#gateways) {
      if (!exchange.hasHandedOver) continue;
      if (this.#session.current === null && !this.#isUnreachable) this.#input.keep();
      handedOver.resolve();
      if (exchange.isIdle) connection.end();
    }
  }

  async #serveAgain(isHandover: boolean): Promise<Served> {
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
      if (daemon === null) {
        this.#refusal = null;
        continue;
      }
      const served = await this.#serveWith(daemon, onTaken);
      if (served !== "not_taken") return served;
    }
  }

  /**
   * Waits until `refusing`, a daemon that refuses the client and may be stopping, is gone. After BEGIN_MS the client
   * goes to the daemon that runs then; rejects with the reason if that daemon also refuses.
   */
  async #beginLater(refusing: BridgedDaemon): Promise<Served> {
    const { signal } = this.#ends;
    const sinceMs = this.#clock.monotonicMs();
    while (this.#clock.monotonicMs() - sinceMs < BEGIN_MS) {
      if ((await whyRefused(refusing, signal)) === null) return "lost";
      await this.#clock.sleep(LAST_RETRY_MS, signal);
    }
    const daemon = await this.#nextDaemon();
    if (daemon === null) return "lost";
    const served = await this.#serveWith(daemon);
    const why = served === "not_taken" ? await whyRefused(daemon, signal) : null;
    if (why !== null) throw why;
    return served;
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
