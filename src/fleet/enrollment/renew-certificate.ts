// A new certificate for the fleet's server, by the authority that its members know.
import { MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import {
  authorityPaths,
  changeFleet,
  type FleetContext,
  issueServerCertificate,
  requireFleet,
  withCertificates,
} from "./fleet-folder.ts";
import { reloadServer } from "./server-process.ts";

/**
 * Issues a certificate and has the server use it. Rejects with `usage` where this home has no server, and where the
 * authority's key is not kept.
 */
export function renewCertificate(context: FleetContext, signal: AbortSignal): Promise<void> {
  return withCertificates(context, signal, async () => {
    const { home } = context;
    const { address, certificates } = await requireFleet(home);
    const [authority, authorityKey] = await Promise.all([
      readIfPresent(authorityPaths(home).certificate),
      readIfPresent(authorityPaths(home).key),
    ]);
    if (authority === null || authorityKey === null) {
      throw new MountaineerError("usage", "the key of the fleet's authority is not kept here", {
        hint: "an earlier version began this fleet: recreate it with mountaineer fleet leave, then fleet init",
      });
    }
    const count = certificates + 1;
    const issuer = { certificate: authority, key: authorityKey };
    await issueServerCertificate(context, { address, count, issuer });
    // After an interruption the record still names the certificate before.
    await changeFleet(context, signal, (now) => ({ ...now, certificates: count }));
    await reloadServer(context, signal);
  });
}
