// Checks whether the server accepts each share's credentials. rclone lists the
// share once for this; nothing is mounted.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { shareSubjects } from "../daemon/compose/share-subjects.ts";
import { rcloneProgram } from "../rclone-release/installed.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { findProgram } from "../runtime/process/find-program.ts";
import { escapedText } from "../runtime/text/plain-text.ts";
import {
  changeHint,
  missingHint,
  oneMissingText,
  referenceKey,
  referenceText,
  resolveReference,
  type SecretValues,
} from "../secrets/reference.ts";
import { configText, REMOTE_NAME } from "../shares/drivers/rclone/files.ts";
import { readLogFailure } from "../shares/drivers/rclone/log.ts";
import { createObscuredPasswords } from "../shares/drivers/rclone/password.ts";
import { pathFolders } from "../shares/server-proof/root-reader.ts";
import { listShareNames } from "../shares/server-proof/share-names.ts";
import { wantsUser } from "../shares/share-spec.ts";
import { type DoctorContext, findingsOf } from "./context.ts";
import type { HostCheck } from "./hosts.ts";

const finding = findingsOf("credentials");
const CHECK_DEADLINE_MS = 10_000;
const AT_ONCE = 4;

/** `refused`: shares whose login the server is known to refuse; a further try could lock the account. */
export async function examineCredentials(
  context: DoctorContext,
  checks: readonly HostCheck[],
  refused: ReadonlySet<string>,
): Promise<DoctorFinding[]> {
  const { snapshot, clock, home } = context;
  const shares = (snapshot?.config.shares ?? []).filter(({ name }) => !refused.has(name));
  const obscure = createObscuredPasswords(clock, home);
  const found: DoctorFinding[] = [];
  for (let index = 0; index < shares.length; index += AT_ONCE) {
    const some = shares.slice(index, index + AT_ONCE);
    const batch = await Promise.all(some.map((share) => examineShare(context, share, checks, obscure)));
    found.push(...batch.flat());
  }
  return found;
}

/** A finding if the reference of the share's password has no value. */
export function missingPassword({ name, password }: ShareConfig, values: SecretValues): DoctorFinding[] {
  const resolved = password === null ? null : resolveReference(password, values);
  if (resolved === null || resolved.ok) return [];
  const hint = missingHint([resolved.missing]);
  return [
    finding("error", "secret_missing", `${name}: ${oneMissingText(resolved.missing)}`, {
      subject: name,
      hint,
    }),
  ];
}

async function examineShare(
  context: DoctorContext,
  share: ShareConfig,
  checks: readonly HostCheck[],
  obscure: (password: string) => Promise<string>,
): Promise<DoctorFinding[]> {
  const subject = share.name;
  // `verify` finds it.
  if (missingPassword(share, context.values).length > 0) return [];
  if (share.password !== null) {
    const resolved = resolveReference(share.password, context.values);
    if (resolved.ok && resolved.value === "") {
      const text = `${share.name}: ${referenceText(share.password)} is there, but empty`;
      return [finding("error", "secret_empty", text, { subject, hint: "set its value" })];
    }
  }
  const answering = checks.find((check) => check.share === share.name && check.probe.verdict === "answers");
  // Nothing can be checked if no host answers; another check reports that. A password in the Keychain or in fstab
  // cannot be checked either, because Mountaineer does not read it there.
  if (share.driver === "local" || answering === undefined) return [];
  if (share.driver !== "rclone" && share.password === null) return [];
  const missing = await context.parts.drivers.rclone.missingRequirement();
  if (missing === null) return [await queryServer(context, share, answering, obscure)];
  if (share.driver === "rclone") return [];
  const text = `${share.name}: it could not be checked whether ${answering.host} accepts the password: ${missing.text}`;
  return [
    finding("info", "credentials_not_asked", text, {
      subject,
      hint: "install rclone, which this check needs",
    }),
  ];
}

