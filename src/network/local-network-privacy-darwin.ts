// Recognizes macOS's Local Network privacy: without that permission, a launch agent's connection to a host on its own link
// fails with EHOSTUNREACH, as if there were no route.
import { systemErrorCode } from "../runtime/errors.ts";
import { containsAddress, type InterfaceSnapshot } from "./interfaces.ts";
import { parseIp } from "./ip-address.ts";

/** macOS blocks nothing behind a router, and an ordinary host that is off is EHOSTDOWN or silent. */
export function isBlockedLike(error: unknown, interfaces: () => InterfaceSnapshot): boolean {
  // A name with several addresses fails with all their errors.
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const addresses = errors.flatMap((one) => {
    const isUnreachable = one instanceof Error && systemErrorCode(one) === "EHOSTUNREACH";
    return isUnreachable && "address" in one && typeof one.address === "string"
      ? (parseIp(one.address) ?? [])
      : [];
  });
  if (addresses.length === 0) return false;
  const own = interfaces().addresses;
  return addresses.some((address) => own.some((one) => containsAddress(one, address)));
}
