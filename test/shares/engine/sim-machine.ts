// A machine in simulated time: a carrier and rclones that outlive the daemon, their write caches, and who is behind them.
import assert from "node:assert/strict";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../../src/reconcile/state-store.ts";
import { createCutOffSessions } from "../../../src/relay/connections/cut-off-sessions.ts";
import { LoginGate } from "../../../src/relay/connections/login-gate.ts";
import { createMoves } from "../../../src/relay/connections/moves.ts";
import { RouteState } from "../../../src/relay/connections/route-state.ts";
import type { ShareContext, ShareSettings } from "../../../src/relay/connections/share-settings.ts";
import { createStandbyRoute } from "../../../src/relay/connections/standby-route.ts";
import type {
  OpenRequest,
  RelayControl,
  RelayedShare,
  RelayNotice,
  RelayRoute,
} from "../../../src/relay/relay.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { FIRST_SERVER } from "../../../src/shares/drivers/share-files.ts";
import type { MountCheck, Prober } from "../../../src/shares/prober/prober.ts";
import type { KnownServer, KnownServers } from "../../../src/shares/server-proof/known-servers.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
import { sourceOf } from "../../../src/shares/smb-source.ts";
import { UNASKED_DRIVER } from "../../daemon/shares.ts";
import type { SimConnection, SimNetwork, SimServer } from "./sim-network.ts";

/** How often what waits in a mount tries again, ms. */
const BEAT_MS = 250;
const STALLED_MS = 300;
const CONNECT_MS = 1_000;
const IN_TABLE_MS = 40;

/** What a program wrote, and whose files it had open. */
interface Written {
  readonly name: string;
  readonly server: string;
  readonly atMs: number;
}

interface SimMount {
  readonly id: string;
  readonly share: ShareSpec;
  readonly route: RouteName;
  readonly port: number;
  readonly pinned: boolean;
  /** The id of the server whose cache it uses. */
  readonly cache: string;
  isListed: boolean;
  isRunning: boolean;
  /** The server that its files were opened on. */
  home: string | null;
  readonly waiting: Set<(errno: string | null) => void>;
}

/** One carried share, with the carrier's own rules of when a route carries. */
class SimCarried {
  readonly settings: ShareSettings;
  readonly route: RouteState;
  readonly standby: ReturnType<typeof createStandbyRoute>;
  readonly moves: ReturnType<typeof createMoves>;
  outageAtMove: number | null = null;
  refusedLogon: { readonly text: string; readonly atMs: number } | null = null;
  lastAnswerAtMs: number | null = null;
  unansweredSinceMs: number | null = null;
  #isStalled = false;
  #connectsSinceMs: number | null = null;
  #seen: { readonly guid: string; readonly outage: number } | null = null;
  #connection: SimConnection | null = null;
  readonly #clock: Clock;
  readonly #network: SimNetwork;
  readonly #notice: (what: RelayNotice["what"]) => void;

  constructor(
    clock: Clock,
    network: SimNetwork,
    { wantedPort: _, unproved = false, ...request }: OpenRequest,
    port: number,
    notice: (what: RelayNotice["what"]) => void,
  ) {
    this.#clock = clock;
    this.#network = network;
    this.#notice = notice;
    const { route: inUse, endpoints } = request;
    const own = endpoints[inUse];
    this.settings = {
      ...request,
      endpoints: own === undefined ? {} : { [inUse]: own },
      ...{ port, mount: null, guid: null, confirmed: !unproved, epoch: 0 },
    };
    const events: ShareContext["events"] = {
      notice: (what) => {
        notice(what);
        return true;
      },
      changed() {},
      settingsChanged() {},
    };
    const context: ShareContext = {
      ...{ clock, logger: noopLogger, prove: network.prove, uid: 1000, events },
      settings: this.settings,
      owners: { ownerOf: async () => 1000 },
      logins: new LoginGate(clock),
      ...{ connections: new Set(), closed: false },
      cutOff: createCutOffSessions(clock),
    };
    this.route = new RouteState(
      {
        clock,
        patienceMs: () => this.settings.patienceMs,
        isOffNetwork: () => this.settings.away === true,
        firstOutage: clock.wallMs(),
        prove: (timeoutMs, onGone) => {
          const target = this.settings.endpoints[this.settings.route];
          assert.ok(target);
          return network.prove(target, timeoutMs, onGone);
        },
        onPhase: () => notice("phase"),
        onUnconfirmed: ({ guid }) => {
          this.#seen = { guid, outage: this.route.outage };
          notice("unconfirmed");
        },
        onImpatient() {},
      },
      !unproved,
    );
    this.standby = createStandbyRoute(context);
    this.moves = createMoves(
      context,
      (witness) => this.standby.hasEnded(witness),
      () => this.#moved(),
      () => {},
    );
    this.standby.keep(endpoints[inUse === "tb" ? "fallback" : "tb"]);
  }

