// Runs the icon on the session bus: one icon for each home, registered again with each new panel.
import { join } from "node:path";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import {
  BUS_NAME,
  BUS_PATH,
  type BusConnection,
  type BusReply,
  type BusSignal,
  connectToBus,
} from "../dbus/bus-connection.ts";
import { type Variant, variant } from "../dbus/marshal.ts";
import type { Message } from "../dbus/message.ts";
import type { Menu, MenuState } from "../menu/menu.ts";
import type { MenuSession } from "../menu/session.ts";
import { answerCall, method, propertiesXml, signalOf } from "./bus-objects.ts";
import { createDbusMenu, MENU_INTERFACE, MENU_PATH } from "./dbus-menu.ts";
import { ICON_SIZES, iconPixels } from "./icon-pixels.ts";

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
  let connection: BusConnection | null = null;
  const emit: BusConnection["emit"] = (message) => connection?.emit(message);
  const menu = createDbusMenu({
    menu: session.menu(),
    emit,
    onClick: (item) => session.click(item),
    onOpen: session.open,
  });
  const item = createNotifierItem(session.menu(), emit);
  const objects = {
    [MENU_PATH]: {
      ...menu,
      interface: MENU_INTERFACE,
      xml: MENU_XML + propertiesXml(menu.properties()),
    },
    [ITEM_PATH]: {
      ...item,
      interface: ITEM_INTERFACE,
      xml: ITEM_XML + propertiesXml(item.properties()),
    },
  };
  const itemName = `${ITEM_INTERFACE}-${process.pid}-1`;
  const register = async (bus: BusConnection): Promise<void> => {
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
  const onSignal = (message: Message): void => {
    // The match rule below limits this signal to the name WATCHER.
    const [, , owner] = message.body;
    if (message.member !== "NameOwnerChanged" || connection === null) return;
    if (owner === "") notify(NO_PANEL);
    else void register(connection);
  };
  const unregister = session.onChange((next) => {
    menu.show(next);
    item.show(next);
  });
  try {
    const bus = await connect(options, (call) => answerCall(call, objects), onSignal);
    connection = bus;
    // The bus frees the name when the connection ends, also after a crash.
    if (!(await requestName(bus, instanceName(home)))) throw alreadyShown(home);
    await requestName(bus, itemName);
    await call(bus, "AddMatch", "s", [
      `type='signal',sender='${BUS_NAME}',interface='${BUS_NAME}',member='NameOwnerChanged',arg0='${WATCHER}'`,
    ]);
    events.onBus();
    const [isThere] = await call(bus, "NameHasOwner", "s", [WATCHER]);
    if (isThere === true) await register(bus);
    else notify(NO_PANEL);
    return await bus.closed;
  } finally {
    unregister();
    connection?.[Symbol.dispose]();
  }
}

const NO_PANEL =
  "no panel shows tray icons here (GNOME needs the AppIndicator extension, Xfce the Status Tray plugin); waiting for one";

async function connect(
  { environment, clock, signal }: TrayOptions,
  onCall: Parameters<typeof connectToBus>[1]["onCall"],
  onSignal: (message: Message) => void,
): Promise<BusConnection> {
  const hint = "start this in your desktop session, or with DBUS_SESSION_BUS_ADDRESS set";
  let failure = new MountaineerError("daemon_unreachable", "there is no session bus", { hint });
  for (const path of sessionBusPaths(environment)) {
    try {
      return await connectToBus(path, { clock, signal, onCall, onSignal });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      failure = new MountaineerError(error.code, error.message, { hint, cause: error });
    }
  }
  throw failure;
}

function call(bus: BusConnection, member: string, signature: string, body: readonly unknown[]) {
  return bus.call({ destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member, signature, body });
}

