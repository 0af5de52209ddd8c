// The nats-server that a person runs: its certificate and configuration are made as docs/reference/fleet.md says.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import type { Scope } from "../support/temporary-folder.ts";
import { PROGRAM } from "./nats-rig.ts";

const PAGE = path.resolve(import.meta.dirname, "../../docs/reference/fleet.md");

export type OwnServer = Awaited<ReturnType<typeof prepareOwnServer>>;

interface Place {
  readonly host: string;
  readonly port: number;
  /** For its files; made if it is missing. */
  readonly folder: string;
  /** Words before the program. */
  readonly within?: readonly string[];
}

/** `admit` starts it, and it ends with the scope. */
export async function prepareOwnServer(t: Scope, { host, port, folder, within = [] }: Place) {
  const address = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const page = await readFile(PAGE, "utf8");
  const block = (start: string): string => {
    const from = page.indexOf(`\n${start}`);
    assert.ok(from > 0, start);
    return page.slice(from + 1, page.indexOf("\n```", from));
  };
  const store = path.join(folder, "store");
  await mkdir(store, { recursive: true });
  const [openssl = "", ...args] = block("openssl req")
    .replace("DNS:nas.local,IP:192.168.1.5", `IP:${host}`)
    .split(" ");
  await promisify(execFile)(openssl, args, { cwd: folder });
  const config = path.join(folder, "nats-server.conf");
  const text = block('listen: "')
    .replace("0.0.0.0:4222", address)
    .replaceAll("/etc/nats/", `${folder}/`)
    .replace("/var/lib/nats", store);
  let server: ChildProcess | null = null;
  const kill = async (): Promise<void> => {
    const ending = server;
    server = null;
    if (ending === null || (ending.exitCode ?? ending.signalCode) !== null) return;
    const exit = once(ending, "exit");
    ending.kill("SIGKILL");
    await exit;
  };
  t.after(kill);
  const start = (): void => {
    const [program = "", ...words] = [...within, PROGRAM ?? "", "-c", config];
    // It writes down every message, with its subject and content.
    server = spawn(program, [...words, "-V", "-l", path.join(folder, "log")], { stdio: "ignore" });
  };
  return {
    url: `tls://${address}`,
    address,
    ca: path.join(folder, "ca.pem"),
    log: () => readFile(path.join(folder, "log"), "latin1"),
    kill,
    start,
    /** From now on it lets in whoever has one of these lines. */
    async admit(lines: readonly string[]) {
      const [comment = ""] = /# a line for each machine/.exec(text) ?? [];
      assert.ok(comment !== "");
      await writeFile(
        config,
        text.replace(comment, () => lines.join("\n")),
      );
      if (server === null) start();
      else server.kill("SIGHUP");
    },
  };
}
