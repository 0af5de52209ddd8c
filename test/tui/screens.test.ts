// Every screen and action in a real terminal, over a management server whose answers the test decides.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { StatusReport, StepResult } from "../../src/api/contract/contract.ts";
import type { LogLine, LogRequest } from "../../src/api/contract/records.ts";
import type { InputOf } from "../../src/api/operations/operations.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../api/sample-gateway.ts";
import { sampleResult, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";
import { MOUNTAINEER, openScene, row, type Scene } from "./scene.ts";
import { NO_TERMINAL } from "./terminal.ts";

const READY: StatusReport = {
  ...gatewayReport([sampleBackend({ name: "files" })]),
  shares: [sampleShare({ name: "CORE" }), sampleShare({ name: "MEDIA", active_interface: "fallback" })],
};

describe("screens and actions in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F2 the dashboard mounts, unmounts, switches, restarts and reloads by keys, and asks before it removes", async (t) => {
    const asked: string[] = [];
    const answer = (share: string, changes: Partial<StepResult>) => ({
      results: [sampleResult({ share, ...changes })],
    });
    const control = {
      ...scriptedControl(),
      status: () => READY,
      async mount({ shares }: InputOf<"mount">) {
        asked.push(`mount ${shares}`);
        return answer("CORE", { detail: "mounted over Thunderbolt" });
      },
      async unmount({ shares, force }: InputOf<"unmount">) {
        asked.push(`unmount ${shares} ${force}`);
        return force
          ? answer("CORE", { result: "unmounted", detail: "unmounted by force" })
          : answer("CORE", {
              result: "busy",
              detail: "files are open",
              holders: [{ pid: 7, command: "vim", path: "/x" }],
            });
      },
      async switchRoute({ shares, to }: InputOf<"switchRoute">) {
        asked.push(`switch ${shares} ${to}`);
        return answer("MEDIA", { result: "switched", detail: `switched to ${to}` });
      },
    };
    const gateway = {
      ...scriptedGateway(),
      async restart({ backends = null }: InputOf<"restart">) {
        asked.push(`restart ${backends}`);
        return { restarted: [...(backends ?? [])] };
      },
    };
    const config = scriptedConfig();
    const { home } = await startRig(t, { control, config, gateway });
    await using scene = await openScene(t, {
      columns: 120,
      mountaineerHome: home,
      command: `exec ${MOUNTAINEER} tui`,
    });
    const { terminal } = scene;
    await terminal.until("● connected");
    await terminal.until("▸ ● CORE");
    await terminal.press("m");
    await terminal.until("✓ CORE: mounted over Thunderbolt");
    await terminal.press("u");
    await terminal.until("Unmount CORE? It stays unmounted");
    await terminal.press("n", "u", "y");
    await terminal.until("! asks to do it anyway; CORE: files are open");
    await terminal.press("!");
    await terminal.until("Unmount CORE anyway? Files are open in vim (7).");
    await terminal.press("y");
    await terminal.until("✓ CORE: unmounted by force");
    await terminal.press("Down", "t");
    await terminal.until("✓ MEDIA: switched to tb");
    await terminal.press("Down", "r", "y");
    await terminal.until("✓ files: restarting");
    await terminal.press("R");
    await terminal.until("✓ settings reloaded");
    assert.deepEqual(asked, [
      "mount CORE",
      "unmount CORE false",
      "unmount CORE true",
      "switch MEDIA tb",
      "restart files",
    ]);
    await terminal.press(":", "mount core");
    await terminal.until("▸ mount CORE");
    await terminal.press("Enter");
    await eventually(() => asked.at(-1) === "mount CORE");
  });

  for (const columns of [80, 100, 160]) {
    test(`F2 at ${columns} columns views have names, problems are listed first with their fix, Enter shows all, and the earlier output returns`, async (t) => {
      const hint =
        "run mountaineer secrets set nas-password, then mountaineer mount CORE: it is not tried again by itself";
      const trouble = {
        code: "auth",
        severity: "error",
        title: "the NAS refuses the password",
        hint,
      } as const;
      const share = sampleShare({
        name: "CORE",
        conditions: [{ ...trouble, since: "2026-01-05T12:00:00.000Z" }],
      });
      const before = logLine("share.failover", { fields: { share: "CORE", from: "tb", to: "fallback" } });
      const { home } = await startRig(t, {
        control: { ...scriptedControl(), status: () => ({ ...READY, shares: [share] }) },
        config: scriptedConfig(),
        records: { daemonLog: async () => ({ path: "/log", lines: [before], more: false, next: null }) },
      });
      const command = `exec ${MOUNTAINEER} tui`;
      await using scene = await openScene(t, { columns, mountaineerHome: home, command });
      const { terminal } = scene;
      await terminal.until("Failed over from Thunderbolt");
      await terminal.shows((lines) => {
        const [header = ""] = lines;
        for (const word of ["[d Home]", "S Shares", "v Servers", "e Activity", "s Settings", "● connected"])
          assert.ok(header.includes(word), header);
        const text = lines.map((line) => line.trim()).join(" ");
        assert.ok(text.includes(hint), text);
        assert.ok(text.indexOf(hint) < text.indexOf("Shares (1)"), text);
      });
      await terminal.press("$");
      await terminal.until("mountaineer unmount --share CORE");
      await terminal.press("x");
      await terminal.until("Shares (1)");
      assert.match((await terminal.lines()).at(-1) ?? "", /\? help {2}q quit/);
      await terminal.press("Enter");
      await terminal.until("Thunderbolt ● 10.0.0.2 (in use)");
      await terminal.press("Escape");
      await terminal.until("▸ ▲ CORE");
      await terminal.press("Up", "Enter");
      await terminal.until((lines) => /✗ CORE: the NAS.*Esc back/.test(lines.join()));
      await terminal.press("Escape");
      await terminal.until("▸ ✗ CORE");
      await terminal.press("v");
      await terminal.until(
        (lines) => /\[v Servers\]/.test(lines[0] ?? "") && !lines.join().includes(trouble.title),
      );
    });
  }

  test("F2 a key switches a server's tools off and on, and the command for it is shown", async (t) => {
    const off = new Set<string>();
    const tool = (name: string, backend: string) => ({
      ...{ name, backend, original_name: name, description: `Does ${name}.`, input_schema: {} },
    });
    const all = [tool("look", "files"), tool("wipe", "files"), tool("walk", "web")];
    const gateway = {
      ...scriptedGateway(),
      tools: async () => ({
        tools: all.filter(({ name }) => !off.has(name)),
        off: all.flatMap(({ name, backend }) => (off.has(name) ? [{ name, backend }] : [])),
      }),
      async switchTools({ tools, on }: InputOf<"switchTools">) {
        for (const name of tools) on ? off.delete(name) : off.add(name);
        return { switched: [...tools] };
      },
    };
    const status = gatewayReport([sampleBackend({ name: "files" }), sampleBackend({ name: "web" })]);
    const { home } = await startRig(t, {
      control: { ...scriptedControl(), status: () => status },
      config: scriptedConfig(),
      gateway,
    });
    const command = `exec ${MOUNTAINEER} tui --screen servers`;
    await using scene = await openScene(t, { columns: 100, mountaineerHome: home, command });
    const { terminal } = scene;
    await terminal.until("▸ ● files");
    await terminal.press("c");
    await terminal.until("2 on, 0 off  only files");
    await terminal.press("Down", "o");
    await terminal.until("1 on, 1 off");
    assert.deepEqual([...off], ["wipe"]);
    await terminal.press("$");
    await terminal.until("mountaineer tools enable wipe");
    await terminal.press("x", "o");
    await terminal.until("2 on, 0 off");
    await terminal.press("Escape");
    await terminal.until("▸ ● look");
    await terminal.press("Escape");
    await terminal.until("walk");
    await terminal.press("/", "walk", "Enter");
    await terminal.until(hasNot("look"));
    await terminal.press("Enter");
    await terminal.until("Does walk.");
  });

  test("F2 a view with nothing to list names its first step", async (t) => {
    const { gateway: _gateway, backends: _backends, ...report } = READY;
    const { home } = await startRig(t, {
      control: { ...scriptedControl(), status: () => report },
      config: scriptedConfig(),
    });
    const command = `exec ${MOUNTAINEER} tui --screen servers`;
    await using scene = await openScene(t, { columns: 80, mountaineerHome: home, command });
    await scene.terminal.until("no MCP server yet: mountaineer backends add NAME");
  });

  test("F2 ten thousand events a second neither delay keys nor are lost silently; sizes change during them", async (t) => {
    const config = scriptedConfig();
    const { home } = await startRig(t, { control: { ...scriptedControl(), status: () => READY }, config });
    await using scene = await openScene(t, {
      mountaineerHome: home,
      command: `exec ${MOUNTAINEER} tui --screen events`,
    });
    const { terminal } = scene;
    await terminal.until("● connected");
    let sent = 0;
    const flood = setInterval(() => {
      for (let round = 0; round < 500; round += 1) {
        sent += 1;
        config.emit({ kind: "transition", transition: { name: "share.route_down", share: `s${sent}` } });
      }
    }, 50);
    t.after(() => clearInterval(flood));
    await terminal.until("of the newest 2000");
    await terminal.press("d");
    await terminal.until("CORE");
    await terminal.resize(60, 15);
    await terminal.until((lines) => lines.length === 15 && lines.join("\n").includes("▸ ● CORE"));
    await terminal.resize(200, 60);
    await terminal.until((lines) => lines.length === 60 && /\[d Home\]/.test(lines[0] ?? ""));
    await terminal.press("?");
    await terminal.until("Keys of Home");
    await terminal.press("x", "e", "/", "nothing-like-it");
    await terminal.until("/nothing-like-it");
    clearInterval(flood);
    await terminal.press("Escape");
    await terminal.until("of the newest 2000");
    config.emit({ kind: "transition", transition: { name: "share.mounted", share: "the-last" } });
    await terminal.until("the-last");
  });
});

