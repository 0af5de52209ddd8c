// What makes a server known on its links: a real avahi-daemon and a real wsdd, and somebody who says what is not true.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { eventually } from "../support/eventually.ts";
import { command } from "./root-rig-command.ts";

/** What this machine lacks for them; null: nothing. */
export async function missingForAdvertisers(): Promise<string | null> {
  for (const program of ["avahi-daemon", "wsdd"]) {
    const found = await command("sh", ["-c", `PATH=$PATH:/usr/sbin; command -v ${program}`]).catch(() => "");
    if (found === "") return `needs ${program}`;
  }
  return null;
}

interface Place {
  /** Words before a command that runs it on the machine. */
  readonly enter: readonly string[];
  /** For what it needs on disk. */
  readonly folder: string;
}

/** Advertises SMB as `name`, at all addresses of the machine, by a daemon with folders of its own. */
export async function startAvahi({ enter, folder }: Place, name: string): Promise<AsyncDisposable> {
  const own = path.join(folder, "avahi");
  const services = path.join(own, "services");
  await mkdir(services, { recursive: true });
  const conf = path.join(own, "avahi.conf");
  await writeFile(
    conf,
    `[server]\nhost-name=${name.toLowerCase()}\nuse-ipv6=no\nallow-interfaces=tb0,eth1,eth0\nenable-dbus=no\n[wide-area]\nenable-wide-area=no\n[rlimits]\n`,
  );
  await writeFile(
    path.join(services, "smb.service"),
    `<?xml version="1.0" standalone="no"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>${name}</name><service><type>_smb._tcp</type><port>445</port></service></service-group>\n`,
  );
  const script =
    `mount -t tmpfs none /run && mount --bind ${services} /etc/avahi/services && ` +
    `exec avahi-daemon -f ${conf} --no-drop-root --no-chroot --no-rlimits`;
  return await running([...enter, "unshare", "--mount", "sh", "-c", script], /successfully established/);
}

/** Answers WS-Discovery as a Windows machine of that name does. */
export function startWsdd({ enter }: Place, name: string, interfaceName: string): Promise<AsyncDisposable> {
  return running([...enter, "wsdd", "-4", "-v", "-i", interfaceName, "-n", name], null);
}

/** Answers each question on the link with this one message. */
export function startLiar({ enter }: Place, address: string, message: Buffer): Promise<AsyncDisposable> {
  return running([...enter, process.execPath, "-e", LIAR, address, message.toString("base64")], /listens/);
}

const LIAR = `
const [address, message] = process.argv.slice(1);
const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
socket.on("message", (_, { port, address: to }) => socket.send(Buffer.from(message, "base64"), port, to));
socket.bind(5353, () => { socket.addMembership("224.0.0.251", address); console.error("listens"); });
`;

async function running(
  [program = "", ...args]: readonly string[],
  ready: RegExp | null,
): Promise<AsyncDisposable> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const exited = once(child, "exit");
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
  };
  try {
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
      return ready === null || ready.test(said);
    }, 30_000);
  } catch (error) {
    await end();
    throw new Error(`${args.join(" ")} is not ready: ${said}`, { cause: error });
  }
  return { [Symbol.asyncDispose]: end };
}

let machines = 0;

/** One more machine on the second link of a rig, with this address. */
export async function joinSecondLink(
  { enterServer, folder }: { readonly enterServer: readonly string[]; readonly folder: string },
  address: string,
): Promise<Place & AsyncDisposable> {
  const name = `mt-${process.pid}-m${machines++}`;
  const end = (): Promise<string> => command("ip", ["netns", "delete", name]);
  await command("ip", ["netns", "add", name]);
  try {
    const [file = "", ...before] = enterServer;
    const inServer = (...args: string[]): Promise<string> => command(file, [...before, "ip", ...args]);
    const port = `p${machines}`;
    await inServer("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name);
    await inServer("link", "set", port, "master", "ethsw");
    await inServer("link", "set", port, "up");
    const lines = ["link set lo up", `addr add ${address}/24 dev eth0`, "link set eth0 up"];
    await command("ip", ["-n", name, "-batch", "-"], `${lines.join("\n")}\n`);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    enter: ["nsenter", `--net=/run/netns/${name}`],
    folder: path.join(folder, name),
    [Symbol.asyncDispose]: async () => void (await end()),
  };
}
