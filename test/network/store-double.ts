// Controls the double of SCDynamicStore from a test: what the system says, and what it counted.

import type { StoreLibraries } from "../../src/network/listen/darwin/scdynamicstore-binding.ts";
import { loadKoffi } from "../../src/network/native/core-foundation-darwin.ts";
import { buildDouble } from "../doubles/build-double.ts";

export interface StoreDouble {
  readonly libraries: StoreLibraries;
  /** active -1: the entry does not say. */
  setLink(key: string, active: number): void;
  setText(key: string, name: string, text: string): void;
  setAddresses(key: string, addresses: string): void;
  remove(key: string): void;
  restartConfigd(): void;
  /** A link that flaps so many times, told from a thread of its own. */
  storm(key: string, times: number): void;
  /** The function that refuses from now on; "" for none. */
  fail(name: string): void;
  alive(): number;
  faults(): number;
  lastFault(): string;
  callBacks(): number;
  stores(): number;
}

export async function createStoreDouble(): Promise<StoreDouble> {
  const path = await buildDouble("core-foundation.c", "system-configuration.c");
  const library = (await loadKoffi()).load(path);
  return {
    libraries: { coreFoundation: path, systemConfiguration: path },
    setLink: library.func("void double_set_link(const char *, int)"),
    setText: library.func("void double_set_text(const char *, const char *, const char *)"),
    setAddresses: library.func("void double_set_addresses(const char *, const char *)"),
    remove: library.func("void double_remove(const char *)"),
    restartConfigd: library.func("void double_restart_configd()"),
    storm: library.func("void double_storm(const char *, int)"),
    fail: library.func("void double_fail(const char *)"),
    alive: library.func("int double_alive()"),
    faults: library.func("int double_faults()"),
    lastFault: library.func("const char *double_last_fault()"),
    callBacks: library.func("int double_call_backs()"),
    stores: library.func("int double_stores()"),
  };
}

export const link = (name: string): string => `State:/Network/Interface/${name}/Link`;
export const addresses = (name: string, family = "IPv4"): string =>
  `State:/Network/Interface/${name}/${family}`;