async function requestName(bus: BusConnection, name: string): Promise<boolean> {
  const [result] = await call(bus, "RequestName", "su", [name, DO_NOT_QUEUE]);
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

const MENU_XML = [
  method("GetLayout", "parentId i, recursionDepth i, propertyNames as", "revision u, layout (ia{sv}av)"),
  method("GetGroupProperties", "ids ai, propertyNames as", "properties a(ia{sv})"),
  method("GetProperty", "id i, name s", "value v"),
  method("Event", "id i, eventId s, data v, timestamp u"),
  method("EventGroup", "events a(isvu)", "idErrors ai"),
  method("AboutToShow", "id i", "needUpdate b"),
  method("AboutToShowGroup", "ids ai", "updatesNeeded ai, idErrors ai"),
  signalOf("ItemsPropertiesUpdated", "updatedProps a(ia{sv}), removedProps a(ias)"),
  signalOf("LayoutUpdated", "revision u, parent i"),
  signalOf("ItemActivationRequested", "id i, timestamp u"),
].join("");

const ITEM_XML = [
  method("ContextMenu", "x i, y i"),
  method("Activate", "x i, y i"),
  method("SecondaryActivate", "x i, y i"),
  method("Scroll", "delta i, orientation s"),
  method("ProvideXdgActivationToken", "token s"),
  signalOf("NewTitle"),
  signalOf("NewIcon"),
  signalOf("NewAttentionIcon"),
  signalOf("NewOverlayIcon"),
  signalOf("NewToolTip"),
  signalOf("NewStatus", "status s"),
].join("");

// The addresses of the session bus from the environment.

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

// org.kde.StatusNotifierItem: the icon in the panel, and its tooltip.

const ITEM_PATH = "/StatusNotifierItem";
const ITEM_INTERFACE = "org.kde.StatusNotifierItem";

const PIXMAPS = "a(iiay)";

function createNotifierItem(menu: Menu, emit: (signal: BusSignal) => void) {
  let state = menu.state;
  let summary = menu.summary;
  const drawn = new Map<MenuState, unknown>();
  const icon = (): unknown => {
    const pixels =
      drawn.get(state) ??
      ICON_SIZES.map((size) => {
        const { width, height, argb } = iconPixels(state, size);
        return [width, height, argb];
      });
    drawn.set(state, pixels);
    return pixels;
  };
  const signal = (member: string, signature = "", body: readonly unknown[] = []): void =>
    emit({ path: ITEM_PATH, interface: ITEM_INTERFACE, member, signature, body });

  return {
    show(next: Menu): void {
      const changed = next.state !== state;
      const tipChanged = next.summary !== summary;
      state = next.state;
      summary = next.summary;
      if (changed) {
        signal("NewIcon");
        signal("NewAttentionIcon");
        signal("NewStatus", "s", [statusOf(state)]);
      }
      if (tipChanged) signal("NewToolTip");
    },
    answer(member: string, signature: string): BusReply | null {
      // Because of `ItemIsMenu`, the panel opens the menu itself: these calls need no action.
      const known = ["ContextMenu ii", "Activate ii", "SecondaryActivate ii", "Scroll is"];
      known.push("ProvideXdgActivationToken s");
      return known.includes(`${member} ${signature}`) ? { signature: "", body: [] } : null;
    },
    properties: (): ReadonlyMap<string, Variant> =>
      new Map([
        ["Category", variant("s", "SystemServices")],
        ["Id", variant("s", "mountaineer")],
        ["Title", variant("s", "Mountaineer")],
        ["Status", variant("s", statusOf(state))],
        ["WindowId", variant("i", 0)],
        ["IconName", variant("s", "")],
        ["IconPixmap", variant(PIXMAPS, icon())],
        ["OverlayIconName", variant("s", "")],
        ["OverlayIconPixmap", variant(PIXMAPS, [])],
        ["AttentionIconName", variant("s", "")],
        ["AttentionIconPixmap", variant(PIXMAPS, icon())],
        ["AttentionMovieName", variant("s", "")],
        ["IconThemePath", variant("s", "")],
        ["ToolTip", variant("(sa(iiay)ss)", ["", [], "Mountaineer", escaped(summary)])],
        ["ItemIsMenu", variant("b", true)],
        ["Menu", variant("o", MENU_PATH)],
      ]),
  };
}

function statusOf(state: MenuState): string {
  return state === "tb_ready" || state === "down" ? "NeedsAttention" : "Active";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
