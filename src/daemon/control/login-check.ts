// Whether a server lets the login of a share in, for `verify --login` and `doctor`. mountaineer-fs opens the share once for this;
// nothing is mounted.
import type { DoctorFinding } from "../../api/doctor-report.ts";
import { escapedText, pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { changeHint } from "../../secrets/reference.ts";
import { refusedText } from "../../shares/policy/login.ts";
import type { ProgramCommands } from "../../shares/program/commands.ts";
import type { SignIn } from "../../shares/program/sign-in.ts";
import type { ShareSpec } from "../../shares/share-spec.ts";

type LoginFinding = Pick<DoctorFinding, "severity" | "code" | "text" | "hint">;
type LoginSpec = Pick<ShareSpec, "name" | "shareName" | "username" | "passwordFrom">;

/**
 * `signIn` has one endpoint, which messages call `host`. `logInNow`: a person asked, so one login is tried even if refusals
 * forbid it. Rejects only when the signal aborts.
 */
export async function checkLogin(
  commands: ProgramCommands,
  { name, shareName, username, passwordFrom = null }: LoginSpec,
  { host, signIn, logInNow }: { readonly host: string; readonly signIn: SignIn; readonly logInNow: boolean },
  signal: AbortSignal,
): Promise<LoginFinding> {
  const found = await commands.compareServers({ signIn, shareName, logInNow, keepsRecord: true }, signal);
  const error = (code: string, text: string, hint: string | null = null) =>
    ({ severity: "error", code, text, hint }) as const;
  if (!found.ok && found.code === null) {
    const text = `it could not be checked whether ${host} accepts the login: ${found.text}`;
    return { severity: "info", code: "credentials_not_asked", text, hint: null };
  }
  if (found.ok && found.verdict === "different") {
    const hint = `if it is your new NAS: ${shellCommand`mountaineer mount --share ${name} --new-server`}`;
    return error("different_servers", found.text ?? "", hint);
  }
  const failure = found.ok ? Object.values(found.failures)[0] : found;
  const who = signIn.isGuest ? "a guest" : username;
  if (failure === undefined) {
    const versions =
      found.ok && found.snapshots ? `; versions: ${pluralize(found.snapshots, "snapshot")}` : "";
    const text = `${host} lets ${who} into ${shareName}${versions}`;
    return { severity: "ok", code: "credentials", text, hint: null };
  }
  if (failure.code === "logon_failure" || failure.code === "logon_held") {
    const remedy = passwordFrom === null ? "give it a username and a password" : changeHint(passwordFrom);
    const hint = `check the user name, or give the right password: ${remedy}`;
    return error("login_refused", refusedText(who, failure.text), hint);
  }
  if (failure.code === "access_denied") {
    const hint = "see whether the name of the user is right, and give that user the right on the server";
    return error("share_denied", `${who} may not read ${shareName} on ${host}`, hint);
  }
  if (failure.code !== "no_share")
    return error("share_unreadable", `${shareName} on ${host}: ${failure.text}`);
  const listed = await commands.listShares(signIn, signal);
  const names = listed.ok ? listed.names : [];
  const twin = names.find((one) => one.normalize() === shareName.normalize());
  if (twin !== undefined) {
    const [queried, has] = [escapedText(shareName), escapedText(twin)];
    const text = `${host} has no share "${queried}", but "${has}": the same name in another Unicode form`;
    return error("no_such_share", text, `share_name = "${has}"`);
  }
  const there = names.length === 0 ? "" : `; it has ${names.slice(0, 12).join(", ")}`;
  const hint = `set share_name of ${name} to the name that the share has on the server`;
  return error("no_such_share", `${host} has no share ${shareName}${there}`, hint);
}
