// Builds menu items. A label is one line without control characters, cut to a menu's width.
import type { Condition } from "../../api/contract/contract.ts";
import type { Action } from "../../api/labels/actions.ts";
import { SEVERITY_TONES, type Tone, troublesOf } from "../../api/labels/label.ts";
import { columns, firstColumns, printable } from "../../runtime/text/plain-text.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { MenuItem, MenuState } from "./menu.ts";
import { isRunning, type MenuWorld } from "./world.ts";

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

export function text(key: string, label: string, tone: Tone = "plain"): MenuItem {
  return { kind: "text", key, label: labelText(label), tone };
}

/** `prefix` makes the key unique if an action has several items. */
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

/** Makes an item that is disabled while its action runs. Call this only while there is a daemon. */
export function act(
  prefix: string,
  label: string,
  action: MenuAction,
  world: MenuWorld,
  { possible = true, tone = "plain" }: { readonly possible?: boolean; readonly tone?: Tone } = {},
): MenuItem {
  const running = isRunning(world, action);
  const enabled = possible && !running;
  return click(prefix, running ? `${label} …` : label, action, { enabled, tone });
}

export function actionItem(prefix: string, { id, label, isUseful }: Action, world: MenuWorld): MenuItem {
  return act(prefix, label, { kind: "do", id, force: false }, world, { possible: isUseful });
}

export function conditionItems(prefix: string, conditions: readonly Condition[]): MenuItem[] {
  return troublesOf(conditions).map(({ code, severity, title }) =>
    text(`${prefix}condition ${code}`, title, SEVERITY_TONES[severity]),
  );
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
  return cut(printable(label).trim(), LONGEST_LABEL);
}

function cut(line: string, longest: number): string {
  return columns(line) <= longest ? line : `${firstColumns(line, longest - 1).trimEnd()}…`;
}
