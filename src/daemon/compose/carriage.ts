// What the engine asks of the carrier, in the engine's own words: answers with deadlines, and nothing rejects.
import type { CarriedShare, Carrier, CarrierNotice, MoveRequest } from "../../carrier/carrier.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { processIdentity } from "../../runtime/process/process-identity.ts";
import type { Carriage, CarriageNotice } from "../../shares/drivers/carriage.ts";

/** How long one question may take, ms. */
const ASK_MS = 5_000;
/** The same when a carrier has to be started first, ms. Long, as a mount made without a carrier stays without. */
const OPEN_MS = 20_000;
/** Short: what waits for it is a decision about a route that is silent, ms. */
const RECOUNT_MS = 200;
/** How long a start waits for the first word of a carrier that runs, ms. */
const FIRST_WORD_MS = 2_000;

interface CarriageTools {
  readonly logger: Logger;
  readonly carrier: Carrier;
}

export function createCarriage({ logger, carrier }: CarriageTools): Carriage {
  /** What was last told of a share's endpoints, so that the same is not told again. */
  const told = new Map<string, string>();
  /** Of each share, how much the carrier had done alone when its journal was last read. */
  const epochs = new Map<string, number>();
  let first: Promise<void> | null = null;
  let isReady = false;

  const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);
  const quietly = async (what: string, share: string, work: Promise<unknown>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      logger.warn(`the carrier could not be asked to ${what}`, { share, reason: errorText(error) });
    }
  };

  const readJournal = async (): Promise<void> => {
    for (const entry of await carrier.takeJournal(within(ASK_MS))) {
      if (entry.from === entry.to) logger.warn("waited while no daemon answered", { ...entry });
      else logger.info("moved while no daemon answered", { ...entry });
    }
  };
  /** This process may have been stopped, and not have ended. */
  const readJournalIfNew = ({ share, epoch = null }: CarriedShare): void => {
    const before = epochs.get(share) ?? epoch;
    if (epoch === null) return;
    epochs.set(share, epoch);
    if (epoch !== before) void quietly("tell its journal", share, readJournal());
  };

  const firstWord = async (): Promise<void> => {
    try {
      await carrier.refresh(within(FIRST_WORD_MS));
      await readJournal();
    } catch (error) {
      logger.debug("no carrier answers", { reason: errorText(error) });
    }
    isReady = true;
  };

  return {
    of(share) {
      const state = carrier.shares.get(share) ?? null;
      if (state !== null) readJournalIfNew(state);
      return state;
    },
    get absentSinceMs() {
      return carrier.absentSinceMs;
    },
    async recount() {
      try {
        await carrier.recount(within(RECOUNT_MS));
      } catch (error) {
        logger.debug("the carrier did not tell its counters", { reason: errorText(error) });
      }
    },
    ready() {
      if (isReady) return Promise.resolve();
      first ??= firstWord();
      return first;
    },
    async open({ driver, ...asked }, signal) {
      if (driver === "local") return { ok: false, text: "a folder is not carried" };
      try {
        const request = { ...asked, kind: driver, login: asked.login ?? null };
        const { port } = await carrier.open(request, AbortSignal.any([signal, within(OPEN_MS)]));
        return { ok: true, port };
      } catch (error) {
        logger.warn("a share has no carrier", { share: asked.share, reason: errorText(error) });
        return { ok: false, text: `the carrier does not open a port: ${errorText(error)}` };
      }
    },
    async bind(share, { id, path }, pids) {
      const [pid] = pids;
      const process = pid === undefined ? null : await processIdentity(pid);
      await quietly("watch the mount", share, carrier.bind(share, { id, path, process }, within(ASK_MS)));
    },
    async move(request: MoveRequest, signal) {
      try {
        const outcome = await carrier.move(request, signal);
        if (!outcome.ok) return { ok: false, text: outcome.text };
        return { ok: true, quiet: outcome.quiet, connections: outcome.connections };
      } catch (error) {
        return { ok: false, text: errorText(error) };
      }
    },
    keepEndpoints(share, change) {
      const { endpoints, patienceMs, away = false } = change;
      const { route, witness } = carrier.shares.get(share) ?? {};
      // Another witness is asked for with each look, as long as there is none.
      const isKept = witness !== null || Object.keys(endpoints).every((name) => name === route);
      const text = JSON.stringify([endpoints, patienceMs, route, away]);
      if (told.get(share) === text && isKept) return;
      told.set(share, text);
      const asked = carrier.configure(share, change, within(ASK_MS));
      void asked.catch((error: unknown) => {
        told.delete(share);
        logger.debug("the carrier was not told of endpoints", { share, reason: errorText(error) });
      });
    },
    hold: (share, epoch) => quietly("hold", share, carrier.hold(share, epoch, within(ASK_MS))),
    confirm: (share, outage) => quietly("go on", share, carrier.confirm(share, outage, within(ASK_MS))),
    reopen: (share) => quietly("log in again", share, carrier.reopen(share, within(ASK_MS))),
    usedUp: (share) => quietly("go on", share, carrier.usedUp(share, within(ASK_MS))),
    async close(share) {
      told.delete(share);
      await quietly("close a port", share, carrier.close(share, within(ASK_MS)));
    },
    onNotice: (listener) =>
      carrier.onNotice((notice) => {
        const told = noticeOf(notice);
        if (told !== null) listener(notice.share, told);
      }),
  };
}

function noticeOf({ what }: CarrierNotice): CarriageNotice | null {
  if (what === "stalled") return "stalled";
  if (what === "unconfirmed") return "doubt";
  if (what === "lost") return "lost";
  // It says that all is well: the next look finds it.
  return what === "answered" ? null : "changed";
}
