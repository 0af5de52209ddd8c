// What one backend publishes, and who is moved when another instance serves.
import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import { NO_LISTINGS } from "../../catalog/listings.ts";
import type { ServerGreeting } from "../policy/backend-pool-contract.ts";
import type { BackendDecision } from "../policy/decide-backend.ts";
import type { DrainReason } from "../policy/draining.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { ConnectionOutcome } from "./connection-key.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import type { PoolSubscriptions } from "./subscriptions.ts";

/** What was published last, and of which connection. */
interface Shape extends Pick<CatalogSource, "filters" | "toolOverrides" | "listings"> {
  readonly key: string;
}

export type Published = ReturnType<typeof createPublished>;

export type Handover = ReturnType<typeof createHandover>;

interface HandoverParts {
  readonly subscriptions: PoolSubscriptions;
  readonly config: () => BackendConfig;
  readonly serving: () => PoolInstance | null;
  readonly isPerClient: () => boolean;
  readonly own: ClientInstances;
  readonly published: Published;
}

/** Clients and their subscriptions move to the instance that serves now. */
export function createHandover({
  subscriptions,
  config,
  serving,
  isPerClient,
  own,
  published,
}: HandoverParts) {
  /** Of what the clients' own are made: what served last. */
  let base: InstanceBase | null = null;

  const takeOver = (next: PoolInstance, before: PoolInstance | null): void => {
    published.show(next);
    const isOther = base !== null && (base.key !== next.base.key || base.epoch !== next.base.epoch);
    const why: DrainReason = base?.key === next.base.key ? "restarted" : "replaced";
    base = next.base;
    if (!isPerClient()) {
      subscriptions.move(before?.instance ?? null, next.instance);
      return;
    }
    if (!isOther) return;
    own.retire((entry) => entry.base.key === next.base.key && entry.base.epoch === next.base.epoch, why);
    // What a client waits to hear of must not depend on its next call.
    for (const client of subscriptions.clients) own.ensure(client);
  };

  const changeInstances = (before: BackendConfig["instances"]): void => {
    if (before === config().instances) return;
    if (!isPerClient()) {
      subscriptions.move(null, serving()?.instance ?? null);
      return;
    }
    for (const client of subscriptions.clients) {
      own.ensure(client);
      subscriptions.move(serving()?.instance ?? null, null, client);
    }
  };

  return {
    get base() {
      return base;
    },
    takeOver,
    changeInstances,
  };
}

interface PublishedParts {
  readonly name: string;
  readonly config: () => BackendConfig;
  readonly outcome: () => ConnectionOutcome;
  readonly serving: () => PoolInstance | null;
  readonly decision: () => BackendDecision;
  readonly isWanted: () => boolean;
  readonly changed: () => void;
}

/** What is published of the backend: lists, filters, and what the server says of itself. */
export function createPublished({
  name,
  config,
  outcome,
  serving,
  decision,
  isWanted,
  changed,
}: PublishedParts) {
  let shape: Shape | null = null;
  let source: CatalogSource | null = null;
  let greeting: ServerGreeting | null = null;

  /** What it says of itself, and what it has, is published from the next `publish` on. */
  const show = (next: PoolInstance): void => {
    const { filters, toolOverrides } = config();
    const { capabilities = {}, instructions = null } = next.instance.initializeResult ?? {};
    greeting = { backend: name, capabilities, instructions };
    shape = { key: next.base.key, filters, toolOverrides, listings: next.instance.listings ?? NO_LISTINGS };
  };
  const relist = (changed: PoolInstance): void => {
    if (changed !== serving() || shape === null) return;
    shape = { ...shape, listings: changed.instance.listings ?? shape.listings };
    publish();
  };

  const publish = (): void => {
    const isPublished = isWanted() && decision().calls.kind !== "refuse" && shape !== null;
    if (!isPublished || shape === null) {
      if (source === null) return;
      source = null;
    } else {
      const { filters, toolOverrides, listings } = shape;
      const isSame =
        source !== null &&
        source.listings === listings &&
        source.filters === filters &&
        source.toolOverrides === toolOverrides;
      if (isSame) return;
      source = { backend: name, filters, toolOverrides, listings };
    }
    changed();
  };

  const applyShape = (): void => {
    const found = outcome();
    const isSameConnection = found.ok && shape?.key === found.key;
    if (!isSameConnection || shape === null) return;
    const { filters, toolOverrides } = config();
    const isSame =
      isDeepStrictEqual(filters, shape.filters) && isDeepStrictEqual(toolOverrides, shape.toolOverrides);
    if (!isSame) shape = { ...shape, filters, toolOverrides };
  };

  return {
    publish,
    show,
    relist,
    get source() {
      return source;
    },
    applyShape,
    get greeting() {
      return greeting;
    },
  };
}
