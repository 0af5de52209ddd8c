// Checks whether the server accepts each share's credentials.
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { ShareConfig } from "../config/snapshot.ts";
import { checkLogin } from "../daemon/control/login-check.ts";
import { referenceKey, referenceText, resolveReference, type SecretValues } from "../secrets/reference.ts";
import { passwordMissing } from "../shares/policy/observed-conditions.ts";
import { type DoctorContext, findingsOf, ofCondition } from "./context.ts";
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
  return resolved === null || resolved.ok
    ? []
    : [ofCondition("credentials", passwordMissing(resolved.missing), name)];
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
  if (signIn === null) return [];
  const passwordFrom = share.password && referenceKey(share.password);
  const request = { host, signIn, logInNow: false };
  const found = await checkLogin(context.parts.commands, { ...share, passwordFrom }, request, context.signal);
  const text = found.severity === "ok" ? found.text : `${subject}: ${found.text}`;
  return [finding(found.severity, found.code, text, { subject, hint: found.hint })];
}
