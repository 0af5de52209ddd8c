// The menu's items for one share.
import { dirname } from "node:path/posix";
import type { OpenFileHolder, ShareStatus } from "../../api/contract/contract.ts";
import { actionsFor, actionWith } from "../../api/labels/actions.ts";
import { openFileText } from "../../api/labels/outcome-labels.ts";
import { routeLabels, shareLabel } from "../../api/labels/share-labels.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { MenuItem } from "./menu.ts";
import { act, actionItem, click, conditionItems, nameText, separator, submenu, text } from "./menu-items.ts";
import { type BusyShare, isRunning, type MenuWorld } from "./world.ts";

const HOLDERS_SHOWN = 8;

/** Returns the item "TB Ready – switch" if Thunderbolt is back and the share waits for the user; else no item. */
export function readyItems(share: ShareStatus, world: MenuWorld, prefix: string): MenuItem[] {
  if (!share.tb_recovery_pending) return [];
  const action = { kind: "do", id: toThunderbolt(share), force: false } as const;
  return [act(prefix, `TB Ready – switch ${nameText(share.name)}`, action, world, { tone: "warning" })];
}

function toThunderbolt({ name }: ShareStatus): readonly string[] {
  return ["switch", name, "tb"];
}

export function shareItem(share: ShareStatus, world: MenuWorld): MenuItem {
  const key = `share ${share.name}`;
  const { text: state, tone } = shareLabel(share);
  return submenu(key, `${nameText(share.name)} — ${state}`, shareItems(share, world, key), tone);
}

function shareItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  return [
    ...routeLabels(share).map(({ route, label, host, isUsed, text: state, tone }) =>
      text(
        `${key} route ${route}`,
        `${isUsed ? "● " : "○ "}${label} ${host}: ${state}`,
        tone === "good" ? "plain" : "warning",
      ),
    ),
    ...troubleLines(share, key),
    separator(`${key} | do`),
    ...readyItems(share, world, key),
    ...switchItems(share, world, key),
    ...forceItems(share, world, key),
    separator(`${key} | show`),
    click(key, "Open", { kind: "open", path: share.stable_path }, { enabled: share.mount_alive }),
  ];
}

/** The folder with the links to all shares; null without shares. */
export function sharesFolder(shares: readonly ShareStatus[]): string | null {
  const [first] = shares;
  return first === undefined ? null : dirname(first.stable_path);
}

function troubleLines(share: ShareStatus, key: string): MenuItem[] {
  const lines: MenuItem[] = [];
  if (share.last_error !== null) lines.push(text(`${key} error`, `Last error: ${share.last_error}`, "bad"));
  const plain = share.conditions
    .filter(({ code }) => code === "share_empty")
    .map(({ code, title }) => text(`${key} ${code}`, title));
  return [...lines, ...conditionItems(`${key} `, share.conditions), ...plain];
}

function switchItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  const [verb, name, to] = toThunderbolt(share);
  return actionsFor({ shares: [share] })
    .filter(({ id, isUseful }) => isUseful && id[1] === name)
    .filter(({ id }) => !(share.tb_recovery_pending && id[0] === verb && id[2] === to))
    .map((action) => actionItem(key, action, world));
}

/** Forcing an action takes a second click, in a submenu that lists the programs whose unsaved work would be lost. */
function forceItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  const refused = world.busy.get(share.name) ?? null;
  const items: MenuItem[] = [];
  if (share.tb_recovery_pending) {
    const action: MenuAction = { kind: "do", id: toThunderbolt(share), force: false };
    items.push(forceItem(share, world, key, refusedFor(refused, action)));
  }
  const isReadyOne = share.tb_recovery_pending && isSwitchToThunderbolt(refused?.action);
  if (refused !== null && !isReadyOne) items.push(forceItem(share, world, key, refused));
  return items;
}

function refusedFor(refused: BusyShare | null, action: MenuAction): BusyShare {
  return refused !== null && actionText(refused.action) === actionText(action)
    ? refused
    : { action, holders: [] };
}

function isSwitchToThunderbolt(action: MenuAction | undefined): boolean {
  return action?.kind === "do" && action.id[0] === "switch" && action.id[2] === "tb";
}

function forceItem(share: ShareStatus, world: MenuWorld, key: string, refused: BusyShare): MenuItem {
  const forced = forcedAction(refused.action, share.name);
  const label = actionWith(actionsFor({ shares: [share] }), ...forced.id)?.label ?? "";
  const what = `${label} by force`;
  const own = `${key} force ${actionText(forced)}`;
  const holders = uniqueHolders([
    ...refused.holders,
    ...share.conditions.flatMap((condition) => condition.holders ?? []),
  ]);
  const lines = holders
    .slice(0, HOLDERS_SHOWN)
    .map((holder) => text(`${own} holder ${holder.pid} ${holder.path}`, openFileText(holder), "warning"));
  if (holders.length > HOLDERS_SHOWN)
    lines.push(text(`${own} more`, `and ${holders.length - HOLDERS_SHOWN} more`, "warning"));
  if (lines.length === 0)
    lines.push(text(`${own} unknown`, "Whatever is open on it is cut off, unsaved work is lost", "warning"));
  const running = isRunning(world, forced);
  const confirm =
    holders.length === 0 ? `${what}, really` : `${what}: cut off ${filesText(holders)}, unsaved work is lost`;
  return submenu(
    own,
    `${what} …`,
    [
      ...lines,
      separator(`${own} |`),
      click(own, running ? `${what} …` : confirm, forced, {
        tone: "bad",
        enabled: !running,
      }),
    ],
    "bad",
  );
}

/** Returns the forced action for only `share`, even if the refused action was for all shares. */
function forcedAction(action: MenuAction, share: string): Extract<MenuAction, { kind: "do" }> {
  const [verb, , to] = action.kind === "do" ? action.id : [];
  const id = verb === "switch" && to !== undefined ? [verb, share, to] : ["unmount", share];
  return { kind: "do", id, force: true };
}

function uniqueHolders(holders: readonly OpenFileHolder[]): OpenFileHolder[] {
  const byKey = new Map(holders.map((holder) => [`${holder.pid} ${holder.path}`, holder]));
  return [...byKey.values()];
}

function filesText(holders: readonly OpenFileHolder[]): string {
  const programs = [...new Set(holders.map(({ command }) => nameText(command)))];
  const files = pluralize(holders.length, "file");
  const [first = "", second] = programs;
  if (programs.length > 2) return `${files} of ${programs.length} programs`;
  return `${files} of ${second === undefined ? first : `${first} and ${second}`}`;
}
