// The gateway's files in the home: pins of tools, the names that clients have used, the servers' lists, and route
// overrides. Only the daemon in charge writes them.
import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../runtime/log/log.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { KeyringOptions } from "../../secrets/system-keyring.ts";
import { type SealedName, sealedPinStore } from "./pin-store.ts";
import { openRouteOverrides } from "./route-overrides.ts";

/** When the daemon ends, the longest wait for a disk or a keyring, ms. */
const END_MS = 2_000;

interface HomeWritesOptions extends KeyringOptions {
  readonly logger: Logger;
}

export function openHomeWrites(options: HomeWritesOptions) {
  const { home, clock, logger } = options;
  let stage: "before" | "ours" | "over" = "before";
  let changes = 0;
  let writing: Promise<unknown> = Promise.resolve();
  const over = new AbortController();
  const { signal } = over;
  const routeOverrides = openRouteOverrides({
    home,
    clock,
    logger,
    mayWrite: () => stage === "ours",
    signal,
  });
  const storeOf = (name: SealedName) => {
    const sealed = sealedPinStore({ ...options, signal }, true, name);
    const written = (value: unknown): Promise<void> => {
      const mine = writing.then(() => sealed.write(value));
      writing = mine.catch(() => {});
      return mine;
    };
    return {
      get isOurs() {
        return stage === "ours";
      },
      read: () => sealed.read(),
      /** Asks no keyring. */
      exists: () =>
        access(join(home, `${name}.sealed`)).then(
          () => true,
          () => false,
        ),
      // A daemon that is not in charge makes no key.
      secret: () => sealed.secret(stage === "ours"),
      async write(value: unknown) {
        if (stage === "ours") await written(value);
      },
    };
  };
  return {
    pinStore: storeOf("pins"),
    nameStore: storeOf("names"),
    listStore: storeOf("lists"),
    grantStore: storeOf("grants"),
    routeOverrides: {
      get: routeOverrides.get,
      keep(backend: string, route: string | null): void {
        changes += 1;
        routeOverrides.keep(backend, route);
      },
      whenWritten: () => settlesWithin(clock, END_MS, routeOverrides.whenWritten()),
    },
    /**
     * Number of changes of data that a daemon reads only at its start. A successor is out of date if this number
     * grows while the successor starts.
     */
    get changes(): number {
      return changes;
    },
    recordChange(): void {
      changes += 1;
    },
    get isOurs(): boolean {
      return stage === "ours";
    },
    begin(): void {
      stage = "ours";
      void routeOverrides.whenWritten();
    },
    /** Ends writing; resolves within 2 s. */
    async end(): Promise<void> {
      const last = routeOverrides.whenWritten();
      stage = "over";
      await settlesWithin(clock, END_MS, Promise.all([last, writing]));
      over.abort(new Error("another daemon writes the home now"));
    },
  };
}
