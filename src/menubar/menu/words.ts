// Makes menu items. A label is one line without control characters, cut to a menu's width.
import type { SwitchTarget } from "../../api/requests.ts";
import { columns, harmless } from "../../runtime/text/plain-text.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { MenuItem, Tone } from "./menu.ts";

/** A menu wider than that leaves narrow screens. */
const LONGEST_LABEL = 90;
/** A name longer than that is cut before it is put into a label. */
const LONGEST_NAME = 40;

export const ROUTE_NAMES = { tb: "Thunderbolt", fallback: "fallback", none: "no route" } as const;

export const TARGET_NAMES: Readonly<Record<SwitchTarget, string>> = {
  tb: "Thunderbolt",
  fallback: "fallback",
  auto: "the rules' choice",
};

export function nameText(name: string): string {
  return cut(harmless(name).trim(), LONGEST_NAME) || "(no name)";
}

export function text(key: string, label: string, tone: Tone = "plain"): MenuItem {
  return { kind: "text", key, label: labelText(label), tone };
}

/** `prefix` tells one place from another where one action stands twice. */
export function click(
  prefix: string,
  label: string,
  action: MenuAction,
  options: { readonly enabled?: boolean; readonly tone?: Tone } = {},
): MenuItem {
  const { enabled = true, tone = "plain" } = options;
  const key = `${prefix} ${actionText(action)}`;
  return { kind: "action", key, label: labelText(label), tone, action, enabled };
}

export function submenu(
  key: string,
  label: string,
  items: readonly MenuItem[],
  tone: Tone = "plain",
): MenuItem {
  return { kind: "submenu", key, label: labelText(label), tone, items };
}

export function separator(key: string): MenuItem {
  return { kind: "separator", key };
}

function labelText(label: string): string {
  return cut(harmless(label).trim(), LONGEST_LABEL);
}

function cut(line: string, longest: number): string {
  if (columns(line) <= longest) return line;
  let kept = "";
  let width = 1;
  for (const character of line) {
    width += columns(character);
    if (width > longest) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}
