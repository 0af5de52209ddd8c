// The daemon's side of all running mountaineer-fs programs: the newest report of each, and what each was sent.

import { connectProgram, type ProgramConnection } from "../../../mount-program/program-connection.ts";
import { whenAborted } from "../../../runtime/abort.ts";
import { errorText } from "../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { isoTime, settlesWithin } from "../../../runtime/time/clock.ts";
import type { Endpoint } from "../../program/arguments.ts";
import { passwordOf, type SignIn } from "../../program/sign-in.ts";
import { ROUTE_NAMES, type RouteName } from "../../share-spec.ts";
import {
  type MountReport,
  type MountSettings,
  type MoveOutcome,
  type MovingMounts,
  UNHEARD,
} from "../moving-mounts.ts";
import { readStatus } from "./program-status.ts";

/** How long a request may take, ms; `REFRESH_MS`: one for the counters, of which the rules wait. */
const REQUEST_MS = 5_000;
const REFRESH_MS = 200;
/** A move takes 10 s, and a slow login more. */
const MOVE_MS = 45_000;
/** How long an attempt to connect is awaited, ms, and how long after a failed one the next is made. */
const CONNECT_MS = 1_000;
const CONNECT_AGAIN_MS = 250;
/** A program that hears nothing for 3 s tries the routes itself. */
const TRY_EVERY_MS = 2_000;

interface ProgramsOptions extends RuntimeTools {
  readonly home: string;
  /** False: another daemon tells the programs what to do. */
  readonly isInCharge: boolean;
  /** When a daemon last observed the shares, wall ms; what a program did since then is logged. null: never. */
  readonly observedAtMs: number | null;
}

interface ProgramOptions extends ProgramsOptions {
  /** When this daemon began, wall ms. */
  readonly begunAtMs: number;
}

/** A running program, as its own file says. */
export interface RunningProgram {
  readonly pid: number;
  readonly startTime: string;
  readonly socket: string;
}

