// A real session bus for one test, with a stand-in for the panel.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createClient, type Message, type MessageBus } from "dbus-native";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

/** Why no bus can be started here; false: it can. */
export const busMissing: string | false =
  spawnSync("dbus-daemon", ["--version"]).error === undefined ? false : "dbus-daemon is not installed";

export interface SessionBus {
  readonly address: string;
  readonly socketPath: string;
  /** Resolves when it is gone. */
  stop(): Promise<void>;
}

/** `folder`: of an earlier bus, to be at the same address. */
export async function startSessionBus(t: Scope, folder?: string): Promise<SessionBus & { folder: string }> {
  const ends: (() => Promise<void>)[] = [];
  // Before the folder's removal.
  t.after(async () => {
    for (const end of ends) await end();
  });
  const place = folder ?? (await temporaryFolder(t));
  const socketPath = join(place, "bus");
  const child = spawn(
    "dbus-daemon",
    ["--session", "--nofork", "--nopidfile", "--print-address=1", `--address=unix:path=${socketPath}`],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  ends.push(stop);
  const address = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
    child.once("exit", () => reject(new Error("dbus-daemon ended at once")));
  });
  return { address, socketPath, stop, folder: place };
}

/** A client of the bus until the test ends. */
export function joinBus(t: Scope, { socketPath }: SessionBus): MessageBus {
  // However slow a machine is, a panel waits for its answer: what hangs is ended by the test's own deadline.
  const bus = createClient({ socket: socketPath, timeout: 0, variants: "wrap" });
  // A bus that the test has stopped.
  bus.connection.on("error", () => {});
  t.after(() => bus.connection.stream.destroy());
  return bus;
}

/** A client that hears every signal. */
export async function connectClient(t: Scope, bus: SessionBus) {
  const client = joinBus(t, bus);
  /** Every signal heard so far. */
  const signals: Message[] = [];
  client.connection.on("message", (message: Message) => void signals.push(message));
  await client.addMatch("type='signal'");
  return { bus: client, signals };
}

export type Watcher = Awaited<ReturnType<typeof startWatcher>>;

/** What a panel brings along: the list of icons. */
export async function startWatcher(t: Scope, at: SessionBus) {
  const bus = joinBus(t, at);
  /** Names that were registered, in order. */
  const registered: string[] = [];
  const name = "org.kde.StatusNotifierWatcher";
  bus.exportInterface(
    {
      RegisterStatusNotifierItem(item: string) {
        registered.push(item);
        return null;
      },
    },
    "/StatusNotifierWatcher",
    { name, methods: { RegisterStatusNotifierItem: ["s", "", ["service"], []] } },
  );
  await bus.requestName(name, 0);
  return { bus, registered };
}
