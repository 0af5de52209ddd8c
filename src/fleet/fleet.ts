// This machine in a fleet: the link to it, for ever begun anew, what this machine tells the others, and what they tell.
// Nothing of this machine waits for it.
import { randomUUID } from "node:crypto";
import type { Condition, StatusReport } from "../api/contract.ts";
import type { FleetReport, MachineState } from "../api/fleet-contract.ts";
import type { FleetConfig } from "../config/snapshot.ts";
import { errorText } from "../runtime/errors.ts";
import { isoTime, settledWithin, type Timer } from "../runtime/time/clock.ts";
import { holdLink, type LinkOptions, workUntilEnd } from "./hold-link.ts";
import { keepAuthority } from "./layer/authority.ts";
import { createLayerDesk, type LayerDesk } from "./layer/layer-desk.ts";
import { LayerFollower, type LayerPort } from "./layer/layer-follower.ts";
import { createOperatorTrust, type OperatorTrust } from "./layer/operator-trust.ts";
import type { LinkFailure } from "./link-failure.ts";
import { ANSWERS_WITHIN_MS, BEAT_MS, Machines } from "./machines.ts";
import { type NatsSession, openSession } from "./nats-session.ts";
import { readSignIn, type SignInOptions } from "./sign-in.ts";
import { stateOf, summaryText, type Word } from "./summary.ts";

/** What happens together is told together, ms. */
const GATHER_MS = 50;
/** From one summary to the next, ms. */
const APART_MS = 300;
/** A summary that says the same is written again so often, ms, as the bucket forgets what is a week old. */
const REFRESH_MS = 60 * 60_000;
/** Who comes, and who asks, hears at once who is there, ms. */
const GREET_MS = 100;
/** In a larger fleet a machine hears the others only while somebody looks: else all would hear all, for nobody. */
const ALL_HEARD_UP_TO = 32;
/** So long somebody looks on, ms. */
const LOOK_MS = 60_000;
const GATHER_STEP_MS = 20;
/** For the words of a machine that ends; a server that is away does not hold it up. */
const FAREWELL_MS = 1_000;

/** How it ends: `stopped`, and it will be back; `left`, and it is no more one of them; `handed_over`: without a word. */
export type FleetEnd = "stopped" | "left" | "handed_over";

export interface FleetOptions extends LinkOptions, SignInOptions {
  readonly config: FleetConfig;
  /** Of this machine, now. */
  readonly status: () => StatusReport;
  /** Who takes up what all machines have in common; absent: nobody does. */
  readonly layers?: { readonly home: string; readonly port: () => LayerPort } | undefined;
}

type Link =
  | {
      readonly state: "connected";
      readonly server: string;
      readonly sinceWallMs: number;
    }
  | {
      readonly state: "away";
      readonly server: string | null;
      readonly sinceWallMs: number;
      /** null: the first attempt is under way. */
      readonly failure: LinkFailure | null;
    };