// Logs in a real terminal, over a management server whose records the test decides.
interface Records {
  readonly scene: Scene;
  readonly log: LogLine[];
  /** Of the backend web, oldest first. */
  readonly lines: string[];
  /** What the log's questions end with; null: with its lines. */
  failure: MountaineerError | null;
}

async function openRecords(t: TestContext, screen: string): Promise<Records & AsyncDisposable> {
  const log: LogLine[] = [];
  const lines: string[] = [];
  const gateway = {
    ...scriptedGateway(),
    async logs({ backend }: { backend: string }) {
      return { lines: backend === "web" ? [...lines] : [`${backend} started`] };
    },
  };
  const status = gatewayReport([sampleBackend({ name: "files" }), sampleBackend({ name: "web" })]);
  const records = { log, lines, failure: null as MountaineerError | null };
  const { home } = await startRig(t, {
    control: { ...scriptedControl(), status: () => status },
    config: scriptedConfig(),
    gateway,
    records: {
      async daemonLog({ limit = 100 }: LogRequest) {
        if (records.failure !== null) throw records.failure;
        const newest = log.slice(-limit).reverse();
        return { path: "/home/ada/.mountaineer/mountaineer.log", lines: newest, more: false, next: null };
      },
    },
  });
  const scene = await openScene(t, {
    columns: 100,
    mountaineerHome: home,
    command: `exec ${MOUNTAINEER} tui --screen ${screen}`,
  });
  return Object.assign(records, { scene, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() });
}

