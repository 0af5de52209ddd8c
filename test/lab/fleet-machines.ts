// Machines of a fleet, each in a network namespace of its own behind one switch: daemons as people run them, joined
// with the real command, with links that can be cut without a word.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectToDaemon, type DaemonClient } from "../../src/api/client/client.ts";
import { startCommand } from "../cli/command-line.ts";
import { type OwnServer, prepareOwnServer } from "../fleet/own-server.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { command } from "../rig/root-rig-command.ts";
import { createTestHome, type Monitor } from "../support/daemon.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

const BETWEEN_WORKS_MS = 100;

/** The shares of each machine: one changes its route, so that the others have something to see. */
export const MOVED = "MOVED";
const WORKED_ON = "CORE";

/** Which packets of a machine the switch drops. */
export type Direction = "both" | "sent" | "received";

export type FleetMachineRig = Awaited<ReturnType<typeof startMachine>>;

export type Work = Awaited<ReturnType<typeof workOn>>;

let rigs = 0;

/** All ends with the scope. */
export async function startMachines(t: Scope, names: readonly string[]): Promise<readonly FleetMachineRig[]> {
  const token = process.env["MOUNTAINEER_TEST_RUN"] ?? `p${process.pid}`;
  const prefix = `mt-${token}-f${rigs++}`;
  const hub = `${prefix}-hub`;
  const namespaces = [hub, ...names.map((name) => `${prefix}-${name}`)];
  const monitors: Monitor[] = [];
  let folder = "";
  t.after(() => Promise.all(monitors.map((monitor) => monitor[Symbol.asyncDispose]())));
  t.after(async () => {
    for (const name of namespaces) await command("ip", ["netns", "delete", name]).catch(() => {});
  });
  folder = await temporaryFolder(t);
  for (const name of namespaces) await command("ip", ["netns", "add", name]);
  const links = ["link add sw type bridge", "link set sw up"];
  for (const [index, name] of names.entries()) {
    links.push(
      `link add port${index} type veth peer name eth0 netns ${prefix}-${name}`,
      `link set port${index} master sw`,
      `link set port${index} up`,
    );
  }
  await command("ip", ["-n", hub, "-batch", "-"], `${links.join("\n")}\n`);
  return Promise.all(
    names.map((name, index) =>
      startMachine({
        name,
        index,
        hub,
        namespace: `${prefix}-${name}`,
        folder: path.join(folder, name),
        monitors,
      }),
    ),
  );
}

interface Place {
  readonly name: string;
  readonly index: number;
  readonly hub: string;
  readonly namespace: string;
  readonly folder: string;
  /** Of all machines: what has to be ended. */
  readonly monitors: Monitor[];
}

async function startMachine(place: Place) {
  const { name, index, namespace, folder } = place;
  const [address4, address6] = [`10.97.0.${index + 1}`, `fd00::${index + 1}`];
  await command(
    "ip",
    ["-n", namespace, "-batch", "-"],
    [
      "link set lo up",
      `addr add ${address4}/24 dev eth0`,
      `addr add ${address6}/64 dev eth0 nodad`,
      "link set eth0 up\n",
    ].join("\n"),
  );
  const enter = ["nsenter", `--net=/run/netns/${namespace}`];
  const shares = path.join(folder, "shares");
  const at = (share: string, route: string): string => path.join(folder, "exports", share, route);
  const sections: string[] = [];
  for (const share of [MOVED, WORKED_ON]) {
    for (const route of ["tb", "fallback"]) {
      await mkdir(at(share, route), { recursive: true });
      await writeFile(path.join(at(share, route), "file.txt"), "there");
    }
    sections.push(
      "[[shares]]",
      `name = "${share}"`,
      'driver = "local"',
      `thunderbolt_path = "${at(share, "tb")}"`,
      `fallback_path = "${at(share, "fallback")}"`,
    );
  }
  const home = await createTestHome({
    home: folder,
    env: { HOME: folder },
    enter,
    config: `
[global]
shares_root = "${shares}"
${sections.join("\n")}
[backends.count]
command = "${process.execPath}"
args = ["${LIGHT_SERVER}"]
env = { LIGHT_JOURNAL = "${path.join(folder, "counted")}" }
`,
  });
  let daemon: DaemonClient | null = null;
  const client = (): DaemonClient => {
    assert.ok(daemon, `${name} was not started`);
    return daemon;
  };
  const signal = (): AbortSignal => AbortSignal.timeout(ANSWERS_MS);
  const workOnce = async (id: string): Promise<void> => {
    assert.equal(await readFile(path.join(shares, WORKED_ON, "file.txt"), "utf8"), "there");
    const { error } = await client().call("call", { tool: "count", arguments: { id } }, signal());
    assert.equal(error, null);
  };
  return {
    name,
    address4,
    address6,
    home,
    /** Begun by `start`. */
    get daemon() {
      return client();
    },
    async start() {
      place.monitors.push(await home.startMonitor());
      daemon = await connectToDaemon(folder);
      await eventually(() => workOnce("first").then(() => true));
    },
    /** Runs the command line in its namespace. */
    run: (args: readonly string[]) => startCommand(args, { home: folder, within: enter }),
    within: enter,
    folder,
    report: () => client().call("fleet", null, signal()),
    /** Resolves with what undoes it. */
    cut: (direction: Direction) => cut(place, direction),
    /** Reads the share and calls the backend again and again, until it is asked how that went. */
    work() {
      const over = new AbortController();
      const works = workOn(over.signal, workOnce);
      return () => {
        over.abort();
        return works;
      };
    },
  };
}

async function workOn(signal: AbortSignal, once: (id: string) => Promise<void>) {
  const failures: string[] = [];
  let [done, longestMs] = [0, 0];
  while (!signal.aborted) {
    const startedAt = performance.now();
    await once(`${done}`).catch((error: unknown) => failures.push(String(error)));
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    done += 1;
    await pause(BETWEEN_WORKS_MS, null, { signal }).catch(() => {});
  }
  return { done, failures, longestMs };
}

/** The switch swallows it: every link stays up. */
async function cut({ hub, index }: Place, direction: Direction): Promise<() => Promise<void>> {
  const nft = (text: string): Promise<string> => command("ip", ["netns", "exec", hub, "nft", text]);
  const table = `bridge cut${index}`;
  const rules = [
    ...(direction === "received" ? [] : [`iifname port${index} drop`]),
    ...(direction === "sent" ? [] : [`oifname port${index} drop`]),
  ];
  await nft(
    `add table ${table}; add chain ${table} passing { type filter hook forward priority 0 ; }; ` +
      rules.map((rule) => `add rule ${table} passing ${rule}`).join("; "),
  );
  return async () => void (await nft(`delete table ${table}`));
}

/** As the docs say: a server at the first one's address, and on each machine its section and its key. */
export async function formFleet(
  t: Scope,
  machines: readonly FleetMachineRig[],
  host: string,
): Promise<OwnServer> {
  const [first] = machines;
  assert.ok(first);
  const { within, folder } = first;
  const server = await prepareOwnServer(t, { host, port: 4222, folder: path.join(folder, "server"), within });
  const lines: string[] = [];
  for (const { name, home, run } of machines) {
    const section = `[fleet]\nname = "${name}"\nservers = ["${server.url}"]\ncredentials = "secret:fleet"\ntls_ca = "${server.ca}"\n`;
    await home.writeConfig(`${await readFile(home.configFile, "utf8")}${section}`);
    const { code, stdout, stderr } = await run(["fleet", "key"]).ended;
    assert.equal(code, 0, stderr);
    lines.push(stdout.trim());
  }
  await server.admit(lines);
  return server;
}