export function startFleet(options: FleetOptions): Fleet {
  return new Fleet(options);
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #instance = randomUUID();
  readonly #machines: Machines;
  /** null: nobody's word counts here. */
  readonly #trust: OperatorTrust | null;
  readonly #follower: LayerFollower | null;
  /** null: nobody takes layers up. */
  readonly desk: LayerDesk | null;
  readonly #ending = new AbortController();
  readonly #done: Promise<void>;
  #link: Link;
  #session: NatsSession | null = null;
  /** What stands in the bucket of this machine, by this session. */
  #told: { readonly text: string; readonly atMs: number } | null = null;
  #telling: Promise<void> | null = null;
  #soon: Timer | null = null;
  #greeting: Timer | null = null;
  #beatAtMs = Number.NEGATIVE_INFINITY;
  #nextAtMs = 0;
  /** While this machine hears the others. */
  #listening: { readonly sinceMs: number; readonly rest: () => void } | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #takenSince: string | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
    const { clock, config } = options;
    this.#machines = new Machines({ name: config.name, instance: this.#instance });
    this.#trust = this.#createTrust();
    this.#follower = this.#createFollower();
    this.desk =
      this.#follower === null
        ? null
        : createLayerDesk({
            trust: this.#trust,
            follower: this.#follower,
            bucket: () => this.#session?.layers ?? null,
          });
    this.#link = { state: "away", server: null, sinceWallMs: clock.wallMs(), failure: null };
    this.#done = holdLink(options, {
      signal: this.#ending.signal,
      hold: (server, signal) => this.#hold(server, signal),
      onLost: (server, failure) => this.#lost(server, failure),
    });
  }

  #createTrust(): OperatorTrust | null {
    const { config, layers, logger } = this.#options;
    if (config.operator === null || layers === undefined) return null;
    return createOperatorTrust({
      home: layers.home,
      line: config.operator,
      onHandover: ({ from, to, number }) =>
        logger.info("the operator's key has gone over to the next", { from, to, number }),
    });
  }

  #createFollower(): LayerFollower | null {
    const { config, layers, clock, logger } = this.#options;
    if (layers === undefined) return null;
    return new LayerFollower({
      onAuthority: (authority) => keepAuthority(layers.home, config.tlsCa, authority),
      home: layers.home,
      port: {
        revision: () => layers.port().revision(),
        apply: (layer) => layers.port().apply(layer),
      },
      trust: this.#trust,
      clock,
      logger,
      onChange: () => this.note(),
    });
  }

  /** Another configuration runs here: what was refused may fit. */
  noteConfig(): void {
    this.#follower?.noteConfig();
  }

  #state(): MachineState {
    return stateOf(this.#options.status(), this.#follower?.report() ?? null);
  }

  /** What is known now. Of a large fleet that nobody looks at: this machine alone. */
  report(): FleetReport {
    const { clock, config } = this.#options;
    const nowMs = clock.monotonicMs();
    const link = this.#link;
    const failure = link.state === "away" ? link.failure : null;
    return {
      name: config.name,
      link: {
        state: link.state,
        server: link.server,
        since: isoTime(link.sinceWallMs),
        last_error: failure?.message ?? null,
        hint: failure?.hint ?? null,
      },
      machines: [
        {
          name: config.name,
          own: true,
          presence: "here",
          heard_secs_ago: 0,
          problem: this.#machines.isNameTaken(nowMs) ? "another machine uses this name" : null,
          state: this.#state(),
        },
        ...this.#machines.others(this.#listening?.sinceMs ?? null, nowMs),
      ],
      more: this.#machines.more,
      conditions: this.conditions(),
    };
  }

  /** The same once it is known who is there: at once, or soon after nobody has looked for a while. */
  async look(): Promise<FleetReport> {
    const { clock } = this.#options;
    this.#lookedAtMs = clock.monotonicMs();
    this.#listen();
    while (this.#listening !== null && this.#machines.isAwaiting) {
      if (clock.monotonicMs() - this.#listening.sinceMs >= ANSWERS_WITHIN_MS) break;
      await clock.sleep(GATHER_STEP_MS, this.#ending.signal).catch(() => {});
      if (this.#ending.signal.aborted) break;
    }
    return this.report();
  }

  conditions(): Condition[] {
    const { clock, config } = this.#options;
    const conditions: Condition[] = [];
    const link = this.#link;
    if (link.state === "away" && link.failure !== null) {
      conditions.push({
        code: "fleet_unreachable",
        severity: "warning",
        title: `The fleet is not reached: ${link.failure.message}`,
        hint: link.failure.hint ?? "Everything on this machine goes on; it is tried again and again.",
        since: isoTime(link.sinceWallMs),
      });
    }
    const isTaken = this.#machines.isNameTaken(clock.monotonicMs());
    this.#takenSince = isTaken ? (this.#takenSince ?? isoTime(clock.wallMs())) : null;
    if (this.#takenSince !== null) {
      conditions.push({
        code: "fleet_name_taken",
        severity: "error",
        title: `Another machine of the fleet is called ${config.name}, too`,
        hint: "give one of them another [fleet].name, and credentials of its own",
        since: this.#takenSince,
      });
    }
    return [...conditions, ...(this.#follower?.conditions() ?? [])];
  }

  /** Something changed here. */
  note(): void {
    const { clock } = this.#options;
    if (this.#session === null || this.#soon !== null || this.#ending.signal.aborted) return;
    const delayMs = Math.max(GATHER_MS, this.#nextAtMs - clock.monotonicMs());
    this.#soon = clock.setTimer(delayMs, () => {
      this.#soon = null;
      this.#tell();
    });
  }

  /** Resolves when it is over, soon. Later calls do nothing. */
  async end(how: FleetEnd): Promise<void> {
    if (!this.#ending.signal.aborted) {
      this.#follower?.end();
      const session = this.#session;
      const farewell = session === null || how === "handed_over" ? null : this.#farewell(session, how);
      this.#session = null;
      this.#soon?.[Symbol.dispose]();
      this.#greeting?.[Symbol.dispose]();
      if (farewell !== null) await settledWithin(this.#options.clock, FAREWELL_MS, farewell);
      this.#ending.abort();
    }
    await this.#done;
  }

  async #farewell(session: NatsSession, how: FleetEnd): Promise<void> {
    // What is being written now would come after it.
    await this.#telling;
    const last = how === "left" ? session.remove() : session.putLast(this.#summary("gone"));
    // Somebody else has taken this machine's place, or the server is away: nobody waits for a word.
    await last.catch((error: unknown) => {
      this.#options.logger.debug("no farewell to the fleet", { reason: errorText(error) });
    });
  }

  /** Holds a session as long as it lasts. */
  async #hold(server: string, signal: AbortSignal): Promise<LinkFailure> {
    const { clock, config, logger } = this.#options;
    let session: NatsSession | null = null;
    try {
      const { credentials, authority } = await readSignIn(this.#options, signal);
      const { name } = config;
      session = await openSession(
        { server, name, credentials, authority, heard: this.#heard, clock },
        signal,
      );
      this.#link = { state: "connected", server, sinceWallMs: clock.wallMs() };
      logger.info("fleet connected", { server, name });
      this.#session = session;
      this.#told = null;
      if (session.told <= ALL_HEARD_UP_TO || this.#isLookedAt()) this.#listen();
      else this.#machines.rest();
      this.#tell();
      this.#beat();
      this.#follower?.link(session.layers);
      return await workUntilEnd(session.ended, { clock, everyMs: BEAT_MS, signal }, () => {
        this.#beat();
        if (this.#machines.size > ALL_HEARD_UP_TO && !this.#isLookedAt()) this.#rest();
        // Some of what changes is no event.
        this.note();
      });
    } finally {
      this.#session = null;
      this.#follower?.link(null);
      this.#listening = null;
      this.#soon?.[Symbol.dispose]();
      this.#soon = null;
      await session?.[Symbol.asyncDispose]();
    }
  }

  #lost(server: string, failure: LinkFailure): void {
    const { clock, logger } = this.#options;
    const before = this.#link;
    const isNews = before.state === "connected" || before.failure?.message !== failure.message;
    const sinceWallMs = before.state === "away" ? before.sinceWallMs : clock.wallMs();
    this.#link = { state: "away", server, sinceWallMs, failure };
    if (isNews) logger.warn("fleet not reached", { server, reason: failure.message });
  }

  readonly #heard = {
    summary: (key: string, bytes: Uint8Array, isNews: boolean): void => {
      this.#greet(this.#machines.read(key, bytes, isNews, this.#options.clock.monotonicMs()));
    },
    removed: (key: string): void => {
      this.#machines.forget(key);
      if (key !== this.#options.config.name) return;
      // Somebody took it away while this machine is there.
      this.#told = null;
      this.note();
    },
    caughtUp: (): void => this.#machines.caughtUp(),
    layerNews: (): void => this.#follower?.look(),
    beat: (name: string, instance: string): void =>
      this.#greet(this.#machines.hear(name, instance, this.#options.clock.monotonicMs())),
    rollCall: (): void => this.#greet(true),
  };

  /** However many ask, all together are answered a few times a second. */
  #greet(isDue: boolean): void {
    if (!isDue) return;
    const { clock } = this.#options;
    const delayMs = Math.max(GREET_MS, this.#beatAtMs + APART_MS - clock.monotonicMs());
    this.#greeting ??= clock.setTimer(delayMs, () => {
      this.#greeting = null;
      this.#beat();
    });
  }

  #beat(): void {
    this.#beatAtMs = this.#options.clock.monotonicMs();
    this.#session?.beat(this.#instance);
  }

  #isLookedAt(): boolean {
    return this.#options.clock.monotonicMs() - this.#lookedAtMs < LOOK_MS;
  }

  #listen(): void {
    const session = this.#session;
    if (session === null || this.#listening !== null) return;
    const sinceMs = this.#options.clock.monotonicMs();
    this.#machines.begin(sinceMs);
    this.#listening = { sinceMs, rest: session.listen() };
  }

  #rest(): void {
    this.#listening?.rest();
    this.#listening = null;
    this.#machines.rest();
  }

  /** Writes what this machine is, unless it stands there; one at a time. */
  #tell(): void {
    const { clock } = this.#options;
    const session = this.#session;
    if (session === null) return;
    if (this.#telling !== null) {
      this.note();
      return;
    }
    const text = this.#summary("here");
    const nowMs = clock.monotonicMs();
    if (this.#told?.text === text && nowMs - this.#told.atMs < REFRESH_MS) return;
    this.#nextAtMs = nowMs + APART_MS;
    this.#told = { text, atMs: nowMs };
    this.#telling = session
      .put(text)
      // The session ends by it, and says why.
      .catch(() => {})
      .finally(() => {
        this.#telling = null;
      });
  }

  #summary(word: Word): string {
    const { config } = this.#options;
    const answers = this.#session?.hearsRollCalls ?? true;
    const { name } = config;
    return summaryText({ name, instance: this.#instance, word, answers, state: this.#state() });
  }
}
