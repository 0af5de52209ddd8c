// A NAS for the proof: Samba from Homebrew, as this user, behind two cables that can be pulled (127.0.0.2 and 127.0.0.3).
import { access, mkdtemp, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { netfsUrl } from "../../src/shares/drivers/netfs/netfs.ts";
import { mountByNetfs, type NetfsOutcome } from "../../src/shares/drivers/netfs/process.ts";
import { netfsEnvironment, netfsLibraries } from "./parts-of-macos.ts";
import type { Report } from "./report.ts";

export const SHARE = "PROOF";
/** Homebrew gives Samba's server another name, because macOS has an smbd of its own. */
const HOMEBREW = ["/opt/homebrew/sbin/samba-dot-org-smbd", "/usr/local/sbin/samba-dot-org-smbd"];
/** The paths of its sockets may have 104 bytes, and the system's folder for temporary files has long ones. */
const SHORT_FOLDER = "/tmp";

export async function startNas(): Promise<PlainRig> {
  for (const program of HOMEBREW) {
    const isThere = await access(program).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    const folder = await mkdtemp(join(tmpdir(), "mac-proof-smbd-"));
    await symlink(program, join(folder, "smbd"));
    const bin = join(dirname(dirname(program)), "bin");
    process.env["PATH"] = [folder, bin, process.env["PATH"]].join(delimiter);
  }
  return startPlainRig({ shares: [SHARE], parent: SHORT_FOLDER });
}

interface Logon {
  readonly host: string;
  readonly port: number;
  readonly shareName?: string;
  readonly username: string;
  readonly password: string;
}

/** As the driver does it: in a process of its own, which cancels the mount at its deadline. */
export async function mount(
  logon: Logon,
  deadlineMs: number,
): Promise<NetfsOutcome & { readonly ms: number }> {
  const { host, port, shareName = SHARE, username, password } = logon;
  const startedAtMs = systemClock.monotonicMs();
  const outcome = await mountByNetfs(
    { url: netfsUrl({ host, port, shareName, username }), folder: null, username, password, guest: false },
    {
      clock: systemClock,
      deadlineMs,
      signal: new AbortController().signal,
      libraries: netfsLibraries,
      env: netfsEnvironment,
    },
  );
  return { ...outcome, ms: Math.round(systemClock.monotonicMs() - startedAtMs) };
}

export function describe(outcome: NetfsOutcome & { readonly ms: number }): string {
  const said =
    outcome.kind === "called"
      ? `status ${outcome.status}, mounted at ${outcome.mountPoints.join(", ") || "no path"}`
      : `${outcome.kind}: ${outcome.text}`;
  return `${said}, after ${outcome.ms} ms`;
}

/** Mounts the good share; resolves with its path. Rejects where that fails: what follows needs it. */
export async function mountGood(report: Report, rig: PlainRig): Promise<string> {
  const { tbHost: host, tbPort: port, username, password } = rig;
  const outcome = await mount({ host, port, username, password }, 30_000);
  const [path] = outcome.kind === "called" ? outcome.mountPoints : [];
  report.check(
    path !== undefined && outcome.kind === "called" && outcome.status === 0,
    "the good share is mounted (status 0)",
    describe(outcome),
    `look the status up in src/shares/drivers/netfs/codes.ts; smbd's log ends with: ${(await rig.log()).slice(-600)}`,
  );
  if (path === undefined) throw new Error("without this mount there is nothing to go on with");
  return path;
}
