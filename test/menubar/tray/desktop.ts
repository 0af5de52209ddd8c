// A real desktop for one test: an X server without a screen, and Xfce's panel with its tray.
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { busMissing, startSessionBus } from "../session-bus.ts";

const PROGRAMS = ["Xvfb", "xfce4-panel", "xdotool"];
const WIDTH = 900;
const HEIGHT = 620;
/** Nobody waits so long: it ends what hangs. */
const COMMAND_DEADLINE_MS = 60_000;

/** Why no desktop can be started here; false: it can. */
export const desktopMissing: string | false =
  busMissing ||
  (PROGRAMS.every((program) => spawnSync("which", [program]).status === 0)
    ? false
    : `${PROGRAMS.join(", ")} are not all installed`);

const PANEL = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="36"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="icon-size" type="int" value="24"/>
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
`;

export async function startDesktop(t: TestContext) {
  const children: ChildProcess[] = [];
  // Before the folder's removal, and the panel before what it stands on.
  t.after(async () => {
    for (const child of children.reverse()) await end(child);
  });
  const folder = await temporaryFolder(t);
  const bus = await startSessionBus(t);
  const display = await startServer(children);
  const configuration = join(folder, "config/xfce4/xfconf/xfce-perchannel-xml");
  await mkdir(configuration, { recursive: true });
  await writeFile(join(configuration, "xfce4-panel.xml"), PANEL);
  const environment = {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, "config"),
    XDG_CACHE_HOME: join(folder, "cache"),
    XDG_RUNTIME_DIR: folder,
    DISPLAY: display,
    DBUS_SESSION_BUS_ADDRESS: bus.address,
    // Marks what the test run starts, for the check of what is left behind.
    MOUNTAINEER_TEST_RUN: process.env["MOUNTAINEER_TEST_RUN"] ?? "",
    NO_AT_BRIDGE: "1",
    LANG: "C.UTF-8",
  };
  const run = (program: string, ...args: string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      execFile(program, args, { env: environment, timeout: COMMAND_DEADLINE_MS }, (error, _, stderr) =>
        error === null ? resolve() : reject(new Error(`${program}: ${stderr || error.message}`)),
      );
    });
  await run("dbus-update-activation-environment", "--all").catch(() => {});
  children.push(spawn("xfce4-panel", ["--disable-wm-check"], { env: environment, stdio: "ignore" }));
  return {
    bus,
    environment,
    /** Moves the pointer there and clicks; in pixels from the top left. */
    click: (x: number, y: number) => run("xdotool", "mousemove", String(x), String(y), "click", "1"),
  };
}

async function startServer(children: ChildProcess[]): Promise<string> {
  const server = spawn(
    "Xvfb",
    ["-displayfd", "3", "-screen", "0", `${WIDTH}x${HEIGHT}x24`, "-nolisten", "tcp"],
    { stdio: ["ignore", "ignore", "ignore", "pipe"] },
  );
  children.push(server);
  const told = server.stdio[3];
  const number = await new Promise<string>((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", () => reject(new Error("Xvfb ended at once")));
    told?.once("data", (bytes: Buffer) => resolve(bytes.toString().trim()));
  });
  return `:${number}`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}
