// The editor's unsaved text, which outlives a change of view.
import type { ConfigReport } from "../../../api/contract/config.ts";
import { createFormStores } from "../parts/form-store.ts";

/** The file as it was when the editing began. */
export type EditorBase = Pick<ConfigReport, "path" | "format" | "sha256" | "text">;

export interface EditorMemory {
  readonly base: EditorBase | null;
  readonly text: string;
}

export const EDITORS = createFormStores<EditorMemory>();

/** The server at whose entry the editor opens next, or the rule as `lineOfRule` takes it; null: none. */
export const WANTED = createFormStores<{ readonly server: string | null; readonly rule?: string | null }>();

/** The line at which the editor opens, once; null: at its beginning. */
export function takeWanted(session: object, text: string, format: EditorBase["format"]): number | null {
  const { server = null, rule = null } = WANTED.find(session) ?? {};
  WANTED.storeOf(session, "", () => ({ server: null })).set({ server: null, rule: null });
  if (rule !== null) return lineOfRule(text, rule);
  return server === null ? null : lineOfServer(text, server, format);
}

/** The line of a server's entry, from 1; null: the text has none, or names it in another way. */
export function lineOfServer(text: string, server: string, format: EditorBase["format"]): number | null {
  const entry = format === "toml" ? `[backends.${server}]` : `${server}:`;
  const at = text.split("\n").findIndex((line) => line.replace(/[\s"']/g, "").startsWith(entry));
  return at === -1 ? null : at + 1;
}

/** The line of a rule, as a person's rights name it: `policy 2`, `default_effect = "deny"`; null: there are no rules. */
export function lineOfRule(text: string, rule: string): number | null {
  const [, key = "policies", nth] = /^(?:(\w+) = |policy (\d+)$)/.exec(rule) ?? [];
  const lines = text.split("\n").map((line) => line.replace(/\s/g, ""));
  const policies = [...lines.keys()].filter((at) => lines[at]?.startsWith("[[authorization.policies]]"));
  const own = nth === undefined ? -1 : (policies[Number(nth) - 1] ?? -1);
  const names = ["", "authorization."].flatMap((start) => [`${start}${key}=`, `${start}${key}:`]);
  const found = [
    own,
    lines.findIndex((line) => names.some((name) => line.startsWith(name))),
    lines.findIndex((line) => /^\[?authorization[\]:]/.test(line)),
  ];
  const at = found.find((one) => one !== -1);
  return at === undefined ? null : at + 1;
}

export function isEdited(memory: EditorMemory | null): boolean {
  return memory !== null && memory.base !== null && memory.text !== memory.base.text;
}

const TYPED_SECRET =
  /(?:^|[{,])[ \t]*(?:-[ \t]+)?["']?[\w.-]*(?:passw\w*|secret|token|authorization|key)["']?\s*[=:]\s*["']?(?!\$\{|secret:|["'\s[{#])\S/im;

/** True if a secret seems to be written out where a reference to one belongs. */
export function hasTypedSecret(text: string): boolean {
  return TYPED_SECRET.test(text);
}
