// Dispatches D-Bus calls to objects: their methods, properties, introspection and ping.
import type { BusReply } from "../dbus/bus-connection.ts";
import type { Variant } from "../dbus/marshal.ts";
import type { Message } from "../dbus/message.ts";

interface BusObject {
  readonly interface: string;
  /** The interface's methods, properties and signals as introspection lists them. */
  readonly xml: string;
  answer(member: string, signature: string, body: readonly unknown[]): BusReply | null;
  properties(): ReadonlyMap<string, Variant>;
}

const PROPERTIES = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE = "org.freedesktop.DBus.Introspectable";
const PEER = "org.freedesktop.DBus.Peer";
const ERROR = "org.freedesktop.DBus.Error";

export function answerCall(
  call: Pick<Message, "path" | "interface" | "member" | "signature" | "body">,
  objects: Readonly<Record<string, BusObject>>,
): BusReply {
  const { path = "", interface: wanted, member = "", signature, body } = call;
  if (wanted === PEER && member === "Ping") return { signature: "", body: [] };
  const object = Object.hasOwn(objects, path) ? objects[path] : undefined;
  if (wanted === INTROSPECTABLE && member === "Introspect")
    return { signature: "s", body: [introspection(path, objects)] };
  if (object === undefined) return failure("UnknownObject", `there is no object ${path}`);
  const reply =
    wanted === PROPERTIES
      ? answerProperties(object, member, signature, body)
      : wanted === undefined || wanted === object.interface
        ? object.answer(member, signature, body)
        : null;
  return reply ?? failure("UnknownMethod", `${path} has no method ${wanted ?? ""}.${member}(${signature})`);
}

function answerProperties(
  object: BusObject,
  member: string,
  signature: string,
  body: readonly unknown[],
): BusReply | null {
  const [wanted, name] = body;
  const isOwn = wanted === object.interface || wanted === "";
  switch (`${member} ${signature}`) {
    case "GetAll s":
      return { signature: "a{sv}", body: [isOwn ? [...object.properties()] : []] };
    case "Get ss": {
      const value = isOwn ? object.properties().get(String(name)) : undefined;
      return value === undefined
        ? failure("UnknownProperty", `there is no property ${String(wanted)}.${String(name)}`)
        : { signature: "v", body: [value] };
    }
    case "Set ssv":
      return failure("PropertyReadOnly", `${String(name)} can only be read`);
    default:
      return null;
  }
}

function failure(name: string, text: string): BusReply {
  return { errorName: `${ERROR}.${name}`, text };
}

function introspection(path: string, objects: Readonly<Record<string, BusObject>>): string {
  const object = Object.hasOwn(objects, path) ? objects[path] : undefined;
  const inner = object === undefined ? "" : `<interface name="${object.interface}">${object.xml}</interface>`;
  const nodes =
    path === "/"
      ? Object.keys(objects)
          .map((each) => `<node name="${each.slice(1)}"/>`)
          .join("")
      : "";
  return `<node>${inner}${nodes}</node>`;
}

/** A method in introspection XML: `method("GetLayout", "parentId i, propertyNames as", "revision u")`. */
export function method(name: string, takes = "", gives = ""): string {
  const all = [...argumentsOf(takes, ' direction="in"'), ...argumentsOf(gives, ' direction="out"')];
  return `<method name="${name}">${all.join("")}</method>`;
}

export function signalOf(name: string, signature = ""): string {
  return `<signal name="${name}">${argumentsOf(signature).join("")}</signal>`;
}

function argumentsOf(list: string, direction = ""): string[] {
  return [...list.matchAll(/(\w+) ([^\s,]+)/g)].map(
    ([, name, type]) => `<arg name="${name}" type="${type}"${direction}/>`,
  );
}

export function propertiesXml(properties: ReadonlyMap<string, Variant>): string {
  return [...properties]
    .map(([name, { signature }]) => `<property name="${name}" type="${signature}" access="read"/>`)
    .join("");
}
