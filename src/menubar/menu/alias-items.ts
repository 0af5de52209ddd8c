// The menu's items for aliases, the links to folders inside shares.
import { basename } from "node:path/posix";
import type { AliasStatus, StatusReport } from "../../api/contract.ts";
import type { FolderPlace, MenuItem } from "./menu.ts";
import { isUsable } from "./share-items.ts";
import { act, click, nameText, separator, submenu, text } from "./words.ts";
import { type FolderList, folderKey, type MenuWorld } from "./world.ts";

/** More would leave the screen; a window shows them all. */
const FOLDERS_SHOWN = 40;

/** Nothing where no share is configured. */
export function aliasItems({ shares, aliases = [] }: StatusReport, world: MenuWorld): MenuItem[] {
  if (shares.length === 0) return [];
  const usable = new Set(shares.filter(isUsable).map(({ name }) => name));
  const items: MenuItem[] = aliases.map((alias) => aliasItem(alias, usable.has(alias.share), world));
  const wrong = aliases.filter(({ link }) => link !== "right");
  if (wrong.length > 0)
    items.push(
      separator("aliases | repair"),
      act("aliases", "Repair the links", { kind: "alias-repair" }, world),
    );
  items.push(separator("aliases | add"));
  for (const { name } of shares) {
    const label = `Add a folder of ${nameText(name)} …`;
    const choose = { kind: "alias-choose", share: name } as const;
    if (world.folders === null || !usable.has(name))
      items.push(act("aliases", label, choose, world, { possible: usable.has(name) }));
    else items.push(folderMenu({ share: name, subpath: "" }, label, world.folders, world));
  }
  return [submenu("aliases", "Aliases", items, wrong.length > 0 ? "warning" : "plain")];
}

/** The folders of a place, each with its own submenu: they are listed when they are opened. */
function folderMenu(
  place: FolderPlace,
  label: string,
  folders: ReadonlyMap<string, FolderList>,
  world: MenuWorld,
): MenuItem {
  const { share, subpath } = place;
  const key = `folder ${share} ${subpath}`;
  const first =
    subpath === ""
      ? act(key, "Choose in a window …", { kind: "alias-choose", share }, world)
      : act(key, `Add ${nameText(basename(subpath))}`, { kind: "alias-add", share, subpath }, world);
  const items = [first, separator(`${key} |`)];
  const list = folders.get(folderKey(place)) ?? { kind: "asked" };
  if (list.kind === "asked") items.push(text(`${key} asked`, "Looking …"));
  else if (list.kind === "failed") items.push(text(`${key} failed`, list.reason, "warning"));
  else {
    for (const name of list.names.slice(0, FOLDERS_SHOWN)) {
      const inner = { share, subpath: subpath === "" ? name : `${subpath}/${name}` };
      items.push(folderMenu(inner, nameText(name), folders, world));
    }
    const more = list.names.length - FOLDERS_SHOWN;
    if (more > 0) items.push(text(`${key} more`, `and ${more} more`));
    if (list.names.length === 0) items.push(text(`${key} none`, "No folders"));
  }
  return { kind: "submenu", key, label, tone: "plain", items, folders: place };
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
