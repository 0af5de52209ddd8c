// com.canonical.dbusmenu, version 3: the menu that a panel asks for, and the clicks that it sends.
import type { BusReply, BusSignal } from "../dbus/bus-connection.ts";
import { type Variant, variant } from "../dbus/marshal.ts";
import type { Menu, MenuItem } from "../menu/menu.ts";
import {
  createLayoutBuilder,
  type Layout,
  type LayoutNode,
  layoutChange,
  type Properties,
  ROOT_ID,
} from "./menu-layout.ts";

export const MENU_PATH = "/MenuBar";
export const MENU_INTERFACE = "com.canonical.dbusmenu";

const EVERYTHING = -1;
const NO_ITEM = "com.canonical.dbusmenu.Error.UnknownItem";

interface DbusMenuOptions {
  readonly menu: Menu;
  readonly emit: (signal: BusSignal) => void;
  readonly onClick: (item: MenuItem) => void;
  /** Called before the menu is shown. */
  readonly onOpen: () => void;
}

export function createDbusMenu({ menu, emit, onClick, onOpen }: DbusMenuOptions) {
  const builder = createLayoutBuilder();
  let layout = builder.build(menu.items);
  let state = menu.state;
  let revision = 1;

  const signal = (member: string, signature: string, body: readonly unknown[]): void =>
    emit({ path: MENU_PATH, interface: MENU_INTERFACE, member, signature, body });
  /** Returns false if there is no such item. */
  const onEvent = (id: number, event: string): boolean => {
    const node = layout.nodes.get(id);
    if (node === undefined) return false;
    if (event === "clicked" && node.item !== null) onClick(node.item);
    if (event === "opened" && id === ROOT_ID) onOpen();
    return true;
  };
  const opened = (id: number): boolean => {
    const node = layout.nodes.get(id);
    if (id === ROOT_ID) onOpen();
    return node !== undefined;
  };
  const properties = (): ReadonlyMap<string, Variant> =>
    new Map([
      ["Version", variant("u", 3)],
      ["TextDirection", variant("s", "ltr")],
      ["Status", variant("s", state === "healthy" ? "normal" : "notice")],
      ["IconThemePath", variant("as", [])],
    ]);

  return {
    properties,
    /** Shows `next`, and emits the signals about what has changed. */
    show(next: Menu): void {
      const before = layout;
      layout = builder.build(next.items);
      const stateBefore = state;
      state = next.state;
      const change = layoutChange(before, layout);
      if (change === null) {
        revision += 1;
        signal("LayoutUpdated", "ui", [revision, ROOT_ID]);
      } else if (change.updated.length + change.removed.length > 0) {
        signal("ItemsPropertiesUpdated", "a(ia{sv})a(ias)", [
          change.updated.map(([id, values]) => [id, [...values]]),
          change.removed.map(([id, names]) => [id, [...names]]),
        ]);
      }
      if (stateBefore !== state) {
        const status = properties().get("Status");
        emit({
          path: MENU_PATH,
          interface: "org.freedesktop.DBus.Properties",
          member: "PropertiesChanged",
          signature: "sa{sv}as",
          body: [MENU_INTERFACE, [["Status", status]], []],
        });
      }
    },
    /** Answers a method of the interface; null if there is none of that name and signature. */
    answer(member: string, signature: string, body: readonly unknown[]): BusReply | null {
      switch (`${member} ${signature}`) {
        case "GetLayout iias": {
          const [parent, depth, names] = body;
          const node = layout.nodes.get(Number(parent));
          if (node === undefined) return noItem(Number(parent));
          const wanted = namesOf(names);
          return reply("u(ia{sv}av)", [revision, structOf(node, Number(depth), wanted)]);
        }
        case "GetGroupProperties aias":
          return reply("a(ia{sv})", [groupOf(layout, idsOf(body[0]), namesOf(body[1]))]);
        case "GetProperty is": {
          const value = layout.nodes.get(Number(body[0]))?.properties.get(String(body[1]));
          return value === undefined ? noItem(Number(body[0])) : reply("v", [value]);
        }
        case "Event isvu":
          return onEvent(Number(body[0]), String(body[1])) ? reply("", []) : noItem(Number(body[0]));
        case "EventGroup a(isvu)": {
          const events = eventsOf(body[0]);
          const unknown = events.filter(([id, event]) => !onEvent(id, event)).map(([id]) => id);
          // The specification wants an error only if all ids are unknown.
          if (events.length > 0 && unknown.length === events.length) return noItem(unknown[0] ?? ROOT_ID);
          return reply("ai", [unknown]);
        }
        case "AboutToShow i":
          if (!opened(Number(body[0]))) return noItem(Number(body[0]));
          // False: the panel needs no update, because changes are announced by signals.
          return reply("b", [false]);
        case "AboutToShowGroup ai": {
          const ids = idsOf(body[0]);
          const unknown = ids.filter((id) => !opened(id));
          if (ids.length > 0 && unknown.length === ids.length) return noItem(unknown[0] ?? ROOT_ID);
          return reply("aiai", [[], unknown]);
        }
        default:
          return null;
      }
    },
  };
}

function reply(signature: string, body: readonly unknown[]): BusReply {
  return { signature, body };
}

function noItem(id: number): BusReply {
  return { errorName: NO_ITEM, text: `the menu has no item ${id}, or no longer` };
}

function structOf(node: LayoutNode, depth: number, names: readonly string[]): unknown[] {
  const children =
    depth === 0
      ? []
      : node.children.map((child) =>
          variant("(ia{sv}av)", structOf(child, depth === EVERYTHING ? depth : depth - 1, names)),
        );
  return [node.id, chosen(node.properties, names), children];
}

function groupOf(layout: Layout, ids: readonly number[], names: readonly string[]): unknown[] {
  // An empty list means all items.
  const nodes = ids.length === 0 ? [...layout.nodes.keys()] : ids;
  return nodes.flatMap((id) => {
    const node = layout.nodes.get(id);
    return node === undefined ? [] : [[id, chosen(node.properties, names)]];
  });
}

function chosen(properties: Properties, names: readonly string[]): unknown[] {
  return [...properties].filter(([name]) => names.length === 0 || names.includes(name));
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function idsOf(value: unknown): number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

function eventsOf(value: unknown): (readonly [id: number, event: string])[] {
  if (!Array.isArray(value)) return [];
  return value.map((event: unknown) => {
    const [id, name]: readonly unknown[] = Array.isArray(event) ? event : [];
    return [Number(id), String(name)] as const;
  });
}
