// Numbers the menu's items for dbusmenu without reusing an id, and compares two menus.
import { Variant } from "dbus-native";
import type { Tone } from "../../api/labels/label.ts";
import type { MenuItem } from "../menu/menu.ts";

export const ROOT_ID = 0;

export type Properties = ReadonlyMap<string, Variant>;

export interface LayoutNode {
  readonly id: number;
  readonly properties: Properties;
  readonly children: readonly LayoutNode[];
  /** null for the root. */
  readonly item: MenuItem | null;
}

export interface Layout {
  readonly root: LayoutNode;
  readonly nodes: ReadonlyMap<number, LayoutNode>;
}

export function createLayoutBuilder() {
  let ids = new Map<string, number>();
  let lastId = ROOT_ID;
  return {
    /** Items with the same key keep their id; the id of a removed item is never used again. */
    build(items: readonly MenuItem[]): Layout {
      const used = new Map<string, number>();
      const nodes = new Map<number, LayoutNode>();
      const idOf = (key: string): number => {
        // Two items with the same key get different ids.
        let own = key;
        for (let copy = 2; used.has(own); copy += 1) own = `${key}\0${copy}`;
        const id = ids.get(own) ?? ++lastId;
        used.set(own, id);
        return id;
      };
      const nodeOf = (item: MenuItem): LayoutNode => {
        const id = idOf(item.key);
        const children = item.kind === "submenu" ? item.items.map(nodeOf) : [];
        const node = { id, properties: propertiesOf(item), children, item };
        nodes.set(id, node);
        return node;
      };
      const children = items.map(nodeOf);
      const properties = new Map<string, Variant>([["children-display", new Variant("s", "submenu")]]);
      const root = { id: ROOT_ID, properties, children, item: null };
      nodes.set(ROOT_ID, root);
      ids = used;
      return { root, nodes };
    },
  };
}

const DISPOSITIONS: Readonly<Record<Tone, string>> = {
  plain: "normal",
  good: "normal",
  warning: "warning",
  bad: "alert",
};

function propertiesOf(item: MenuItem): Properties {
  if (item.kind === "separator") return new Map([["type", new Variant("s", "separator")]]);
  const properties = new Map<string, Variant>([
    // A single underscore would mark an access key.
    ["label", new Variant("s", item.label.replaceAll("_", "__"))],
    ["enabled", new Variant("b", item.kind === "submenu" || (item.kind !== "text" && item.enabled))],
  ]);
  if (item.tone !== "plain") properties.set("disposition", new Variant("s", DISPOSITIONS[item.tone]));
  if (item.kind === "submenu") properties.set("children-display", new Variant("s", "submenu"));
  return properties;
}

/** The changed properties of each item; null: the items themselves differ. */
export function layoutChange(before: Layout, after: Layout) {
  if (!sameShape(before.root, after.root)) return null;
  const updated: [number, Properties][] = [];
  const removed: [number, readonly string[]][] = [];
  for (const [id, { properties }] of after.nodes) {
    const old = before.nodes.get(id)?.properties ?? new Map<string, Variant>();
    const fresh = [...properties].filter(([name, { value }]) => old.get(name)?.value !== value);
    const gone = [...old.keys()].filter((name) => !properties.has(name));
    if (fresh.length > 0) updated.push([id, new Map(fresh)]);
    if (gone.length > 0) removed.push([id, gone]);
  }
  return { updated, removed };
}

function sameShape(one: LayoutNode, other: LayoutNode): boolean {
  return (
    one.id === other.id &&
    one.children.length === other.children.length &&
    one.children.every((child, index) => {
      const twin = other.children[index];
      return twin !== undefined && sameShape(child, twin);
    })
  );
}
