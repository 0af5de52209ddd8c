// A machine in simulated time: mounts and their programs, which outlive the daemon, and who is behind them.
import assert from "node:assert/strict";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../../src/reconcile/state-store.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import type { MovingMounts } from "../../../src/shares/drivers/moving-mounts.ts";
import type { MountCheck, Prober } from "../../../src/shares/prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
import { sourceOf } from "../../../src/shares/smb-source.ts";
import { UNASKED_DRIVER } from "../../daemon/shares.ts";
import { SimProgram } from "../sim-program.ts";
import type { SimNetwork } from "./sim-network.ts";

/** How long a login takes, ms, and how much later the mount is in the table. */
const IN_TABLE_MS = 40;
const PROVED_MS = 60;

interface SimMount {
  readonly id: string;
  readonly share: ShareSpec;
  readonly route: RouteName;
  /** null: it stays on its route. */
  readonly program: SimProgram | null;
  isListed: boolean;
  isRunning: boolean;
}

export class SimMachine {
  readonly network: SimNetwork;
  /** The state file. */
  readonly saved: { memory: ShareMemory; atMs: number | null } = { memory: EMPTY_SHARE_MEMORY, atMs: null };
  /** The share of each mount over SMB, in the order of mounts. */
  readonly mountedFrom: string[] = [];
  /** What stands at the share's path while a folder serves it. */
  link: { readonly id: string; readonly path: string; readonly folder: string } | null = null;
  /** Programs that hold a file of the mount open. */
  holders = 0;
  readonly #clock: Clock;
  readonly #reports = new Set<(share: string) => void>();
  #mounts: SimMount[] = [];
  #isAway = false;
  #count = 0;

  constructor(clock: Clock, network: SimNetwork) {
    this.#clock = clock;
    this.network = network;
  }

  /** The server refuses a login of what is mounted. */
  refuseLogin(): void {
    for (const { program, share } of this.#mounts) {
      if (program !== null) program.refused = { text: "the password is wrong", atMs: this.#clock.wallMs() };
      for (const listener of [...this.#reports]) listener(share.name);
    }
  }

  /** Whether anything is in the mount table, or on its way there. */
  get isMounted(): boolean {
    return this.#mounts.length > 0;
  }

  /** A daemon that ends hears nothing more. */
  forgetListeners(): void {
    this.#reports.clear();
  }

  #found(share: ShareSpec, { id, route, isRunning, program, share: made }: SimMount): FoundMount {
    const source = sourceOf(made.routes[program === null ? route : "tb"], made.shareName);
    const now = ROUTE_NAMES.find((name) => sourceOf(share.routes[name], share.shareName) === source);
    return {
      ...{ id, source, path: made.mountPath, sameShare: true, route: now ?? null },
      ...{ processGone: !isRunning, madeByDriver: true, ...(program === null ? {} : { moves: true }) },
    };
  }

  /** What the program of the share's mount has done by itself since the last look. */
  #programOf(name: string): SimProgram | null {
    const mount = this.#mounts.find(({ share, isListed }) => share.name === name && isListed);
    if (!mount?.program) return null;
    const stateOf = (route: RouteName) => this.network.stateOf(mount.share.routes[route].host);
    const hosts = { tb: stateOf("tb"), fallback: stateOf("fallback") };
    const [nowMs, wallMs] = [this.#clock.monotonicMs(), this.#clock.wallMs()];
    mount.program.watch(hosts, { tb: "nas", fallback: "nas" }, this.#isAway, nowMs, wallMs);
    return mount.program;
  }

  #moving(): MovingMounts {
    return {
      of: (share) => this.#programOf(share)?.report ?? null,
      async refresh() {},
      move: async (share, to) => {
        const program = this.#programOf(share);
        if (program === null) return { ok: false, text: "its program is gone" };
        program.use(to, this.#clock.monotonicMs(), this.#clock.wallMs());
        return { ok: true, quiet: true, connections: 1 };
      },
      update: (_share, { allowed }) => {
        this.#isAway = allowed.length === 0;
      },
      setPassword() {},
      async logIn() {},
      letIn: async () => ({ ok: true }),
      onReport: (listener) => {
        this.#reports.add(listener);
        return () => this.#reports.delete(listener);
      },
    };
  }

  /** mountaineer-fs, as far as the engine knows it. */
  driver(clock: Clock, prober: Prober): MountDriver {
    const listed = (): readonly SimMount[] => this.#mounts.filter(({ isListed }) => isListed);
    return {
      ...UNASKED_DRIVER,
      missingRequirement: async () => null,
      moving: this.#moving(),
      find: async (share) => listed().map((mount) => this.#found(share, mount)),
      mount: async (share, route, { signal }, { moves }) => {
        if (this.link !== null) return { ok: false, reason: "path_taken", text: "it is a link" };
        const [there] = listed();
        if (there !== undefined) return { ok: true, mount: this.#found(share, there), adopted: true };
        this.#mounts = [];
        const program = moves ? new SimProgram(route) : null;
        const mount: SimMount = {
          ...{ id: `m${++this.#count}`, share, route, program, isListed: false, isRunning: true },
        };
        this.#mounts.push(mount);
        this.mountedFrom.push(share.shareName);
        // It lives on in the mount table, whatever becomes of the daemon.
        this.#clock.setTimer(IN_TABLE_MS, () => {
          mount.isListed = mount.isRunning;
        });
        await clock.sleep(PROVED_MS, signal);
        await prober.checkMount(mount.id, share.mountPath, 1_000);
        return { ok: true, mount: this.#found(share, mount), adopted: false };
      },
      unmount: async (_share, { id }, mode) => {
        const mount = this.#mounts.find((one) => one.id === id);
        if (mode === "plain" && this.holders > 0 && mount?.isRunning === true)
          return { ok: false, reason: "busy", text: "device is busy" };
        if (mount !== undefined) mount.isRunning = false;
        this.#mounts = this.#mounts.filter((one) => one !== mount);
        this.holders = 0;
        return { ok: true };
      },
      ownProcesses: async () => [],
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
      ownProcesses: async () => [],
    };
  }

  prober(clock: Clock): Prober {
    const looks = new Map<string, MountCheck>();
    const asked: Pick<Prober, "checkMount" | "lastCheck" | "forget" | "openFiles" | "pids"> = {
      pids: [],
      lastCheck: (id) => looks.get(id) ?? { state: "never" },
      forget: (id) => void looks.delete(id),
      checkMount: async (id) => {
        const mount = this.#mounts.find((one) => one.id === id);
        if (mount !== undefined || this.link?.id === id) {
          const atMs = clock.monotonicMs();
          const errno = mount?.isRunning === false ? "ENOTCONN" : null;
          looks.set(id, { state: "answered", startedAtMs: atMs, finishedAtMs: atMs, errno });
        }
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
}
