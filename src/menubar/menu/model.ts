// The whole menu as a pure function of the known state, the same for every desktop.
import type { ShareStatus, StatusReport } from "../../api/contract.ts";
import { actionsFor, actionWith } from "../../api/words/actions.ts";
import { backendWords } from "../../api/words/backend-words.ts";
import { shareWords } from "../../api/words/share-words.ts";
import { FILE_MISSING_TEXT, watchingWords } from "../../api/words/sync-words.ts";
import { type Tone, troublesOf, WAITING_CODE } from "../../api/words/words.ts";
import { actionText, type MenuAction, type ToggleName } from "./action.ts";
import { aliasItems } from "./alias-items.ts";
import { gatewayItems } from "./gateway-items.ts";
import type { Menu, MenuItem, MenuState } from "./menu.ts";
import { isUsable, readyItems, shareItem, sharesFolder } from "./share-items.ts";
import {
  act,
  actionItem,
  click,
  conditionItems,
  nameText,
  STATE_TONES,
  separator,
  submenu,
  text,
} from "./words.ts";
import { canAct, isRunning, type MenuWorld } from "./world.ts";

/** More shares than that would leave the screen; the rest is one submenu further. */
const SHARES_AT_ONCE = 24;

const TOGGLE_LABELS: Readonly<Record<ToggleName, string>> = {
  auto_failback: "Go back to Thunderbolt by itself",
  lsof_recheck: "Go back when files are closed",
};

/** Equal worlds give equal menus. */
export function menuOf(world: MenuWorld): Menu {
  const state = stateOfWorld(world);
  const summary = summaryOf(world, state);
  const { status } = world;
  const items: MenuItem[] = [
    text("summary", summary, STATE_TONES[state]),
    ...connectionItems(world),
    ...failureItems(world),
    ...(status === null ? [] : reportItems(status, world)),
    separator("| places"),
    ...placeItems(world),
    ...(status === null ? [] : [separator("| settings"), ...toggleItems(status, world)]),
    ...syncItems(world),
    separator("| quit"),
    click("quit", "Quit the menu (shares stay as they are)", { kind: "quit" }),
  ];
  return { state, summary, items: tidied(items) };
}

function summaryOf({ connection, status }: MenuWorld, state: MenuState): string {
  if (connection.kind === "absent") return "Mountaineer is not running";
  if (status === null)
    return connection.kind === "silent" ? "Mountaineer does not answer" : "Mountaineer is starting …";
  if (connection.kind === "silent") return "Mountaineer does not answer; this is its last state";
  const { shares, backends = [] } = status;
  if (shares.length + backends.length === 0) return "Nothing is configured yet";
  const ready = shares.filter((share) => share.tb_recovery_pending).map(({ name }) => nameText(name));
  if (state === "tb_ready") return `TB Ready: ${ready.join(", ")}`;
  if (state === "healthy") return "All is well";
  const well = shares.filter((share) => ["good", "plain"].includes(shareWords(share).tone)).length;
  if (shares.length > 0 && well < shares.length) return `${well} of ${shares.length} shares are well`;
  return shares.length > 0 ? "The shares are well, something else is not" : "Not all is well";
}

function connectionItems(world: MenuWorld): MenuItem[] {
  const { connection } = world;
  if (connection.kind === "silent") return [text("connection", connection.reason, "warning")];
  if (connection.kind !== "absent") return [];
  const start: MenuAction = { kind: "start" };
  const running = isRunning(world, start);
  return [
    text("connection", connection.reason, "warning"),
    click("daemon", running ? "Starting Mountaineer …" : "Start Mountaineer", start, { enabled: !running }),
  ];
}

function failureItems({ failure }: MenuWorld): MenuItem[] {
  if (failure === null) return [];
  const hint = failure.hint === null ? [] : [text("failure hint", failure.hint)];
  return [
    text("failure", failure.text, "bad"),
    ...hint,
    click("failure", "Dismiss", { kind: "dismiss" }),
    separator("| failure"),
  ];
}

function reportItems(status: StatusReport, world: MenuWorld): MenuItem[] {
  const { global, shares } = status;
  const items: MenuItem[] = [
    ...conditionItems(
      "",
      global.conditions.filter(({ code }) => code !== WAITING_CODE),
    ),
    ...waitingItems(world),
    ...shares.flatMap((share) => readyItems(share, world, "ready")),
  ];
  items.push(separator("| shares"), ...shareList(shares, world));
  if (shares.length > 0) items.push(...allItems(shares, world), favoriteItem(shares, world));
  items.push(...aliasItems(status, world));
  const gateway = gatewayItems(status, world);
  if (gateway.length > 0) items.push(separator("| gateway"), ...gateway);
  return items;
}

/** Only names the entry; the window that it opens shows the change. */
function waitingItems(world: MenuWorld): MenuItem[] {
  const waiting = world.sync?.waiting ?? [];
  if (waiting.length === 0) return [];
  return [
    ...waiting.map((entry, index) => text(`waiting ${index} ${entry}`, `Waits for you: ${entry}`, "warning")),
    act("waiting", "See and approve …", { kind: "approve" }, world),
  ];
}

function shareList(shares: readonly ShareStatus[], world: MenuWorld): MenuItem[] {
  const items = shares.map((share) => shareItem(share, world));
  if (items.length <= SHARES_AT_ONCE) return items;
  const rest = items.slice(SHARES_AT_ONCE);
  return [
    ...items.slice(0, SHARES_AT_ONCE),
    submenu("shares more", `${rest.length} more shares`, rest, worstTone(rest)),
  ];
}

