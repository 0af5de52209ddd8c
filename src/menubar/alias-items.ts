// Owns the part of the menu that is about aliases: links to folders inside of shares.
import type { AliasStatus, StatusReport } from "../api/contract.ts";
import type { MenuItem } from "./menu.ts";
import type { MenuAction } from "./menu-action.ts";
import { click, nameText, separator, submenu, text } from "./menu-words.ts";
import type { MenuWorld } from "./menu-world.ts";
import { canAct, isRunning, isUsable } from "./share-items.ts";

/** Nothing where no share is configured. */
export function aliasItems({ shares, aliases = [] }: StatusReport, world: MenuWorld): MenuItem[] {
  if (shares.length === 0) return [];
  const usable = new Set(shares.filter(isUsable).map(({ name }) => name));
  const items: MenuItem[] = aliases.map((alias) => aliasItem(alias, usable.has(alias.share), world));
  const wrong = aliases.filter(({ link }) => link !== "right");
  if (wrong.length > 0)
    items.push(separator("aliases | mend"), act("aliases", "Mend the links", { kind: "alias-mend" }, world));
  items.push(separator("aliases | add"));
  for (const { name } of shares) {
    const label = `Add a folder of ${nameText(name)} …`;
    items.push(act("aliases", label, { kind: "alias-choose", share: name }, world, usable.has(name)));
  }
  return [submenu("aliases", "Aliases", items, wrong.length > 0 ? "warning" : "plain")];
}

function aliasItem(alias: AliasStatus, isReachable: boolean, world: MenuWorld): MenuItem {
  const { name, share, target_subpath, path, link, detail } = alias;
  const key = `alias ${name}`;
  const isRight = link === "right";
  const items: MenuItem[] = [text(`${key} target`, `${nameText(share)}/${target_subpath}`)];
  if (!isRight) items.push(text(`${key} wrong`, detail ?? "The link is not there yet", "warning"));
  items.push(
    click(key, "Open", { kind: "open", path }, { enabled: isRight && isReachable }),
    submenu(`${key} remove`, "Remove …", [
      act(key, `Remove ${nameText(name)}; the folder stays`, { kind: "alias-remove", alias: name }, world),
    ]),
  );
  return submenu(key, nameText(name), items, isRight ? "plain" : "warning");
}

function act(
  prefix: string,
  label: string,
  action: MenuAction,
  world: MenuWorld,
  isPossible = true,
): MenuItem {
  const running = isRunning(world, action);
  const enabled = isPossible && !running && canAct(world);
  return click(prefix, running ? `${label} …` : label, action, { enabled });
}
