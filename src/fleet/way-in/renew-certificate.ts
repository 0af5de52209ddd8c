// New certificates for the fleet's server, by a new authority: made beside the current ones, and used once every member
// trusts the new authority.
import { X509Certificate } from "node:crypto";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { authorityFingerprint } from "../layer/authority.ts";
import {
  certificatePaths,
  changeFleet,
  type FleetPlace,
  makeServerCertificates,
  requireFleet,
  withFolder,
} from "./fleet-folder.ts";
import type { FleetRecord } from "./fleet-record.ts";
import { reloadServer } from "./server-process.ts";

export interface NextAuthority {
  /** DER, base64. */
  readonly certificate: string;
  /** SHA-256, hex. */
  readonly fingerprint: string;
}

/** The authority that members are to trust next; null: there is none. Rejects with `usage` where this home has no server. */
export async function nextAuthority(home: string): Promise<NextAuthority | null> {
  const { certificates } = await requireFleet(home);
  const pem = await readIfPresent(certificatePaths(home, certificates + 1).authority);
  if (pem === null) return null;
  const authority = new X509Certificate(pem);
  return { certificate: authority.raw.toString("base64"), fingerprint: authorityFingerprint(authority) };
}

/** As `nextAuthority`, but makes an authority if there is none. `made`: true if this call has made it. */
export async function madeAuthority(
  place: FleetPlace,
  signal: AbortSignal,
): Promise<NextAuthority & { readonly made: boolean }> {
  const { home } = place;
  const before = await nextAuthority(home);
  if (before !== null) return { ...before, made: false };
  const isMade = await withFolder(place, signal, async () => {
    // Another command has made an authority meanwhile, and members may know it already.
    if ((await nextAuthority(home)) !== null) return false;
    const { address, certificates } = await requireFleet(home);
    await makeServerCertificates(place, address, certificates + 1);
    return true;
  });
  const made = await nextAuthority(home);
  if (made === null) throw new Error("the authority that was made is not there");
  return { ...made, made: isMade };
}

/** Makes the server use the new certificate. Codes that are made afterwards contain the new certificate authority. */
export async function takeIntoUse(
  place: FleetPlace,
  { fingerprint }: NextAuthority,
  signal: AbortSignal,
): Promise<FleetRecord> {
  const record = await changeFleet(place, signal, (now) =>
    now.authority === fingerprint
      ? now
      : { ...now, authority: fingerprint, certificates: now.certificates + 1 },
  );
  await reloadServer(place, signal);
  return record;
}
