// What follows from a login refusal. The mounting program counts refusals, with all others of the home.
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { changeHint } from "../../secrets/reference.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";

/** Why a working mount is not replaced: the server refused the login of the last one. null: it did not. */
export function loginObstacle({ state: { loginRefused }, spec }: DecideInput): string | null {
  return loginRefused === null ? null : refusedText(spec.username, loginRefused);
}

/** `why`: the server's reason. */
export function refusedCondition({ observed: { mount }, spec }: DecideInput, why: string): ConditionDraft {
  const { name, username, passwordFrom = null } = spec;
  const remedy = passwordFrom === null ? "give it a username and a password" : changeHint(passwordFrom);
  const goesOn = mount === null ? "" : " Open files keep working as long as their connections last.";
  const hint = `Check the user name, or give the right password: ${remedy}. If the login is right: ${shellCommand`mountaineer mount --share ${name}`}. Otherwise it is retried hourly.${goesOn}`;
  return SHARE_CONDITIONS.login_refused(refusedText(username, why), hint);
}

export function refusedText(username: string, why: string): string {
  return `The server refuses the login of ${username}: ${why}`;
}
