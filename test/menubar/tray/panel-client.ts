// The panel's side of an icon: reads its menu as panels do, and clicks in it.
import assert from "node:assert/strict";
import { type MessageBus, Variant } from "dbus-native";

export interface SeenItem {
  readonly id: number;
  readonly properties: ReadonlyMap<string, unknown>;
  readonly children: readonly SeenItem[];
}

export interface PanelClient {
  layout(): Promise<{ readonly revision: number; readonly root: SeenItem }>;
  /** The item of that label, wherever it is. */
  find(label: string | RegExp): Promise<SeenItem>;
  menuCall(member: string, signature: string, body: readonly unknown[]): Promise<unknown>;
  itemProperty(name: string): Promise<unknown>;
}

export function panelClient(bus: MessageBus, destination: string): PanelClient {
  const menuCall: PanelClient["menuCall"] = async (member, signature, body) =>
    await bus.invoke<unknown>({
      destination,
      path: "/MenuBar",
      interface: "com.canonical.dbusmenu",
      member,
      signature,
      body: [...body],
    });
  const self: PanelClient = {
    menuCall,
    async layout() {
      const answer = await menuCall("GetLayout", "iias", [0, -1, []]);
      assert.ok(Array.isArray(answer));
      const [revision, root]: readonly unknown[] = answer;
      return { revision: Number(revision), root: seen(root) };
    },
    async find(label) {
      const { root } = await self.layout();
      const found = everySeen(root).find(({ properties }) => {
        const text = String(properties.get("label"));
        return typeof label === "string" ? text === label : label.test(text);
      });
      return found ?? assert.fail(`no item ${label}`);
    },
    async itemProperty(name) {
      const value = await bus.invoke<unknown>({
        destination,
        path: "/StatusNotifierItem",
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        signature: "ss",
        body: ["org.kde.StatusNotifierItem", name],
      });
      return inner(value);
    },
  };
  return self;
}

export function clickEvent(id: number): readonly unknown[] {
  return [id, "clicked", new Variant("i", 0), 1];
}

export function everySeen(item: SeenItem): SeenItem[] {
  return [item, ...item.children.flatMap(everySeen)];
}

export function labels({ children }: SeenItem): string[] {
  return children.map(({ properties }) => String(properties.get("label") ?? properties.get("type")));
}

function seen(value: unknown): SeenItem {
  assert.ok(Array.isArray(value));
  const [id, properties, children]: readonly unknown[] = value;
  assert.ok(typeof properties === "object" && properties !== null && Array.isArray(children));
  return {
    id: Number(id),
    properties: new Map(Object.entries(properties).map(([name, value]) => [name, inner(value)])),
    children: children.map((child: unknown) => seen(inner(child))),
  };
}

function inner(value: unknown): unknown {
  assert.ok(value instanceof Variant);
  return value.value;
}
