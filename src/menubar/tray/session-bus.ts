// The session bus: its addresses in the environment, and a connection that has a name on it.
import { join } from "node:path";
import { ConnectionClosedError, createClient, type InterfaceDescriptor, type Message } from "dbus-native";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const BUS_NAME = "org.freedesktop.DBus";
const BUS_PATH = "/org/freedesktop/DBus";
const CALL_DEADLINE_MS = 5_000;
/** Unsent bytes after which a bus that does not read is given up. */
const UNSENT_LIMIT = 8 * 1024 * 1024;
/** Maximum size of a message, in bytes; the protocol allows more, but menus never get more. */
const LONGEST = 16 * 1024 * 1024;

export interface BusSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** What others see and call at a path. */
export interface BusObject {
  readonly path: string;
  readonly descriptor: InterfaceDescriptor;
  /** Methods and properties by name. A method's error with `dbusName` is answered under that name. */
  readonly implementation: Record<string, unknown>;
}

export interface SessionBus extends Disposable {
  export(object: BusObject): void;
  /** Tells who reads the property `Status` of an exported object that it has changed. */
  statusChanged(object: BusObject): void;
  /** Calls `onChange` with the new owner of a name each time that it changes; "" for none. */
  watchOwner(name: string, onChange: (owner: string) => void): Promise<void>;
  /**
   * Resolves with the answer: one value, or none. Without a destination it asks the bus itself. Rejects with `protocol` for
   * an error (its name first in the message), `timed_out` after 5 s, `daemon_unreachable` when the connection ends.
   */
  call(message: Message): Promise<unknown>;
  emit(signal: BusSignal): void;
  /** Resolves with the reason when either side ends the connection. */
  readonly closed: Promise<string>;
}

/** Connects and signs in as this process's user. Rejects with `daemon_unreachable`, `timed_out`, or the signal's reason. */
export async function connectToBus(
  socket: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<SessionBus> {
  signal.throwIfAborted();
  // `direct`: the library's own greeting would throw where no caller can catch it.
  const bus = createClient({
    ...{ socket, authMethods: ["EXTERNAL"], direct: true, fdTransport: false },
    ...{ maxMessageSize: LONGEST, timeout: 0 },
  });
  const { connection } = bus;
  const closed = Promise.withResolvers<string>();
  let isOpen = true;
  const end = (reason: string): void => {
    isOpen = false;
    closed.resolve(reason);
    connection.stream.destroy();
    signal.removeEventListener("abort", disposing);
  };
  const disposing = (): void => end("closed");
  signal.addEventListener("abort", disposing, { once: true });
  connection.on("error", (error: Error) => end(`the session bus cannot be used: ${errorText(error)}`));
  connection.on("close", () => end("the session bus ended the connection"));
  // A call of a property as a method, which the library cannot answer.
  connection.on("handlerError", () => {});

  const call = async (message: Message): Promise<unknown> => {
    const limit = new AbortController();
    using _timer = clock.setTimer(CALL_DEADLINE_MS, () => limit.abort());
    try {
      return await bus.invokeDbus({ ...message }, { signal: limit.signal });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error instanceof ConnectionClosedError)
        throw new MountaineerError("daemon_unreachable", await closed.promise, { cause: error });
      if (limit.signal.aborted) {
        const who = message.destination ?? "the session bus";
        const text = `${who} did not answer ${message.member} within ${CALL_DEADLINE_MS / 1000} s`;
        throw new MountaineerError("timed_out", text, { cause: error });
      }
      const name = "dbusName" in error ? `${error.dbusName}: ` : "";
      throw new MountaineerError("protocol", `${name}${error.message}`, { cause: error });
    }
  };
  try {
    bus.name = String(await call({ member: "Hello" }));
  } catch (error) {
    end("closed");
    signal.throwIfAborted();
    throw error;
  }
  return {
    call,
    export: ({ path, descriptor, implementation }) => bus.exportInterface(implementation, path, descriptor),
    statusChanged({ path, descriptor, implementation }) {
      const { Status } = implementation;
      if (isOpen) bus.emitPropertiesChanged(path, descriptor.name, { Status }, []);
    },
    async watchOwner(name, onChange) {
      bus.signals.on(bus.mangle(BUS_PATH, BUS_NAME, "NameOwnerChanged"), ([, , owner]: readonly string[]) =>
        onChange(owner ?? ""),
      );
      await call({
        member: "AddMatch",
        signature: "s",
        body: [
          `type='signal',sender='${BUS_NAME}',interface='${BUS_NAME}',member='NameOwnerChanged',arg0='${name}'`,
        ],
      });
    },
    emit({ path, interface: from, member, signature, body }) {
      if (!isOpen) return;
      bus.sendSignal(path, from, member, signature, [...body]);
      if (connection.stream.writableLength > UNSENT_LIMIT) end("the session bus takes in nothing more");
    },
    closed: closed.promise,
    [Symbol.dispose]: disposing,
  };
}

/** Properties with their types, none of which can be set. */
export function readOnly(
  types: Readonly<Record<string, string>>,
): NonNullable<InterfaceDescriptor["properties"]> {
  return Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, { type, access: "read" as const }]),
  );
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Paths of sockets to try in order; an abstract one begins with NUL. Empty: there is no session bus. */
export function sessionBusPaths(environment: Environment): readonly string[] {
  const given = environment["DBUS_SESSION_BUS_ADDRESS"];
  if (given) return given.split(";").flatMap((address) => socketPaths(address, environment));
  const runtime = environment["XDG_RUNTIME_DIR"];
  // systemd puts the bus here, so the bus is found even without `DBUS_SESSION_BUS_ADDRESS`.
  return runtime ? [join(runtime, "bus")] : [];
}

function socketPaths(address: string, environment: Environment): string[] {
  const colon = address.indexOf(":");
  if (colon < 0 || address.slice(0, colon) !== "unix") return [];
  const values = new Map(
    address
      .slice(colon + 1)
      .split(",")
      .map((pair) => {
        const [name = "", value = ""] = pair.split("=");
        return [name, unescaped(value)] as const;
      }),
  );
  const path = values.get("path");
  if (path !== undefined) return [path];
  const abstract = values.get("abstract");
  if (abstract !== undefined) return [`\0${abstract}`];
  const runtime = environment["XDG_RUNTIME_DIR"];
  return values.has("runtime") && runtime ? [join(runtime, "bus")] : [];
}

/** Decodes percent-encoded text: `%2f` becomes a slash. */
function unescaped(value: string): string {
  const bytes = Buffer.from(value).toString("latin1");
  const plain = bytes.replace(/%([0-9a-f]{2})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return Buffer.from(plain, "latin1").toString("utf8");
}
