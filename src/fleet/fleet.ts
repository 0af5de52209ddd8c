// This machine in a fleet: its link to the server, the summary and beats that it publishes, and what the others publish.
// Nothing else in the daemon waits for the fleet.
import { randomUUID } from "node:crypto";
import type { StatusReport } from "../api/contract/contract.ts";
import type { FleetReport, MachineState } from "../api/contract/fleet.ts";
import type { FleetConfig } from "../config/snapshot.ts";
import { createSinceTracker } from "../runtime/conditions/conditions.ts";
import { errorText } from "../runtime/errors.ts";
import { isoTime, settlesWithin } from "../runtime/time/clock.ts";
import { createThrottle } from "../runtime/time/throttle.ts";
import { FLEET_CONDITIONS, type FleetCondition } from "./conditions/condition-rows.ts";
import { type NatsSession, openSession, type SessionEvents } from "./fleet-session.ts";
import { ANSWERS_WITHIN_MS, BEAT_MS, Machines } from "./machines.ts";
import {
  connectionConditions,
  type FleetConnectionOptions,
  type FleetServerConnection,
  startFleetConnection,
} from "./nats/fleet-connection.ts";
import { type Summary, stateOf, summaryText } from "./summary.ts";

const GATHER_MS = 50;
/** Minimum time between two summaries, and between two answers to roll calls, ms. */
const APART_MS = 300;
/**
 * An unchanged summary is written again after this time, ms. The fleet's NATS bucket drops entries that are a week
 * old.
 */
const REFRESH_MS = 60 * 60_000;
/** Delay of the beat that answers a roll call, or greets a machine that has just started, ms. */
const GREET_MS = 100;
/**
 * In a fleet of up to this many machines, each is always subscribed to the others. In a larger fleet, a machine
 * subscribes only while a person views its list of machines, because nothing else needs the beats.
 */
const ALL_HEARD_UP_TO = 32;
/** In a large fleet, a machine stays subscribed for this long, ms, after a person last viewed its list of machines. */
const CHECK_MS = 60_000;
const CHECK_STEP_MS = 20;
/** Limit for sending the last message, ms, so that an unreachable server does not delay the stop. */
const FAREWELL_MS = 1_000;

/** `stopped`: the machine will be back; `left`: it is no longer a member; `handed_over`: the next daemon publishes. */
export type FleetEnd = "stopped" | "left" | "handed_over";

export interface FleetOptions extends FleetConnectionOptions {
  readonly config: FleetConfig;
  readonly status: () => StatusReport;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #instance = randomUUID();
  readonly #machines: Machines;
  readonly #ending = new AbortController();
  readonly #connection: FleetServerConnection;
  #session: NatsSession | null = null;
  /** This machine's summary in the NATS bucket, as this session wrote it. */
  #published: { readonly text: string; readonly atMs: number } | null = null;
  #publishing: Promise<void> | null = null;
  /** The subscription to the other machines; null: this machine is not subscribed. */
  #subscription: { readonly sinceMs: number; readonly end: () => void } | null = null;
  #queriedAtMs = Number.NEGATIVE_INFINITY;
  readonly #sinceTracker;
  readonly #publishSoon;
  readonly #greetSoon;

