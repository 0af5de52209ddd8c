// HAProxy and nginx in front of gateways, with a configuration that a page shows: docs/reference/fleet.md, unless another is given.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";

const PAGE = path.resolve(import.meta.dirname, "../../docs/reference/fleet.md");

export type BalancerName = "haproxy" | "nginx";

export interface Balancer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** `gateways`: the ports of loopback at which they listen. */
export async function openBalancer(name: BalancerName, gateways: readonly number[]): Promise<Balancer> {
  const port = await freePort();
  const block = (await blockOf(name, PAGE))
    .replace(/(bind|listen) :?8080/u, (_, key) => `${key} 127.0.0.1:${port}`)
    .replace(/(?:^ +server .+:9000.*\n)+/mu, servers(name, gateways));
  return openProxy(name, block, port);
}

/** `block`: a configuration that listens at that port of loopback. */
export async function openProxy(name: BalancerName, block: string, port: number): Promise<Balancer> {
  const folder = await mkdtemp(path.join(tmpdir(), `mt-${name}-`));
  const file = path.join(folder, "configuration");
  await writeFile(file, name === "haproxy" ? block : nginxFile(folder, block));
  const args = name === "haproxy" ? ["-db", "-f", file] : ["-p", folder, "-e", "stderr", "-c", file];
  const child = spawn(name, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const ended = once(child, "exit");
  const self = {
    url: `http://127.0.0.1:${port}/mcp`,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      // At SIGTERM nginx ends its workers, too.
      if (child.exitCode === null) child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`${name} has ended`);
      return answersAt(port);
    });
    return self;
  } catch (error) {
    await self[Symbol.asyncDispose]();
    throw new Error(`${name} does not listen; it said: ${said}`, { cause: error });
  }
}

export async function blockOf(name: BalancerName, page: string): Promise<string> {
  const found = new RegExp(`^\`\`\`${name}\n(.*?)^\`\`\`$`, "msu").exec(await readFile(page, "utf8"));
  if (found?.[1] === undefined) throw new Error(`the page has no block for ${name}`);
  return found[1];
}

function servers(name: BalancerName, gateways: readonly number[]): string {
  return gateways
    .map((port, at) =>
      name === "haproxy" ? `    server g${at} 127.0.0.1:${port}\n` : `    server 127.0.0.1:${port};\n`,
    )
    .join("");
}

/** What Debian's file has around `http`, with all files below the folder. */
function nginxFile(folder: string, block: string): string {
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `${user}
daemon off;
pid ${folder}/pid;
events {}
http {
access_log off;
client_body_temp_path ${folder}/body;
proxy_temp_path ${folder}/proxy;
fastcgi_temp_path ${folder}/fastcgi;
uwsgi_temp_path ${folder}/uwsgi;
scgi_temp_path ${folder}/scgi;
${block}}
`;
}

function answersAt(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
