// A real session bus for one test, with a stand-in for the panel.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import {
  BUS_NAME,
  BUS_PATH,
  type BusConnection,
  connectToBus,
} from "../../src/menubar/dbus/bus-connection.ts";
import type { Message } from "../../src/menubar/dbus/message.ts";
import { type Clock, systemClock } from "../../src/runtime/time/clock.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

/** However slow a machine is, a panel waits for its answer: what hangs is ended by the test's own deadline. */
const patientClock: Clock = {
  ...systemClock,
  setTimer: (delayMs, callback) => systemClock.setTimer(20 * delayMs, callback),
};

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

export interface BusClient {
  readonly bus: BusConnection;
  /** Every signal heard so far. */
  readonly signals: readonly Message[];
}

/** A client that hears every signal. */
export async function connectClient(t: Scope, { socketPath }: SessionBus): Promise<BusClient> {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const signals: Message[] = [];
  const bus = await connectToBus(socketPath, {
    clock: patientClock,
    signal: stop.signal,
    onCall: () => ({ errorName: "org.freedesktop.DBus.Error.UnknownMethod", text: "nothing here" }),
    onSignal: (signal) => void signals.push(signal),
  });
  await askBus(bus, "AddMatch", "s", ["type='signal'"]);
  return { bus, signals };
}

export function askBus(
  bus: BusConnection,
  member: string,
  signature: string,
  body: readonly unknown[],
): Promise<readonly unknown[]> {
  return bus.call({ destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member, signature, body });
}

export interface Watcher {
  readonly bus: BusConnection;
  /** Names that were registered, in order. */
  readonly registered: readonly string[];
}

/** What a panel brings along: the list of icons. */
export async function startWatcher(t: Scope, { socketPath }: SessionBus): Promise<Watcher> {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const registered: string[] = [];
  const bus = await connectToBus(socketPath, {
    clock: patientClock,
    signal: stop.signal,
    onCall({ member, body }) {
      if (member !== "RegisterStatusNotifierItem")
        return { errorName: "org.freedesktop.DBus.Error.UnknownMethod", text: String(member) };
      registered.push(String(body[0]));
      return { signature: "", body: [] };
    },
    onSignal: () => {},
  });
  await askBus(bus, "RequestName", "su", ["org.kde.StatusNotifierWatcher", 0]);
  return { bus, registered };
}
