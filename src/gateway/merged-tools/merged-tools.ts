// Tools that several machines have in common: the state of these machines, and the choice of one for each call.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../config/snapshot.ts";
import { borrowedName, machineOf, namesBackend, plainName } from "../../config/values/backend-names.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import type { Readiness, SharedCall } from "../backends/policy/backend-pool-contract.ts";
import type { DataRoute, DataSource } from "../backends/policy/required-data.ts";
import { cancelled } from "../backends/pool/waiting-calls.ts";
import type { CallSignal } from "../call-signal.ts";
import type { CatalogSource } from "../catalog/catalog.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../json-rpc.ts";
import {
  agreementKey,
  byPreference,
  differenceOf,
  type ExportedReplica,
  factsOf,
  namedPaths,
  type Replica,
  type ReplicaFacts,
  type ReplicaState,
} from "./agreement.ts";
import { mergeTools, type OwnBackend, type PublishedVersions, withPathsOf } from "./merge-tools.ts";

/** Maximum number of waiting calls; further calls fail at once. */
const MOST_WAITING = 1_000;
/** Maximum number of remembered backends, and of remembered machines for each backend. */
const MOST_REMEMBERED = 200;
const DEFAULT_CALL_MS = 60_000;

export interface MergeConfig {
  /** Absolute. */
  readonly sharesRoot: string;
  /** Machines and backends, as written in the file. */
  readonly with: readonly string[];
}

interface TogetherOptions {
  readonly clock: Clock;
  readonly data?: DataSource;
  readonly pool: {
    readiness(backend: string): Readiness;
    inFlight(backend: string): number;
    /** Calls `listener` after each change of a backend. */
    watch(listener: () => void): void;
  };
  /** Called when the merged tools may have changed. The owner must then call `merge` again. */
  readonly onChanged: () => void;
}

export interface PlaceView extends ReplicaState {
  /** null: this machine. */
  readonly machine: string | null;
}

/** A backend of another machine that does not share tools with this machine's backend of the same name. */
export interface Apart {
  readonly backend: string;
  readonly reason: string;
  readonly sinceMs: number;
}

interface MergeRules {
  readonly backends: readonly ServedBackend[];
  readonly together?: MergeConfig;
}

export class MergedTools {
  readonly #options: TogetherOptions;
  readonly #published: PublishedVersions = new Map();
  /** The shares root of each machine, by `rememberedKey` and then by machine. */
  readonly #sharesRoots = new Map<string, Map<string, string>>();
  /** Functions that wake the waiting calls. A woken call looks again for a ready machine. */
  readonly #waits = new Set<() => void>();
  #config: MergeConfig | null = null;
  /** Other machines' backends, by their names here. */
  #places: ReadonlyMap<string, Replica> = new Map();
  /** This machine's enabled backends, by name. */
  #own: ReadonlyMap<string, { readonly facts: ReplicaFacts; readonly backend: ServedBackend }> = new Map();
  #sources: readonly CatalogSource[] = [];
  #backends: readonly ServedBackend[] = [];
  #apart: ReadonlyMap<string, Apart> = new Map();

