// Makes menu items. A label is one line without control characters, cut to a menu's width.
import type { Condition } from "../../api/contract.ts";
import type { SwitchTarget } from "../../api/requests.ts";
import { columns, firstColumns, harmless } from "../../runtime/text/plain-text.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { MenuItem, MenuState, Tone } from "./menu.ts";
import { canAct, isRunning, type MenuWorld } from "./world.ts";

/** A menu wider than that leaves narrow screens. */
const LONGEST_LABEL = 90;
/** A name longer than that is cut before it is put into a label. */
const LONGEST_NAME = 40;

export const ROUTE_NAMES = { tb: "Thunderbolt", fallback: "fallback", none: "no route" } as const;

export const STATE_TONES: Readonly<Record<MenuState, Tone>> = {
  healthy: "good",
  tb_ready: "warning",
  degraded: "warning",
  down: "bad",
};

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

/** `prefix` distinguishes places where one action stands twice. */
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

/** A click that asks the daemon: disabled while the same is under way, and without a daemon. */
export function act(
  prefix: string,
  label: string,
  action: MenuAction,
  world: MenuWorld,
  { possible = true, tone = "plain" }: { readonly possible?: boolean; readonly tone?: Tone } = {},
): MenuItem {
  const running = isRunning(world, action);
  const enabled = possible && !running && canAct(world);
  return click(prefix, running ? `${label} …` : label, action, { enabled, tone });
}

/** Those that a person should know of. */
export function conditionItems(prefix: string, conditions: readonly Condition[]): MenuItem[] {
  return conditions
    .filter(({ severity }) => severity !== "info")
    .map(({ code, severity, title }) =>
      text(`${prefix}condition ${code}`, title, severity === "error" ? "bad" : "warning"),
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
  return cut(harmless(label).trim(), LONGEST_LABEL);
}

function cut(line: string, longest: number): string {
  return columns(line) <= longest ? line : `${firstColumns(line, longest - 1).trimEnd()}…`;
}
