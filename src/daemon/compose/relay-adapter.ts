// The relay in the form that the share engine uses: requests have deadlines, and failures do not reject.
import type { MoveRequest, RelayControl, RelayedShare, RelayNotice } from "../../relay/relay.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { processIdentity } from "../../runtime/process/process-identity.ts";
import type { RelayClient, RelayClientNotice } from "../../shares/drivers/relay-contract.ts";

/** Deadline of a request, ms. */
const CALL_MS = 5_000;
/**
 * Deadline of a request that may have to start the relay first, ms. Long, because a mount that is made
 * without a relay cannot get one later.
 */
const OPEN_MS = 20_000;
/**
 * Deadline of a request for the counters, ms. Short, because the engine needs them to decide about a route
 * that does not answer.
 */
const RECOUNT_MS = 200;
/** How long a start waits for the first answer of a running relay, ms. */
const FIRST_ANSWER_MS = 2_000;

export function createRelayAdapter(logger: Logger, relay: RelayControl): RelayClient {
  /** The endpoints last sent for each share: equal ones are not sent again. */
  const sent = new Map<string, string>();
  /** For each share, the relay's `epoch` (see carrier.ts) when this process last saw it. */
  const epochs = new Map<string, number>();
  let first: Promise<void> | null = null;

  const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);
  const quietly = async (what: string, share: string, work: Promise<unknown>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      logger.warn(`the relay could not be asked to ${what}`, { share, reason: errorText(error) });
    }
  };

  const readJournal = async (): Promise<void> => {
    for (const entry of await relay.takeJournal(within(CALL_MS))) {
      if (entry.from === entry.to) logger.warn("waited while no daemon answered", { ...entry });
      else logger.info("moved while no daemon answered", { ...entry });
    }
  };
  /** A grown epoch means that the relay decided autonomously, because this process did not answer it for a while. */
  const readJournalIfNew = ({ share, epoch = null }: RelayedShare): void => {
    const before = epochs.get(share) ?? epoch;
    if (epoch === null) return;
    epochs.set(share, epoch);
    if (epoch !== before) void quietly("send its journal", share, readJournal());
  };

  const firstAnswer = async (): Promise<void> => {
    try {
      await relay.refresh(within(FIRST_ANSWER_MS));
      await readJournal();
    } catch (error) {
      logger.debug("no relay answers", { reason: errorText(error) });
    }
  };

  return {
    of(share) {
      const state = relay.shares.get(share) ?? null;
      if (state !== null) readJournalIfNew(state);
      return state;
    },
    get absentSinceMs() {
      return relay.absentSinceMs;
    },
    async recount() {
      try {
        await relay.recount(within(RECOUNT_MS));
      } catch (error) {
        logger.debug("the relay did not send its counters", { reason: errorText(error) });
      }
    },
    ready() {
      first ??= firstAnswer();
      return first;
    },
    async open({ driver, ...request }, signal) {
      if (driver === "local") return { ok: false, text: "a folder is not relayed" };
      try {
        const opened = { ...request, kind: driver, login: request.login ?? null };
        const { port } = await relay.open(opened, AbortSignal.any([signal, within(OPEN_MS)]));
        return { ok: true, port };
      } catch (error) {
        logger.warn("a share has no relay", { share: request.share, reason: errorText(error) });
        return { ok: false, text: `the relay does not open a port: ${errorText(error)}` };
      }
    },
    async bind(share, { id, path, repeats }, pids) {
      const [pid] = pids;
      const process = pid === undefined ? null : await processIdentity(pid);
      const mount = { id, path, process, ...(repeats === true ? { repeats } : {}) };
      await quietly("watch the mount", share, relay.bind(share, mount, within(CALL_MS)));
    },
    async move(request: MoveRequest, signal) {
      try {
        return await relay.move(request, signal);
      } catch (error) {
        return { ok: false, text: errorText(error) };
      }
    },
    keepEndpoints(share, change) {
      const { endpoints, patienceMs, away = false } = change;
      const { route, witness } = relay.shares.get(share) ?? {};
      // Equal endpoints are sent again until the relay has a witness. A witness is the connection that proves which
      // server is behind the other route.
      const isCovered = witness !== null || Object.keys(endpoints).every((name) => name === route);
      const text = JSON.stringify([endpoints, patienceMs, route, away]);
      if (sent.get(share) === text && isCovered) return;
      sent.set(share, text);
      const configured = relay.configure(share, change, within(CALL_MS));
      void configured.catch((error: unknown) => {
        sent.delete(share);
        logger.debug("the relay did not accept endpoints", { share, reason: errorText(error) });
      });
    },
    pause: (share, epoch) => quietly("hold", share, relay.pause(share, epoch, within(CALL_MS))),
    confirm: (share, outage) => quietly("go on", share, relay.confirm(share, outage, within(CALL_MS))),
    reopen: (share) => quietly("log in again", share, relay.reopen(share, within(CALL_MS))),
    usedUp: (share) => quietly("go on", share, relay.usedUp(share, within(CALL_MS))),
    async close(share) {
      sent.delete(share);
      await quietly("close a port", share, relay.close(share, within(CALL_MS)));
    },
    onNotice: (listener) =>
      relay.onNotice(({ share, what }) => {
        // Nothing to do when the relay answers again: the next look notices it.
        if (what !== "answered") listener(share, NOTICES[what] ?? "changed");
      }),
  };
}

const NOTICES: Partial<Record<RelayNotice["what"], RelayClientNotice>> = {
  stalled: "stalled",
  unconfirmed: "unconfirmed",
  lost: "lost",
};
