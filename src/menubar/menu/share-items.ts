// The menu's items for one share.
import { dirname } from "node:path/posix";
import type { OpenFileHolder, ShareStatus } from "../../api/contract.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { MenuItem, Tone } from "./menu.ts";
import { stateOfShare } from "./state.ts";
import {
  act,
  click,
  conditionItems,
  nameText,
  ROUTE_NAMES,
  STATE_TONES,
  separator,
  submenu,
  TARGET_NAMES,
  text,
} from "./words.ts";
import { type BusyShare, canAct, isRunning, type MenuWorld } from "./world.ts";

const HOLDERS_SHOWN = 8;

/** A share's route and state, in a few words. */
function shareText(share: ShareStatus): string {
  if (share.mount_state === "unmounted") return share.held === "unmounted" ? "unmounted (held)" : "unmounted";
  if (share.mount_state === "error") return "error";
  const route = share.active_interface === "none" ? "unknown route" : ROUTE_NAMES[share.active_interface];
  if (!share.mount_alive) return `${route}, not answering`;
  if (share.tb_recovery_pending) return `${route}, TB Ready`;
  return share.held === "fallback" ? `${route} (held)` : route;
}

/** "TB Ready – switch": what waits for a person. */
export function readyItems(share: ShareStatus, world: MenuWorld, prefix: string): MenuItem[] {
  if (!share.tb_recovery_pending) return [];
  const action: MenuAction = { kind: "switch", share: share.name, to: "tb", force: false };
  return [act(prefix, `TB Ready – switch ${nameText(share.name)}`, action, world, { tone: "warning" })];
}

export function shareItem(share: ShareStatus, world: MenuWorld): MenuItem {
  const key = `share ${share.name}`;
  const label = `${nameText(share.name)} — ${shareText(share)}`;
  return submenu(key, label, shareItems(share, world, key), STATE_TONES[stateOfShare(share)]);
}

function shareItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  return [
    ...routeLines(share, key),
    ...troubleLines(share, key),
    separator(`${key} | do`),
    ...readyItems(share, world, key),
    ...switchItems(share, world, key),
    ...forceItems(share, world, key),
    separator(`${key} | show`),
    click(key, "Open", { kind: "open", path: share.stable_path }, { enabled: isUsable(share) }),
  ];
}

export function isUsable(share: ShareStatus): boolean {
  return share.mount_state === "mounted" && share.mount_alive;
}

/** The folder that holds the links to all shares; null when there is none. */
export function sharesFolder(shares: readonly ShareStatus[]): string | null {
  const [first] = shares;
  return first === undefined ? null : dirname(first.stable_path);
}

function routeLines(share: ShareStatus, key: string): MenuItem[] {
  const lines: MenuItem[] = [];
  const line = (route: "tb" | "fallback", host: string | null, answers: boolean): void => {
    if (host === null) return;
    const mark = share.active_interface === route ? "● " : "○ ";
    const tone: Tone = answers ? "plain" : "warning";
    const name = route === "tb" ? "Thunderbolt" : "Fallback";
    lines.push(
      text(`${key} route ${route}`, `${mark}${name} ${host}: ${answers ? "answers" : "no answer"}`, tone),
    );
  };
  line("tb", share.tb_host, share.tb_reachable);
  line("fallback", share.fb_host, share.fb_reachable);
  return lines;
}

function troubleLines(share: ShareStatus, key: string): MenuItem[] {
  const lines: MenuItem[] = [];
  if (share.last_error !== null) lines.push(text(`${key} error`, `Last error: ${share.last_error}`, "bad"));
  return [...lines, ...conditionItems(`${key} `, share.conditions)];
}

function switchItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  const { name } = share;
  const items: MenuItem[] = [];
  const add = (label: string, action: MenuAction, possible = true): void =>
    void items.push(act(key, label, action, world, { possible }));
  const isMounted = share.mount_state === "mounted";
  if (isMounted) {
    if (share.active_interface !== "tb" && !share.tb_recovery_pending && share.tb_host !== null)
      add(
        "Switch to Thunderbolt",
        { kind: "switch", share: name, to: "tb", force: false },
        share.tb_reachable,
      );
    if (share.held !== "fallback" && share.fb_host !== null)
      add(
        share.active_interface === "fallback" ? "Stay on fallback" : "Switch to fallback, and stay there",
        { kind: "switch", share: name, to: "fallback", force: false },
        share.fb_reachable || share.active_interface === "fallback",
      );
  }
  if (share.held === "fallback")
    add("Let the rules decide", { kind: "switch", share: name, to: "auto", force: false });
  if (isMounted) add("Unmount", { kind: "unmount", share: name, force: false });
  else add("Mount", { kind: "mount", share: name });
  return items;
}

/** If open files would be lost, it names the programs, and takes a second click. */
function forceItems(share: ShareStatus, world: MenuWorld, key: string): MenuItem[] {
  const refused = world.busy.get(share.name) ?? null;
  const items: MenuItem[] = [];
  if (share.tb_recovery_pending) {
    const action: MenuAction = { kind: "switch", share: share.name, to: "tb", force: false };
    items.push(forceItem(share, world, key, refusedFor(refused, action)));
  }
  if (refused !== null && !(share.tb_recovery_pending && isSwitchTo(refused.action, "tb")))
    items.push(forceItem(share, world, key, refused));
  return items;
}

function refusedFor(refused: BusyShare | null, action: MenuAction): BusyShare {
  return refused !== null && actionText(refused.action) === actionText(action)
    ? refused
    : { action, holders: [], unsent: [] };
}

function isSwitchTo(action: MenuAction, to: string): boolean {
  return action.kind === "switch" && action.to === to;
}

function forceItem(share: ShareStatus, world: MenuWorld, key: string, refused: BusyShare): MenuItem {
  const forced = forcedAction(refused.action, share.name);
  const what =
    forced.kind === "switch" ? `Switch to ${TARGET_NAMES[forced.to]} by force` : "Unmount by force";
  const own = `${key} force ${actionText(forced)}`;
  const holders = uniqueHolders([
    ...refused.holders,
    ...share.conditions.flatMap((condition) => condition.holders ?? []),
  ]);
  const lines = holders
    .slice(0, HOLDERS_SHOWN)
    .map((holder) => text(`${own} holder ${holder.pid} ${holder.path}`, holderText(holder), "warning"));
  if (holders.length > HOLDERS_SHOWN)
    lines.push(text(`${own} more`, `and ${holders.length - HOLDERS_SHOWN} more`, "warning"));
  for (const path of refused.unsent.slice(0, HOLDERS_SHOWN))
    lines.push(text(`${own} unsent ${path}`, `not sent yet: ${path}`, "warning"));
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
        enabled: !running && canAct(world),
      }),
    ],
    "bad",
  );
}

function forcedAction(
  action: MenuAction,
  share: string,
): Extract<MenuAction, { kind: "switch" | "unmount" }> {
  return action.kind === "switch"
    ? { ...action, share, force: true }
    : { kind: "unmount", share, force: true };
}

function uniqueHolders(holders: readonly OpenFileHolder[]): OpenFileHolder[] {
  const byPlace = new Map(holders.map((holder) => [`${holder.pid} ${holder.path}`, holder]));
  return [...byPlace.values()];
}

function holderText({ command, pid, path }: OpenFileHolder): string {
  return `${nameText(command)} (${pid}): ${path}`;
}

function filesText(holders: readonly OpenFileHolder[]): string {
  const programs = [...new Set(holders.map(({ command }) => nameText(command)))];
  const files = counted(holders.length, "file");
  const [first = "", second] = programs;
  if (programs.length > 2) return `${files} of ${programs.length} programs`;
  return `${files} of ${second === undefined ? first : `${first} and ${second}`}`;
}
