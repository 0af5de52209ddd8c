// Checks whether the server accepts each share's credentials. mountaineer-fs opens the share once for this; nothing is mounted.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { escapedText, pluralize, shellCommand } from "../runtime/text/plain-text.ts";
import {
  changeHint,
  missingHint,
  oneMissingText,
  referenceKey,
  referenceText,
  resolveReference,
  type SecretValues,
} from "../secrets/reference.ts";
import type { SignIn } from "../shares/program/sign-in.ts";
import { type DoctorContext, findingsOf } from "./context.ts";
import type { HostCheck } from "./hosts.ts";

const finding = findingsOf("credentials");
const AT_ONCE = 4;

/** `refused`: shares whose login the server is known to refuse; a further try could lock the account. */
export async function examineCredentials(
  context: DoctorContext,
  checks: readonly HostCheck[],
  refused: ReadonlySet<string>,
): Promise<DoctorFinding[]> {
  const { snapshot } = context;
  const shares = (snapshot?.config.shares ?? []).filter(({ name }) => !refused.has(name));
  const found: DoctorFinding[] = [];
  for (let index = 0; index < shares.length; index += AT_ONCE) {
    const some = shares.slice(index, index + AT_ONCE);
    const batch = await Promise.all(some.map((share) => examineShare(context, share, checks)));
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
  // Nothing can be checked if no host answers; another check reports that. A password in the Keychain cannot be checked
  // either, because Mountaineer does not read it there.
  if (share.driver === "local" || answering === undefined) return [];
  if (share.driver === "netfs" && share.password === null) return [];
  const { route, host, probe, contact } = answering;
  const { address, interfaceName } = probe;
  const endpoint = { address: address ?? host, port: share.routes[route].port, interfaceName };
  const signIn = contact.signIn({ [route]: endpoint });
  return signIn === null ? [] : [await queryServer(context, share, { route, host, signIn })];
}

async function queryServer(
  { signal, parts: { commands } }: DoctorContext,
  share: ShareConfig,
  { route, host, signIn }: Pick<HostCheck, "route" | "host"> & { readonly signIn: SignIn },
): Promise<DoctorFinding> {
  const { name: subject, shareName, username } = share;
  const found = await commands.compareServers({ signIn, shareName, keepsRecord: true }, signal);
  const who = signIn.isGuest ? "a guest" : username;
  if (!found.ok && found.code === null) {
    const text = `${subject}: it could not be checked whether ${host} accepts the login: ${found.text}`;
    return finding("info", "credentials_not_asked", text, { subject });
  }
  if (found.ok && found.verdict === "different") {
    const hint = `if it is your new NAS: ${shellCommand`mountaineer mount --share ${subject} --new-server`}`;
    return finding("error", "different_servers", `${subject}: ${found.text}`, { subject, hint });
  }
  const failure = found.ok ? found.failures[route] : found;
  if (failure === undefined) {
    const versions =
      found.ok && found.snapshots ? `; versions: ${pluralize(found.snapshots, "snapshot")}` : "";
    return finding("ok", "credentials", `${host} lets ${who} into ${shareName}${versions}`, { subject });
  }
  const refused = (code: string, text: string, hint: string | null = null): DoctorFinding =>
    finding("error", code, `${subject}: ${text}`, { subject, hint });
  switch (failure.code) {
    case "logon_failure":
    case "logon_held":
      return refused("wrong_credentials", `${host} refuses ${who}: ${failure.text}`, passwordHint(share));
    case "no_share": {
      const listed = await commands.listShares(signIn, signal);
      const names = listed.ok ? listed.names : [];
      const twin = names.find((one) => one.normalize() === shareName.normalize());
      if (twin !== undefined) {
        const [queried, has] = [escapedText(shareName), escapedText(twin)];
        const text = `${host} has no share "${queried}", but "${has}": the same name in another Unicode form`;
        return refused("no_such_share", text, `share_name = "${has}"`);
      }
      const there = names.length === 0 ? "" : `; it has ${names.slice(0, 12).join(", ")}`;
      const hint = `set share_name of ${subject} to the name that the share has on the server`;
      return refused("no_such_share", `${host} has no share ${shareName}${there}`, hint);
    }
    case "access_denied": {
      const hint = "see whether the name of the user is right, and give that user the right on the server";
      return refused("share_denied", `${who} may not read ${shareName} on ${host}`, hint);
    }
    default:
      return refused("share_unreadable", `${shareName} on ${host}: ${failure.text}`);
  }
}

function passwordHint({ password, name }: ShareConfig): string {
  if (password === null) return `it wants a user: give ${name} a username and a password`;
  const where = changeHint(referenceKey(password));
  return `see whether the name of the user is right, and give the right password: ${where}`;
}
