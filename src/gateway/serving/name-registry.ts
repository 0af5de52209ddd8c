// The name registry: names that clients have seen, with their owners, the servers that names in rules mean, tools that a
// person has switched off, and overrides (routes to which a person has fixed servers), stored across restarts.
import { isDeepStrictEqual } from "node:util";
import { MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { isText, objectOf } from "../../runtime/text/json-object.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { RouteOverrides } from "../backends/pool/backend-contract.ts";
import type { Resolved } from "../catalog/catalog.ts";
import { type NamedEntry, type NameOwners, ownKey } from "../catalog/names.ts";
import { NO_OWNERS, type RuleOwners } from "../catalog/rule-names.ts";
import { NO_PIN_STORE, type PinStore } from "../pins/pin-store.ts";
import { type ReadValue, StoredValue } from "../pins/stored-value.ts";

/** Maximum number of names of one backend. Without it, one backend could displace the names of all others. */
const MOST_OF_BACKEND = 5_000;
/** Maximum number of names. Beyond it, the names of unconfigured backends are forgotten. */
const MOST_NAMES = 20_000;
const MESSAGES = {
  unread: "the names of tools cannot be read yet",
  untrusted: "the names of tools cannot be trusted, and are assigned again",
  unwritten: "the names of tools are not kept over a restart",
};
/** Longest wait for the disk after a person's override, ms. */
const OVERRIDE_MS = 2_000;

interface NamesOptions extends RuntimeTools {
  /** Stores the names in use and the switched-off tools. Absent: they are lost with the process. */
  readonly nameStore?: PinStore;
  /** Tools were switched on or off. */
  readonly onChanged: () => void;
  /** A person has fixed a backend to a route, or ended that. */
  readonly onRouteOverride?: (() => void) | undefined;
}

export class NameRegistry {
  owners: NameOwners = new Map();
  /** The `toolKey`s of the tools that are switched off. Each change makes a new set. */
  off: ReadonlySet<string> = new Set();
  /** The servers that names in rules mean. */
  rules: RuleOwners = NO_OWNERS;
  /** Why the stored names cannot be used; null if they can. */
  lost: string | null = null;
  /** Must be loaded before the first catalog is built. */
  readonly storedNames: StoredValue<Known>;
  readonly routeOverrides: RouteOverrides;
  readonly #onChanged: () => void;
  #routes: RouteNames = new Map();
  /** Overrides since the start, which a later read does not replace; null: ended. */
  readonly #changedRoutes = new Map<string, string | null>();

  constructor({ nameStore: store = NO_PIN_STORE, ...options }: NamesOptions) {
    this.#onChanged = options.onChanged;
    this.routeOverrides = {
      get: (backend) => this.#present(backend),
      keep: (backend, route) => {
        this.#changedRoutes.set(backend, route);
        options.onRouteOverride?.();
        this.storedNames.save();
      },
      whenWritten: () => settlesWithin(options.clock, OVERRIDE_MS, this.storedNames.flush()),
    };
    this.storedNames = new StoredValue({
      ...options,
      store,
      messages: MESSAGES,
      parse: readStored,
      take: (read) => this.#take(read),
      plain: () => ({
        version: 1,
        names: [...this.owners].map(plainEntry),
        off: [...this.off],
        rules: [...this.rules],
        routes: [...new Map([...this.#routes, ...this.#changedRoutes])].filter(([, route]) => route !== null),
      }),
    });
  }

  use(fresh: NameOwners, isConfigured: (backend: string) => boolean): void {
    const given = new Set([...fresh.values()].map(ownKey));
    const owners = new Map([...this.owners].filter(([, entry]) => !given.has(ownKey(entry))));
    for (const [key, entry] of fresh) {
      owners.delete(key);
      owners.set(key, entry);
    }
    this.owners = withinBounds(owners, isConfigured);
    this.storedNames.save();
  }

  /** Keeps the servers that names in rules mean. */
  bind(rules: RuleOwners): void {
    if (isDeepStrictEqual(rules, this.rules)) return;
    this.rules = rules;
    this.storedNames.save();
  }

  /** Resolves when the change is on disk. Rejects with `secret_unavailable`. */
  async switchTools(tools: readonly Resolved[], on: boolean): Promise<void> {
    const failed = (why: string): MountaineerError =>
      new MountaineerError("secret_unavailable", `switched-off tools cannot be saved: ${why}`, {
        retry: "later",
      });
    if (this.storedNames.isUnread) throw failed("the keyring gives no answer; unlock it");
    const off = new Set(this.off);
    for (const { backend, originalName } of tools) {
      const key = toolKey(backend, originalName);
      if (on) off.delete(key);
      else off.add(key);
    }
    this.off = off;
    this.#onChanged();
    this.storedNames.save();
    await this.storedNames.flush();
    if (this.storedNames.unsavedBecause !== null) throw failed(this.storedNames.unsavedBecause);
  }

  #present(backend: string): string | null {
    const changed = this.#changedRoutes.get(backend);
    return changed === undefined ? (this.#routes.get(backend) ?? null) : changed;
  }

  #take(read: ReadValue<Known>): void {
    this.lost = read.kind === "lost" ? read.reason : null;
    if (read.kind === "stored") {
      const { owners, off, rules, routes } = read.value;
      this.#routes = routes;
      const others = [...this.owners].filter(([key]) => !owners.has(key));
      this.owners = new Map([...others, ...owners]);
      this.off = off;
      this.rules = new Map([...this.rules, ...rules]);
    } else if (read.kind === "lost") {
      // The file can only switch tools off, even if another program wrote it. These tools stay off until a person
      // switches them on.
      this.off = new Set([...this.off, ...(read.claimed?.off ?? [])]);
      // A route is one of the approved ones, even if another program wrote its name.
      this.#routes = read.claimed?.routes ?? this.#routes;
    }
  }
}

/** By backend. */
type RouteNames = ReadonlyMap<string, string>;

type Known = Pick<NameRegistry, "owners" | "off" | "rules"> & { readonly routes: RouteNames };

/** `tool`: the server's own name. */
export function toolKey(backend: string, tool: string): string {
  return JSON.stringify([backend, tool]);
}

function withinBounds(owners: NameOwners, isConfigured: (backend: string) => boolean): NameOwners {
  if (owners.size <= MOST_OF_BACKEND) return owners;
  const isFull = owners.size > MOST_NAMES;
  const byBackend = [...Map.groupBy(owners, ([, { backend }]) => backend)];
  return new Map(
    byBackend.flatMap(([backend, names]) =>
      isFull && !isConfigured(backend) ? [] : names.slice(-MOST_OF_BACKEND),
    ),
  );
}

function plainEntry([key, { kind, backend, plainName }]: readonly [string, NamedEntry]): unknown {
  return [key, kind, backend, plainName];
}

function readStored(value: unknown): Known | null {
  const { version, names, off, rules = [], routes = [] } = objectOf(value);
  if (version !== 1 || !Array.isArray(names) || !Array.isArray(off)) return null;
  if (!Array.isArray(rules) || !Array.isArray(routes)) return null;
  const owners = new Map<string, NamedEntry>();
  for (const entry of names) {
    if (!Array.isArray(entry)) return null;
    const [key, kind, backend, plainName]: readonly unknown[] = entry;
    const isNamed = kind === "tool" || kind === "prompt";
    if (!isNamed || typeof key !== "string" || typeof backend !== "string" || typeof plainName !== "string")
      return null;
    owners.set(key, { kind, backend, plainName });
  }
  const isPair = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) && pair.every(isText) && pair.length === 2;
  return {
    owners,
    off: new Set(off.filter(isText)),
    rules: new Map(rules.filter(isPair)),
    routes: new Map(routes.filter(isPair)),
  };
}
