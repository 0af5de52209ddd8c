// com.canonical.dbusmenu, version 3: the menu that a panel asks for, and the clicks that it sends.
import { Variant } from "dbus-native";
import type { Menu, MenuItem } from "../menu/menu.ts";
import {
  createLayoutBuilder,
  type Layout,
  type LayoutNode,
  layoutChange,
  type Properties,
  ROOT_ID,
} from "./menu-layout.ts";
import { type BusObject, readOnly } from "./session-bus.ts";

export const MENU_PATH = "/MenuBar";

const EVERYTHING = -1;

const DESCRIPTOR: BusObject["descriptor"] = {
  name: "com.canonical.dbusmenu",
  methods: {
    GetLayout: [
      "iias",
      "u(ia{sv}av)",
      ["parentId", "recursionDepth", "propertyNames"],
      ["revision", "layout"],
    ],
    GetGroupProperties: ["aias", "a(ia{sv})", ["ids", "propertyNames"], ["properties"]],
    GetProperty: ["is", "v", ["id", "name"], ["value"]],
    Event: ["isvu", "", ["id", "eventId", "data", "timestamp"], []],
    EventGroup: ["a(isvu)", "ai", ["events"], ["idErrors"]],
    AboutToShow: ["i", "b", ["id"], ["needUpdate"]],
    AboutToShowGroup: ["ai", "aiai", ["ids"], ["updatesNeeded", "idErrors"]],
  },
  signals: {
    ItemsPropertiesUpdated: ["a(ia{sv})a(ias)", "updatedProps", "removedProps"],
    LayoutUpdated: ["ui", "revision", "parent"],
    ItemActivationRequested: ["iu", "id", "timestamp"],
  },
  properties: readOnly({ Version: "u", TextDirection: "s", Status: "s", IconThemePath: "as" }),
};

interface DbusMenuOptions {
  readonly menu: Menu;
  /** Sends one of the interface's signals. */
  readonly emit: (member: string, signature: string, body: readonly unknown[]) => void;
  readonly onClick: (item: MenuItem) => void;
  /** Called before the menu is shown. */
  readonly onOpen: () => void;
}

type Event = readonly [id: number, event: string];

export function createDbusMenu({ menu, emit, onClick, onOpen }: DbusMenuOptions) {
  const builder = createLayoutBuilder();
  let layout = builder.build(menu.items);
  let revision = 1;

  /** Returns false if there is no such item. */
  const onEvent = (id: number, event: string): boolean => {
    const node = layout.nodes.get(id);
    if (node === undefined) return false;
    if (event === "clicked" && node.item !== null) onClick(node.item);
    if (event === "opened" && id === ROOT_ID) onOpen();
    return true;
  };
  const opened = (id: number): boolean => {
    if (id === ROOT_ID) onOpen();
    return layout.nodes.has(id);
  };
  /** The unknown ids. The specification wants an error only if all are unknown. */
  const unknownOf = <Each>(
    all: readonly Each[],
    isKnown: (each: Each) => boolean,
    idOf: (each: Each) => number,
  ) => {
    const unknown = all.filter((each) => !isKnown(each)).map(idOf);
    const [first] = unknown;
    if (first !== undefined && unknown.length === all.length) throw new UnknownItem(first);
    return unknown;
  };
  const nodeOf = (id: number): LayoutNode => {
    const node = layout.nodes.get(id);
    if (node === undefined) throw new UnknownItem(id);
    return node;
  };

  const methods = {
    GetLayout: (parent: number, depth: number, names: readonly string[]) => [
      revision,
      structOf(nodeOf(parent), depth, names),
    ],
    GetGroupProperties: (ids: readonly number[], names: readonly string[]) => groupOf(layout, ids, names),
    GetProperty(id: number, name: string) {
      const value = nodeOf(id).properties.get(name);
      if (value === undefined) throw new UnknownItem(id);
      return value;
    },
    Event(id: number, event: string) {
      if (!onEvent(id, event)) throw new UnknownItem(id);
      return null;
    },
    EventGroup: (events: readonly Event[]) =>
      unknownOf(
        events,
        ([id, event]) => onEvent(id, event),
        ([id]) => id,
      ),
    AboutToShow(id: number) {
      if (!opened(id)) throw new UnknownItem(id);
      // False: the panel needs no update, because changes are announced by signals.
      return false;
    },
    AboutToShowGroup: (ids: readonly number[]) => [[], unknownOf(ids, opened, (id) => id)],
  };
  const object: BusObject = {
    path: MENU_PATH,
    descriptor: DESCRIPTOR,
    implementation: {
      ...methods,
      ...{ Version: 3, TextDirection: "ltr", IconThemePath: [], Status: statusOf(menu) },
    },
  };
  return {
    object,
    methods,
    /** Shows `next`, and emits the signals about what has changed. Returns whether the property `Status` has. */
    show(next: Menu): boolean {
      const before = layout;
      layout = builder.build(next.items);
      const change = layoutChange(before, layout);
      if (change === null) {
        revision += 1;
        emit("LayoutUpdated", "ui", [revision, ROOT_ID]);
      } else if (change.updated.length + change.removed.length > 0) {
        emit("ItemsPropertiesUpdated", "a(ia{sv})a(ias)", [
          change.updated.map(([id, values]) => [id, [...values]]),
          change.removed.map(([id, names]) => [id, [...names]]),
        ]);
      }
      const status = statusOf(next);
      const changed = status !== object.implementation["Status"];
      object.implementation["Status"] = status;
      return changed;
    },
  };
}

function statusOf({ state }: Menu): string {
  return state === "healthy" ? "normal" : "notice";
}

class UnknownItem extends Error {
  readonly dbusName = "com.canonical.dbusmenu.Error.UnknownItem";
  constructor(id: number) {
    super(`the menu has no item ${id}, or no longer`);
  }
}

function structOf(node: LayoutNode, depth: number, names: readonly string[]): unknown[] {
  const children =
    depth === 0
      ? []
      : node.children.map(
          (child) =>
            new Variant("(ia{sv}av)", structOf(child, depth === EVERYTHING ? depth : depth - 1, names)),
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
