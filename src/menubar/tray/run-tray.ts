// Runs the icon on the session bus: one icon for each home, registered again with each new panel.
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { MenuSession } from "../menu/session.ts";
import { createDbusMenu } from "./dbus-menu.ts";
import { createNotifierItem, ITEM_INTERFACE } from "./notifier-item.ts";
import { type BusObject, connectToBus, type SessionBus, sessionBusPaths } from "./session-bus.ts";

const WATCHER = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH = "/StatusNotifierWatcher";
/** Pause before another try to reach the bus. */
const AGAIN_MS = 1_000;
const DO_NOT_QUEUE = 4;
const NAME_IS_OURS: readonly unknown[] = [1, 4];

/** Each home has its own icon. */
interface TrayOptions extends HomeOptions {
  readonly session: MenuSession;
  /** Called with the reason why the icon is not shown, and when it is shown again. */
  readonly notify: (line: string) => void;
  readonly onFirstShown?: () => Promise<void>;
}

/**
 * Shows the icon until `signal` aborts, over restarts of panel and bus. Rejects with `already_running` if another process
 * shows this home's icon in this session, and with the connection's error if there is no session bus at the start.
 */
export async function runTray(options: TrayOptions): Promise<void> {
  const { clock, signal } = options;
  const notify = createNotifier(options.notify);
  let wasOnBus = false;
  let { onFirstShown } = options;
  const events: BusEvents = {
    onBus() {
      wasOnBus = true;
    },
    async onShown() {
      const first = onFirstShown;
      onFirstShown = undefined;
      await first?.();
    },
  };
  while (!signal.aborted) {
    try {
      const reason = await showOnBus(options, notify, events);
      if (!signal.aborted) notify(`${reason}; the icon returns with it`);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError) || !wasOnBus) throw error;
      notify(`${errorText(error)}${error.hint === null ? "" : ` (${error.hint})`}; waiting for one`);
    }
    // A sleep rejects only when the signal aborts.
    await clock.sleep(AGAIN_MS, signal).catch(() => {});
  }
}

/** Does not repeat the last note. */
function createNotifier(notify: (line: string) => void): (line: string) => void {
  let last: string | null = null;
  return (line) => {
    if (line !== last) notify(line);
    last = line;
  };
}

interface BusEvents {
  readonly onBus: () => void;
  readonly onShown: () => Promise<void>;
}

/** Resolves with the reason why the connection ended. */
async function showOnBus(
  options: TrayOptions,
  notify: (line: string) => void,
  events: BusEvents,
): Promise<string> {
  const { session, home } = options;
  let connection: SessionBus | null = null;
  const emitFor =
    (of: () => BusObject) =>
    (member: string, signature = "", body: readonly unknown[] = []): void => {
      const { path, descriptor } = of();
      connection?.emit({ path, interface: descriptor.name, member, signature, body });
    };
  const menu = createDbusMenu({
    menu: session.menu(),
    emit: emitFor(() => menu.object),
    onClick: (item) => session.click(item),
    onOpen: session.open,
  });
  const item = createNotifierItem(
    session.menu(),
    emitFor(() => item.object),
  );
  const itemName = `${ITEM_INTERFACE}-${process.pid}-1`;
  const register = async (bus: SessionBus): Promise<void> => {
    try {
      await bus.call({
        destination: WATCHER,
        path: WATCHER_PATH,
        interface: WATCHER,
        member: "RegisterStatusNotifierItem",
        signature: "s",
        body: [itemName],
      });
      notify("the icon is shown");
      await events.onShown();
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      // The panel has since ended. The next panel announces its own name.
      notify(`the panel did not take the icon: ${errorText(error)}`);
    }
  };
  const unregister = session.onChange((next) => {
    item.show(next);
    if (menu.show(next)) connection?.statusChanged(menu.object);
  });
  try {
    const bus = await connect(options);
    connection = bus;
    for (const object of [menu.object, item.object]) bus.export(object);
    // The bus frees the name when the connection ends, also after a crash.
    if (!(await requestName(bus, instanceName(home)))) throw alreadyShown(home);
    await requestName(bus, itemName);
    await bus.watchOwner(WATCHER, (owner) => {
      if (owner === "") notify(NO_PANEL);
      else void register(bus);
    });
    events.onBus();
    if ((await bus.call({ member: "NameHasOwner", signature: "s", body: [WATCHER] })) === true)
      await register(bus);
    else notify(NO_PANEL);
    return await bus.closed;
  } finally {
    unregister();
    connection?.[Symbol.dispose]();
  }
}

const NO_PANEL =
  "no panel shows tray icons here (GNOME needs the AppIndicator extension, Xfce the Status Tray plugin); waiting for one";

async function connect({ environment, clock, signal }: TrayOptions): Promise<SessionBus> {
  const hint = "start this in your desktop session, or with DBUS_SESSION_BUS_ADDRESS set";
  let failure = new MountaineerError("daemon_unreachable", "there is no session bus", { hint });
  for (const path of sessionBusPaths(environment)) {
    try {
      return await connectToBus(path, { clock, signal });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      failure = new MountaineerError(error.code, error.message, { hint, cause: error });
    }
  }
  throw failure;
}

async function requestName(bus: SessionBus, name: string): Promise<boolean> {
  const result = await bus.call({ member: "RequestName", signature: "su", body: [name, DO_NOT_QUEUE] });
  return NAME_IS_OURS.includes(result);
}

/** The bus name of this home's icon. No part of a bus name may begin with a digit. */
function instanceName(home: string): string {
  return `dev.mountaineer.Menu.h${sha256Of(home).slice(0, 16)}`;
}

function alreadyShown(home: string): MountaineerError {
  return new MountaineerError(
    "already_running",
    `mountaineer menubar already runs in this session for ${home}`,
    {
      hint: "its icon is in the panel; quit it there first",
    },
  );
}
