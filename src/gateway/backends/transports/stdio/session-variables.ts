// The variables that lead to the desktop's session, as far as what they name answers now.
import { access } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { userManagerVariables } from "../../../../runtime/process/user-manager.ts";
import { type Clock, settlesWithin } from "../../../../runtime/time/clock.ts";

const NAMES = [
  "DISPLAY",
  "WAYLAND_DISPLAY",
  "XAUTHORITY",
  "DBUS_SESSION_BUS_ADDRESS",
  "SSH_AUTH_SOCK",
] as const;
const QUERY_MS = 2_000;
const CONNECT_MS = 500;

type Environment = Readonly<Record<string, string | undefined>>;

/** Those of the user manager, else of this process: a session may have begun after the daemon. */
export async function sessionVariables(
  environment: Environment,
  clock: Clock,
): Promise<Record<string, string>> {
  const ofManager = await userManagerVariables(environment, { clock, deadlineMs: QUERY_MS });
  const all = { ...environment, ...ofManager };
  const found: Record<string, string> = {};
  for (const name of NAMES) {
    const value = all[name] ?? "";
    if (value !== "" && (await answers(name, value, all, clock))) found[name] = value;
  }
  if (found["DISPLAY"] === undefined) delete found["XAUTHORITY"];
  return found;
}

async function answers(
  name: (typeof NAMES)[number],
  value: string,
  all: Environment,
  clock: Clock,
): Promise<boolean> {
  if (name === "XAUTHORITY") return settlesWithin(clock, QUERY_MS, access(value)).catch(() => false);
  const [, host = "", display = ""] = /^([^:]*):(\d+)/.exec(value) ?? [];
  const [, abstract, path] = /^unix:(?:abstract=([^,;]+)|path=([^,;]+))/.exec(value) ?? [];
  const socketOf = {
    DISPLAY:
      host === "" || host === "unix"
        ? { path: `/tmp/.X11-unix/X${display}` }
        : { host, port: 6000 + Number(display) },
    WAYLAND_DISPLAY: { path: value.startsWith("/") ? value : join(all["XDG_RUNTIME_DIR"] ?? "/", value) },
    DBUS_SESSION_BUS_ADDRESS: { path: abstract === undefined ? (path ?? "") : `\0${abstract}` },
    SSH_AUTH_SOCK: { path: value },
  }[name];
  const socket = connect(socketOf);
  const opened = new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  const isOpen = (await settlesWithin(clock, CONNECT_MS, opened)) && (await opened);
  socket.destroy();
  return isOpen;
}
