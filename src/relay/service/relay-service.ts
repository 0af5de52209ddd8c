// All relayed shares: opens and closes them, and keeps ports and settings so that they outlive this process.
import { createServer, type Server } from "node:net";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { listen } from "../../runtime/process/private-socket.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { LoginGate } from "../connections/login-gate.ts";
import { ShareRelay } from "../connections/share-relay.ts";
import type { ShareParts, ShareSettings } from "../connections/share-settings.ts";
import type { SocketHolder } from "../control/socket-holder.ts";
import type {
  ConfigureRequest,
  JournalEntry,
  MoveOutcome,
  MoveRequest,
  OpenRequest,
  RelayedMount,
  RelayedShare,
  RelayNotice,
} from "../relay.ts";
import { JOURNAL_AT_MOST, type RelayState, type RelayStateFile } from "./relay-state-file.ts";

/** How many connections the kernel queues while this process is dead or busy. */
const BACKLOG = 1_024;
const SHARES_AT_MOST = 200;
const CLOSE_WITHIN_MS = 2_000;

interface ServiceOptions extends Omit<ShareParts, "events" | "logins"> {
  readonly stateFile: RelayStateFile;
  /** The socket holder calls `onChange` when the socket holder's process changes. */
  readonly socketHolder: (onChange: () => Promise<void>) => SocketHolder;
  readonly onNotice: (notice: RelayNotice) => boolean;
  /** `urgent`: a phase, a route or the list of shares has changed; else only counters. */
  readonly onChanged: (urgent: boolean) => void;
  /** Called each time that `isEmpty` has become true. */
  readonly onEmpty: () => void;
}

export function listenerFor(): Server {
  return createServer({ pauseOnConnect: true, allowHalfOpen: true, highWaterMark: 1 });
}

/**
 * All open shares. Changes of the set of ports are made one after the other; the socket holder and the file then take several
 * of them at once.
 */