  constructor(options: TogetherOptions) {
    this.#options = options;
    options.data?.onChange(() => this.#wakeCalls());
    options.pool.watch(() => this.#wakeCalls());
  }

  /** All connected and approved backends of other machines. Calls `onChanged` if their facts changed. */
  setReplicas(places: readonly Replica[]): void {
    const before = this.#places;
    this.#places = new Map(places.map((place) => [borrowedName(place.backend, place.machine), place]));
    for (const place of this.#config === null ? [] : places) this.#remember(place);
    const facts = (all: ReadonlyMap<string, Replica>): unknown =>
      [...all].map(([name, { sharesRoot, roots, requires }]) => [name, sharesRoot, roots, requires]);
    if (!isDeepStrictEqual(facts(before), facts(this.#places))) this.#options.onChanged();
    this.#wakeCalls();
  }

  /** Returns the same list, with the same members, as long as nothing changes. `waiting`: tools that nobody approved. */
  merge(
    sources: readonly CatalogSource[],
    { backends, together }: MergeRules,
    waiting: readonly { readonly backend: string; readonly name: string }[],
  ) {
    this.#configure(together ?? null, backends);
    const places = new Map([...this.#places].filter(([, place]) => this.#isApproved(place)));
    if (this.#config === null || (places.size === 0 && this.#sharesRoots.size === 0)) {
      this.#sources = sources;
      this.#apart = new Map();
      return sources;
    }
    const own: OwnBackend[] = [...this.#own].map(([name, { facts }]) => ({
      name,
      facts,
      knowsPaths: this.#sharesRoots.has(rememberedKey(name, facts)),
    }));
    const pending = new Set(waiting.map(({ backend, name }) => `${backend} ${name}`));
    const isPending = (backend: string, tool: string): boolean => pending.has(`${backend} ${tool}`);
    const merged = mergeTools({ sources, own, places, isPending }, this.#published);
    const before = new Map(this.#sources.map((source) => [source.backend, source]));
    const kept = merged.map((source) => beforeIfSame(before.get(source.backend), source));
    const isSame = kept.length === this.#sources.length && kept.every((one, at) => one === this.#sources[at]);
    if (!isSame) this.#sources = kept;
    this.#noteApart(places, isPending);
    return this.#sources;
  }

  /**
   * Returns why another machine's backend of the same name does not share its tools with this machine's backend.
   * Returns null if it shares them, or if this machine has no such backend.
   */
  apart(backend: string): Apart | null {
    return this.#apart.get(backend) ?? null;
  }

  /** The best first. */
  replicasOf(backends: readonly string[]): readonly PlaceView[] {
    return byPreference(backends.map((backend) => this.#stateOf(backend))).map((place) => ({
      ...place,
      machine: machineOf(place.backend),
    }));
  }

  lentPlaces(names: readonly string[], sharesRoot: string): ReadonlyMap<string, ExportedReplica> {
    const lent = this.#backends.filter(({ name }) => names.includes(name));
    return new Map(
      lent.map((backend) => {
        const { roots, requires } = factsOf(backend, sharesRoot);
        const { pool } = this.#options;
        const busy = pool.inFlight(backend.name);
        const asleep = pool.readiness(backend.name) === "asleep";
        return [backend.name, { roots, requires, standing: this.#dataRoute(backend), busy, asleep }];
      }),
    );
  }

  #noteApart(
    places: ReadonlyMap<string, Replica>,
    isPending: (backend: string, tool: string) => boolean,
  ): void {
    const namesOf = (backend: string): readonly string[] =>
      (this.#sources.find((source) => source.backend === backend)?.listings.tools ?? []).map((tool) =>
        String(tool["name"]),
      );
    const found = [...places].flatMap(([backend, place]): Apart[] => {
      const own = this.#own.get(plainName(backend));
      if (own === undefined) return [];
      const names = new Set(namesOf(own.backend.name));
      const [first, ...more] = namesOf(backend).filter(
        (name) => names.has(name) && !isPending(backend, name),
      );
      if (first === undefined) return [];
      const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
      const reason = differenceOf(place, own.facts) ?? `its server says something else of ${first}${others}`;
      const before = this.#apart.get(backend);
      if (before?.reason === reason) return [before];
      return [{ backend, reason, sinceMs: this.#options.clock.wallMs() }];
    });
    this.#apart = new Map(found.map((one) => [one.backend, one]));
  }

  /**
   * Translates all machines' paths to this machine's, so that policies and audit see each file under one
   * name. `replicas`: the tool's backends.
   */
  namedHere(places: readonly string[], params: JsonObject | undefined): JsonObject | undefined {
    const facts = places.map((backend) => this.#factsOf(backend)).find((one) => one !== null);
    const [first = ""] = places;
    if (facts === undefined || this.#config === null) return params;
    const { sharesRoot } = this.#config;
    const name = plainName(first);
    const others = this.#sharesRoots.get(rememberedKey(name, facts)) ?? new Map<string, string>();
    // This machine's folder comes first, so that a path in it is never taken for a path of another machine.
    const sharesRoots = [...new Set([sharesRoot, ...others.values()])];
    const own = this.#own.get(name)?.backend;
    const otherFolders = own === undefined ? [] : namedPaths(own);
    return withPathsOf(params, { roots: facts.roots, sharesRoots, otherFolders }, sharesRoot);
  }

  /**
   * Calls the best place. If the call was not sent, tries the next place; a call that may have been sent is never
   * repeated. Never rejects.
   */
  async call(call: SharedCall): Promise<Reply> {
    const { clock } = this.#options;
    const places = call.isOwnAlone ? call.replicas.filter((one) => machineOf(one) === null) : call.replicas;
    // The time limit of the first place's backend holds for the whole call.
    const first = this.#backends.find(({ name }) => name === places[0]);
    const untilMs = clock.monotonicMs() + (first?.timeouts.callMs ?? DEFAULT_CALL_MS);
    const tried = new Set<string>();
    let last: Reply | null = null;
    for (;;) {
      const left = byPreference(places.filter((one) => !tried.has(one)).map((one) => this.#stateOf(one)));
      const [best] = left;
      if (best === undefined) return last ?? errorReply(BACKEND_UNAVAILABLE, "no machine serves it any more");
      if (best.readiness === "waits" && left.length + tried.size > 1) {
        const refusal = await this.#nextChange(untilMs, call.signal);
        if (refusal !== null) return refusal;
        continue;
      }
      const { backend } = best;
      let wasHanded = false;
      const listener = {
        onTaskLocation: () => {
          wasHanded = true;
        },
        onLoss: ({ wasSent }: { readonly wasSent: boolean }) => {
          if (!wasSent) wasHanded = false;
        },
      };
      const reply = await call.send(backend, this.#namedFor(backend, call.params), listener);
      if (wasHanded || !isError(reply) || call.signal.aborted) return reply;
      tried.add(backend);
      last = reply;
    }
  }

  /**
   * Resolves with null when something has changed. Resolves with an error at the deadline, on abort, or if too many
   * calls wait.
   */
  async #nextChange(untilMs: number, signal: CallSignal): Promise<Reply | null> {
    const { clock } = this.#options;
    if (signal.aborted) return cancelled();
    if (this.#waits.size >= MOST_WAITING) {
      return errorReply(BACKEND_UNAVAILABLE, `no machine is ready, and ${MOST_WAITING} calls wait already`);
    }
    const { promise, resolve: wake } = Promise.withResolvers<void>();
    this.#waits.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    const isInTime = await settlesWithin(clock, Math.max(1, untilMs - clock.monotonicMs()), promise);
    this.#waits.delete(wake);
    signal.removeEventListener("abort", wake);
    if (signal.aborted) return cancelled();
    return isInTime ? null : errorReply(REQUEST_TIMEOUT, "no machine was ready for it in time");
  }

  #wakeCalls(): void {
    for (const wake of this.#waits) wake();
  }

  #configure(config: MergeConfig | null, backends: readonly ServedBackend[]): void {
    const isOther = !isDeepStrictEqual(config, this.#config);
    this.#config = config;
    if (isOther) this.#forgetUnapproved();
    this.#backends = backends;
    this.#own = new Map();
    if (config === null) return;
    const own = backends.filter(({ name, enabled }) => enabled && machineOf(name) === null);
    this.#own = new Map(
      own.map((backend) => [backend.name, { backend, facts: factsOf(backend, config.sharesRoot) }]),
    );
    for (const place of this.#places.values()) this.#remember(place);
  }

  /** Whether the configuration approves the backend. The file may have changed since the place was noted. */
  #isApproved({ machine, backend }: Pick<Replica, "machine" | "backend">): boolean {
    return namesBackend(this.#config?.with ?? [], machine, backend);
  }

  #forgetUnapproved(): void {
    for (const [key, { places }] of this.#published) {
      const isLeft = places.some((name) =>
        this.#isApproved({ machine: machineOf(name) ?? "", backend: plainName(name) }),
      );
      if (!isLeft) this.#published.delete(key);
    }
    for (const [key, machines] of this.#sharesRoots) {
      const backend = key.slice(0, key.indexOf(" "));
      for (const machine of machines.keys())
        if (!this.#isApproved({ machine, backend })) machines.delete(machine);
      if (machines.size === 0) this.#sharesRoots.delete(key);
    }
  }

  /** Calls may contain the paths of a machine even after that machine has disconnected. */
  #remember(place: Replica): void {
    if (!this.#isApproved(place)) return;
    const key = rememberedKey(place.backend, place);
    const known = this.#sharesRoots.get(key) ?? new Map<string, string>();
    if (known.size >= MOST_REMEMBERED && !known.has(place.machine)) return;
    known.set(place.machine, place.sharesRoot);
    const [oldest] = this.#sharesRoots.keys();
    const isFull = !this.#sharesRoots.has(key) && this.#sharesRoots.size >= MOST_REMEMBERED;
    // If the removed machines are connected, the next call of `setReplicas` adds them again.
    if (oldest !== undefined && isFull) this.#sharesRoots.delete(oldest);
    this.#sharesRoots.set(key, known);
  }

  /** Translates the paths in `params` for the machine of `backend`: the reverse of `namedHere`. */
  #namedFor(backend: string, params: JsonObject | undefined): JsonObject | undefined {
    const facts = this.#factsOf(backend);
    if (facts === null || this.#config === null) return params;
    const sharesRoots = [this.#config.sharesRoot];
    return withPathsOf(params, { roots: facts.roots, sharesRoots }, facts.sharesRoot);
  }

  #factsOf(backend: string): ReplicaFacts | null {
    return this.#own.get(backend)?.facts ?? this.#places.get(backend) ?? null;
  }

  #stateOf(backend: string): ReplicaState {
    const { pool } = this.#options;
    const inFlight = pool.inFlight(backend);
    if (machineOf(backend) === null) {
      const own = this.#own.get(backend);
      const standing = own === undefined ? null : this.#dataRoute(own.backend);
      return { backend, isOwn: true, readiness: pool.readiness(backend), standing, busy: inFlight };
    }
    const place = this.#places.get(backend);
    if (place === undefined)
      return { backend, isOwn: false, readiness: "refuses", standing: "none", busy: 0 };
    const { requires, standing, busy, asleep = false } = place;
    const readiness = pool.readiness(backend);
    return {
      backend,
      isOwn: false,
      readiness: asleep && readiness === "ready" ? "asleep" : readiness,
      standing: requires.length === 0 ? null : (standing ?? "none"),
      busy: Math.max(busy, inFlight),
    };
  }

  #dataRoute({ requires }: Pick<ServedBackend, "requires">): DataRoute | null {
    const { data } = this.#options;
    if (requires.length === 0) return null;
    if (data === undefined) return "tb";
    return data.route?.(requires) ?? (data.status(requires).kind === "there" ? "tb" : "none");
  }
}

function rememberedKey(backend: string, facts: ReplicaFacts): string {
  return `${backend} ${agreementKey(facts)}`;
}

/** Returns `before` if `now` has the same content, so that an unchanged source stays the same object. */
function beforeIfSame(before: CatalogSource | undefined, now: CatalogSource): CatalogSource {
  if (before === undefined || before === now) return now;
  const { listings, replicas, ...rest } = now;
  const { listings: listingsBefore, replicas: placesBefore, ...restBefore } = before;
  const { tools, ...others } = listings;
  const { tools: toolsBefore, ...othersBefore } = listingsBefore;
  const isSame =
    isSameMembers(rest, restBefore) &&
    isSameMembers(others, othersBefore) &&
    tools.length === toolsBefore.length &&
    tools.every((tool, at) => tool === toolsBefore[at]) &&
    isDeepStrictEqual(replicas, placesBefore);
  return isSame ? before : now;
}

/** Whether both have the same members, compared by identity. */
export function isSameMembers(one: object, other: object): boolean {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].every((key) => Reflect.get(one, key) === Reflect.get(other, key));
}