async function queryServer(
  context: DoctorContext,
  share: ShareConfig,
  { route, host }: HostCheck,
  obscure: (password: string) => Promise<string>,
): Promise<DoctorFinding> {
  const subject = share.name;
  const { clock, signal, parts, values, home } = context;
  let folder: string | null = null;
  try {
    if (context.snapshot === null) throw new MountaineerError("internal", "there is no configuration");
    const [queried] = shareSubjects(
      { ...context.snapshot.config, shares: [share] },
      { environment: values, drivers: parts.drivers, redact: () => {}, intervalMs: null },
    );
    if (queried === undefined) throw new MountaineerError("internal", "the share has no subject");
    const { spec } = queried;
    const obscured = spec.password === null ? null : await obscure(spec.password);
    folder = await mkdtemp(join(tmpdir(), "mountaineer-doctor-"));
    const config = join(folder, "rclone.conf");
    await writeFile(config, configText(spec, spec.routes[route], obscured), { mode: 0o600 });
    const rclone = await rcloneProgram(home);
    const list = (of: string) =>
      runCommand(rclone, ["lsf", "--max-depth", "1", `${REMOTE_NAME}:${of}`, ...RCLONE, "--config", config], {
        clock,
        deadlineMs: CHECK_DEADLINE_MS,
        maxOutputBytes: 64 * 1024,
        signal,
      });
    const { exitCode, stderr, timedOut } = await list(spec.shareName);
    const who = share.password === null ? "a guest" : share.username;
    const failure = exitCode === 0 ? null : readLogFailure(stderr);
    const isIn = exitCode === 0 || failure?.reason === "permission_denied";
    const hasSmbclient = (await findProgram("smbclient", pathFolders())) !== null;
    // smbclient insists on a signed session, which a guest cannot have.
    if (isIn && wantsUser(spec) && hasSmbclient) {
      const overRoute = { ...spec, routes: { ...spec.routes, tb: spec.routes[route] } };
      if ((await listShareNames(overRoute, home, signal)).kind === "refused") {
        const text = `${share.name}: ${host} does not know ${who}, or refuses the password, and lets it in as a guest only`;
        return finding("error", "wrong_credentials", text, { subject, hint: passwordHint(share) });
      }
    }
    if (exitCode === 0) {
      return finding("ok", "credentials", `${host} lets ${who} into ${spec.shareName}`, { subject });
    }
    if (timedOut) {
      const text = `${share.name}: ${host} did not list ${spec.shareName} within ${CHECK_DEADLINE_MS / 1000} s`;
      return finding("warning", "share_slow", text, {
        subject,
        hint: "check whether the server is overloaded",
      });
    }
    const refused = (code: string, text: string, hint: string | null = null): DoctorFinding =>
      finding("error", code, `${share.name}: ${text}`, { subject, hint });
    switch (failure?.reason) {
      case "wrong_credentials":
        return refused("wrong_credentials", `${host} refuses ${who}: ${failure.text}`, passwordHint(share));
      case "no_such_share": {
        const { stdout } = await list("");
        const names = stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.replace(/\/$/, "")]));
        const twin = names.find((name) => name.normalize() === spec.shareName.normalize());
        if (twin !== undefined) {
          const [queried, has] = [escapedText(spec.shareName), escapedText(twin)];
          const text = `${host} has no share "${queried}", but "${has}": the same name in another Unicode form`;
          return refused("no_such_share", text, `share_name = "${has}"`);
        }
        const there = names.length === 0 ? "" : `; it has ${names.slice(0, 12).join(", ")}`;
        const hint = `set share_name of ${share.name} to the name that the share has on the server`;
        return refused("no_such_share", `${host} has no share ${spec.shareName}${there}`, hint);
      }
      case "permission_denied": {
        const hint = "see whether the name of the user is right, and give that user the right on the server";
        return refused("share_denied", `${who} may not read ${spec.shareName} on ${host}`, hint);
      }
      default: {
        const why = failure?.text ?? (stderr.trim().split("\n").at(-1) || `rclone ended with ${exitCode}`);
        return refused("share_unreadable", `${spec.shareName} on ${host}: ${why}`);
      }
    }
  } catch (error) {
    const text = `${share.name}: its server could not be asked: ${errorText(error)}`;
    return finding("warning", "share_not_asked", text, { subject });
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

/** Options of rclone for a single short attempt, because a person waits. */
const RCLONE = ["--contimeout", "2s", "--timeout", "4s", "--retries", "1", "--low-level-retries", "1"];

function passwordHint({ password, name }: ShareConfig): string {
  if (password === null) return `it wants a user: give ${name} a username and a password`;
  const where = changeHint(referenceKey(password));
  return `see whether the name of the user is right, and give the right password: ${where}`;
}
