// Sample states that menus are drawn from in tests, and ways to look at a menu.
import type { AliasStatus, BackendStatus, GatewayStatus, StatusReport } from "../../src/api/contract.ts";
import { actionText } from "../../src/menubar/menu/action.ts";
import type { Menu, MenuItem } from "../../src/menubar/menu/menu.ts";
import { FIRST_WORLD, type MenuWorld, type SyncState } from "../../src/menubar/menu/world.ts";
import { sampleReport } from "../api/sample-report.ts";

export function sampleSync(changes: Partial<SyncState> = {}): SyncState {
  return {
    config_path: "/home/ada/.mountaineer/config.toml",
    sha256: "0".repeat(64),
    generation: 1,
    watching: "live",
    last_sync: null,
    last_error: null,
    degraded: null,
    file_missing: false,
    settings: { enabled: true, poll_interval: 2, debounce: 1, detection: "mtime", on_failure: "backoff" },
    ...changes,
  };
}

export function sampleGateway(changes: Partial<GatewayStatus> = {}): GatewayStatus {
  return {
    url: "http://127.0.0.1:9000/mcp",
    sessions: 0,
    in_flight: 0,
    tools: 3,
    resources: 0,
    resource_templates: 0,
    prompts: 0,
    conditions: [],
    ...changes,
  };
}

export function sampleBackend(changes: Partial<BackendStatus> = {}): BackendStatus {
  return {
    name: "files",
    group: null,
    type: "stdio",
    enabled: true,
    phase: "Ready",
    reason: null,
    since: "2026-01-02T11:00:00.000Z",
    pid: 99,
    server: null,
    protocol_version: null,
    instances: 1,
    in_flight: 0,
    draining: 0,
    restarts: 0,
    retry_at: null,
    last_error: null,
    tools: 3,
    resources: 0,
    prompts: 0,
    conditions: [],
    ...changes,
  };
}

export function sampleAlias(changes: Partial<AliasStatus> = {}): AliasStatus {
  const name = changes.name ?? "docs";
  return {
    name,
    share: "CORE",
    target_subpath: "Projects/docs",
    path: `/home/ada/Shares/Links/${name}`,
    target: "/home/ada/Shares/CORE/Projects/docs",
    link: "right",
    detail: null,
    ...changes,
  };
}

/** A daemon that answers, with one share that is well. */
export function sampleWorld(
  status: StatusReport = sampleReport(),
  changes: Partial<MenuWorld> = {},
): MenuWorld {
  return {
    ...FIRST_WORLD,
    connection: { kind: "connected" },
    status,
    sync: sampleSync(),
    logPath: "/home/ada/mountaineer.log",
    ...changes,
  };
}

/** One line for each item: marks, label, and what a click does. */
export function outline(items: Menu["items"], depth = ""): string[] {
  return items.flatMap((item) => {
    if (item.kind === "separator") return [`${depth}---`];
    const tone = { plain: "", good: "", warning: "! ", bad: "!! " }[item.tone];
    const box = item.kind === "toggle" ? (item.checked ? "[x] " : "[ ] ") : "";
    const line = `${depth}${tone}${box}${item.label}${clickText(item)}`;
    return item.kind === "submenu" ? [line, ...outline(item.items, `${depth}  `)] : [line];
  });
}

function clickText(item: MenuItem): string {
  if (item.kind !== "action" && item.kind !== "toggle") return "";
  return item.enabled ? ` <${actionText(item.action)}>` : " <off>";
}

/** Every item, those of submenus too. */
export function everyItem(items: Menu["items"]): MenuItem[] {
  return items.flatMap((item) => (item.kind === "submenu" ? [item, ...everyItem(item.items)] : [item]));
}
