// The rules after a server has refused a login: the login is tried again only once an hour, and a working
// mount is kept.

import { shellCommand } from "../../runtime/text/plain-text.ts";
import { changeHint } from "../../secrets/reference.ts";
import { type DecisionBuilder, setMemory } from "./decision-builder.ts";

/** Why no login may be tried now; null: a login may be tried. */
export function loginObstacle({ observed: { login }, spec }: DecisionBuilder): string | null {
  return !login || login.may ? null : refusedText(spec.username, login.refusal);
}

export function updateLogin(builder: DecisionBuilder): void {
  const { observed, memory } = builder;
  const now = observed.login?.refusedAt ?? memory.logonsRefusedAt;
  const before = memory.logonsRefusedAt;
  if (now.length !== before.length || now.some((at, index) => at !== before[index]))
    setMemory(builder, { logonsRefusedAt: now });
}

export function loginConditions({ observed: { login, mount }, spec, conditions }: DecisionBuilder): void {
  if (!login || (login.refusal === null && login.refusedAs === null)) return;
  const { name, username, passwordFrom = null } = spec;
  if (login.refusal === null) {
    conditions.push({
      code: "login_refused",
      severity: "warning",
      title: `The server no longer accepts the login that ${name} is mounted with`,
      hint: "It remounts with the configured login once all files are closed.",
    });
    return;
  }
  const remedy = passwordFrom === null ? "give it a username and a password" : changeHint(passwordFrom);
  const goesOn = mount === null ? "" : " Open files keep working as long as their connections last.";
  conditions.push({
    code: "login_refused",
    severity: "error",
    title: refusedText(username, login.refusal),
    hint: `Check the user name, or give the right password: ${remedy}. If the login is right: ${shellCommand`mountaineer mount --share ${name}`}. Otherwise it is retried hourly.${goesOn}`,
  });
}

function refusedText(username: string, why: string | null): string {
  return `The server refuses the login of ${username}${why === null ? "" : `: ${why}`}`;
}
