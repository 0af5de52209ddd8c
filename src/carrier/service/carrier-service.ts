// All carried shares: opens and closes them, and makes ports and memory outlive this process.

import { createServer, type Server } from "node:net";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { settledWithin } from "../../runtime/time/clock.ts";
import type {
  CarriedMount,
  CarriedShare,
  CarrierNotice,
  ConfigureRequest,
  JournalEntry,
  MoveOutcome,
  MoveRequest,
  OpenRequest,
} from "../carrier.ts";
import { ShareCarrier } from "../connections/carried-share.ts";
import { LogonGate } from "../connections/logon-gate.ts";
import type { ShareParts, ShareSettings } from "../connections/share-settings.ts";
import { listen } from "../control/control-socket.ts";
import type { Keeper } from "../control/keeper.ts";
import { type CarrierMemory, type CarrierStateFile, JOURNAL_AT_MOST } from "./carrier-state.ts";

/** Connections that the kernel keeps while this process is dead or busy. */
const BACKLOG = 1_024;
const SHARES_AT_MOST = 200;
const CLOSE_WITHIN_MS = 2_000;

interface ServiceOptions extends Omit<ShareParts, "events" | "logons"> {
  readonly stateFile: CarrierStateFile;
  /** `onChange`: called by the keeper when its process changes. */
  readonly keeper: (onChange: () => Promise<void>) => Keeper;
  /** Whether anybody hears it. */
  readonly onNotice: (notice: CarrierNotice) => boolean;
  /** `urgent`: a phase, a route, a share that came or went; else counters. */
  readonly onChanged: (urgent: boolean) => void;
  /** The last share is gone, and the request that closed it is about to be answered. */
  readonly onEmpty: () => void;
}

/** A share, and what only this process knows of it. */
export interface ServedShare {
  readonly carrier: ShareCarrier;
  readonly openedAtMs: number;
  /** The GUID of the server that last answered over the route, since the share is unconfirmed. */
  seenGuid: string | null;
  /** The number of the loss before that answer. */
  seenOutage: number | null;
}

export function listenerFor(): Server {
  return createServer({ pauseOnConnect: true, allowHalfOpen: true, highWaterMark: 1 });
}

