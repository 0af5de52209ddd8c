// The whole menu as a pure function of the state, the same for every desktop.

import type { BackendStatus, ShareStatus, StatusReport } from "../../api/contract/contract.ts";
import { type Action, actionsFor, actionWith } from "../../api/labels/actions.ts";
import {
  backendFacts,
  backendLabel,
  backendRouteLabel,
  routeReadyText,
} from "../../api/labels/backend-labels.ts";
import { type Tone, troublesOf, WAITING_CODE } from "../../api/labels/label.ts";
import { mergeTroubles } from "../../api/labels/merge-troubles.ts";
import { readyNames, shareLabel } from "../../api/labels/share-labels.ts";
import { FILE_MISSING_TEXT, watchLabel } from "../../api/labels/sync-labels.ts";
import type { MenuAction } from "./action.ts";
import type { Menu, MenuItem, MenuState } from "./menu.ts";
import {
  actionItem,
  click,
  conditionItems,
  nameText,
  SEPARATOR,
  STATE_TONES,
  submenu,
  text,
} from "./menu-items.ts";
import { readyItems, shareItem, sharesFolder } from "./share-items.ts";
import type { MenuWorld } from "./world.ts";

/** More shares would not fit the screen; they are in a submenu. */
const SHARES_AT_ONCE = 24;

