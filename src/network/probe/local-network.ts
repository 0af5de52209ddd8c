// Picks the platform's check of whether the system blocks this program from the local network, which macOS can do
// silently.
import type { AddressedHostProber } from "./host-prober.ts";
import { type LocalNetworkOptions, withLocalNetworkCheck } from "./local-network-darwin.ts";

/** Adds the check to `prober` on macOS; elsewhere returns `prober`. Disposing the result disposes the prober. */
export function checkLocalNetwork(
  prober: AddressedHostProber,
  options: LocalNetworkOptions,
): AddressedHostProber {
  return process.platform === "darwin" ? withLocalNetworkCheck(prober, options) : prober;
}