function logLine(message: string, over: Partial<LogLine> = {}): LogLine {
  return { at: "2026-01-05T12:00:00.000Z", level: "info", message, ...over };
}

function hasNot(text: string): (lines: readonly string[]) => boolean {
  return (lines) => !lines.join("\n").includes(text);
}

describe("the records in a terminal", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  test("F2 logs: the daemon's and each backend's, followed at the end, scrolled, filtered, never interpreted", async (t) => {
    await using records = await openRecords(t, "logs");
    const { scene, log, lines } = records;
    const { terminal } = scene;
    await terminal.until("no lines");
    log.push(logLine("backend.ended", { level: "warn", fields: { backend: "files", code: 7 } }));
    await terminal.until("warn  backend.ended backend=files code=7");
    for (let count = 1; count <= 300; count += 1) log.push(logLine(`said ${count}.`));
    await terminal.until("said 300.");
    await terminal.press("Home");
    await terminal.until("backend.ended");
    log.push(logLine("said 301."));
    await terminal.press("End");
    await terminal.until("said 301.");
    await terminal.press("/", "said 29");
    await terminal.until("said 299.");
    await terminal.until(hasNot("said 301."));
    await terminal.press("Enter");
    await terminal.until("/ filter");
    await terminal.press("Escape");
    await terminal.until("said 301.");
    lines.push("\u001b[2Jwiped", `${"x".repeat(120)}the end`);
    await terminal.press("Tab", "Tab");
    await terminal.until("wiped");
    await terminal.shows((shown) => assert.match(row(shown, /wiped/), /^\S+wiped$/));
    await terminal.until(hasNot("the end"));
    await terminal.press("Right", "Right");
    await terminal.until("the end");
    await terminal.press("BTab");
    await terminal.until("files started");
    await terminal.press("d", ":", "logs of web");
    await terminal.until("▸ logs of web");
    await terminal.press("Enter");
    await terminal.until((shown) => /\[l Logs\]/.test(shown[1] ?? "") && shown.join().includes("wiped"));
  });

  test("F2 logs: the reason of a failed read is shown, and lines already read stay", async (t) => {
    await using records = await openRecords(t, "logs");
    const { terminal } = records.scene;
    records.log.push(logLine("said before"));
    await terminal.until("said before");
    records.failure = new MountaineerError("timed_out", "the disk does not answer");
    await terminal.until("✗ the disk does not answer");
    await terminal.until("said before");
    records.failure = null;
    await terminal.until(hasNot("the disk does not answer"));
  });
});
