// The menu's items for the gateway and its backends.
import type { BackendStatus, StatusReport } from "../../api/contract.ts";
import type { MenuAction } from "./action.ts";
import type { MenuItem } from "./menu.ts";
import { canAct, isRunning } from "./share-items.ts";
import { stateOfBackend } from "./state.ts";
import { click, nameText, separator, submenu, text } from "./words.ts";
import type { MenuWorld } from "./world.ts";

const TONES = { healthy: "good", tb_ready: "warning", degraded: "warning", down: "bad" } as const;

/** Nothing where no gateway is configured. */
export function gatewayItems({ gateway, backends = [] }: StatusReport, world: MenuWorld): MenuItem[] {
  if (gateway === undefined) return [];
  const enabled = backends.filter((backend) => backend.enabled);
  const ready = enabled.filter(({ phase }) => phase === "Ready").length;
  const items: MenuItem[] = [
    text("gateway url", gateway.url ?? "not listening", gateway.url === null ? "warning" : "plain"),
  ];
  for (const { code, severity, title } of gateway.conditions) {
    if (severity !== "info")
      items.push(text(`gateway condition ${code}`, title, severity === "error" ? "bad" : "warning"));
  }
  items.push(separator("gateway |"), ...backends.map((backend) => backendItem(backend, world)));
  if (enabled.length > 1)
    items.push(
      separator("gateway | all"),
      restartItem("gateway", "Restart all", { kind: "restart", backend: null }, world),
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
  for (const { code, severity, title } of backend.conditions) {
    if (severity !== "info")
      items.push(text(`${key} condition ${code}`, title, severity === "error" ? "bad" : "warning"));
  }
  const { tools, withheld_tools: withheld = 0, group } = backend;
  if (backend.phase === "Ready")
    items.push(text(`${key} tools`, `${tools} tools${withheld > 0 ? `, ${withheld} withheld` : ""}`));
  if (group !== null) items.push(text(`${key} group`, `Group ${group}`));
  items.push(restartItem(key, `Restart ${name}`, { kind: "restart", backend: backend.name }, world));
  return submenu(key, `${name} — ${backend.phase}`, items, TONES[stateOfBackend(backend)]);
}

function restartItem(key: string, label: string, action: MenuAction, world: MenuWorld): MenuItem {
  const running = isRunning(world, action);
  return click(key, running ? `${label} …` : label, action, { enabled: !running && canAct(world) });
}