export class RelayService implements AsyncDisposable {
  readonly #options: ServiceOptions;
  readonly served = new Map<string, ShareRelay>();
  readonly #socketHolder: SocketHolder;
  /** The login gates (`login-gate.ts`) by login: shares with the same login use the same one. */
  readonly #loginGates = new Map<string, LoginGate>();
  #journal: readonly JournalEntry[] = [];
  #changing: Promise<unknown> = Promise.resolve();
  /** How many shares are being opened or closed. */
  #changes = 0;
  #isEnded = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#socketHolder = options.socketHolder(() => this.#save());
  }

  states(): readonly RelayedShare[] {
    return [...this.served.values()].map((relay) => relay.state());
  }

  /** Serves the shares of a dead relay process; shares without an inherited socket are given up. */
  restore(memory: RelayState, inherited: readonly Server[]): Promise<void> {
    return this.#inTurn(async () => {
      this.#journal = memory.journal.slice(-JOURNAL_AT_MOST);
      const byPort = new Map(inherited.map((server) => [portOf(server), server]));
      for (const settings of memory.shares) {
        const { share, port } = settings;
        const server = byPort.get(port);
        byPort.delete(port);
        if (server === undefined)
          this.#options.logger.error("a share's port was lost with its socket holder", { share, port });
        // Nothing watched the server since, so it must be proved again.
        else this.#serve(server, { ...settings, confirmed: false });
      }
      for (const server of byPort.values()) server.close();
      await this.#keepPorts();
      await this.#save();
    });
  }

  open(request: OpenRequest): Promise<RelayedShare> {
    return this.#tracked(() => this.#open(request));
  }

  /**
   * Rejects with `share_unknown`, or with `aborted` if the relay has acted autonomously since `epoch` (null: any
   * epoch).
   */
  find(share: string, epoch: number | null = null): ShareRelay {
    const relay = this.served.get(share);
    if (relay === undefined) throw new MountaineerError("share_unknown", `${share} is not relayed`);
    if (isOutdated(relay, epoch)) throw new MountaineerError("aborted", OUTDATED, { retry: "later" });
    return relay;
  }

  async bind(share: string, mount: RelayedMount): Promise<void> {
    this.find(share).bind(mount);
    await this.#save();
  }

  async configure(share: string, change: ConfigureRequest): Promise<void> {
    this.find(share, change.epoch).configure(change);
    await this.#save();
  }

  async move({ share, epoch = null, ...wanted }: MoveRequest, untilMs: number): Promise<MoveOutcome> {
    const { to, planned } = wanted;
    const relay = this.served.get(share);
    if (relay === undefined) return { ok: false, reason: "unknown_share", text: `${share} is not relayed` };
    if (isOutdated(relay, epoch)) return { ok: false, reason: "refused", text: OUTDATED };
    const from = relay.settings.route;
    const outcome = await relay.move({ ...wanted, untilMs });
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

  close(share: string): Promise<void> {
    return this.#tracked(() => this.#close(share));
  }

  /** Whether no share is open, and none is being opened or closed. */
  get isEmpty(): boolean {
    return this.served.size === 0 && this.#changes === 0;
  }

  async takeJournal(): Promise<readonly JournalEntry[]> {
    const taken = this.#journal;
    this.#journal = [];
    if (taken.length > 0) await this.#save();
    return taken;
  }

  recordDecision(entry: JournalEntry): void {
    this.#journal = [...this.#journal, entry].slice(-JOURNAL_AT_MOST);
    void this.#save();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changing;
    this.#isEnded = true;
    for (const relay of this.served.values())
      await settlesWithin(this.#options.clock, CLOSE_WITHIN_MS, relay[Symbol.asyncDispose]());
    await this.#socketHolder[Symbol.asyncDispose]();
  }

  async #open({ wantedPort, unproved = false, ...request }: OpenRequest): Promise<RelayedShare> {
    const relay = await this.#inTurn(async () => {
      const { share } = request;
      // The caller has nothing mounted, so connections of an earlier mount end.
      const known = this.served.get(share);
      this.served.delete(share);
      await known?.[Symbol.asyncDispose]();
      if (known !== undefined) await this.#keepPorts();
      if (this.served.size >= SHARES_AT_MOST)
        throw new MountaineerError("internal", `more than ${SHARES_AT_MOST} shares cannot be relayed`);
      const server = listenerFor();
      // With port 0 the system picks one.
      await listen(server, { host: "127.0.0.1", port: wantedPort ?? 0, backlog: BACKLOG });
      const port = portOf(server);
      const settings = { ...request, port, mount: null, guid: null, confirmed: !unproved, epoch: 0 };
      const opened = this.#serve(server, settings);
      opened.configure(request);
      return opened;
    });
    await this.#keepPorts();
    await this.#save();
    const { share, port, route } = relay.settings;
    this.#options.logger.info("a share is relayed", { share, port, route });
    this.#options.onChanged(true);
    return relay.state();
  }

  async #close(share: string): Promise<void> {
    const { clock, logger, onChanged, onNotice } = this.#options;
    const relay = await this.#inTurn(async () => {
      const found = this.served.get(share);
      this.served.delete(share);
      if (found !== undefined) await settlesWithin(clock, CLOSE_WITHIN_MS, found[Symbol.asyncDispose]());
      return found;
    });
    if (relay === undefined) return;
    await this.#keepPorts();
    await this.#save();
    logger.info("a share is no longer relayed", { share, port: relay.settings.port });
    onChanged(true);
    onNotice({ share, what: "gone" });
  }

  /** Does `work`, which opens or closes a share. `onEmpty` is called after it at the earliest. */
  async #tracked<T>(work: () => Promise<T>): Promise<T> {
    this.#changes += 1;
    try {
      return await work();
    } finally {
      this.#changes -= 1;
      if (this.isEmpty) this.#options.onEmpty();
    }
  }

  #serve(server: Server, settings: ShareSettings): ShareRelay {
    const { share, route } = settings;
    const { onChanged, onNotice } = this.#options;
    const inUse = settings.endpoints[route];
    // Keeps only the route in use. The other one must be proved again; `configure` then adds it.
    const endpoints = inUse === undefined ? {} : { [route]: inUse };
    const relay = new ShareRelay(
      server,
      { ...settings, endpoints },
      {
        ...this.#options,
        logins: this.#loginGateOf(settings),
        events: {
          notice(what) {
            onChanged(true);
            return onNotice({ share, what });
          },
          changed: () => onChanged(false),
          settingsChanged: () => {
            onChanged(true);
            if (!this.#isEnded) void this.#save();
          },
        },
      },
    );
    this.served.set(share, relay);
    return relay;
  }

  #loginGateOf(settings: ShareSettings): LoginGate {
    const keyOf = ({ share, login = null }: ShareSettings): string => login ?? ` ${share}`;
    const inUse = new Set([...this.served.values()].map((relay) => keyOf(relay.settings)));
    // Logins without an open share are forgotten: a share that is opened again may log in at once.
    for (const key of this.#loginGates.keys()) if (!inUse.has(key)) this.#loginGates.delete(key);
    const key = keyOf(settings);
    const known = this.#loginGates.get(key);
    const gate =
      known ?? new LoginGate(this.#options.clock, settings.refusedLogon ?? null, settings.wantsUser);
    this.#loginGates.set(key, gate);
    return gate;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#changing.then(work);
    this.#changing = next.catch(() => {});
    return next;
  }

  #save(): Promise<void> {
    const shares = [...this.served.values()].map((relay) => ({
      ...relay.settings,
      refusedLogon: relay.state().refusedLogon?.text ?? null,
    }));
    return this.#options.stateFile.write({
      shares,
      journal: this.#journal,
      keeper: this.#socketHolder.identity,
    });
  }

  #keepPorts(): Promise<void> {
    return this.#socketHolder.replace([...this.served.values()].map(({ server }) => server));
  }
}

const OUTDATED = "the relay has acted without the daemon since this was decided";

function isOutdated({ settings }: ShareRelay, epoch: number | null): boolean {
  return epoch !== null && epoch !== settings.epoch;
}

/** Listens on inherited descriptors; other descriptors are logged and left out. */
export async function takeOver(descriptors: readonly number[], logger: Logger): Promise<readonly Server[]> {
  const servers: Server[] = [];
  for (const fd of descriptors) {
    const server = listenerFor();
    try {
      await listen(server, { fd, backlog: BACKLOG });
      servers.push(server);
    } catch (error) {
      logger.error("an inherited port cannot be used", { fd, error: errorText(error) });
    }
  }
  return servers;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
