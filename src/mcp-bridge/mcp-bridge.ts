// Connects an MCP client on stdin and stdout to the daemon's gateway, byte for byte. The session outlives a restart of
// the daemon.
import { once } from "node:events";
import { gatewayOff } from "../api/gateway-names.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { type Clock, settledWithin, systemClock } from "../runtime/time/clock.ts";
import { openInbox } from "./client-inbox.ts";
import type { BridgeEnds } from "./ends.ts";
import { type GatewayLink, openGatewayLink } from "./gateway-link.ts";
import { createPassage } from "./line-passage.ts";
import { createMoving } from "./moving-on.ts";
import { type BridgedDaemon, type FindDaemon, nextDaemon } from "./next-daemon.ts";
import { createBridgeSession } from "./session.ts";

/** How long a daemon may take to come back. */
const PATIENCE_MS = 30_000;
const FIRST_RETRY_MS = 100;
/** A daemon that is back serves its clients within a second. */
const LAST_RETRY_MS = 250;
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
}

/**
 * Carries messages until the client has left and everything is answered. When the daemon ends the connection it is
 * looked for again, for 30 s, and the session goes on with it. Rejects with `gateway_off` when the daemon has no
 * gateway, `daemon_unreachable` when none comes back or it does not take the session on, and the signal's reason.
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
  { find, note, clock = systemClock }: BridgeMeans,
  leave: () => void,
): Promise<never> {
  let link: GatewayLink | null = null;
  const session = createBridgeSession({
    tellClient: (json) => void output.write(`${json}\n`),
    tellGateway: (json) => link?.write(`${json}\n`),
  });
  const passage = createPassage({
    onLine(messages, line) {
      session.fromClient(messages, line);
      return true;
    },
    onCut: session.notTaken,
    write: (bytes) => link?.write(bytes),
  });
  using inbox = openInbox(input, leave);
  let moving = null as ReturnType<typeof createMoving> | null;

  /** Null when the gateway did not take the session on; the client is heard otherwise. */
  const connectTo = async (daemon: BridgedDaemon): Promise<GatewayLink | null> => {
    const opened = await openGatewayLink(daemon.mcpSocketPath, signal, {
      output,
      onLine(messages, line) {
        const isForClient = session.fromGateway(messages, line);
        // An answer is passed on before the connection it came on is left.
        queueMicrotask(() => {
          if (link !== null) moving?.look(link);
        });
        return isForClient;
      },
      onRoom: inbox.more,
      onEnd() {
        inbox.keep();
        passage.cut();
        return inbox.ended && session.inFlight === 0;
      },
    });
    if (opened === null) return null;
    link = opened;
    moving = createMoving({ session, passage, inbox, clock });
    let isTaken = false;
    try {
      const resumed = session.resume().then(() => {
        isTaken = true;
      });
      await settledWithin(clock, RESUME_MS, Promise.race([resumed, opened.closed]));
      if (isTaken) {
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
  /** Until the connection is gone. False when this gateway has taken no client. */
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
      const retryMs = isHandover && tries === 0 ? 0 : Math.min(FIRST_RETRY_MS * 2 ** tries, LAST_RETRY_MS);
      const leftMs = sinceMs + PATIENCE_MS - clock.monotonicMs();
      if (leftMs <= 0) throw noneCame();
      await clock.sleep(Math.min(retryMs, leftMs), signal);
      const daemon = await nextDaemon(find, clock, signal);
      if (daemon !== null && (await serveWith(daemon, onTaken))) return;
    }
  };

  const cut = (): void => link?.[Symbol.dispose]();
  signal.addEventListener("abort", cut, { once: true });
  try {
    if (!(await serveWith(first, () => {}))) await requireGone(first, signal);
    for (;;) {
      const isHandover = moving?.moved === true;
      if (!isHandover) {
        note(`the daemon ended the connection; waiting ${PATIENCE_MS / 1_000} s for it to come back`);
      }
      // A client that reads nothing was cut off for that; it would be again.
      if (output.writableNeedDrain) await once(output, "drain", { signal });
      await serveAgain(isHandover);
    }
  } finally {
    signal.removeEventListener("abort", cut);
    cut();
  }
}

/** Rejects with why the daemon has taken no client; resolves when it is gone. */
async function requireGone(daemon: BridgedDaemon, signal: AbortSignal): Promise<void> {
  let isOff: boolean;
  try {
    isOff = (await daemon.backendPhases(signal)) === null;
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "daemon_unreachable") return;
    throw error;
  }
  if (isOff) throw gatewayOff();
  throw unreachable(
    "the daemon's gateway takes no MCP client here",
    "too many may be connected; its log has more, and a restart of the daemon may help",
  );
}

function noneCame(): MountaineerError {
  return unreachable(
    `the daemon ended the connection, and none came back within ${PATIENCE_MS / 1_000} s`,
    "start it, say by mountaineer monitor, and then the MCP client again",
  );
}

function unreachable(message: string, hint: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", message, { hint, retry: "later" });
}