  constructor(options: FleetOptions) {
    this.#options = options;
    const { clock, config } = options;
    this.#sinceTracker = createSinceTracker(clock);
    this.#machines = new Machines({ name: config.name, instance: this.#instance });
    this.#publishSoon = createThrottle(clock, APART_MS, () => this.#publish(), GATHER_MS);
    this.#greetSoon = createThrottle(clock, APART_MS, () => this.#beat(), GREET_MS);
    this.#connection = startFleetConnection(options, {
      title: "fleet",
      signal: this.#ending.signal,
      open: (target, signal) => openSession({ ...target, events: this.#events }, signal),
      onOpen: (session) => this.#begin(session),
      onOver: () => this.#over(),
      work: { everyMs: BEAT_MS, run: () => this.#work() },
    });
  }

  #state(): MachineState {
    return stateOf(this.#options.status());
  }

  /** The machines that are known now. In a large fleet, only this machine is known while no person views the list. */
  report(): FleetReport {
    const { clock, config } = this.#options;
    const nowMs = clock.monotonicMs();
    const { isConnected, server, sinceWallMs, failure } = this.#connection.state;
    return {
      name: config.name,
      link: {
        state: isConnected ? "connected" : "away",
        server,
        since: isoTime(sinceWallMs),
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
        ...this.#machines.others(this.#subscription?.sinceMs ?? null, nowMs),
      ],
      more: this.#machines.more,
      conditions: this.conditions(),
    };
  }

  /** Subscribes to the other machines if necessary, waits until each has had time to answer, and reports. */
  async query(): Promise<FleetReport> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    this.#queriedAtMs = clock.monotonicMs();
    this.#subscribe();
    while (this.#subscription !== null && this.#machines.isAwaiting && !signal.aborted) {
      if (clock.monotonicMs() - this.#subscription.sinceMs >= ANSWERS_WITHIN_MS) break;
      await clock.sleep(CHECK_STEP_MS, signal).catch(() => {});
    }
    return this.report();
  }

  conditions(): FleetCondition[] {
    const { clock, config } = this.#options;
    const conditions = connectionConditions(this.#connection, FLEET_CONDITIONS.fleet_unreachable);
    const isTaken = this.#machines.isNameTaken(clock.monotonicMs());
    const taken = isTaken ? [FLEET_CONDITIONS.fleet_name_taken(config.name)] : [];
    return this.#sinceTracker([...conditions, ...taken]);
  }

  /** Publishes the summary soon. Call it when the status of this machine may have changed. */
  scheduleSummary(): void {
    if (this.#session !== null) this.#publishSoon.due();
  }

  /** Resolves when the link is closed. Only the first call has an effect. */
  async end(how: FleetEnd): Promise<void> {
    if (!this.#ending.signal.aborted) {
      const session = this.#session;
      const farewell = session === null || how === "handed_over" ? null : this.#farewell(session, how);
      this.#session = null;
      this.#publishSoon[Symbol.dispose]();
      this.#greetSoon[Symbol.dispose]();
      if (farewell !== null) await settlesWithin(this.#options.clock, FAREWELL_MS, farewell);
      this.#ending.abort();
    }
    await this.#connection.done;
  }

  async #farewell(session: NatsSession, how: FleetEnd): Promise<void> {
    // Waits for a write that is under way, which would otherwise replace the last summary.
    await this.#publishing;
    const last = how === "left" ? session.remove() : session.putLast(this.#summary("gone"));
    // Continues after a failure: the server may be unreachable, or a later start of this machine may have
    // written a summary.
    await last.catch((error: unknown) => {
      this.#options.logger.debug("no farewell to the fleet", { reason: errorText(error) });
    });
  }

  #begin(session: NatsSession): void {
    this.#session = session;
    this.#published = null;
    if (session.machineCount <= ALL_HEARD_UP_TO || this.#isQueried()) this.#subscribe();
    else this.#machines.clear();
    this.#publish();
    this.#beat();
  }

  #work(): void {
    this.#beat();
    if (this.#machines.size > ALL_HEARD_UP_TO && !this.#isQueried()) {
      this.#subscription?.end();
      this.#subscription = null;
      this.#machines.clear();
    }
    // Also looks for changes of the status that no event reports.
    this.scheduleSummary();
  }

  #over(): void {
    this.#session = null;
    this.#subscription = null;
    this.#publishSoon[Symbol.dispose]();
  }

  readonly #events: SessionEvents = {
    summary: (key, bytes, isNew) => {
      if (this.#machines.read(key, bytes, isNew, this.#options.clock.monotonicMs())) this.#greetSoon.due();
    },
    removed: (key) => {
      this.#machines.forget(key);
      if (key !== this.#options.config.name) return;
      // Another client of the server has removed the summary, so it is written again.
      this.#published = null;
      this.scheduleSummary();
    },
    caughtUp: () => this.#machines.caughtUp(),
    beat: (name, instance) => {
      if (this.#machines.recordBeat(name, instance, this.#options.clock.monotonicMs())) this.#greetSoon.due();
    },
    rollCall: () => this.#greetSoon.due(),
  };

  #beat(): void {
    this.#session?.beat(this.#instance);
  }

  #isQueried(): boolean {
    return this.#options.clock.monotonicMs() - this.#queriedAtMs < CHECK_MS;
  }

  #subscribe(): void {
    const session = this.#session;
    if (session === null || this.#subscription !== null) return;
    const sinceMs = this.#options.clock.monotonicMs();
    this.#machines.startReading(sinceMs);
    this.#subscription = { sinceMs, end: session.subscribe() };
  }

  /** Stores this machine's summary in the fleet unless the same summary is stored already. One write runs at a time. */
  #publish(): void {
    const session = this.#session;
    if (session === null) return;
    if (this.#publishing !== null) {
      this.scheduleSummary();
      return;
    }
    const text = this.#summary("here");
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#published?.text === text && nowMs - this.#published.atMs < REFRESH_MS) return;
    this.#published = { text, atMs: nowMs };
    this.#publishing = session
      .put(text)
      // Ignored here: the failure ends the session, and the session's `ended` has the reason.
      .catch(() => {})
      .finally(() => {
        this.#publishing = null;
      });
  }

  #summary(word: Summary["word"]): string {
    const { name } = this.#options.config;
    return summaryText({ name, instance: this.#instance, word, state: this.#state() });
  }
}
