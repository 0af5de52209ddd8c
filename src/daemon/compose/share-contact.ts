// Whether the hosts of a configured share may be contacted, for commands that observe no share.
import { join } from "node:path";
import type { ShareConfig } from "../../config/snapshot.ts";
import type { NetworkLocation } from "../../network/location/network-location.ts";
import { recallShares } from "../../reconcile/state-file.ts";
import { noopLogger } from "../../runtime/log/log.ts";
import { systemClock as clock } from "../../runtime/time/clock.ts";
import { resolveReference, type SecretValues } from "../../secrets/reference.ts";
import { shareFiles } from "../../shares/drivers/share-files.ts";
import { Contact } from "../../shares/program/sign-in.ts";

/** The folder of each share in the home. */
export function folderIn(home: string): (share: string) => string {
  return (share) => shareFiles(home, share).folder;
}

interface ContactParts {
  readonly home: string;
  readonly location: Pick<NetworkLocation, "offNetworkReason">;
  readonly values: SecretValues;
}

/** A password whose reference has no value counts as none: callers look for that first. */
export async function contactShare(
  share: ShareConfig,
  { home, location, values }: ContactParts,
): Promise<Contact> {
  const resolved = share.password === null ? null : resolveReference(share.password, values);
  const atMs = clock.monotonicMs();
  const recalled = await recallShares({ path: join(home, "state.json"), clock, logger: noopLogger });
  const memory = recalled.get(share.name) ?? {};
  const spec = { ...share, password: resolved?.ok === true ? resolved.value : null };
  return Contact.check(location, { spec, policy: share, memory }, atMs);
}
