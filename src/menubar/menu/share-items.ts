// The menu's items for one share.
import { dirname } from "node:path/posix";
import type { OpenFileHolder, ShareStatus } from "../../api/contract/contract.ts";
import { actionsFor, actionWith } from "../../api/labels/actions.ts";
import { openFileText } from "../../api/labels/outcome-labels.ts";
import { routeLabels, shareLabel } from "../../api/labels/share-labels.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { MenuItem } from "./menu.ts";
import { actionItem, click, conditionItems, nameText, SEPARATOR, submenu, text } from "./menu-items.ts";

const HOLDERS_SHOWN = 8;

/** Returns the item "TB Ready – switch" if Thunderbolt is back and the share waits for the user; else no item. */
export function readyItems(share: ShareStatus): MenuItem[] {
  if (!share.tb_recovery_pending) return [];
  const action = { kind: "do", id: toThunderbolt(share), force: false } as const;
  return [click(`TB Ready – switch ${nameText(share.name)}`, action, { tone: "warning" })];
}

function toThunderbolt({ name }: ShareStatus): readonly string[] {
  return ["switch", name, "tb"];
}

export function shareItem(share: ShareStatus): MenuItem {
  const { text: state, tone } = shareLabel(share);
  return submenu(`${nameText(share.name)} — ${state}`, shareItems(share), tone);
}

function shareItems(share: ShareStatus): MenuItem[] {
  return [
    ...routeLabels(share).map(({ label, host, isUsed, text: state, tone }) =>
      text(`${isUsed ? "● " : "○ "}${label} ${host}: ${state}`, tone === "good" ? "plain" : "warning"),
    ),
    ...troubleLines(share),
    SEPARATOR,
    ...readyItems(share),
    ...switchItems(share),
    ...(share.tb_recovery_pending ? [forceItem(share)] : []),
    SEPARATOR,
    click("Open", { kind: "open", path: share.stable_path }, { enabled: share.mount_alive }),
  ];
}

/** The folder with the links to all shares; null without shares. */
export function sharesFolder(shares: readonly ShareStatus[]): string | null {
  const [first] = shares;
  return first === undefined ? null : dirname(first.stable_path);
}

function troubleLines(share: ShareStatus): MenuItem[] {
  const lines: MenuItem[] = [];
  if (share.last_error !== null) lines.push(text(`Last error: ${share.last_error}`, "bad"));
  const plain = share.conditions.filter(({ code }) => code === "share_empty").map(({ title }) => text(title));
  return [...lines, ...conditionItems(share.conditions), ...plain];
}

function switchItems(share: ShareStatus): MenuItem[] {
  const [verb, name, to] = toThunderbolt(share);
  return actionsFor({ shares: [share] })
    .filter(({ id, isUseful }) => isUseful && id[1] === name)
    .filter(({ id }) => !(share.tb_recovery_pending && id[0] === verb && id[2] === to))
    .map(actionItem);
}

/** Forcing a switch takes a second click, in a submenu that lists the programs whose unsaved work would be lost. */
function forceItem(share: ShareStatus): MenuItem {
  const id = toThunderbolt(share);
  const what = `${actionWith(actionsFor({ shares: [share] }), ...id)?.label ?? ""} by force`;
  const holders = share.conditions.flatMap((condition) => condition.holders ?? []);
  const lines = holders.slice(0, HOLDERS_SHOWN).map((holder) => text(openFileText(holder), "warning"));
  if (holders.length > HOLDERS_SHOWN)
    lines.push(text(`and ${holders.length - HOLDERS_SHOWN} more`, "warning"));
  if (lines.length === 0)
    lines.push(text("Whatever is open on it is cut off, unsaved work is lost", "warning"));
  const confirm =
    holders.length === 0 ? `${what}, really` : `${what}: cut off ${filesText(holders)}, unsaved work is lost`;
  const forced = click(confirm, { kind: "do", id, force: true }, { tone: "bad" });
  return submenu(`${what} …`, [...lines, SEPARATOR, forced], "bad");
}

function filesText(holders: readonly OpenFileHolder[]): string {
  const programs = [...new Set(holders.map(({ command }) => nameText(command)))];
  const files = pluralize(holders.length, "file");
  const [first = "", second] = programs;
  if (programs.length > 2) return `${files} of ${programs.length} programs`;
  return `${files} of ${second === undefined ? first : `${first} and ${second}`}`;
}
