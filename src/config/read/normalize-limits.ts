// Normalizes `[limits]` for the engine.
import { BURST_SECONDS, type LimitsConfig, type LimitsOverride, type PrincipalLimits } from "../limits.ts";
import type { ConfigFile } from "../schema/schema.ts";
import type { ConfigWarning } from "../snapshot.ts";

type LimitsFile = ConfigFile["limits"];
type OverrideFile = LimitsFile["overrides"][number];

const MEBIBYTE = 1024 * 1024;

export function limitsConfig(limits: LimitsFile): LimitsConfig {
  return { ...principalLimits(limits), overrides: limits.overrides.map((one) => override(one, limits)) };
}

/** Warnings about what the section allows, but probably does not mean. */
export function limitsWarnings({ overrides }: LimitsFile): ConfigWarning[] {
  return overrides.flatMap(({ users, roles }, index) =>
    users === undefined && roles === undefined && index < overrides.length - 1
      ? {
          path: `limits.overrides[${index}]`,
          text: "it fits everybody, so that those below it never count",
          hint: "give it `users` or `roles`, or put it last",
        }
      : [],
  );
}

function override(
  { users, roles, ...own }: OverrideFile,
  { overrides: _, ...all }: LimitsFile,
): LimitsOverride {
  // An override with its own rate has its own burst; otherwise the common one applies.
  const burst = own.burst ?? (own.calls_per_second === undefined ? all.burst : undefined);
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return {
    users: users ?? null,
    roles: roles ?? null,
    limits: principalLimits({ ...all, ...given, burst }),
  };
}

function principalLimits(limits: Omit<LimitsFile, "overrides">): PrincipalLimits {
  const { calls_per_second: rate, burst, calls_in_flight, sessions, result_mb } = limits;
  return {
    callsPerSecond: rate === 0 ? null : rate,
    burst: burst ?? Math.max(1, Math.ceil(rate * BURST_SECONDS)),
    callsInFlight: calls_in_flight,
    sessions,
    resultBytes: result_mb === 0 ? null : Math.round(result_mb * MEBIBYTE),
  };
}
