// Turns the configuration's shares into the engine's subjects: resolves secrets, builds paths, picks drivers.
import { join } from "node:path";
import { formerShare } from "../../config/read/normalize.ts";
import type { MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import { referenceKey, resolveReference } from "../../secrets/reference.ts";
import type { MountDriver } from "../../shares/drivers/mount-driver.ts";
import type { ConfiguredShare } from "../../shares/engine/share-subject.ts";
import type { DriverName, SharePolicy, ShareSpec } from "../../shares/share-spec.ts";

export interface SubjectContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly drivers: Readonly<Record<DriverName, MountDriver>>;
  /** Keeps a password out of every log line. */
  readonly redact: (secret: string) => void;
  /** Overrides the configuration's check interval, ms; null: no override. */
  readonly intervalMs: number | null;
}

export function shareSubjects(config: MountaineerConfig, context: SubjectContext): ConfiguredShare[] {
  return config.shares.map((share) => subjectOf(share, config, context));
}

/** A share of which only the name is known, because it is no longer configured. */
export function formerSubject(
  name: string,
  config: MountaineerConfig,
  context: SubjectContext,
): ConfiguredShare {
  return subjectOf(formerShare(name), config, context);
}

function subjectOf(
  share: ShareConfig,
  { global }: MountaineerConfig,
  context: SubjectContext,
): ConfiguredShare {
  const policy = {
    checkIntervalMs: context.intervalMs ?? global.checkIntervalMs,
    connectTimeoutMs: global.connectTimeoutMs,
    mountHangMs: global.mountHangMs,
    outagePatienceMs: global.outagePatienceMs,
    autoFailback: global.autoFailback,
    stableMs: global.autoFailbackStableMs,
    lsofRecheck: global.lsofRecheck,
  };
  const { password: _, onRouteChange, wake, onlyOn, ...described } = share;
  return {
    spec: {
      ...described,
      ...shareSecret(share, context),
      mountPath: join(global.mountRoot, mountName(share, global.mountRoot)),
      stablePath: join(global.sharesRoot, share.name),
    },
    policy: { ...policy, onRouteChange, wake, onlyOn } satisfies SharePolicy,
    driver: context.drivers[share.driver],
  };
}

/** macOS itself names mounts in /Volumes, after the server's share. */
function mountName({ driver, name, shareName }: ShareConfig, mountRoot: string): string {
  return driver === "netfs" && mountRoot === "/Volumes" ? shareName : name;
}

function shareSecret(
  { password }: ShareConfig,
  { environment, redact }: SubjectContext,
): Pick<ShareSpec, "password" | "missingVariable" | "passwordFrom"> {
  if (password === null) return { password: null, missingVariable: null };
  const resolved = resolveReference(password, environment);
  if (!resolved.ok) return { password: null, missingVariable: resolved.missing };
  redact(resolved.value);
  return { password: resolved.value, missingVariable: null, passwordFrom: referenceKey(password) };
}
