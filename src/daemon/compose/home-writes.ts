// The gateway's files in the home: pins of tools, the names that clients have used with route overrides, the servers' lists,
// and clients' grants. Only the daemon in charge writes them.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import type { KeyringOptions } from "../../secrets/system-keyring.ts";
import { type SealedName, sealedPinStore } from "./pin-store.ts";

/** When the daemon ends, the longest wait for a disk or a keyring, ms. */
const END_MS = 2_000;

export function openHomeWrites(options: KeyringOptions) {
  const { home, clock } = options;
  let stage: "before" | "ours" | "over" = "before";
  let changes = 0;
  const inTurn = oneByOne();
  const over = new AbortController();
  const storeOf = (name: SealedName) => {
    const sealed = sealedPinStore({ ...options, signal: over.signal }, true, name);
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
        if (stage === "ours") await inTurn(() => sealed.write(value));
      },
    };
  };
  return {
    pinStore: storeOf("pins"),
    nameStore: storeOf("names"),
    listStore: storeOf("lists"),
    grantStore: storeOf("grants"),
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
    },
    /** Ends writing; resolves within 2 s. */
    async end(): Promise<void> {
      stage = "over";
      await settlesWithin(
        clock,
        END_MS,
        inTurn(async () => {}),
      );
      over.abort(new Error("another daemon writes the home now"));
    },
  };
}