  state(): RelayedShare {
    const { share, kind, port, route, mount, server = null, epoch, endpoints } = this.settings;
    const { phase, routeLostAtMs, outage } = this.route;
    const { lastAnswerAtMs, unansweredSinceMs, outageAtMove, refusedLogon } = this;
    return {
      ...{ share, kind, port, route, phase, mount, server, routeLostAtMs, outage, epoch, outageAtMove },
      ...{ lastAnswerAtMs, unansweredSinceMs, refusedLogon, encrypted: false },
      ...{ connections: 1, connectionsInAll: 1, bytesUp: 0, bytesDown: 0, longestWaitMs: 0 },
      witness: this.standby.current?.id ?? null,
      endpoint: endpoints[route] ?? { address: "", port: 0, localAddress: null },
      moves: this.moves.moves,
    };
  }

  /** The address of the route in use. */
  get inUseAt(): string | undefined {
    return this.settings.endpoints[this.settings.route]?.address;
  }

  get isJoined(): boolean {
    return this.#connection !== null;
  }

  confirm(outage: number | null): void {
    if (outage !== null && outage !== this.route.outage) return;
    if (this.#seen?.outage === this.route.outage) this.settings.guid = this.#seen.guid;
    const isOpened = this.route.phase !== "carrying";
    this.route.confirm();
    if (isOpened) this.#notice("confirmed");
  }

  /** Where a request of the mount's gets to now. */
  ask(): SimServer | "held" | "refused" {
    const connection = this.#connection ?? this.#connect();
    if (connection === null) return this.route.phase === "refusing" ? "refused" : "held";
    const answer = connection.ask();
    if (answer === "answered") {
      this.unansweredSinceMs = null;
      this.#isStalled = false;
      this.lastAnswerAtMs = this.#clock.monotonicMs();
      return connection.server;
    }
    if (answer === "silent") this.#unanswered();
    return "held";
  }

  close(): void {
    this.#connection?.close();
    this.standby.drop();
    this.route[Symbol.dispose]();
  }

  #connect(): SimConnection | null {
    const { endpoints, route } = this.settings;
    const target = endpoints[route];
    if (this.route.phase !== "carrying" || target === undefined) return null;
    const connection = this.#network.connect(target.address, () => {
      this.#connection = null;
      this.unansweredSinceMs = null;
      this.route.markUnproved();
    });
    if (connection === "silent") {
      this.#connectsSinceMs ??= this.#clock.monotonicMs();
      if (this.#clock.monotonicMs() - this.#connectsSinceMs < CONNECT_MS) return null;
    }
    this.#connectsSinceMs = null;
    if (typeof connection === "string") {
      this.route.lost();
      return null;
    }
    this.#connection = connection;
    return connection;
  }

  #unanswered(): void {
    const nowMs = this.#clock.monotonicMs();
    this.unansweredSinceMs ??= nowMs;
    if (this.#isStalled || nowMs - this.unansweredSinceMs < STALLED_MS) return;
    this.#isStalled = true;
    this.#notice("stalled");
  }

  #moved(): void {
    this.#connection?.close();
    this.#connection = null;
    this.unansweredSinceMs = null;
    this.standby.moved();
    this.outageAtMove = this.route.outage;
    this.route.confirm();
    this.#notice("moved");
  }
}

export class SimMachine {
  readonly network: SimNetwork;
  readonly known: KnownServer[] = [];
  /** What is written and not sent, by the id of its server. */
  readonly caches = new Map<string, Written[]>();
  /** All that was ever acknowledged. */
  readonly acknowledged: Written[] = [];
  /** The state file. */
  readonly saved: { memory: ShareMemory; atMs: number | null } = { memory: EMPTY_SHARE_MEMORY, atMs: null };
  /** The id of each mount's server, in the order of mounts. */
  readonly mountedFrom: string[] = [];
  /** What stands at the share's path while a folder serves it. */
  link: { readonly id: string; readonly path: string; readonly folder: string } | null = null;
  /** Programs that hold a file of the mount open. */
  holders = 0;
  /** Whose each id is. */
  readonly #whose = new Map<string, string>();
  readonly #servers: readonly SimServer[];
  readonly #clock: Clock;
  readonly #carried = new Map<string, SimCarried>();
  readonly #listeners = new Set<(notice: RelayNotice) => void>();
  readonly #exits = new Set<(share: string) => void>();
  #mounts: SimMount[] = [];
  #count = 0;

