// Runs each adapter to the operating system once, without changing anything, to prove on a new system that all of them work.
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, open, readdir, realpath, rm, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { arch, platform, release, tmpdir, uptime } from "node:os";
import { join } from "node:path";
import type { SelfTestReport, SelfTestResult } from "../api/doctor-report.ts";
import type { EngineParts } from "../daemon/compose/engine-parts.ts";
import { listMonitors } from "../daemon/compose/monitor-processes.ts";
import { readInterfaces } from "../network/interfaces.ts";
import { startNetworkListener } from "../network/listen/network-listener.ts";
import { findRoute } from "../network/routes/route-lookup.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../runtime/files/durable-file.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { childEnvironment, runCommand } from "../runtime/process/child-process.ts";
import { acquireHomeLock, readLockOwner } from "../runtime/process/home-lock.ts";
import { isRunning, processIdentity } from "../runtime/process/process-identity.ts";
import { settlesWithin, systemClock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { createKeyring } from "../secrets/keyring.ts";
import { startObservingParts } from "./context.ts";

const DEADLINE_MS = 10_000;
const LISTENER_WITHIN_MS = 3_000;

interface Adapter {
  readonly name: string;
  /** Resolves with the result in one line; `without`: why the check does not apply here. Rejects if the check fails. */
  run(folder: string, signal: AbortSignal): Promise<string | { readonly without: string }>;
}

export async function runSelfTest(signal: AbortSignal): Promise<SelfTestReport> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-self-test-")));
  const stack = createDisposalStack(() => {});
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  try {
    const parts = await startObservingParts(folder, join(folder, "state.json"), stack);
    const results: SelfTestResult[] = [];
    // Runs the checks one after the other, so that none slows another, and because later ones build on
    // earlier ones.
    for (const adapter of adapters(parts)) results.push(await runOne(adapter, folder, signal));
    return {
      ok: results.every(({ passed }) => passed !== false),
      platform: `${platform()} ${release()} ${arch()}, Node ${process.versions.node}`,
      version: packageVersion(),
      results,
    };
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

async function runOne({ name, run }: Adapter, parent: string, signal: AbortSignal): Promise<SelfTestResult> {
  signal.throwIfAborted();
  const startedAtMs = systemClock.monotonicMs();
  const result = (passed: boolean | null, detail: string): SelfTestResult => ({
    adapter: name,
    passed,
    detail: detail.split("\n")[0] ?? "",
    took_ms: Math.round(systemClock.monotonicMs() - startedAtMs),
  });
  try {
    const folder = join(parent, randomUUID());
    await mkdir(folder);
    const work = run(folder, signal);
    if (!(await settlesWithin(systemClock, DEADLINE_MS, work)))
      throw new Error(`no end within ${DEADLINE_MS} ms`);
    const detail = await work;
    return typeof detail === "string" ? result(true, detail) : result(null, detail.without);
  } catch (error) {
    signal.throwIfAborted();
    return result(false, errorText(error));
  }
}

/** Adapters by name, in the order in which they run. */
type Adapters = Readonly<Record<string, Adapter["run"]>>;

function adapters(parts: EngineParts): readonly Adapter[] {
  const all = {
    ...processAdapters(),
    ...networkAdapters(parts),
    ...mountAdapters(parts),
    ...keyringAndClock(),
  };
  return Object.entries(all).map(([name, run]) => ({ name, run }));
}

function processAdapters(): Adapters {
  return {
    async "child processes"(_, signal) {
      const { stdout, exitCode } = await runCommand("sh", ["-c", "cat"], {
        deadlineMs: 5_000,
        stdin: "through",
        signal,
      });
      expect(exitCode === 0 && stdout === "through", `sh ended with ${exitCode}`);
      return `started, fed and ended; it sees ${Object.keys(childEnvironment()).length} variables`;
    },
    async "durable files"(folder) {
      const path = join(folder, "file");
      await writeDurably(path, "one");
      await writeDurably(path, "two");
      expect((await readIfPresent(path)) === "two", "it does not hold what was written");
      expect((await readdir(folder)).length === 1, "a temporary file was left behind");
      return "written, replaced, flushed with their folder";
    },
    async "lock of a home"(folder) {
      const lock = await acquireHomeLock(folder, { command: "self-test", waitMs: 0, clock: systemClock });
      const holder = await readLockOwner(folder);
      expect(holder?.pid === process.pid, "its holder is not known");
      await lock[Symbol.asyncDispose]();
      expect((await readLockOwner(folder)) === null, "it is still locked after its release");
      return "taken, read, freed";
    },
    async "process identity"() {
      const own = await processIdentity(process.pid);
      expect(own !== null && (await isRunning(own)), "this process is not found");
      expect((await processIdentity(2 ** 30)) === null, "a process is found that does not exist");
      return `pid ${process.pid} started at ${own?.startTime}`;
    },
    "list of processes": async () => `${(await listMonitors()).length} monitors run`,
  };
}

function networkAdapters({ prober, hostProber }: EngineParts): Adapters {
  return {
    async "network interfaces"() {
      const { names, addresses } = readInterfaces(systemClock.monotonicMs());
      expect(names.size > 0, "no interface is up");
      return `${[...names].join(", ")}: ${addresses.length} addresses`;
    },
    async "network events"() {
      const listener = startNetworkListener({
        clock: systemClock,
        logger: noopLogger,
        onChange: () => {},
      });
      try {
        const untilMs = systemClock.monotonicMs() + LISTENER_WITHIN_MS;
        while (listener.source === "polling" && systemClock.monotonicMs() < untilMs)
          await systemClock.sleep(20);
        expect(listener.source !== "polling", "the system's own events are not to be had; it polls");
        return `from ${listener.source}, started and stopped`;
      } finally {
        await listener[Symbol.asyncDispose]();
      }
    },
    async routes(_, signal) {
      const lookup = await findRoute("127.0.0.1", systemClock, signal);
      if (lookup.kind === "unknown") throw new Error(lookup.why);
      return lookup.kind === "none"
        ? "no way to this machine itself"
        : `this machine itself is over ${lookup.interfaceName}`;
    },
    async "names of hosts"() {
      const addresses = await prober.resolve("localhost", 5_000);
      expect(addresses.length > 0, "localhost has no address");
      return `localhost is ${addresses.join(", ")}`;
    },
    async "probe of a host"() {
      const { server, port } = await silentServer();
      try {
        const limits = { notBeforeMs: systemClock.monotonicMs(), timeoutMs: 300 };
        const result = await hostProber.probe({ host: "127.0.0.1", port, interfaceName: null }, limits);
        expect(result.tcpAnswered && result.verdict === "silent", `it says: ${result.text}`);
        return "a silent server is not taken for an SMB server";
      } finally {
        server.close();
      }
    },
  };
}

function mountAdapters({ prober, mountTable, drivers }: EngineParts): Adapters {
  return {
    async "look into a folder"(folder) {
      const check = await prober.checkMount(`self-test:${folder}`, folder, 3_000);
      expect(check.state === "answered" && check.errno === null, `it says: ${JSON.stringify(check)}`);
      await symlink(folder, join(folder, "link"));
      const link = await prober.readLink(join(folder, "link"), 3_000);
      expect(link.state === "link" && link.target === folder, `a link is reported as ${link.state}`);
      return "by the prober's own process, uncached";
    },
    async "open files"(folder) {
      await using _file = await open(join(folder, "held"), "w");
      const [answer] = await prober.openFiles([folder], [], 8_000);
      if (answer === undefined || !answer.ok) throw new Error(answer?.text ?? "no answer");
      const own = answer.files.find(({ pid }) => pid === process.pid);
      expect(own !== undefined, "a file that this process holds open was not found");
      return `found, held by ${own?.command} (pid ${own?.pid})`;
    },
    async "table of mounts"() {
      const entries = await mountTable.read(systemClock.monotonicMs());
      expect(
        entries.some(({ path }) => path === "/"),
        "it has no root",
      );
      const smb = entries.filter(({ type }) => /^(cifs|smb3|smbfs|fuse\.mountaineer-fs)$/.test(type));
      return `${entries.length} mounts, ${smb.length} of them of SMB shares`;
    },
    ...Object.fromEntries(
      Object.values(drivers).map((driver): [string, Adapter["run"]] => [
        `driver ${driver.name}`,
        async () => {
          const missing = await driver.missingRequirement();
          if (missing !== null) return { without: `${missing.text}; ${missing.hint}` };
          return "all that it needs is here; nothing was mounted";
        },
      ]),
    ),
    async "a way to mount SMB"() {
      const usable: string[] = [];
      for (const driver of Object.values(drivers)) {
        if (driver.name !== "local" && (await driver.missingRequirement()) === null) usable.push(driver.name);
      }
      expect(usable.length > 0, "no driver that mounts SMB shares has all that it needs");
      return usable.join(", ");
    },
  };
}

function keyringAndClock(): Adapters {
  return {
    async keyring(folder, signal) {
      const keyring = createKeyring({ home: folder, clock: systemClock, environment: process.env });
      if (keyring === null) return { without: "this system has none" };
      const limits = { deadlineMs: 5_000, signal };
      const why = await keyring.unusableBecause(limits);
      // A server usually has no keyring, and needs none.
      if (why !== null) return { without: `secrets go into a file: ${why}` };
      const value = `self test ${randomUUID()}`;
      await keyring.set("self-test", value, limits);
      const found = await keyring.get("self-test", limits);
      await keyring.remove("self-test", limits);
      expect(found === value, "it gave back something else");
      return `${keyring.kind}: kept, read and removed`;
    },
    async clock() {
      const [wallMs, monotonicMs] = [systemClock.wallMs(), systemClock.monotonicMs()];
      await systemClock.sleep(50);
      const passed = systemClock.monotonicMs() - monotonicMs;
      expect(passed >= 45 && passed < 5_000, `50 ms took ${Math.round(passed)} ms`);
      const apart = Math.abs(systemClock.wallMs() - wallMs - passed);
      expect(apart < 1_000, `the wall clock moved ${Math.round(apart)} ms apart from it`);
      return `up for ${Math.round(uptime())} s; it advances with the wall clock`;
    },
  };
}

function expect(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}

/** Accepts connections and sends nothing. */
async function silentServer() {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.unref();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  server.unref();
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return { server, port: address.port };
}