export function createMovingPrograms(options: ProgramsOptions) {
  const programs = new Map<string, Program>();
  const begunAtMs = options.clock.wallMs();
  const listeners = new Set<(share: string) => void>();
  const notify = (share: string): void => {
    for (const listener of [...listeners]) listener(share);
  };
  const moving: MovingMounts = {
    of: (share) => programs.get(share)?.report ?? null,
    refresh: async (share) => programs.get(share)?.refresh(REFRESH_MS),
    move: async (share, to, afterMove, signal) =>
      (await programs.get(share)?.move(to, afterMove, signal)) ?? { ok: false, text: "its program is gone" },
    update: (share, settings) => void (options.isInCharge && programs.get(share)?.update(settings)),
    setPassword: (share, signIn) => void (options.isInCharge && programs.get(share)?.setPassword(signIn)),
    logIn: async (share, signIn) => programs.get(share)?.logIn(signIn),
    letIn: async (share, guid) =>
      (await programs.get(share)?.letIn(guid)) ?? { ok: false, text: "its program is gone" },
    onReport(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    moving,
    /** Names the program that serves the share's mount; resolves once it has reported, or after a second. */
    async attach(share: string, running: RunningProgram): Promise<void> {
      const known = programs.get(share);
      if (known?.isFor(running) === true) return known.connected();
      known?.[Symbol.dispose]();
      const program = new Program({ ...options, begunAtMs }, share, running, () => notify(share));
      programs.set(share, program);
      await program.connected();
    },
    detach(share: string): void {
      programs.get(share)?.[Symbol.dispose]();
      programs.delete(share);
    },
    [Symbol.dispose](): void {
      for (const program of programs.values()) program[Symbol.dispose]();
    },
  };
}

class Program implements Disposable {
  readonly #options: ProgramOptions;
  readonly #share: string;
  readonly #running: RunningProgram;
  readonly #notify: () => void;
  #connection: ProgramConnection | null = null;
  #connecting: Promise<void> | null = null;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #report: MountReport | null = null;
  #silentSinceMs: number | null = null;
  #isOver = false;
  /** The settings that the program has; a new connection sends all of them again. */
  #sent: Sent = NOTHING_SENT;
  /** The only setting of a mount that stays on its route; null: it must be sent. */
  #password: string | null = null;
  /** The newest entry of the journal that was read; null: none yet. */
  #journal: number | null = null;

  constructor(options: ProgramOptions, share: string, running: RunningProgram, notify: () => void) {
    this.#options = options;
    this.#share = share;
    this.#running = running;
    this.#notify = notify;
  }

  isFor({ pid, startTime, socket }: RunningProgram): boolean {
    const known = this.#running;
    return known.pid === pid && known.startTime === startTime && known.socket === socket;
  }

  get report(): MountReport {
    return { ...(this.#report ?? UNHEARD), silentSinceMs: this.#silentSinceMs };
  }

  async connected(): Promise<void> {
    if (this.#connection !== null || this.#options.clock.monotonicMs() < this.#notBeforeMs) return;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = null;
    });
    await settlesWithin(this.#options.clock, CONNECT_MS, this.#connecting);
  }

  async #connect(): Promise<void> {
    const { clock, logger, home } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#notBeforeMs = nowMs + CONNECT_AGAIN_MS;
    try {
      const connection = await connectProgram({ path: this.#running.socket, home }, clock, {
        onStatus: (status) => this.#take(status),
        onEnd: () => {
          this.#connection = null;
          if (!this.#isOver) this.#notify();
        },
      });
      if (this.#isOver) return connection[Symbol.dispose]();
      this.#connection = connection;
      this.#sent = NOTHING_SENT;
      this.#password = null;
      await this.#request("watch", {});
    } catch (error) {
      logger.debug("mountaineer-fs is not reached", { share: this.#share, reason: errorText(error) });
      this.#silentSinceMs ??= nowMs;
    }
  }

  async refresh(withinMs: number): Promise<void> {
    await settlesWithin(this.#options.clock, withinMs, this.#request("status", {}));
  }

  async move(route: RouteName, afterMove: number, signal: AbortSignal): Promise<MoveOutcome> {
    const answered = this.#request("use", { route, seen: afterMove }, MOVE_MS);
    const answer = await Promise.race([whenAborted(signal).then(() => null), answered]);
    if (answer === null) return { ok: false, text: "cancelled" };
    if (!answer.ok) return { ok: false, text: answer.text };
    return { ok: true, quiet: answer.members["quiet"] === true, connections: this.report.connections };
  }

  async logIn(signIn: SignIn): Promise<void> {
    const password = passwordOf(signIn);
    await this.#request("set", { ...(password === null ? {} : { password }), login_now: true });
  }

  setPassword(signIn: SignIn | null): void {
    const password = signIn && passwordOf(signIn);
    if (this.#connection === null || password === null || password === this.#password) return;
    this.#password = password;
    void this.#request("set", { password }).then((answer) => {
      if (!answer.ok) this.#password = null;
    });
  }

  async letIn(guid: string) {
    const answer = await this.#request("new_server", { guid });
    return answer.ok ? ({ ok: true } as const) : ({ ok: false, text: answer.text } as const);
  }

  update(settings: MountSettings): void {
    const { report } = this;
    if (this.#connection === null || report.phase.is === "unheard") return;
    const nowMs = this.#options.clock.monotonicMs();
    const { messages, sent } = newMessages(this.#sent, settings, report, nowMs);
    this.#sent = sent;
    for (const [operation, members] of messages) {
      void this.#request(operation, members).then((answer) => {
        if (answer.ok) return;
        // Everything is sent again: the program may have moved since, or is busy.
        this.#sent = NOTHING_SENT;
        const { code, text } = answer;
        this.#options.logger.debug("mountaineer-fs refused", { share: this.#share, operation, code, text });
      });
    }
    if (messages.length === 0) void this.#request("status", {});
  }

  async #request(operation: string, members: Readonly<Record<string, unknown>>, deadlineMs = REQUEST_MS) {
    const { clock } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const answer = (await this.#connection?.request(operation, members, deadlineMs)) ?? NO_ANSWER;
    // A late answer, and one to another request, also shows that the program lives.
    if (!answer.ok && answer.code === null) this.#silentSinceMs ??= sentAtMs;
    else this.#silentSinceMs = null;
    return answer;
  }

  #take(status: unknown): void {
    const report = readStatus(status, this.#options.clock.monotonicMs());
    if (report === null) return;
    this.#silentSinceMs = null;
    const before = this.#report;
    this.#report = report;
    void this.#readJournal(Number(objectOf(status)["journal"]));
    if (before === null || summaryOf(before) !== summaryOf(report)) this.#notify();
  }

  /** Logs what happened while no daemon looked, and files that programs lost. `newest`: the number of the newest entry. */
  async #readJournal(newest: number): Promise<void> {
    const { observedAtMs, begunAtMs, logger } = this.#options;
    const before = this.#journal;
    if (!(newest > (before ?? 0))) return;
    this.#journal = newest;
    const answer = await this.#request("journal", { after: before ?? 0 });
    const entries = answer.ok && Array.isArray(answer.members["journal"]) ? answer.members["journal"] : [];
    for (const entry of entries.map(objectOf)) {
      const { is, n: _, at, ...members } = entry;
      const atMs = typeof at === "number" ? at : 0;
      const isOfAbsence = observedAtMs !== null && atMs > observedAtMs && atMs < begunAtMs;
      const fields = { ...members, at: isoTime(atMs) };
      if (is === "file_lost" && (before !== null || isOfAbsence))
        logger.warn("a file of a program is not the same", { share: this.#share, ...fields });
      else if (isOfAbsence)
        logger.info(`${String(is)} while no daemon answered`, { share: this.#share, ...fields });
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#connection?.[Symbol.dispose]();
  }
}

const NO_ANSWER = { ok: false, code: null, text: "mountaineer-fs does not answer" } as const;

/** The parts of a report whose change starts a cycle. */
function summaryOf(report: MountReport): string {
  const { phase, route, moves, refused, other, awaitsAllow, mostConnections, unheard, lostLocks } = report;
  const parts = [route, refused, other, awaitsAllow, mostConnections, unheard, lostLocks];
  return JSON.stringify([phase.is, phase.why, moves.count, parts]);
}

interface Sent {
  readonly settings: string | null;
  readonly endpoints: Readonly<Partial<Record<RouteName, Endpoint | undefined>>>;
  readonly down: readonly RouteName[];
  readonly answering: readonly RouteName[];
  readonly triedAtMs: number;
}

const NOTHING_SENT: Sent = {
  settings: null,
  endpoints: {},
  down: [],
  answering: [],
  triedAtMs: Number.NEGATIVE_INFINITY,
};

type Message = readonly [operation: string, members: Readonly<Record<string, unknown>>];

/** The requests by which a program learns what has changed. Exported for its test. */
export function newMessages(
  before: Sent,
  { configured, endpoints: found, allowed, patienceMs, signIn, down, answering }: MountSettings,
  report: MountReport,
  nowMs: number,
): { readonly messages: readonly Message[]; readonly sent: Sent } {
  const messages: Message[] = [];
  const count = { seen: report.moves.count };
  const endpoints: Partial<Record<RouteName, Endpoint | undefined>> = {};
  for (const route of configured) {
    const known = before.endpoints[route];
    // A link that is down has no interface, and a name may have no address for a while.
    const isGone = down.includes(route) || allowed.length === 0;
    endpoints[route] = isGone ? (known ?? found[route]) : (found[route] ?? known);
  }
  const routes = ROUTE_NAMES.flatMap((name) => {
    const endpoint = endpoints[name];
    if (endpoint === undefined) return [];
    const { address, port, interfaceName, isNamed } = endpoint;
    const through = interfaceName === null ? {} : { interface: interfaceName, named: isNamed };
    return [{ name, address, port, ...through }];
  });
  const password = signIn && passwordOf(signIn);
  const set = { routes, patience_ms: patienceMs, ...(password === null ? {} : { password }) };
  const settings = JSON.stringify(set);
  if (settings !== before.settings && routes.length > 0) messages.push(["set", set]);
  if (report.awaitsAllow || allowed.join() !== report.allowed.join())
    messages.push(["allow", { routes: allowed, ...count }]);
  for (const route of down) if (!before.down.includes(route)) messages.push(["lost", { route, ...count }]);
  const isOut = report.phase.is === "waiting" || report.phase.is === "over";
  const isBack = answering.some((route) => before.down.includes(route) || !before.answering.includes(route));
  const isDue = isOut && nowMs - before.triedAtMs >= TRY_EVERY_MS;
  if (isBack || isDue) messages.push(["try", { routes: answering }]);
  return {
    messages,
    sent: { settings, endpoints, down, answering, triedAtMs: isBack || isDue ? nowMs : before.triedAtMs },
  };
}
