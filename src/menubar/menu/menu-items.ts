// Builds menu items. A label is one line without control characters, cut to a menu's width.
import type { Condition } from "../../api/contract/contract.ts";
import type { Action } from "../../api/labels/actions.ts";
import { SEVERITY_TONES, type Tone, troublesOf } from "../../api/labels/label.ts";
import { columns, firstColumns, printable } from "../../runtime/text/plain-text.ts";
import type { MenuAction } from "./action.ts";
import type { MenuItem, MenuState } from "./menu.ts";

/** Maximum width of a label, in columns; a wider menu would not fit narrow screens. */
const LONGEST_LABEL = 90;
/** In columns. */
const LONGEST_NAME = 40;

export const STATE_TONES: Readonly<Record<MenuState, Tone>> = {
  healthy: "good",
  tb_ready: "warning",
  degraded: "warning",
  down: "bad",
};

export function nameText(name: string): string {
  return cut(printable(name).trim(), LONGEST_NAME) || "(no name)";
}

export const SEPARATOR: MenuItem = { kind: "separator" };

export function text(label: string, tone: Tone = "plain"): MenuItem {
  return { kind: "text", label: labelText(label), tone };
}

export function click(
  label: string,
  action: MenuAction,
  options: { readonly enabled?: boolean; readonly tone?: Tone } = {},
): MenuItem {
  const { enabled = true, tone = "plain" } = options;
  return { kind: "action", label: labelText(label), tone, action, enabled };
}

export function actionItem({ id, label, isUseful }: Action): MenuItem {
  return click(label, { kind: "do", id, force: false }, { enabled: isUseful });
}

export function conditionItems(conditions: readonly Condition[]): MenuItem[] {
  return troublesOf(conditions).map(({ severity, title }) => text(title, SEVERITY_TONES[severity]));
}

export function submenu(label: string, items: readonly MenuItem[], tone: Tone = "plain"): MenuItem {
  return { kind: "submenu", label: labelText(label), tone, items };
}

function labelText(label: string): string {
  return cut(printable(label).trim(), LONGEST_LABEL);
}

function cut(line: string, longest: number): string {
  return columns(line) <= longest ? line : `${firstColumns(line, longest - 1).trimEnd()}…`;
}
