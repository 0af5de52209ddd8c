// The input of the doctor's checks, and how they make findings.
import type { DaemonClient } from "../api/client/client.ts";
import type { DoctorArea, DoctorFinding, DoctorSeverity } from "../api/doctor-report.ts";
import type { HomeContext } from "../config/home-context.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type EngineParts, startEngineParts } from "../daemon/compose/engine-parts.ts";
import { openStateStore } from "../reconcile/state-file.ts";
import type { ConditionText } from "../runtime/conditions/conditions.ts";
import type { DisposalStack } from "../runtime/disposal.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { type Clock, systemClock } from "../runtime/time/clock.ts";
import type { SecretValues } from "../secrets/reference.ts";

export interface DoctorContext {
  readonly home: string;
  readonly homeContext: HomeContext;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** null: the configuration cannot be used; another finding says why. */
  readonly snapshot: ConfigSnapshot | null;
  /** The environment and the stored secrets that the configuration refers to. */
  readonly values: SecretValues;
  /** null: no daemon answers. */
  readonly daemon: DaemonClient | null;
  readonly parts: Pick<
    EngineParts,
    "hostProber" | "drivers" | "prober" | "mountTable" | "commands" | "location"
  >;
}

export function findingsOf(area: DoctorArea) {
  return (
    severity: DoctorSeverity,
    code: string,
    text: string,
    { subject = null, hint = null }: { readonly subject?: string | null; readonly hint?: string | null } = {},
  ): DoctorFinding => ({ area, severity, code, subject, text, hint });
}

/** A condition as the status shows it. */
export function ofCondition(
  area: DoctorArea,
  { severity, code, title: text, hint }: ConditionText<string>,
  subject: string | null = null,
): DoctorFinding {
  return { area, severity, code, subject, text, hint };
}

/** Starts the parts of the engine without writing the state. Disposing `stack` ends them. */
export async function startObservingParts(
  home: string,
  statePath: string,
  stack: DisposalStack,
): Promise<EngineParts> {
  const force = new AbortController();
  stack.defer(() => force.abort());
  const tools = { clock: systemClock, logger: noopLogger };
  const memory = await openStateStore({ ...tools, path: statePath, readOnly: true });
  return stack.use(
    startEngineParts({
      ...tools,
      home,
      memory,
      forceStop: force.signal,
      announce: () => {},
      isInCharge: false,
    }),
  );
}
