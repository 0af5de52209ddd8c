// Reads the phases of backends from a status report leniently, because the daemon may be of another version.
import { objectOf } from "../../runtime/text/json-object.ts";
import type { BackendStatus } from "../contract/contract.ts";

/** The phases of the enabled backends, as the daemon names them. */
export type BackendPhases = readonly string[];

/**
 * Returns the phases in a status report, without entries that this version cannot read; null: the daemon has
 * no gateway.
 */
export function backendPhases(report: unknown): BackendPhases | null {
  const { gateway, backends } = objectOf(report);
  if (gateway === undefined) return null;
  return (Array.isArray(backends) ? backends : []).flatMap((backend) => {
    const { enabled, phase } = objectOf(backend);
    return enabled === true && typeof phase === "string" ? [phase] : [];
  });
}

const ANSWERING: ReadonlySet<string> = new Set(["Ready", "Asleep", "Degraded"]);

/** The backends that answer calls; a sleeping one starts first. */
export function servingNames(backends: readonly BackendStatus[]): readonly string[] {
  return backends.flatMap(({ name, phase }) => (ANSWERING.has(phase) ? [name] : []));
}
