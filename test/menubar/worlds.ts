// Sample states that menus are drawn from in tests, and ways to look at a menu.
import type { StatusReport } from "../../src/api/contract/contract.ts";
import { actionText } from "../../src/menubar/menu/action.ts";
import type { Menu, MenuItem } from "../../src/menubar/menu/menu.ts";
import { FIRST_WORLD, type MenuWorld } from "../../src/menubar/menu/world.ts";
import { sampleSync } from "../api/sample-config.ts";
import { sampleReport } from "../api/sample-report.ts";

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
    const line = `${depth}${tone}${item.label}${clickText(item)}`;
    return item.kind === "submenu" ? [line, ...outline(item.items, `${depth}  `)] : [line];
  });
}

function clickText(item: MenuItem): string {
  if (item.kind !== "action") return "";
  return item.enabled ? ` <${actionText(item.action)}>` : " <off>";
}

/** Every item, those of submenus too. */
export function everyItem(items: Menu["items"]): MenuItem[] {
  return items.flatMap((item) => (item.kind === "submenu" ? [item, ...everyItem(item.items)] : [item]));
}