/** The menu for the data in `world`; equal data gives an equal menu. */
export function menuOf(world: MenuWorld): Menu {
  const state = stateOfWorld(world);
  const summary = summaryOf(world, state);
  const { status } = world;
  const items: MenuItem[] = [
    text(summary, STATE_TONES[state]),
    ...connectionItems(world),
    ...failureItems(world),
    ...syncItems(world),
    ...(status === null ? [] : reportItems(status, world)),
    SEPARATOR,
    ...folderItems(world),
    SEPARATOR,
    click("Quit the menu (shares stay as they are)", { kind: "quit" }),
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
  const ready = readyNames(shares, nameText);
  if (state === "tb_ready" && ready !== null) return ready;
  if (state === "healthy") return "All is well";
  const well = shares.filter((share) => ["good", "plain"].includes(shareLabel(share).tone)).length;
  if (well < shares.length) return `${well} of ${shares.length} shares are well`;
  return shares.length > 0 ? "The shares are well, something else is not" : "Not all is well";
}

function connectionItems({ connection }: MenuWorld): MenuItem[] {
  if (connection.kind === "silent") return [text(connection.reason, "warning")];
  if (connection.kind !== "absent") return [];
  return [text(connection.reason, "warning"), click("Start Mountaineer", { kind: "start" })];
}

function failureItems({ failure }: MenuWorld): MenuItem[] {
  if (failure === null) return [];
  const hint = failure.hint === null ? [] : [text(failure.hint)];
  return [text(failure.text, "bad"), ...hint, SEPARATOR];
}

function reportItems(status: StatusReport, world: MenuWorld): MenuItem[] {
  const { global, shares } = status;
  const items: MenuItem[] = [
    ...conditionItems(global.conditions.filter(({ code }) => code !== WAITING_CODE)),
    ...waitingItems(world),
    ...shares.flatMap((share) => readyItems(share)),
  ];
  items.push(SEPARATOR, ...shareList(shares));
  if (shares.length > 0) items.push(...allItems(shares));
  const gateway = gatewayItems(status);
  if (gateway.length > 0) items.push(SEPARATOR, ...gateway);
  return items;
}

function waitingItems(world: MenuWorld): MenuItem[] {
  const waiting = world.sync?.waiting ?? [];
  if (waiting.length === 0) return [];
  return [
    ...waiting.map((entry) => text(`Waits for you: ${entry}`, "warning")),
    click("See it in the page …", DASHBOARD),
  ];
}

function shareList(shares: readonly ShareStatus[]): MenuItem[] {
  const items = shares.map(shareItem);
  if (items.length <= SHARES_AT_ONCE) return items;
  const rest = items.slice(SHARES_AT_ONCE);
  return [...items.slice(0, SHARES_AT_ONCE), submenu(`${rest.length} more shares`, rest, worstTone(rest))];
}

function worstTone(items: readonly MenuItem[]): "good" | "warning" | "bad" {
  const tones = items.map((item) => (item.kind === "separator" ? "plain" : item.tone));
  if (tones.includes("bad")) return "bad";
  return tones.includes("warning") ? "warning" : "good";
}

function allItems(shares: readonly ShareStatus[]): MenuItem[] {
  const actions = actionsFor({ shares });
  const items = ["mount", "unmount"].flatMap((verb) => actionWith(actions, verb) ?? []);
  return [SEPARATOR, ...items.map(actionItem)];
}

const DASHBOARD: MenuAction = { kind: "dashboard" };

function folderItems(world: MenuWorld): MenuItem[] {
  const { status, logPath } = world;
  const folder = status === null ? null : sharesFolder(status.shares);
  const items: MenuItem[] = status === null ? [] : [click("Open the page", DASHBOARD)];
  if (folder !== null) items.push(click("Open the shares folder", { kind: "open", path: folder }));
  if (logPath !== null) items.push(click("Open the log", { kind: "open", path: logPath }));
  return items;
}

/** What is wrong with the configuration file. */
function syncItems({ sync }: MenuWorld): MenuItem[] {
  if (sync === null) return [];
  const { file_missing: isMissing, last_error: error, degraded, watching } = sync;
  const info = (what: string, tone: Tone): MenuItem => text(`Configuration: ${what}`, tone);
  return [
    ...(isMissing ? [info(FILE_MISSING_TEXT, "warning")] : []),
    ...(error === null ? [] : [info(error.reason, "bad")]),
    ...(degraded === null ? [] : [info(degraded, "warning")]),
    ...(watching === "stopped" ? [info(watchLabel(watching).text, "bad")] : []),
  ];
}

/** Returns the items without leading, trailing or repeated separators. */
function tidied(items: readonly MenuItem[]): MenuItem[] {
  const tidy: MenuItem[] = [];
  for (const item of items) {
    const last = tidy.at(-1);
    if (item.kind === "separator" && (last === undefined || last.kind === "separator")) continue;
    tidy.push(item.kind === "submenu" ? { ...item, items: tidied(item.items) } : item);
  }
  if (tidy.at(-1)?.kind === "separator") tidy.pop();
  return tidy;
}

function stateOfWorld({ connection, status, sync }: MenuWorld): MenuState {
  if (status === null) return "down";
  const { global, shares, gateway, backends = [] } = status;
  const served = backends.filter(({ enabled }) => enabled);
  const states = [
    ...shares.map((share) => stateOf(shareLabel(share).tone, share.tb_recovery_pending)),
    ...served.map((each) =>
      stateOf(backendLabel(each).tone, (each.routes?.recovery_pending ?? null) !== null),
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

/** `isReady`: a better route is back, and waits for the user. */
function stateOf(tone: Tone, isReady: boolean): MenuState {
  if (tone === "bad") return "down";
  if (isReady) return "tb_ready";
  return tone === "warning" ? "degraded" : "healthy";
}

// The menu's items for the gateway and its backends.

/** Empty without a gateway. */
function gatewayItems(status: StatusReport): MenuItem[] {
  const { backends = [] } = status;
  const { gateway } = mergeTroubles(status).status;
  if (gateway === undefined) return [];
  const actions = actionsFor(status);
  const enabled = backends.filter((backend) => backend.enabled);
  const ready = enabled.filter(({ phase }) => phase === "Ready" || phase === "Asleep").length;
  const items: MenuItem[] = [
    text(gateway.url ?? "not listening", gateway.url === null ? "warning" : "plain"),
    SEPARATOR,
    ...backends.map((backend) => backendItem(backend, actions)),
  ];
  const restartAll = actionWith(actions, "restart");
  if (enabled.length > 1 && restartAll !== null) items.push(SEPARATOR, actionItem(restartAll));
  const isWell = ready === enabled.length && gateway.url !== null;
  return [
    ...conditionItems(gateway.conditions),
    submenu(`Servers — ${ready} of ${enabled.length} ready`, items, isWell ? "good" : "warning"),
  ];
}

function backendItem(backend: BackendStatus, actions: readonly Action[]): MenuItem {
  const state = backendLabel(backend);
  const label = `${nameText(backend.name)} — ${state.text}`;
  if (!backend.enabled) return text(label, state.tone);
  const items: MenuItem[] = [];
  if (backend.reason !== null) items.push(text(backend.reason));
  if (backend.last_error !== null) items.push(text(`Last error: ${backend.last_error}`, "bad"));
  items.push(...conditionItems(backend.conditions));
  if (backend.phase === "Ready") items.push(text(backendFacts(backend).join(", ")));
  items.push(...routeLines(backend));
  for (const action of actions) {
    const [verb, name] = action.id;
    if ((verb === "restart" || verb === "route") && name === backend.name && action.isUseful)
      items.push(actionItem(action));
  }
  return submenu(label, items, state.tone);
}

/** The lines contain no times, because the menu is drawn only when something changes. */
function routeLines(backend: BackendStatus): MenuItem[] {
  const lines = (backend.routes?.list ?? []).map((route) => {
    const { text: state, tone } = backendRouteLabel(route, Number.NaN);
    const isReady = !route.in_use && route.healthy_since !== null;
    return text(`${nameText(route.name)}: ${isReady ? "ready" : state}`, isReady ? "plain" : tone);
  });
  const ready = routeReadyText(backend, Number.NaN);
  return ready === null ? lines : [...lines, text(ready, "warning")];
}
