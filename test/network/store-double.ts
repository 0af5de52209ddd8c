// Controls the double of SCDynamicStore from a test: what the system says, and what it counted.

import { loadKoffi } from "../../src/network/native/core-foundation-darwin.ts";
import { buildDouble } from "../doubles/build-double.ts";

export async function createStoreDouble() {
  const path = await buildDouble("core-foundation.c", "system-configuration.c");
  const library = (await loadKoffi()).load(path);
  return {
    libraries: { coreFoundation: path, systemConfiguration: path },
    /** active -1: the entry does not say. */
    setLink: library.func("void double_set_link(const char *, int)"),
    setText: library.func("void double_set_text(const char *, const char *, const char *)"),
    setAddresses: library.func("void double_set_addresses(const char *, const char *)"),
    remove: library.func("void double_remove(const char *)"),
    restartConfigd: library.func("void double_restart_configd()"),
    /** A link that flaps so many times, told from a thread of its own. */
    storm: library.func("void double_storm(const char *, int)"),
    /** The function that refuses from now on; "" for none. */
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
