// The rules after a server has refused a login: the login is tried again only once an hour, and a working
// mount is kept.

import { shellCommand } from "../../runtime/text/plain-text.ts";
import { changeHint } from "../../secrets/reference.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { type Situation, setMemory } from "./situation.ts";

/** Why no login may be tried now; null: a login may be tried. */
export function loginObstacle({ observed: { login }, spec }: DecideInput): string | null {
  return !login || login.may ? null : refusedText(spec.username, login.refusal);
}

export function updateLogin(now: Situation): Situation {
  const before = now.memory.logonsRefusedAt;
  const logonsRefusedAt = now.observed.login?.refusedAt ?? before;
  const isSame =
    logonsRefusedAt.length === before.length && logonsRefusedAt.every((at, index) => at === before[index]);
  return isSame ? now : setMemory(now, { logonsRefusedAt });
}

export function loginConditions({ observed: { login, mount }, spec }: DecideInput): ConditionDraft[] {
  if (!login || (login.refusal === null && login.refusedAs === null)) return [];
  const { name, username, passwordFrom = null } = spec;
  if (login.refusal === null) {
    const title = `The server no longer accepts the login that ${name} is mounted with`;
    const hint = "It remounts with the configured login once all files are closed.";
    return [{ ...SHARE_CONDITIONS.login_refused(title, hint), severity: "warning" }];
  }
  const remedy = passwordFrom === null ? "give it a username and a password" : changeHint(passwordFrom);
  const goesOn = mount === null ? "" : " Open files keep working as long as their connections last.";
  const hint = `Check the user name, or give the right password: ${remedy}. If the login is right: ${shellCommand`mountaineer mount --share ${name}`}. Otherwise it is retried hourly.${goesOn}`;
  return [SHARE_CONDITIONS.login_refused(refusedText(username, login.refusal), hint)];
}

function refusedText(username: string, why: string | null): string {
  return `The server refuses the login of ${username}${why === null ? "" : `: ${why}`}`;
}
