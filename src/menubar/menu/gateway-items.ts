// The menu's items for the gateway and its backends.
import { phaseWord } from "../../api/backend-phases.ts";
import type { BackendStatus, StatusReport } from "../../api/contract.ts";
import type { MenuItem } from "./menu.ts";
import { stateOfBackend } from "./state.ts";
import { act, conditionItems, nameText, STATE_TONES, separator, submenu, text } from "./words.ts";
import type { MenuWorld } from "./world.ts";

/** Nothing where no gateway is configured. */
export function gatewayItems({ gateway, backends = [] }: StatusReport, world: MenuWorld): MenuItem[] {
  if (gateway === undefined) return [];
  const enabled = backends.filter((backend) => backend.enabled);
  const ready = enabled.filter(({ phase }) => phase === "Ready").length;
  const items: MenuItem[] = [
    text("gateway url", gateway.url ?? "not listening", gateway.url === null ? "warning" : "plain"),
    ...conditionItems("gateway ", gateway.conditions),
    separator("gateway |"),
    ...backends.map((backend) => backendItem(backend, world)),
  ];
  if (enabled.length > 1)
    items.push(
      separator("gateway | all"),
      act("gateway", "Restart all", { kind: "restart", backend: null }, world),
    );
  const isWell = ready === enabled.length && gateway.url !== null;
  return [
    submenu("gateway", `Backends — ${ready} of ${enabled.length} ready`, items, isWell ? "good" : "warning"),
  ];
}

function backendItem(backend: BackendStatus, world: MenuWorld): MenuItem {
  const key = `backend ${backend.name}`;
  const name = nameText(backend.name);
  if (!backend.enabled) return text(key, `${name} — off`);
  const items: MenuItem[] = [];
  if (backend.reason !== null) items.push(text(`${key} reason`, backend.reason));
  if (backend.last_error !== null)
    items.push(text(`${key} error`, `Last error: ${backend.last_error}`, "bad"));
  items.push(...conditionItems(`${key} `, backend.conditions));
  const { tools, withheld_tools: withheld = 0, group } = backend;
  if (backend.phase === "Ready")
    items.push(text(`${key} tools`, `${tools} tools${withheld > 0 ? `, ${withheld} withheld` : ""}`));
  if (group !== null) items.push(text(`${key} group`, `Group ${group}`));
  items.push(...routeItems(backend, key, world));
  items.push(act(key, `Restart ${name}`, { kind: "restart", backend: backend.name }, world));
  const pending = backend.routes?.recovery_pending ?? null;
  const phase = phaseWord(backend.phase);
  const state = pending === null ? phase : `${phase}, ${pending.route} Ready`;
  return submenu(key, `${name} — ${state}`, items, STATE_TONES[stateOfBackend(backend)]);
}

function routeItems({ name, routes }: BackendStatus, key: string, world: MenuWorld): MenuItem[] {
  if (routes === undefined) return [];
  const { list, held, recovery_pending: pending } = routes;
  const items: MenuItem[] = [];
  for (const route of list) {
    const state = route.in_use
      ? "in use"
      : route.healthy_since !== null
        ? "ready"
        : (route.last_error ?? "not in use");
    items.push(text(`${key} route ${route.name}`, `${nameText(route.name)}: ${state}`));
  }
  if (pending !== null) {
    items.push(text(`${key} pending`, `${nameText(pending.route)} Ready: ${pending.reason}`, "warning"));
  }
  for (const [index, route] of list.entries()) {
    if (route.in_use) continue;
    const label = `Switch to ${nameText(route.name)}${index === 0 ? "" : ", and stay there"}`;
    items.push(act(key, label, { kind: "route", backend: name, to: route.name }, world));
  }
  if (held !== null)
    items.push(act(key, "Let the rules decide", { kind: "route", backend: name, to: "auto" }, world));
  return items;
}
