// The phases of the backends in a status report, read leniently: the daemon may be of another version.
import { objectOf } from "../runtime/text/json-object.ts";
import type { BackendStatus } from "./contract.ts";

/** A backend's phase, as the daemon calls it; those that are not enabled have none here. */
export type BackendPhases = readonly string[];

/** Null: it has no gateway. What it does not say in a way that is understood has no phase. */
export function backendPhases(report: unknown): BackendPhases | null {
  const { gateway, backends } = objectOf(report);
  if (gateway === undefined) return null;
  return (Array.isArray(backends) ? backends : []).flatMap((backend) => {
    const { enabled, phase } = objectOf(backend);
    return enabled === true && typeof phase === "string" ? [phase] : [];
  });
}

/** Those that answer calls now. */
export function servingNames(backends: readonly BackendStatus[]): readonly string[] {
  return backends.flatMap(({ name, phase }) => (phase === "Ready" || phase === "Degraded" ? [name] : []));
}