/** Operations that change the set of ports run one after the other. */
export class CarrierService implements AsyncDisposable {
  readonly #options: ServiceOptions;
  readonly #served = new Map<string, ServedShare>();
  readonly #keeper: Keeper;
  /** By login. */
  readonly #logons = new Map<string, LogonGate>();
  #journal: readonly JournalEntry[] = [];
  #changing: Promise<unknown> = Promise.resolve();
  #isEnded = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#keeper = options.keeper(() => this.#save());
  }

  get served(): ReadonlyMap<string, ServedShare> {
    return this.#served;
  }

  states(): readonly CarriedShare[] {
    return [...this.#served.values()].map(({ carrier }) => carrier.state());
  }

  /** Continues what a dead carrier did; shares without an inherited socket are given up. */
  restore(memory: CarrierMemory, inherited: readonly Server[]): Promise<void> {
    return this.#inTurn(async () => {
      this.#journal = memory.journal.slice(-JOURNAL_AT_MOST);
      const byPort = new Map(inherited.map((server) => [portOf(server), server]));
      for (const settings of memory.shares) {
        const { share, port } = settings;
        const server = byPort.get(port);
        byPort.delete(port);
        if (server === undefined)
          this.#options.logger.error("a share's port was lost with its keeper", { share, port });
        // Nobody has watched the server meanwhile, so it must be proved.
        else this.#serve(server, { ...settings, confirmed: false });
      }
      for (const server of byPort.values()) server.close();
      await this.#holdPorts();
      await this.#save();
    });
  }

  open({ wantedPort, unproved = false, ...request }: OpenRequest): Promise<CarriedShare> {
    return this.#inTurn(async () => {
      const { share, route } = request;
      // A caller that opens has nothing mounted: what is left of an earlier mount ends here.
      const known = this.#served.get(share);
      this.#served.delete(share);
      await known?.carrier[Symbol.asyncDispose]();
      if (known !== undefined) await this.#holdPorts();
      if (this.#served.size >= SHARES_AT_MOST)
        throw new MountaineerError("internal", `more than ${SHARES_AT_MOST} shares cannot be carried`);
      const server = listenerFor();
      // Port 0: one that the system picks.
      await listen(server, { host: "127.0.0.1", port: wantedPort ?? 0, backlog: BACKLOG });
      const port = portOf(server);
      const settings = { ...request, port, mount: null, guid: null, confirmed: !unproved, epoch: 0 };
      const { carrier } = this.#serve(server, settings);
      carrier.configure(request);
      await this.#holdPorts();
      await this.#save();
      this.#options.logger.info("a share is carried", { share, port, route });
      this.#options.onChanged(true);
      return carrier.state();
    });
  }

  async bind(share: string, mount: CarriedMount): Promise<void> {
    this.#find(share).carrier.bind(mount);
    await this.#save();
  }

  async configure(share: string, change: ConfigureRequest): Promise<void> {
    this.#findAt(share, change.epoch ?? null).carrier.configure(change);
    await this.#save();
  }

  async move({ share, epoch = null, ...wanted }: MoveRequest, untilMs: number): Promise<MoveOutcome> {
    const { to, planned } = wanted;
    const one = this.#served.get(share);
    if (one === undefined) return { ok: false, reason: "unknown_share", text: `${share} is not carried` };
    if (isOutdated(one, epoch)) return { ok: false, reason: "refused", text: OUTDATED };
    const from = one.carrier.settings.route;
    const outcome = await one.carrier.move({ ...wanted, untilMs });
    this.#options.logger.info(outcome.ok ? "a share was moved" : "a share was not moved", {
      share,
      from,
      to,
      planned,
      ...(outcome.ok
        ? { connections: outcome.connections, quiet: outcome.quiet, took_ms: Math.round(outcome.tookMs) }
        : { reason: outcome.reason, error: outcome.text }),
    });
    if (outcome.ok) await this.#save();
    return outcome;
  }

  /** `epoch`: the share's epoch when this was decided; null: unknown. */
  hold(share: string, epoch: number | null): void {
    this.#findAt(share, epoch).carrier.hold();
  }

  /** Does nothing if the server was lost again since `outage`; null: in any case. */
  confirm(share: string, outage: number | null): void {
    const one = this.#find(share);
    const now = one.carrier.state().outage;
    if (outage !== null && outage !== now) return;
    if (one.seenGuid !== null && one.seenOutage === now) one.carrier.settings.guid = one.seenGuid;
    one.carrier.confirm();
  }

  reopen(share: string): void {
    this.#find(share).carrier.reopen();
  }

  usedUp(share: string): void {
    this.#find(share).carrier.usedUp();
  }

  close(share: string): Promise<void> {
    const { clock, logger, onChanged, onNotice } = this.#options;
    return this.#inTurn(async () => {
      const one = this.#served.get(share);
      if (one === undefined) return;
      this.#served.delete(share);
      await settledWithin(clock, CLOSE_WITHIN_MS, one.carrier[Symbol.asyncDispose]());
      await this.#holdPorts();
      await this.#save();
      logger.info("a share is no longer carried", { share, port: one.carrier.settings.port });
      onChanged(true);
      onNotice({ share, what: "gone" });
      this.#sayIfEmpty();
    });
  }

  /** Not while a share is being opened or closed: the list is empty for a moment then. */
  endIfEmpty(): void {
    void this.#inTurn(async () => this.#sayIfEmpty());
  }

  async takeJournal(): Promise<readonly JournalEntry[]> {
    const taken = this.#journal;
    this.#journal = [];
    if (taken.length > 0) await this.#save();
    return taken;
  }

  note(entry: JournalEntry): void {
    this.#journal = [...this.#journal, entry].slice(-JOURNAL_AT_MOST);
    void this.#save();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changing;
    this.#isEnded = true;
    for (const { carrier } of this.#served.values())
      await settledWithin(this.#options.clock, CLOSE_WITHIN_MS, carrier[Symbol.asyncDispose]());
    await this.#keeper[Symbol.asyncDispose]();
  }

  #find(share: string): ServedShare {
    const one = this.#served.get(share);
    if (one !== undefined) return one;
    throw new MountaineerError("share_unknown", `${share} is not carried`);
  }

  #findAt(share: string, epoch: number | null): ServedShare {
    const one = this.#find(share);
    if (isOutdated(one, epoch)) throw new MountaineerError("aborted", OUTDATED, { retry: "later" });
    return one;
  }

  #serve(server: Server, settings: ShareSettings): ServedShare {
    const { share, route } = settings;
    const { clock, onChanged, onNotice } = this.#options;
    const inUse = settings.endpoints[route];
    // The proof of the other route ended with the previous carrier's connection there.
    const endpoints = inUse === undefined ? {} : { [route]: inUse };
    const one: ServedShare = {
      carrier: new ShareCarrier(
        server,
        { ...settings, endpoints },
        {
          ...this.#options,
          logons: this.#logonsOf(settings),
          events: {
            notice(what) {
              onChanged(true);
              return onNotice({ share, what });
            },
            counted: () => onChanged(false),
            settingsChanged: () => {
              onChanged(true);
              if (!this.#isEnded) void this.#save();
            },
            unconfirmed(guid) {
              one.seenGuid = guid;
              one.seenOutage = one.carrier.state().outage;
            },
          },
        },
      ),
      openedAtMs: clock.monotonicMs(),
      seenGuid: null,
      seenOutage: null,
    };
    this.#served.set(share, one);
    return one;
  }

  #logonsOf(settings: ShareSettings): LogonGate {
    const keyOf = ({ share, login = null }: ShareSettings): string => login ?? ` ${share}`;
    const inUse = new Set([...this.#served.values()].map(({ carrier }) => keyOf(carrier.settings)));
    // Logins of no open share are forgotten: a share that is opened again begins anew.
    for (const key of this.#logons.keys()) if (!inUse.has(key)) this.#logons.delete(key);
    const key = keyOf(settings);
    const known = this.#logons.get(key);
    const logons = known ?? new LogonGate(this.#options.clock, settings.refusedLogon ?? null);
    this.#logons.set(key, logons);
    return logons;
  }

  #sayIfEmpty(): void {
    if (this.#served.size === 0) this.#options.onEmpty();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#changing.then(work);
    this.#changing = next.catch(() => {});
    return next;
  }

  #save(): Promise<void> {
    const shares = [...this.#served.values()].map(({ carrier }) => ({
      ...carrier.settings,
      refusedLogon: carrier.state().refusedLogon?.text ?? null,
    }));
    return this.#options.stateFile.write({ shares, journal: this.#journal, keeper: this.#keeper.identity });
  }

  #holdPorts(): Promise<void> {
    return this.#keeper.hold([...this.#served.values()].map(({ carrier }) => carrier.server));
  }
}

const OUTDATED = "the carrier has acted alone since this was decided";

/** Whether the carrier has acted alone since a daemon decided something at `epoch`. */
function isOutdated({ carrier }: ServedShare, epoch: number | null): boolean {
  return epoch !== null && epoch !== carrier.settings.epoch;
}

/** Takes over inherited listening sockets, as far as the descriptors are some. */
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