function worstTone(items: readonly MenuItem[]): "good" | "warning" | "bad" {
  const tones = items.map((item) => (item.kind === "separator" ? "plain" : item.tone));
  if (tones.includes("bad")) return "bad";
  return tones.includes("warning") ? "warning" : "good";
}

function allItems(shares: readonly ShareStatus[], world: MenuWorld): MenuItem[] {
  const actions = actionsFor({ shares });
  const items = ["mount", "unmount"].flatMap((verb) => actionWith(actions, verb) ?? []);
  return [separator("| all"), ...items.map((action) => actionItem("all", action, world))];
}

/** Opens each configured share with one click, and mounts it if needed. */
function favoriteItem(shares: readonly ShareStatus[], world: MenuWorld): MenuItem {
  const items = shares.map((share) => {
    const name = nameText(share.name);
    if (isUsable(share)) return click("favorite", name, { kind: "open", path: share.stable_path });
    if (share.mount_state === "mounted")
      return text(`favorite ${share.name}`, `${name} (not answering)`, "bad");
    const action: MenuAction = { kind: "do", id: ["mount", share.name], force: false };
    return click("favorite", `${name} (mount)`, action, {
      enabled: canAct(world) && !isRunning(world, action),
    });
  });
  return submenu("favorites", "Favorites", items);
}

function placeItems({ status, logPath }: MenuWorld): MenuItem[] {
  const folder = status === null ? null : sharesFolder(status.shares);
  const items: MenuItem[] = [];
  if (folder !== null) items.push(click("folder", "Open the shares folder", { kind: "open", path: folder }));
  if (logPath !== null) items.push(click("log", "Open the log", { kind: "open", path: logPath }));
  return items;
}

function toggleItems({ global, shares }: StatusReport, world: MenuWorld): MenuItem[] {
  // Both settings are about shares: a gateway alone does not show them.
  if (shares.length === 0) return [];
  const item = (setting: ToggleName, checked: boolean): MenuItem => {
    const action: MenuAction = { kind: "toggle", setting, on: !checked };
    return {
      kind: "toggle",
      key: `setting ${actionText(action)}`,
      label: TOGGLE_LABELS[setting],
      tone: "plain",
      action,
      checked,
      enabled: canAct(world) && !isRunning(world, action),
    };
  };
  return [item("auto_failback", global.auto_failback), item("lsof_recheck", global.lsof_recheck)];
}

function syncItems(world: MenuWorld): MenuItem[] {
  const { sync } = world;
  if (sync === null) return [];
  const items: MenuItem[] = [text("sync file", sync.config_path)];
  if (sync.file_missing) items.push(text("sync missing", FILE_MISSING_TEXT, "warning"));
  if (sync.last_error !== null) items.push(text("sync error", sync.last_error.reason, "bad"));
  if (sync.degraded !== null) items.push(text("sync degraded", sync.degraded, "warning"));
  const reload: MenuAction = { kind: "do", id: ["reload"], force: false };
  const running = isRunning(world, reload);
  items.push(
    separator("sync |"),
    click("sync", running ? "Reload …" : "Reload now", reload, { enabled: !running && canAct(world) }),
    click("sync", "Open the file", { kind: "open", path: sync.config_path }),
  );
  const wrong = sync.last_error !== null || sync.watching === "stopped";
  const state = sync.last_error === null ? watchingWords(sync.watching).text : "the file has a mistake";
  return [submenu("sync", `Configuration — ${state}`, items, wrong ? "bad" : "plain")];
}

/** The items without separators at the ends or in a row. */
function tidied(items: readonly MenuItem[]): MenuItem[] {
  const kept: MenuItem[] = [];
  for (const item of items) {
    const last = kept.at(-1);
    if (item.kind === "separator" && (last === undefined || last.kind === "separator")) continue;
    kept.push(item.kind === "submenu" ? { ...item, items: tidied(item.items) } : item);
  }
  if (kept.at(-1)?.kind === "separator") kept.pop();
  return kept;
}

/** The health of everything together. */
function stateOfWorld({ connection, status, sync }: MenuWorld): MenuState {
  if (status === null || connection.kind === "absent") return "down";
  const { global, shares, gateway, backends = [] } = status;
  const served = backends.filter(({ enabled }) => enabled);
  const states = [
    ...shares.map((share) => stateOf(shareWords(share).tone, share.tb_recovery_pending)),
    ...served.map((each) =>
      stateOf(backendWords(each).tone, (each.routes?.recovery_pending ?? null) !== null),
    ),
  ];
  if (states.length > 0 && states.every((state) => state === "down")) return "down";
  if (states.includes("tb_ready")) return "tb_ready";
  const isWrong =
    connection.kind === "silent" ||
    states.some((state) => state !== "healthy") ||
    troublesOf(global.conditions).length > 0 ||
    (gateway !== undefined && troublesOf(gateway.conditions).length > 0) ||
    (sync !== null && (sync.last_error !== null || sync.watching === "stopped"));
  return isWrong ? "degraded" : "healthy";
}

/** `isReady`: a better route is back, and waits. */
function stateOf(tone: Tone, isReady: boolean): MenuState {
  if (tone === "bad") return "down";
  if (isReady) return "tb_ready";
  return tone === "warning" ? "degraded" : "healthy";
}
