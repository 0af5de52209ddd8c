// A NAS with two routes inside the guest: a network namespace with smbd, joined by two veth pairs, tb0 and eth1.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { eventually } from "../../support/eventually.ts";
import { must, run } from "./run.ts";

export type Route = "tb" | "fallback";

export const HOSTS: Readonly<Record<Route, string>> = { tb: "10.98.1.2", fallback: "10.98.2.2" };
export const USERNAME = "ann";
export const PASSWORD = "labpass";
export const SHARES = ["CORE", "VAULT", "HOME"] as const;

const LINKS: Readonly<Record<Route, string>> = { tb: "tb0", fallback: "eth1" };
const NETWORKS: Readonly<Record<Route, string>> = { tb: "10.98.1", fallback: "10.98.2" };
const FOLDER = "/srv/nas";
const CONFIG = path.join(FOLDER, "smb.conf");

/** Where a share's file is on the server's own disk. */
export function exported(share: (typeof SHARES)[number], ...parts: readonly string[]): string {
  return path.join(FOLDER, "export", share, ...parts);
}

export async function startNas(): Promise<void> {
  await must(["ip", "netns", "add", "nas"]);
  await must(["ip", "-n", "nas", "link", "set", "lo", "up"]);
  for (const route of ["tb", "fallback"] as const) {
    const [link, network] = [LINKS[route], NETWORKS[route]];
    await must(["ip", "link", "add", link, "type", "veth", "peer", "name", link, "netns", "nas"]);
    await must(["ip", "addr", "add", `${network}.1/24`, "dev", link]);
    await must(["ip", "-n", "nas", "addr", "add", `${network}.2/24`, "dev", link]);
    await must(["ip", "link", "set", link, "up"]);
    await must(["ip", "-n", "nas", "link", "set", link, "up"]);
  }
  for (const folder of ["private", "state/ncalrpc", "log"])
    await mkdir(path.join(FOLDER, folder), { recursive: true });
  await mkdir("/run/samba", { recursive: true });
  for (const share of SHARES) {
    await mkdir(exported(share), { recursive: true });
    await writeFile(exported(share, "marker.txt"), `hello from ${share}\n`);
  }
  await writeFile(CONFIG, smbConf());
  await must(["pdbedit", "-s", CONFIG, "-a", "-u", USERNAME, "-t"], { stdin: `${PASSWORD}\n${PASSWORD}\n` });
  await startServer();
}

export async function startServer(): Promise<void> {
  await must(["ip", "netns", "exec", "nas", "smbd", "-D", "-s", CONFIG]);
  await eventually(
    async () => (await run(["bash", "-c", `exec 3<>/dev/tcp/${HOSTS.tb}/445`])).code === 0,
    30_000,
    200,
  );
}

/** As a NAS that loses its power: no connection is closed in order. */
export async function killServer(): Promise<void> {
  const pids = (await must(["ip", "netns", "pids", "nas"])).split("\n").filter((pid) => pid !== "");
  for (const pid of pids) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended with another.
    }
  }
}

export async function cutLink(route: Route): Promise<void> {
  await must(["ip", "link", "set", LINKS[route], "down"]);
}

export async function restoreLink(route: Route): Promise<void> {
  await must(["ip", "link", "set", LINKS[route], "up"]);
}

/** Nothing that is sent to the server over this route arrives, and nobody says so. */
export async function silence(route: Route): Promise<void> {
  const link = LINKS[route];
  const rules = `add table inet ${link}; add chain inet ${link} in { type filter hook input priority 0; }; add rule inet ${link} in iifname ${link} drop`;
  await must(["ip", "netns", "exec", "nas", "nft", rules]);
}

/** Ends the silence, if there is one. */
export async function speak(route: Route): Promise<void> {
  await run(["ip", "netns", "exec", "nas", "nft", `delete table inet ${LINKS[route]}`]);
}

/** Both routes as at the start, and nothing mounted over them: what a chapter that failed has left is no later one's. */
export async function tidy(): Promise<void> {
  for (const route of ["tb", "fallback"] as const) {
    await restoreLink(route);
    await speak(route);
  }
  for (const line of await cifsMounts()) await run(["umount", "-l", line.split(" ")[1] ?? ""]);
}

/** The last lines of the kernel that are of its SMB client. */
export async function kernelWords(): Promise<string> {
  return (await run(["dmesg"])).out
    .split("\n")
    .filter((line) => /cifs/i.test(line))
    .slice(-15)
    .join("\n");
}

/** What the kernel's client waits for, and who waits in it. */
export async function clientState(): Promise<string> {
  const script = `cat /proc/fs/cifs/DebugData; ss -tnp state all '( sport = :24450 or dport = :24450 or dport = :445 )'
for stack in /proc/[0-9]*/stack; do
  grep -q cifs "$stack" || continue
  process=\${stack%/stack}; cat "$process/comm" "$stack"
done`;
  const { out, err } = await run(["bash", "-c", script]);
  return `${out}${err}`;
}

/** The mounts of the kernel's client. */
export async function cifsMounts(): Promise<readonly string[]> {
  return (await readFile("/proc/self/mounts", "utf8"))
    .split("\n")
    .filter((line) => / (cifs|smb3) /.test(line));
}

function smbConf(): string {
  const shares = SHARES.map(
    (name) =>
      `[${name}]\npath = ${exported(name)}\nread only = no\nforce user = root\nvalid users = ${USERNAME}\n`,
  );
  return `[global]
server role = standalone server
workgroup = LAB
netbios name = HNAS
disable netbios = yes
smb ports = 445
server min protocol = SMB2
map to guest = never
passdb backend = tdbsam:${FOLDER}/private/passdb.tdb
private dir = ${FOLDER}/private
lock directory = ${FOLDER}/state
state directory = ${FOLDER}/state
cache directory = ${FOLDER}/state
pid directory = ${FOLDER}/state
ncalrpc dir = ${FOLDER}/state/ncalrpc
log file = ${FOLDER}/log/log.smbd
load printers = no
printing = bsd
printcap name = /dev/null
disable spoolss = yes
${shares.join("\n")}`;
}
