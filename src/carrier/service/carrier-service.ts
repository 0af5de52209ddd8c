// All that is carried: opens and closes shares, and sees to it that ports and memory outlive this process.
import { createServer, type Server } from "node:net";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type {
  CarriedMount,
  CarriedShare,
  CarrierNotice,
  JournalEntry,
  MoveOutcome,
  MoveRequest,
  OpenRequest,
} from "../carrier.ts";
import { createShareCarrier, type ShareCarrier } from "../connections/carried-share.ts";
import type { ShareSettings } from "../connections/share-settings.ts";
import type { Keeper } from "../control/keeper.ts";
import type { ProveServer } from "../smb/server-proof.ts";
import type { SocketOwners } from "../system/socket-owner.ts";
import { type CarrierMemory, type CarrierStateFile, JOURNAL_AT_MOST } from "./carrier-state.ts";

/** What the kernel holds while this process is dead, or busy. */
const BACKLOG = 1_024;
const SHARES_AT_MOST = 200;
const CLOSE_WITHIN_MS = 2_000;

interface ServiceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: SocketOwners;
  readonly prove: ProveServer;
  readonly uid: number;
  readonly stateFile: CarrierStateFile;
  /** `onChange`: as a keeper calls it. */
  readonly keeper: (onChange: () => Promise<void>) => Keeper;
  /** Whether anybody hears it. */
  readonly onNotice: (notice: CarrierNotice) => boolean;
  /** `urgent`: a phase, a route, a share that came or went; else counters. */
  readonly onChanged: (urgent: boolean) => void;
  /** The server of a share that is not confirmed answers again: `seenGuid` says which. */
  readonly onUnconfirmed: (one: ServedShare) => void;
  /** The last share is gone. */
  readonly onEmpty: () => void;
}

/** A share, and what only this process knows of it. */
export interface ServedShare {
  readonly carrier: ShareCarrier;
  readonly openedAtMs: number;
  /** Of the server that last answered over the route, since the share is unconfirmed. */
  seenGuid: string | null;
  /** The loss after which that was seen. */
  seenOutage: number | null;
  /** Taken over from a carrier that died, when the server was proved. */
  wasConfirmed: boolean;
}

export interface CarrierService extends AsyncDisposable {
  readonly served: ReadonlyMap<string, ServedShare>;
  states(): readonly CarriedShare[];
  /** Goes on where a carrier that died has left off; what has no socket is given up. */
  restore(memory: CarrierMemory, inherited: readonly Server[]): Promise<void>;
  open(request: OpenRequest): Promise<CarriedShare>;
  bind(share: string, mount: CarriedMount): Promise<void>;
  configure(share: string, change: Pick<OpenRequest, "endpoints" | "patienceMs">): Promise<void>;
  move(request: MoveRequest, untilMs: number): Promise<MoveOutcome>;
  hold(share: string): void;
  /** Nothing happens when the server was lost again since `outage`; null: whichever. */
  confirm(share: string, outage: number | null): void;
  usedUp(share: string): void;
  close(share: string): Promise<void>;
  takeJournal(): Promise<readonly JournalEntry[]>;
  note(entry: JournalEntry): void;
}

export function listenerFor(): Server {
  return createServer({ pauseOnConnect: true, allowHalfOpen: true, highWaterMark: 1 });
}

