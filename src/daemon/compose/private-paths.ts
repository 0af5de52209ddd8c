// Checks that the home, the configuration, the secrets and the sockets are private: a place that other users may write is an
// error, one that they may only read a warning.
import { join } from "node:path";
import { literalSecrets } from "../../config/literal-secrets.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { createSinceTracker } from "../../runtime/conditions/conditions.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { type Exposure, exposureOf, type OpenEntry, ownIdentity } from "../../runtime/files/exposure.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { DAEMON_CONDITIONS, type KnownCondition } from "../conditions/condition-rows.ts";

interface PathFault {
  readonly severity: "error" | "warning";
  readonly code: "writable_by_others" | "readable_by_others";
  readonly path: string;
  readonly text: string;
  readonly hint: string;
}

/** Private files and sockets in the home, if they exist. */
const PRIVATE_FILES = ["secrets.json", "mountaineer.sock", "mcp.sock"];

/** The places of a home and its configuration file, most important first. */
export function privatePaths(home: string, configPath: string): readonly string[] {
  return [home, configPath, ...PRIVATE_FILES.map((name) => join(home, name))];
}

/**
 * Returns what is wrong with the places. `exposures` has one element for each of `privatePaths`; `snapshot` is the
 * configuration that will run. Pure.
 */
export function pathFaults(
  exposures: readonly Exposure[],
  snapshot: Pick<ConfigSnapshot, "path" | "config"> | null,
): readonly PathFault[] {
  const faults: PathFault[] = [];
  const written = new Set<string>();
  for (const { path, writable, readable } of exposures) {
    // Several places below one open folder have the same fault, which is reported once.
    if (writable !== null && !written.has(writable.path)) {
      written.add(writable.path);
      faults.push(writableFault(path, writable));
    }
    // Read permission is not enough to connect to a socket.
    if (readable === null || path.endsWith(".sock")) continue;
    const secrets = path === snapshot?.path ? literalSecrets(snapshot.config.backends) : [];
    faults.push(
      readableFault(
        path,
        readable,
        secrets.map(({ key }) => key),
      ),
    );
  }
  return faults;
}

function writableFault(path: string, entry: OpenEntry): PathFault {
  const { path: at, why, mode, uid } = entry;
  const what = at === path ? path : `${path}: ${at}`;
  const fault = { severity: "error", code: "writable_by_others", path } as const;
  if (why === "owner") {
    const us = process.getuid?.() ?? uid;
    const text = `${what} belongs to user ${uid}, and this is user ${us} (mode ${mode})`;
    const hint = `if that user is to be trusted with all that this one may do, give it over: ${shellCommand`sudo chown ${us} ${at}`}`;
    return { ...fault, text, hint };
  }
  const text = `${what} can be written by others (mode ${mode}, user ${uid})`;
  return { ...fault, text, hint: shellCommand`chmod go-w ${at}` };
}

function readableFault(
  path: string,
  { mode, uid, isFolder }: OpenEntry,
  secrets: readonly string[],
): PathFault {
  const hint = shellCommand`chmod ${isFolder ? "go-rwx" : "go-r"} ${path}`;
  const code = "readable_by_others";
  const who = `can be read by others (mode ${mode}, user ${uid})`;
  const [first, ...others] = secrets;
  if (first === undefined) return { severity: "warning", code, path, text: `${path} ${who}`, hint };
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  const text = `${path} ${who}, and seems to contain a secret: ${first}${more}`;
  return {
    severity: "error",
    code,
    path,
    text,
    hint: `${hint}; or keep it elsewhere: mountaineer secret set NAME`,
  };
}

/** The first fault that keeps the configuration from running, as an error; null if there is none. */
export function refusalOf(faults: readonly PathFault[]): MountaineerError | null {
  const [first, ...others] = faults.filter(({ severity }) => severity === "error");
  if (first === undefined) return null;
  const more = others.length === 0 ? "" : ` (and ${others.length} more; mountaineer doctor lists them)`;
  return new MountaineerError("open_to_others", `${first.text}${more}`, { hint: first.hint, retry: "later" });
}

interface PrivatePathsOptions extends RuntimeTools {
  readonly home: string;
  /** Checks paths on local disks; null: no answer in time. */
  readonly check: (paths: readonly string[]) => Promise<readonly Exposure[] | null>;
}

export type PrivatePaths = ReturnType<typeof createPrivatePaths>;

export function createPrivatePaths({ home, check, clock, logger }: PrivatePathsOptions) {
  const sinceTracker = createSinceTracker(clock);
  let conditions: readonly KnownCondition[] = [];
  return {
    /** Rejects with `open_to_others` if the access of other users keeps this configuration from running. */
    async require(snapshot: ConfigSnapshot): Promise<void> {
      const exposures = await check(privatePaths(home, snapshot.path));
      if (exposures === null) {
        logger.warn("write access to the home and the configuration could not be checked in time", { home });
        return;
      }
      for (const { path, failure } of exposures) {
        if (failure !== null) logger.warn("write access could not be checked", { path, reason: failure });
      }
      const faults = pathFaults(exposures, snapshot);
      const warnings = faults.filter(({ severity }) => severity === "warning");
      conditions = sinceTracker(
        warnings.map(({ path, text, hint }) => DAEMON_CONDITIONS.readable_by_others(path, text, hint)),
      );
      const refusal = refusalOf(faults);
      if (refusal !== null) throw refusal;
    },
    /** The warnings of the last check. */
    conditions: (): KnownCondition[] => [...conditions],
  };
}

/** Checks as `require` does, for a command that runs backends itself: its process may wait for a disk. */
export async function requirePrivateHere(home: string, snapshot: ConfigSnapshot): Promise<void> {
  const refusal = refusalOf(pathFaults(await exposuresHere(home, snapshot.path), snapshot));
  if (refusal !== null) throw refusal;
}

/** Checks the `privatePaths` in this process. */
export async function exposuresHere(home: string, configPath: string): Promise<readonly Exposure[]> {
  const identity = await ownIdentity();
  return Promise.all(privatePaths(home, configPath).map((path) => exposureOf(path, identity)));
}
