// Lists the shares of a server with a login that a person has typed: by smbclient, which insists on a signed session, else
// by rclone.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { installedRclone } from "../../rclone-release/installed.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { findProgram } from "../../runtime/process/find-program.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { configText, REMOTE_NAME } from "../drivers/rclone/files.ts";
import { readLogFailure } from "../drivers/rclone/log.ts";
import { createObscuredPasswords } from "../drivers/rclone/password.ts";
import { preferredRoute, type ShareSpec, wantsUser } from "../share-spec.ts";
import { authenticationFile, isRefusedLogin, RCLONE_LIMITS, signing } from "./root-reader.ts";

export type ShareNames =
  | { readonly kind: "listed"; readonly names: string[] }
  /** `refused`: the login is wrong. `failed`: the server could not be asked. `text`: one line for people. */
  | { readonly kind: "refused" | "failed"; readonly text: string };

const DEADLINE_MS = 15_000;
const SHARES_AT_MOST = 200;
const LETS_ANYBODY_IN =
  "this server lets anybody in as a guest; install smbclient so that the login can be checked, or leave the password empty for a guest";

/** Uses the login and the host of `share`, not its share name. Rejects only with the signal's reason. */
export async function listShareNames(
  share: ShareSpec,
  stateFolder: string,
  signal: AbortSignal,
  folders: readonly string[] = (process.env["PATH"] ?? "").split(delimiter),
): Promise<ShareNames> {
  const smbclient = await findProgram("smbclient", folders);
  const rclone = (await installedRclone(stateFolder)) ?? (await findProgram("rclone", folders));
  if (smbclient === null && rclone === null)
    return { kind: "failed", text: "nothing here can ask it: install rclone or smbclient" };
  const login = authenticationFile(share);
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-login-"));
  try {
    if (smbclient !== null && login !== null)
      return await bySmbclient(smbclient, share, login, folder, signal);
    const byProgram = (spec: ShareSpec): Promise<ShareNames> =>
      byRclone(rclone ?? "rclone", spec, stateFolder, folder, signal);
    if (wantsUser(share)) {
      // rclone does not notice that it was let in as a guest. So a random login is tried first: it shows whether the
      // server accepts anybody.
      const [username, password] = [randomBytes(8).toString("hex"), randomBytes(16).toString("hex")];
      const stranger = await byProgram({ ...share, username, password });
      if (stranger.kind === "listed") return { kind: "refused", text: LETS_ANYBODY_IN };
    }
    return await byProgram(share);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * True if the server denies having a share of that name; false if it has it, or could not be asked. Rejects only with the
 * signal's reason.
 */
export async function deniesShare(
  share: ShareSpec,
  stateFolder: string,
  signal: AbortSignal,
  folders: readonly string[] = (process.env["PATH"] ?? "").split(delimiter),
): Promise<boolean> {
  const smbclient = await findProgram("smbclient", folders);
  const rclone = (await installedRclone(stateFolder)) ?? (await findProgram("rclone", folders));
  const login = authenticationFile(share);
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-login-"));
  try {
    if (smbclient !== null && login !== null) {
      const service = [`//${preferredRoute(share).host}/${share.shareName}`, "-c", "exit"];
      const { stdout, stderr } = await runSmbclient(smbclient, share, login, folder, service, signal);
      return /tree connect failed: NT_STATUS_BAD_NETWORK_NAME/.test(`${stdout}${stderr}`);
    }
    if (rclone === null) return false;
    const { stderr } = await runRclone(rclone, share, stateFolder, folder, share.shareName, signal);
    return readLogFailure(stderr)?.reason === "no_such_share";
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runSmbclient(
  program: string,
  share: ShareSpec,
  login: string,
  folder: string,
  args: readonly string[],
  signal: AbortSignal,
) {
  const file = join(folder, "login");
  await writeFile(file, login, { mode: 0o600 });
  return runCommand(
    program,
    [
      ...[...args, "-p", String(preferredRoute(share).port), "-A", file, "-s", "/dev/null"],
      ...["--option=client min protocol=SMB2_02", ...signing(share)],
      // Without this option smbclient asks the whole network for the name, and anybody may answer and get the
      // login.
      "--option=name resolve order=host",
    ],
    { ...LIMITS, signal, env: { LC_ALL: "C" } },
  );
}

async function bySmbclient(
  program: string,
  share: ShareSpec,
  login: string,
  folder: string,
  signal: AbortSignal,
): Promise<ShareNames> {
  const list = ["-g", "-L", `//${preferredRoute(share).host}`];
  const { exitCode, stdout, stderr } = await runSmbclient(program, share, login, folder, list, signal);
  if (exitCode === 0) return listed(stdout.matchAll(/^Disk\|([^|\n]+)\|/gm));
  const output = `${stdout}\n${stderr}`;
  // Some servers answer a wrong login with a guest's session, which is not signed.
  const isGuests =
    wantsUser(share) && /mechListMIC[^\n]*/.exec(output)?.[0].includes("ACCESS_DENIED") === true;
  return failure(
    lastLine(output).replace(/^.*\bNT_STATUS_LOGON_FAILURE$/, "wrong name or password"),
    isRefusedLogin(output) || isGuests,
  );
}

async function runRclone(
  program: string,
  share: ShareSpec,
  stateFolder: string,
  folder: string,
  path: string,
  signal: AbortSignal,
) {
  const obscured = createObscuredPasswords(systemClock, stateFolder);
  const secret = share.password === null ? null : await obscured(share.password);
  const config = join(folder, "rclone.conf");
  await writeFile(config, configText(share, preferredRoute(share), secret), { mode: 0o600 });
  const args = ["lsf", `${REMOTE_NAME}:${path}`, "--dirs-only", "--config", config, ...RCLONE_LIMITS];
  return runCommand(program, args, { ...LIMITS, signal });
}

async function byRclone(
  program: string,
  share: ShareSpec,
  stateFolder: string,
  folder: string,
  signal: AbortSignal,
): Promise<ShareNames> {
  const { exitCode, stdout, stderr } = await runRclone(program, share, stateFolder, folder, "", signal);
  if (exitCode === 0) return listed(stdout.matchAll(/^(.+)\/$/gm));
  const logFailure = readLogFailure(stderr);
  return failure(logFailure?.text ?? lastLine(stderr), logFailure?.reason === "wrong_credentials");
}

const LIMITS = {
  clock: systemClock,
  deadlineMs: DEADLINE_MS,
  killGraceMs: 0,
  maxOutputBytes: 64 * 1024,
} as const;

/** Leaves out administrative shares. */
function listed(lines: Iterable<RegExpExecArray>): ShareNames {
  const names = [...lines].map(([, name = ""]) => name).filter((name) => !name.endsWith("$"));
  return { kind: "listed", names: names.slice(0, SHARES_AT_MOST) };
}

function failure(text: string, isRefused: boolean): ShareNames {
  return { kind: isRefused ? "refused" : "failed", text: printable(text).slice(0, 200) };
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() || "it gave no answer";
}