/** Operations that change which ports there are run one after the other. */
export function createCarrierService(options: ServiceOptions): CarrierService {
  const { clock, logger, stateFile } = options;
  let journal: JournalEntry[] = [];
  let changing: Promise<unknown> = Promise.resolve();
  let ended = false;

  const save = (): Promise<void> =>
    stateFile.write({
      shares: [...shares.served.values()].map(({ carrier }) => carrier.settings),
      journal,
      keeper: keeper.identity,
    });
  const keeper = options.keeper(() => save());
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = changing.then(work);
    changing = next.catch(() => {});
    return next;
  };
  const holdPorts = (): Promise<void> =>
    keeper.hold([...shares.served.values()].map(({ carrier }) => carrier.server));
  const shares = createServedShares({ options, clock, logger, ended: () => ended, save, holdPorts });

  return {
    served: shares.served,
    states: () => [...shares.served.values()].map(({ carrier }) => carrier.state()),
    restore: (memory, inherited) =>
      inTurn(async () => {
        journal = memory.journal.slice(-JOURNAL_AT_MOST);
        const byPort = new Map(inherited.map((server) => [portOf(server), server]));
        for (const settings of memory.shares) {
          const server = byPort.get(settings.port);
          byPort.delete(settings.port);
          if (server === undefined) {
            logger.error("a share's port was lost with its keeper", {
              share: settings.share,
              port: settings.port,
            });
            continue;
          }
          // Nobody has watched the server meanwhile.
          shares.serve(server, { ...settings, confirmed: false }, settings.confirmed);
        }
        for (const server of byPort.values()) server.close();
        await holdPorts();
        await save();
      }),
    open: (request) =>
      inTurn(async () => {
        const { share, kind, route, endpoints, patienceMs, wantedPort } = request;
        // Whoever opens has nothing mounted: what is left of an earlier mount ends here.
        const known = shares.served.get(share);
        shares.served.delete(share);
        await known?.carrier[Symbol.asyncDispose]();
        if (known !== undefined) await holdPorts();
        if (shares.served.size >= SHARES_AT_MOST)
          throw new MountaineerError("internal", `more than ${SHARES_AT_MOST} shares cannot be carried`);
        const server = listenerFor();
        await listen(server, wantedPort ?? 0);
        const port = portOf(server);
        const settings: ShareSettings = {
          share,
          kind,
          port,
          route,
          endpoints: { ...endpoints },
          patienceMs,
          mount: null,
          guid: null,
          confirmed: true,
        };
        const one = shares.serve(server, settings, false);
        await holdPorts();
        await save();
        logger.info("a share is carried", { share, port, route });
        options.onChanged(true);
        return one.carrier.state();
      }),
    async bind(share, mount) {
      shares.find(share).carrier.bind(mount);
      await save();
    },
    async configure(share, change) {
      shares.find(share).carrier.configure(change);
      await save();
    },
    async move({ share, to, endpoint, planned }, untilMs) {
      const one = shares.served.get(share);
      if (one === undefined) return { ok: false, reason: "unknown_share", text: `${share} is not carried` };
      const from = one.carrier.settings.route;
      const outcome = await one.carrier.move(to, endpoint, planned, untilMs);
      logger.info(outcome.ok ? "a share was moved" : "a share was not moved", {
        share,
        from,
        to,
        planned,
        ...(outcome.ok
          ? { connections: outcome.connections, quiet: outcome.quiet, took_ms: Math.round(outcome.tookMs) }
          : { reason: outcome.reason, error: outcome.text }),
      });
      if (outcome.ok) await save();
      return outcome;
    },
    hold: (share) => shares.find(share).carrier.hold(),
    confirm(share, outage) {
      const one = shares.find(share);
      const now = one.carrier.state().outage;
      if (outage !== null && outage !== now) return;
      if (one.seenGuid !== null && one.seenOutage === now) one.carrier.settings.guid = one.seenGuid;
      one.wasConfirmed = false;
      one.carrier.confirm();
    },
    usedUp: (share) => shares.find(share).carrier.usedUp(),
    close: (share) => inTurn(() => shares.closeNow(share)),
    async takeJournal() {
      const taken = journal;
      journal = [];
      if (taken.length > 0) await save();
      return taken;
    },
    note(entry) {
      journal = [...journal, entry].slice(-JOURNAL_AT_MOST);
      void save();
    },
    async [Symbol.asyncDispose]() {
      await changing;
      ended = true;
      for (const { carrier } of shares.served.values())
        await settledWithin(clock, CLOSE_WITHIN_MS, Promise.resolve(carrier[Symbol.asyncDispose]()));
      await keeper[Symbol.asyncDispose]();
    },
  };
}

interface ServedSharesParts {
  readonly options: ServiceOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ended: () => boolean;
  readonly save: () => Promise<void>;
  readonly holdPorts: () => Promise<void>;
}

/** The shares that are carried, and how one begins and ends. */
function createServedShares({ options, clock, logger, ended, save, holdPorts }: ServedSharesParts) {
  const served = new Map<string, ServedShare>();

  const serve = (server: Server, settings: ShareSettings, wasConfirmed: boolean): ServedShare => {
    const { share } = settings;
    const one: ServedShare = {
      carrier: createShareCarrier(server, settings, {
        clock,
        logger,
        owners: options.owners,
        prove: options.prove,
        uid: options.uid,
        events: {
          notice(what) {
            options.onChanged(true);
            return options.onNotice({ share, what });
          },
          counted: () => options.onChanged(false),
          settingsChanged() {
            options.onChanged(true);
            if (!ended()) void save();
          },
          unconfirmed(guid) {
            one.seenGuid = guid;
            one.seenOutage = one.carrier.state().outage;
            options.onUnconfirmed(one);
          },
        },
      }),
      openedAtMs: clock.monotonicMs(),
      seenGuid: null,
      seenOutage: null,
      wasConfirmed,
    };
    served.set(share, one);
    return one;
  };
  const find = (share: string): ServedShare => {
    const one = served.get(share);
    if (one !== undefined) return one;
    throw new MountaineerError("share_unknown", `${share} is not carried`);
  };
  const closeNow = async (share: string): Promise<void> => {
    const one = served.get(share);
    if (one === undefined) return;
    served.delete(share);
    await settledWithin(clock, CLOSE_WITHIN_MS, Promise.resolve(one.carrier[Symbol.asyncDispose]()));
    await holdPorts();
    await save();
    logger.info("a share is no longer carried", { share, port: one.carrier.settings.port });
    options.onChanged(true);
    options.onNotice({ share, what: "gone" });
    if (served.size === 0) options.onEmpty();
  };

  return { served, serve, find, closeNow };
}

/** `port` 0: one that the system picks. */
function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, backlog: BACKLOG }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Takes over listening sockets that were inherited, as many as are some. */
export async function takeOver(descriptors: readonly number[], logger: Logger): Promise<readonly Server[]> {
  const servers: Server[] = [];
  for (const fd of descriptors) {
    const server = listenerFor();
    const listening = await new Promise<boolean>((resolve) => {
      server.once("error", (error) => {
        logger.error("an inherited port cannot be used", { fd, error: error.message });
        resolve(false);
      });
      try {
        server.listen({ fd, backlog: BACKLOG }, () => resolve(true));
      } catch {
        resolve(false);
      }
    });
    if (listening) servers.push(server);
  }
  return servers;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
