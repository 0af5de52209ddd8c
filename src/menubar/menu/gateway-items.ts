// The menu's items for the gateway and its backends.
import type { BackendStatus, StatusReport } from "../../api/contract.ts";
import { type Action, actionsFor, actionWith } from "../../api/words/actions.ts";
import {
  backendFacts,
  backendRouteWords,
  backendWords,
  routeReadyText,
} from "../../api/words/backend-words.ts";
import type { MenuItem } from "./menu.ts";
import { actionItem, conditionItems, nameText, separator, submenu, text } from "./words.ts";
import type { MenuWorld } from "./world.ts";

/** Nothing where no gateway is configured. */
export function gatewayItems(status: StatusReport, world: MenuWorld): MenuItem[] {
  const { gateway, backends = [] } = status;
  if (gateway === undefined) return [];
  const actions = actionsFor(status);
  const enabled = backends.filter((backend) => backend.enabled);
  const ready = enabled.filter(({ phase }) => phase === "Ready").length;
  const items: MenuItem[] = [
    text("gateway url", gateway.url ?? "not listening", gateway.url === null ? "warning" : "plain"),
    ...conditionItems("gateway ", gateway.conditions),
    separator("gateway |"),
    ...backends.map((backend) => backendItem(backend, actions, world)),
  ];
  const restartAll = actionWith(actions, "restart");
  if (enabled.length > 1 && restartAll !== null)
    items.push(separator("gateway | all"), actionItem("gateway", restartAll, world));
  const isWell = ready === enabled.length && gateway.url !== null;
  return [
    submenu("gateway", `Backends — ${ready} of ${enabled.length} ready`, items, isWell ? "good" : "warning"),
  ];
}

function backendItem(backend: BackendStatus, actions: readonly Action[], world: MenuWorld): MenuItem {
  const key = `backend ${backend.name}`;
  const words = backendWords(backend);
  const label = `${nameText(backend.name)} — ${words.text}`;
  if (!backend.enabled) return text(key, label, words.tone);
  const items: MenuItem[] = [];
  if (backend.reason !== null) items.push(text(`${key} reason`, backend.reason));
  if (backend.last_error !== null)
    items.push(text(`${key} error`, `Last error: ${backend.last_error}`, "bad"));
  items.push(...conditionItems(`${key} `, backend.conditions));
  if (backend.phase === "Ready") items.push(text(`${key} facts`, backendFacts(backend).join(", ")));
  items.push(...routeLines(backend, key));
  for (const action of actions) {
    const [verb, name] = action.id;
    if ((verb === "restart" || verb === "route") && name === backend.name && action.isUseful)
      items.push(actionItem(key, action, world));
  }
  return submenu(key, label, items, words.tone);
}

/** Without how long a route has been steady: the menu is drawn when something happens. */
function routeLines(backend: BackendStatus, key: string): MenuItem[] {
  const lines = (backend.routes?.list ?? []).map((route) => {
    const { text: state, tone } = backendRouteWords(route, Number.NaN);
    const isReady = !route.in_use && route.healthy_since !== null;
    return text(
      `${key} route ${route.name}`,
      `${nameText(route.name)}: ${isReady ? "ready" : state}`,
      isReady ? "plain" : tone,
    );
  });
  const ready = routeReadyText(backend, Number.NaN);
  return ready === null ? lines : [...lines, text(`${key} pending`, ready, "warning")];
}