  constructor(clock: Clock, network: SimNetwork, servers: readonly SimServer[]) {
    this.#clock = clock;
    this.network = network;
    this.#servers = servers;
    const beat = (): void => {
      for (const mount of this.#mounts) this.#work(mount);
      clock.setTimer(BEAT_MS, beat);
    };
    beat();
  }

  /** An id is one server's for good. */
  belongs(id: string, server: string, why: string): void {
    const before = this.#whose.get(id) ?? server;
    assert.equal(server, before, `${why}: what is kept for ${before} is ${server}'s now`);
    this.#whose.set(id, before);
  }

  whose(id: string): string | undefined {
    return this.#whose.get(id);
  }

  /** A program writes to what is mounted; nothing, if nothing can be opened there. */
  write(): void {
    const mount = this.#mounts.find(
      ({ isListed, isRunning, home }) => isListed && isRunning && home !== null,
    );
    if (mount === undefined || mount.home === null) return;
    const written = {
      name: `written-${this.acknowledged.length}`,
      server: mount.home,
      atMs: this.#clock.wallMs(),
    };
    this.acknowledged.push(written);
    this.caches.set(mount.cache, [...(this.caches.get(mount.cache) ?? []), written]);
  }

  killRclone(): void {
    for (const mount of this.#mounts.filter(({ isRunning }) => isRunning)) {
      this.#end(mount);
      for (const listener of [...this.#exits]) listener(mount.share.name);
    }
  }

  /** The server refuses a login of what is mounted. */
  refuseLogon(): void {
    for (const [share, carried] of this.#carried) {
      carried.refusedLogon = { text: "the password is wrong", atMs: this.#clock.monotonicMs() };
      this.#tell({ share, what: "phase" });
    }
  }

  /** Whether it is noticed at once when the server at an address ends. */
  watches(address: string): boolean {
    const inUse = [...this.#carried.values()].filter(({ inUseAt }) => inUseAt === address);
    return inUse.length === 0 ? this.network.isWatched(address) : inUse.every(({ isJoined }) => isJoined);
  }

  /** Whether anything is in the mount table, or on its way there. */
  get isMounted(): boolean {
    return this.#mounts.length > 0;
  }

  /** Whoever logs in is turned away. */
  get isRefused(): boolean {
    return [...this.#carried.values()].some(({ refusedLogon }) => refusedLogon !== null);
  }

  /** A daemon that ends hears nothing more. */
  forgetListeners(): void {
    this.#listeners.clear();
    this.#exits.clear();
  }

  end(): void {
    for (const carried of this.#carried.values()) carried.close();
  }

  #work(mount: SimMount): void {
    const { port, cache, waiting } = mount;
    const unsent = this.caches.get(cache) ?? [];
    if (!mount.isRunning || (unsent.length === 0 && waiting.size === 0)) return;
    const carried = [...this.#carried.values()].find(({ settings }) => settings.port === port);
    const answer = carried?.ask() ?? "refused";
    if (answer === "held") return;
    const errno = answer === "refused" ? "EIO" : null;
    if (answer !== "refused") this.#reach(mount, answer, unsent);
    for (const answered of [...waiting]) answered(errno);
    waiting.clear();
  }

  #reach(mount: SimMount, server: SimServer, unsent: readonly Written[]): void {
    mount.home ??= server.name;
    assert.equal(server.name, mount.home, "what is open goes on at another server");
    this.belongs(mount.cache, server.name, "mounted");
    for (const { name, server: meant, atMs } of unsent) {
      assert.equal(server.name, meant, `${name} is sent to another server`);
      server.entries.set(name, { name, isFolder: false, size: 1, modifiedMs: atMs, createdMs: atMs });
    }
    this.caches.delete(mount.cache);
  }

  #end(mount: SimMount): void {
    mount.isRunning = false;
    for (const answered of [...mount.waiting]) answered("ENOTCONN");
    mount.waiting.clear();
  }

  #remove(mount: SimMount): void {
    this.#end(mount);
    this.#mounts = this.#mounts.filter((one) => one !== mount);
  }

  #find(
    share: ShareSpec,
    { id, route, isRunning, port, pinned: guarded, cache, share: made }: SimMount,
  ): FoundMount {
    const source = sourceOf(made.routes[guarded ? route : "tb"], made.shareName);
    const now = ROUTE_NAMES.find((name) => sourceOf(share.routes[name], share.shareName) === source);
    return {
      ...{ id, source, guarded, server: cache, path: made.mountPath, relayPort: port },
      ...{ sameShare: true, route: now ?? null, processGone: !isRunning, madeByDriver: true },
    };
  }

  /** rclone, as far as the engine knows it. */
  driver(clock: Clock, prober: Prober): MountDriver {
    const listed = (): readonly SimMount[] => this.#mounts.filter(({ isListed }) => isListed);
    const waiting = (id: string) => {
      const { source = null, witness = null } = this.known.find((one) => one.id === id) ?? {};
      const files = (this.caches.get(id) ?? []).map(({ name, atMs }) => ({
        ...{ path: name, bytes: 1, writtenAtMs: atMs },
      }));
      return { server: id, source, proved: witness !== null, inUse: false, files, folder: `/cache/${id}` };
    };
    const inUse = (): string | null => this.#mounts.find(({ isRunning }) => isRunning)?.cache ?? null;
    return {
      ...UNASKED_DRIVER,
      missingRequirement: async () => null,
      find: async (share) => listed().map((mount) => this.#find(share, mount)),
      canBeRelayed: true,
      onlyThroughRelay: true,
      mount: async (share, route, { deadlineMs, signal }, through, server = FIRST_SERVER) => {
        if (!through) return { ok: false, reason: "other", text: "nothing carries it" };
        if (this.link !== null) return { ok: false, reason: "path_taken", text: "it is a link" };
        const [there] = listed();
        if (there !== undefined) return { ok: true, mount: this.#find(share, there), adopted: true };
        for (const left of this.#mounts) this.#remove(left);
        const mount: SimMount = {
          ...{ id: `m${++this.#count}`, share, route, port: through.port, pinned: through.guarded === true },
          ...{ cache: server, isListed: false, isRunning: true, home: null, waiting: new Set() },
        };
        this.#mounts.push(mount);
        this.mountedFrom.push(server);
        // It lives on in the mount table, whatever becomes of the daemon.
        this.#clock.setTimer(IN_TABLE_MS, () => {
          mount.isListed = mount.isRunning;
        });
        const limit = AbortSignal.any([signal]);
        const answered = new Promise<string | null>((resolve) => mount.waiting.add(resolve));
        const late = clock.sleep(deadlineMs, limit).then(
          () => "late",
          () => "cancelled",
        );
        const errno = await Promise.race([answered, late]);
        if (errno === null && mount.isRunning) {
          mount.isListed = true;
          await prober.checkMount(mount.id, share.mountPath, deadlineMs);
          return { ok: true, mount: this.#find(share, mount), adopted: false };
        }
        this.#remove(mount);
        return { ok: false, reason: "other", text: errno ?? "its process ended" };
      },
      unmount: async (_share, { id }, mode) => {
        const mount = this.#mounts.find((one) => one.id === id);
        if (mode === "plain" && this.holders > 0 && mount?.isRunning === true)
          return { ok: false, reason: "busy", text: "device is busy" };
        if (mount !== undefined) this.#remove(mount);
        this.holders = 0;
        return { ok: true };
      },
      unsent: async () => {
        const used = inUse();
        const ids = used === null ? [...this.caches.keys()] : [used];
        return ids.flatMap((id) => waiting(id).files.map(({ path }) => path));
      },
      unsentForOthers: async (_share, withInUse = false) => {
        const used = inUse();
        return [...this.caches.keys()]
          .filter((id) => withInUse || id !== used)
          .map((id) => ({ ...waiting(id), inUse: id === used }));
      },
      ownProcesses: async () => [],
      onMountProcessExit: (listener) => {
        this.#exits.add(listener);
        return () => void this.#exits.delete(listener);
      },
    };
  }

  /** A folder of this machine for each route, by a link. */
  localDriver(): MountDriver {
    const found = (share: ShareSpec): readonly FoundMount[] => {
      if (this.link === null) return [];
      const { id, path, folder } = this.link;
      const route = ROUTE_NAMES.find((name) => share.routes[name].folder === folder) ?? null;
      const sameShare = route !== null;
      return [{ id, path, source: folder, sameShare, route, processGone: false, madeByDriver: true }];
    };
    return {
      ...UNASKED_DRIVER,
      ...{ name: "local", cacheMs: 0 },
      missingRequirement: async () => null,
      find: async (share) => found(share),
      mount: async (share, route) => {
        const { mountPath, routes } = share;
        if (this.#mounts.length > 0)
          return { ok: false, reason: "path_taken", text: `${mountPath} is a folder` };
        this.link = { id: `l${++this.#count}`, path: mountPath, folder: routes[route].folder ?? "" };
        const [mount] = found(share);
        assert.ok(mount);
        return { ok: true, mount, adopted: false };
      },
      unmount: async () => {
        this.link = null;
        return { ok: true };
      },
      probeFolder: async (_, folder) => ({ verdict: "answers", text: `${folder} is there` }),
      unsent: async () => [],
      ownProcesses: async () => [],
    };
  }

  prober(clock: Clock): Prober {
    const looks = new Map<string, MountCheck>();
    const asked: Pick<Prober, "checkMount" | "lastCheck" | "forget" | "openFiles" | "pids"> = {
      pids: [],
      lastCheck: (id) => looks.get(id) ?? { state: "never" },
      forget: (id) => void looks.delete(id),
      checkMount: async (id, _path, waitMs) => {
        const mount = this.#mounts.find((one) => one.id === id);
        const before = looks.get(id);
        const isThere = mount !== undefined || this.link?.id === id;
        if (!isThere || before?.state === "pending") return before ?? { state: "never" };
        const startedAtMs = clock.monotonicMs();
        const answered = (errno: string | null): void =>
          void looks.set(id, { state: "answered", startedAtMs, finishedAtMs: clock.monotonicMs(), errno });
        looks.set(id, { state: "pending", startedAtMs });
        if (mount === undefined) answered(null);
        else if (mount.isRunning) {
          const told = new Promise<void>((resolve) =>
            mount.waiting.add((errno) => {
              answered(errno);
              resolve();
            }),
          );
          this.#work(mount);
          await Promise.race([told, clock.sleep(waitMs)]);
        } else answered("ENOTCONN");
        return looks.get(id) ?? { state: "never" };
      },
      openFiles: async (paths) => {
        const file = { pid: 1, command: "vi", path: "/volumes/CORE/x", how: "fd" } as const;
        return paths.map(() => ({
          ok: true,
          files: Array.from({ length: this.holders }, () => file),
        }));
      },
    };
    // The engine asks the prober for nothing else.
    return asked as Prober;
  }

  knownServers(): KnownServers {
    return {
      list: async () => [...this.known],
      keep: async (_share, server) => {
        const { id, witness } = server;
        const shown = this.#servers.find(({ rootCreatedMs }) => rootCreatedMs === witness?.rootCreatedMs);
        if (witness !== null) this.belongs(id, shown?.name ?? "nobody", "recognised");
        const at = this.known.findIndex((one) => one.id === id);
        this.known.splice(at === -1 ? this.known.length : at, 1, server);
      },
    };
  }

  /** The carrier, as a daemon asks it. */
  carrier(): RelayControl {
    const carried = this.#carried;
    const one = (share: string): SimCarried => {
      const known = carried.get(share);
      if (known === undefined) throw new MountaineerError("share_unknown", `${share} is not relayed`);
      return known;
    };
    const states = (): ReadonlyMap<string, RelayedShare> =>
      new Map([...carried].map(([share, each]) => [share, each.state()]));
    const close = async (share: string): Promise<void> => {
      carried.get(share)?.close();
      if (carried.delete(share)) this.#tell({ share, what: "gone" });
    };
    return {
      get shares() {
        return states();
      },
      absentSinceMs: null,
      refresh: async () => states(),
      async recount() {},
      open: async (request) => {
        const { share } = request;
        await close(share);
        const port = 40_000 + ++this.#count;
        const made = new SimCarried(this.#clock, this.network, request, port, (what) =>
          this.#tell({ share, what }),
        );
        carried.set(share, made);
        return made.state();
      },
      async bind(share, mount) {
        one(share).settings.mount = mount;
      },
      configure: async (share, { endpoints, patienceMs }) => {
        const { settings, standby, route } = one(share);
        const other: RelayRoute = settings.route === "tb" ? "fallback" : "tb";
        standby.keep(endpoints[other]);
        settings.patienceMs = patienceMs;
        route.armPatience();
      },
      move: ({ share, ...wanted }) =>
        one(share).moves.move({ ...wanted, untilMs: this.#clock.monotonicMs() + 5_000 }),
      pause: async (share) => one(share).route.lost(),
      confirm: async (share, outage) => one(share).confirm(outage),
      async reopen(share) {
        one(share).refusedLogon = null;
      },
      async usedUp() {},
      close,
      takeJournal: async () => [],
      onNotice: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  #tell(notice: RelayNotice): void {
    // Whoever was held back goes on at once.
    if (notice.what === "confirmed" || notice.what === "moved")
      for (const mount of this.#mounts) this.#work(mount);
    for (const listener of [...this.#listeners]) listener(notice);
  }
}
