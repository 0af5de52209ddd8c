// A simulated mountaineer-fs for the simulated world: the route of a mount that moves, and what its program reports.
import type { MountReport, PhaseName } from "../../src/shares/drivers/moving-mounts.ts";
import { otherRoute, ROUTE_NAMES, type RouteName } from "../../src/shares/share-spec.ts";
import type { HostState } from "./world.ts";

export const PATIENCE_MS = 300_000;

type Hosts = Readonly<Record<RouteName, HostState>>;

export class SimProgram {
  route: RouteName;
  is: PhaseName = "serving";
  why: string | null = null;
  lostAtMs: number | null = null;
  moves: MountReport["moves"] = { count: 0, last: null };
  other: MountReport["other"] = null;
  refused: MountReport["refused"] = null;
  /** The address in use is no longer configured. */
  isFormer = false;
  uncertain = "";
  isEmpty = false;
  /** What the server says instead of the share. */
  missing: string | null = null;
  most: number | null = null;
  unheardFolders: MountReport["unheard"] = null;
  lostLocks: MountReport["lostLocks"] = [];
  requestedAtMs: number | null = null;
  heardAtMs: number | null = null;
  openFiles = 0;
  /** It gives no answer. */
  silentSinceMs: number | null = null;
  /** It has not said anything yet. */
  unheard = false;
  /** Why it refuses a planned move. */
  moveFails: string | null = null;

  constructor(route: RouteName) {
    this.route = route;
  }

  /** What becomes of its connection. `servers`: which one is behind each route; its own is "nas". */
  watch(
    hosts: Hosts,
    servers: Readonly<Record<RouteName, string>>,
    isAway: boolean,
    nowMs: number,
    wallMs: number,
  ): void {
    if (isAway || this.refused !== null) {
      this.#turn(isAway ? "away" : "refused", nowMs);
      return;
    }
    const isSame = (route: RouteName): boolean => hosts[route] === "answers" && servers[route] === "nas";
    const other = otherRoute(this.route);
    if (this.is === "serving") {
      if (isSame(this.route)) this.heardAtMs = nowMs;
      else if (isSame(other))
        this.#move(other, hosts[this.route] === "link_down" ? "link_down" : "ended", nowMs, wallMs);
      else if (hosts[this.route] !== "silent") this.#turn("waiting", nowMs);
      if (this.is === "serving") return;
    }
    const back = [this.route, other].find(isSame);
    const stranger = ROUTE_NAMES.find((route) => hosts[route] === "answers" && servers[route] !== "nas");
    this.other =
      stranger === undefined
        ? null
        : { route: stranger, address: "10.0.1.2", guid: "ab", text: "lists different files" };
    this.why = stranger === undefined ? "no_answer" : "other_server";
    if (back !== undefined) {
      if (back !== this.route) this.#move(back, "returned", nowMs, wallMs);
      this.#turn("serving", nowMs);
    } else this.#turn(nowMs - (this.lostAtMs ?? nowMs) >= PATIENCE_MS ? "over" : "waiting", nowMs);
  }

  use(route: RouteName, nowMs: number, wallMs: number): void {
    this.isFormer = false;
    if (route !== this.route) this.#move(route, "asked", nowMs, wallMs);
  }

  #move(to: RouteName, reason: string, nowMs: number, wallMs: number): void {
    const isRequested = reason === "asked";
    const last = { at: wallMs, from: this.route, to, reason, isRequested, quiet: isRequested, tookMs: 300 };
    this.moves = { count: this.moves.count + 1, last };
    this.route = to;
    this.heardAtMs = nowMs;
  }

  #turn(is: PhaseName, nowMs: number): void {
    this.is = is;
    this.lostAtMs = is === "serving" ? null : (this.lostAtMs ?? nowMs);
  }

  get report(): MountReport {
    const { is, why, route } = this;
    return {
      phase: this.unheard
        ? { is: "unheard", why: null, text: null }
        : {
            is,
            why: is === "serving" ? null : this.missing === null ? why : "no_share",
            text: is === "serving" ? null : (this.missing ?? "no answer"),
          },
      route: this.unheard ? null : route,
      endpoint: { address: "10.9.9.9", isFormer: this.isFormer, uncertain: this.uncertain },
      allowed: is === "away" ? [] : ROUTE_NAMES,
      awaitsAllow: false,
      heardAtMs: this.heardAtMs,
      waitingSinceMs: null,
      longestWaitMs: 0,
      requestedAtMs: this.requestedAtMs,
      moves: this.moves,
      pauses: 0,
      bytesUp: 0,
      bytesDown: 0,
      connections: 2,
      connectionsInAll: 2,
      openFiles: this.openFiles,
      unheard: this.unheardFolders,
      lostLocks: this.lostLocks,
      mostConnections: this.most,
      refused: this.refused,
      other: this.other,
      isEmpty: this.isEmpty,
      silentSinceMs: this.silentSinceMs,
    };
  }
}
